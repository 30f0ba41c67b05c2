import csv
import io
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from ptmoe.base.model import load_base, read_base_info
from ptmoe.rows.batches import collate
from ptmoe.rows.encoded import Encoded
from ptmoe.runtime.errors import BaseModelError, DataError, ParamsError, TrainingError
from ptmoe.training.cell import TrainJob, train_cell
from ptmoe.tuning.prompted_lm import PromptedLM
from ptmoe.tuning.registry import method_params
from tests.rows import list_rows, write_rows
from tests.training.world import END, PARAMS, random_rows


def table(log: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(log), delimiter="\t"))


def tensors(folder) -> dict[str, torch.Tensor]:
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("method", list(PARAMS))
def test_the_same_bytes_at_every_run(world, method):
    assert world.train(method) == world.train(method, "again")


def test_another_seed_gives_another_adapter(world):
    arguments = world.arguments("pt", keep="last")
    train_cell(TrainJob(**arguments))
    first = tensors(arguments["adapter_dir"])
    train_cell(TrainJob(**arguments | {"seed": 1}))
    assert not torch.equal(*(next(iter(found.values())) for found in (first, tensors(arguments["adapter_dir"]))))


def test_the_log_has_a_line_where_it_is_due_and_the_schedule_of_the_rate(world):
    _, log = world.train("pt", steps=7, eval_steps=3, log_steps=2, warmup_steps=4)
    rows = table(log)
    assert [int(row["step"]) for row in rows] == [0, 2, 3, 4, 6, 7]
    assert [row["validation_loss"] != "" for row in rows] == [True, False, True, False, True, True]
    assert [row["learning_rate"] for row in rows] == ["", "0.025", "0.0375", "0.05", "0.05", "0.05"]
    assert all(float(row["loss"]) > 0 and float(row["grad_norm"]) > 0 for row in rows[1:])
    assert rows[0]["loss"] == ""


def test_a_routed_method_logs_its_experts(world):
    _, log = world.train("ptmoe", steps=6, eval_steps=3, log_steps=2)
    for row, steps in zip(table(log)[1:], [2, 1, 1, 2], strict=True):
        assert int(row["expert_0"]) + int(row["expert_1"]) == 8 * steps
        assert 0 < float(row["entropy"]) <= np.log(2) + 1e-6
        assert 0.5 <= float(row["top_probability"]) <= 1
        assert float(row["mutual_information"]) == 0  # of one data set
        assert 0 < float(row["router_grad_norm"]) < float(row["grad_norm"])


def test_a_router_without_a_rate_takes_no_part_in_training_and_is_saved(world):
    _, log = world.train("ptmoe_routed", keep="last")
    assert {row["router_grad_norm"] for row in table(log)[1:]} == {"0"}
    assert "method.router.linear.weight" in tensors(world.root / "out" / "qa-ptmoe_routed-0")


def test_a_balance_loss_needs_the_whole_batch_in_one_piece(world):
    params = method_params("ptmoe", PARAMS["ptmoe"] | {"balance_loss": 0.1})
    with pytest.raises(TrainingError, match=r"balance_loss 0\.1 needs each batch in one piece.*micro_batch_size is 3"):
        train_cell(TrainJob(**world.arguments("ptmoe") | {"method_params": params}))
    train_cell(TrainJob(**world.arguments("ptmoe", micro_batch_size=8) | {"method_params": params}))


def test_a_method_without_parameters_is_validated_and_takes_no_step(world):
    _, log = world.train("untuned")
    (row,) = table(log)
    assert row["step"] == "0" and float(row["validation_loss"]) > 0
    config = json.loads((world.root / "out" / "qa-untuned-0" / "adapter_config.json").read_text())
    assert config["trainable_parameters"] == 0


def test_the_validation_loss_is_the_mean_over_all_answer_tokens(world):
    _, log = world.train("untuned", micro_batch_size=2)
    model = PromptedLM.create(load_base(world.base_dir), "untuned", {})
    batch = collate(random_rows(7, 2), 0)
    output = model(**batch.as_dict())
    assert float(table(log)[0]["validation_loss"]) == pytest.approx(
        float(output.loss_sum / output.num_tokens), abs=1e-5
    )


