from dataclasses import replace

import numpy as np
import pytest
import torch

from ptmoe.base.model import BaseInfo
from ptmoe.generation.answer import Answer
from ptmoe.generation.cache import HEADROOM
from ptmoe.generation.decode import Ask, Decoder
from ptmoe.rows.batches import collate
from ptmoe.runtime.errors import TrainingError
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.models.bases import NAMES, tiny_base
from tests.training.world import END, PARAMS, random_rows

ROWS = random_rows(13, 5, with_targets=False)
LENGTHS = np.array([row.prompt_length for row in ROWS])


def make_model(method="ptmoe", base="llama"):
    torch.manual_seed(3)
    model = PromptedLM.create(tiny_base(base), method, PARAMS[method])
    for parameter in model.method.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def info_of(model, ends):
    return replace(BaseInfo.of_model(model.base, 0), pad_token_id=0, eos_token_ids=list(ends))


def one_by_one(model, max_new_tokens, ends):
    """Each row alone, through transformers' own generate."""
    texts = []
    for row in ROWS:
        batch = collate([row], 0, side="left", with_targets=False)
        tokens = model.generate(
            batch.input_ids,
            batch.attention_mask,
            batch.prompt_mask,
            batch.question_mask,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=ends,
            pad_token_id=0,
        )
        texts.append(tokens[0].tolist())
    return texts


def decoded(model, max_new_tokens=12, budget=150, ends=(END, 7, 11)):
    decoder = Decoder(model, info_of(model, ends), max_new_tokens, budget)
    answers = sorted(decoder.decode(ROWS, LENGTHS), key=lambda answer: answer.row)
    assert [answer.row for answer in answers] == list(range(len(ROWS)))
    return answers


@pytest.mark.parametrize("method", list(PARAMS))
@pytest.mark.parametrize("budget", [1, 150, 100_000])
def test_every_batching_gives_the_text_that_a_row_alone_gets(method, budget):
    model = make_model(method)
    expected = one_by_one(model, 12, [END, 7, 11])
    assert [answer.tokens for answer in decoded(model, budget=budget)] == expected
    assert len({len(tokens) for tokens in expected}) > 2  # rows end at different times, so that others enter


@pytest.mark.parametrize("base", NAMES)
def test_every_architecture(base):
    model = make_model("ptmoe", base)
    assert [answer.tokens for answer in decoded(model)] == one_by_one(model, 12, [END, 7, 11])


def test_answers_longer_than_the_cache_headroom():
    model = make_model("pt")
    length = HEADROOM + 9
    assert [a.tokens for a in decoded(model, length, budget=600, ends=[END])] == one_by_one(model, length, [END])


def test_any_end_token_ends_an_answer_and_the_limit_does_not_count_as_an_end():
    answers = decoded(make_model("pt"))
    assert {answer.tokens[-1] for answer in answers if answer.finished} > {7}
    for answer in answers:
        assert answer.finished == (answer.tokens[-1] in (END, 7, 11))
        assert answer.finished or len(answer.tokens) == 12
        assert not set(answer.tokens[:-1]) & {END, 7, 11}


def test_the_router_decides_once_and_its_choice_is_reported():
    model = make_model("ptmoe")
    batch = collate(ROWS, 0, side="left", with_targets=False)
    routing = model.join(batch.input_ids, batch.attention_mask).routing
    answers = decoded(model)
    assert [answer.expert for answer in answers] == routing.expert.tolist()
    assert np.allclose([answer.probability for answer in answers], routing.probability.tolist(), atol=1e-6)


def test_rows_of_several_models_over_one_base_that_come_and_go():
    pt = make_model("pt")
    others = [PromptedLM(pt.base, make_model(name).method).eval() for name in ("ptmoe", "untuned")]
    models = [pt, *others]
    expected = {name: one_by_one(model, 12, [END, 7, 11]) for name, model in enumerate(models)}
    decoder = Decoder(pt, info_of(pt, (END, 7, 11)), 12, 250)
    asks = [Ask(row, models[n % 3], Answer(n, None, None), 4 + n % 9) for n, row in enumerate(ROWS)]
    gone, ended, coming = asks[2], [], list(asks)
    while decoder.busy or coming:
        if coming:
            decoder.waiting.append(coming.pop(0))
        ended += decoder.turn()
        if gone in decoder.live:
            decoder.drop(gone)
    assert len(gone.answer.tokens) == 1 and gone not in ended and len(ended) == len(asks) - 1
    for ask in ended:
        number = ask.answer.row
        assert ask.answer.tokens == expected[number % 3][number][: ask.max_new_tokens]


class OutOfMemoryAbove:
    """Fails like a full device when more rows are computed at once than fit."""

    def __init__(self, base, rows):
        self.base, self.rows, self.failures = base, rows, 0
        base.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module, args, kwargs):
        given = kwargs.get("inputs_embeds") if kwargs.get("input_ids") is None else kwargs["input_ids"]
        if len(given) > self.rows:
            self.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory.")


def test_out_of_memory_halves_the_batch_and_loses_nothing(capsys):
    model = make_model("ptmoe")
    expected = [answer.tokens for answer in decoded(model, budget=100_000)]
    trap = OutOfMemoryAbove(model.base, 3)
    assert [answer.tokens for answer in decoded(model, budget=100_000)] == expected
    assert trap.failures == 2
    assert "continuing with 3" in capsys.readouterr().out


def test_no_memory_for_a_single_row_is_a_clear_error():
    model = make_model("pt")
    OutOfMemoryAbove(model.base, 0)
    with pytest.raises(TrainingError, match="single row"):
        decoded(model)


def test_other_errors_are_not_taken_for_lack_of_memory():
    model = make_model("pt")
    model.base.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes"):
        decoded(model)