def test_keep_best_and_keep_last(world):
    _, log = world.train("ft", "last", keep="last", steps=9, eval_steps=1)
    world.train("ft", "best", keep="best", steps=9, eval_steps=1)
    losses = [float(row["validation_loss"]) for row in table(log)]
    assert min(losses) < losses[-1]  # else there is nothing to tell apart
    batch = collate(random_rows(7, 2), 0)
    for keep, expected in (("last", losses[-1]), ("best", min(losses))):
        base = load_base(world.base_dir)
        model = PromptedLM.load(world.root / keep / "qa-ft-0", base, read_base_info(world.base_dir))
        output = model(**batch.as_dict())
        assert float(output.loss_sum.detach() / output.num_tokens) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("loss_on", ["answer", "text"])
def test_gradients_equal_those_of_full_logits_and_do_not_depend_on_the_pieces(world, loss_on):
    """One step of plain SGD's direction: the loss of the labels only against cross entropy over all positions."""
    rows = random_rows(8, 1)
    model = PromptedLM.create(load_base(world.base_dir), "ptmoe", PARAMS["ptmoe"]).eval()
    for parameter in model.method.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    batch = collate(rows, 0, loss_on=loss_on)
    logits = model(batch.input_ids, batch.attention_mask, prompt_mask=batch.prompt_mask).logits
    full = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100
    )
    expected = torch.autograd.grad(full, list(model.method.parameters()))
    tokens = int((batch.labels != -100).sum())
    for size in (8, 3):
        model.zero_grad()
        for first in range(0, 8, size):
            piece = collate(rows[first : first + size], 0, loss_on=loss_on)
            (model(**piece.as_dict()).loss_sum / tokens).backward()
        for parameter, gradient in zip(model.method.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("loss_on", ["answer", "text"])
def test_micro_batches_do_not_change_the_result(world, loss_on):
    curves = []
    for size in (8, 3, 1):
        _, log = world.train("ptmoe", micro_batch_size=size, log_steps=1, loss_on=loss_on)
        curves.append([float(row["loss"]) for row in table(log)[1:]])
    np.testing.assert_allclose(curves[1:], [curves[0]] * 2, atol=1e-5)


def test_the_loss_on_all_text_changes_training_and_leaves_the_validation_of_answers(world):
    logs = [table(world.train("pt", log_steps=1, loss_on=loss_on)[1]) for loss_on in ("answer", "text")]
    assert logs[0][0] == logs[1][0]  # before the first step
    assert logs[0][1]["loss"] != logs[1][1]["loss"] and logs[0][-1]["validation_loss"] != logs[1][-1]["validation_loss"]


def test_gradient_checkpointing_computes_layers_twice_and_changes_no_loss(world, monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaAttention

    forward, calls = LlamaAttention.forward, []

    def counted(self, *args, **kwargs):
        calls.append(self)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaAttention, "forward", counted)
    plain = world.train("pt", keep="last", log_steps=1)[1]
    once = len(calls)
    checkpointed = world.train("pt", keep="last", log_steps=1, gradient_checkpointing=True)[1]
    assert len(calls) - once > 1.5 * once  # not twice: validation needs no gradient
    losses = [[float(row["loss"]) for row in table(log)[1:]] for log in (plain, checkpointed)]
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)


def test_a_limit_of_zero_leaves_the_gradients_as_a_limit_that_is_never_reached(world):
    weights = {limit: world.train("pt", keep="last", max_grad_norm=limit)[0] for limit in (0.0, 1e9, 1.0)}
    assert weights[0.0] == weights[1e9] != weights[1.0]


def test_costs_lie_beside_the_outputs_and_not_in_them(world):
    world.train("pt")
    costs = json.loads((world.root / ".costs" / "qa-pt-0.train.json").read_text())
    assert costs["steps"] == 6 and costs["tokens"] > 0 and costs["peak_memory_bytes"] > 0
    assert sorted(path.name for path in (world.root / "out").iterdir()) == ["qa-pt-0", "qa-pt-0.tsv"]


def test_a_diverging_loss_is_a_clear_error(world, monkeypatch):
    forward = PromptedLM.forward

    def broken(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        if self.training:
            output.loss_sum.data.mul_(float("nan"))
        return output

    monkeypatch.setattr(PromptedLM, "forward", broken)
    with pytest.raises(TrainingError, match=r"qa-pt-0: loss nan .* at step 1 .*lower learning_rate.pt \(now 0.05\)"):
        world.train("pt")
    assert not (world.root / "out" / "qa-pt-0").exists()


def test_an_exploding_rate_is_a_clear_error(world):
    arguments = world.arguments("ft", steps=8, eval_steps=2) | {"learning_rate": 1e4}
    with pytest.raises(TrainingError, match=r"qa-ft-0: .* not usable; lower learning_rate.ft \(now 10000\)"):
        train_cell(TrainJob(**arguments))
    assert not arguments["adapter_dir"].exists()


def test_fewer_rows_than_a_batch(world):
    with pytest.raises(DataError, match=r"qa has 24 training rows, fewer than batch_size 25; lower batch_size.qa"):
        train_cell(TrainJob(**world.arguments("pt", batch_size=25)))


def test_a_batch_of_all_rows_shows_as_many_rows_in_every_step(world, monkeypatch):
    forward, shown = PromptedLM.forward, []

    def counted(self, *args, **kwargs):
        if self.training:
            shown.append(len(kwargs["input_ids"]))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(PromptedLM, "forward", counted)
    train_cell(TrainJob(**world.arguments("pt", batch_size=24)))
    assert shown == [3] * 6 * 8  # six steps of eight pieces of `micro_batch_size` rows
    costs = json.loads((world.root / ".costs" / "qa-pt-0.train.json").read_text())
    assert costs["tokens"] == 6 * sum(len(row.input_ids) for row in random_rows(24, 1))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_rows_without_answers(world, tmp_path, part):
    world.encoded = tmp_path / "encoded"
    for name in ("train", "validation"):
        write_rows(world.encoded / f"{name}.arrow", random_rows(9, 1, with_targets=name != part))
    list_rows(world.encoded)
    with pytest.raises(DataError, match="has no answer tokens"):
        world.train("pt")


def test_no_validation_rows(world, tmp_path):
    world.encoded = tmp_path / "encoded"
    write_rows(world.encoded / "train.arrow", random_rows(9, 1))
    write_rows(world.encoded / "validation.arrow", [])
    list_rows(world.encoded)
    with pytest.raises(DataError, match="no validation rows"):
        world.train("pt")


def long_rows(count: int, length: int) -> list[Encoded]:
    ids = np.array([1, *[5] * (length - 2), END], dtype=np.int32)
    return [Encoded(f"l{n}", "A", ids, length - 1, 2, 5, ["w5"]) for n in range(count)]


def test_rows_longer_than_the_positions(world, tmp_path):
    world.encoded = tmp_path / "encoded"
    for name in ("train", "validation"):
        write_rows(world.encoded / f"{name}.arrow", long_rows(9, 125))
    list_rows(world.encoded)
    with pytest.raises(BaseModelError, match="125 tokens of text and 4 of soft prompt exceed the 128 positions"):
        world.train("pt")
    world.train("untuned")  # without a soft prompt they fit


def test_a_base_without_end_token(world, tmp_path):
    info = json.loads((world.base_dir / "base.json").read_text())
    world.base_dir = tmp_path / "base"
    world.base_dir.mkdir()
    (world.base_dir / "base.json").write_text(json.dumps(info | {"eos_token_ids": []}))
    config = json.loads((world.inputs / "base" / "config.json").read_text())
    (world.base_dir / "config.json").write_text(json.dumps(config))
    with pytest.raises(BaseModelError, match="names no end token"):
        world.train("pt")


def test_a_layer_that_the_base_does_not_have(world):
    arguments = world.arguments("lora")
    arguments["method_params"] = arguments["method_params"].model_copy(update={"target_modules": ["c_attn"]})
    with pytest.raises(ParamsError, match="target_modules: got 'c_attn'"):
        train_cell(TrainJob(**arguments))


def test_liger_kernels_that_are_not_installed(world):
    with pytest.raises(TrainingError, match="liger-kernel is not installed"):
        world.train("pt", liger=True)


def test_learning_rate_schedules():
    from ptmoe.training.schedule import learning_rate_at
    from tests.training.world import TRAIN

    def rates(schedule):
        train = TRAIN.model_copy(update={"warmup_steps": 2, "schedule": schedule})
        return [learning_rate_at(step, 6, 1.0, train) for step in range(1, 7)]

    assert rates("constant_with_warmup") == [0.5, 1, 1, 1, 1, 1]
    assert rates("linear") == [0.5, 1, 1, 0.75, 0.5, 0.25]
    assert rates("cosine") == pytest.approx([0.5, 1, 1, 0.8535534, 0.5, 0.1464466])
