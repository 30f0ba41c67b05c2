"""Training steps of ptmoe against peft's prompt tuning under transformers' Trainer: time and memory of equal work.

    python -m benchmarks.train --output benchmarks/results/train.json

Both sides train a soft prompt of 40 tokens before the same rows, on the same frozen base, at the same batch size, with
the loss on answers alone. ptmoe groups rows by length and computes logits at answers only; peft pads each random batch
to its longest row and computes all logits. `parts` separates the two: peft on ptmoe's batches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import LlamaForCausalLM, Trainer, TrainingArguments

from benchmarks.common import (
    alternately,
    arguments,
    compared,
    described,
    device,
    make_base,
    mrqa_like_rows,
    peak_bytes,
    random_base,
    real_rows,
    write,
)
from ptmoe.config.params import Params
from ptmoe.rows.batches import Batch, collate, global_batches
from ptmoe.rows.encoded import Encoded
from ptmoe.training.engine import Engine
from ptmoe.tuning.prompted_lm import PromptedLM

PROMPT_LENGTH = 40
ROUTED = ("dpt", "smop", "attempt", "ptmoe", "lora", "hydralora")


class Ours:
    """ptmoe's engine on ptmoe's batches."""

    def __init__(self, base: LlamaForCausalLM, method: str, params: dict[str, Any]) -> None:
        train = SimpleNamespace(weight_decay=0.0, max_grad_norm=1.0, deepspeed="off")
        torch.manual_seed(0)
        model = PromptedLM.create(base, method, params)
        for parameter in model.method.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        # Not an Accelerator: the Trainer of the other side resets the state that all of them share.
        place = SimpleNamespace(device=device(), num_processes=1)
        self.engine = Engine(model, place, train, half=False)  # type: ignore[arg-type]
        model.train()

    def step(self, batch: Batch) -> None:
        loss_sum = self.engine.forward(batch).loss_sum
        self.engine.backward(loss_sum / int((batch.labels != -100).sum()), last=True)
        self.engine.step(1e-3)

    def run(self, batches: list[list[Encoded]]) -> None:
        for rows in batches:
            self.step(collate(rows, 0).to(device()))


class Theirs:
    """peft's prompt tuning under the Trainer."""

    def __init__(self, base: LlamaForCausalLM, batch_size: int, learning_rate: float = 1e-3) -> None:
        from peft import PromptTuningConfig, get_peft_model

        torch.manual_seed(0)
        config = PromptTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=PROMPT_LENGTH, prompt_tuning_init="SAMPLE_VOCAB"
        )
        self.model = get_peft_model(base, config)
        self._folder = tempfile.TemporaryDirectory()
        self._arguments = TrainingArguments(
            output_dir=self._folder.name,
            per_device_train_batch_size=batch_size,
            max_grad_norm=1.0,
            learning_rate=learning_rate,
            lr_scheduler_type="constant",
            num_train_epochs=1,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=device().type == "cpu",
            # The order of the rows is given, so that both sides see the same ones.
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
        )

    def trainer(self, batches: list[list[Encoded]]) -> Trainer:
        rows: Any = [row for batch in batches for row in batch]
        return Trainer(self.model, self._arguments, train_dataset=rows, data_collator=_plain_collate)  # type: ignore[arg-type]


def _plain_collate(rows: list[Encoded]) -> dict[str, torch.Tensor]:
    batch = collate(rows, 0)
    return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}


def against_peft(options: Any) -> dict[str, Any]:
    """Times both sides on the same rows, and measures the memory of their longest batch."""
    count = options.batch_size * options.steps * 4
    rows = real_rows(options.data, count) if options.data else mrqa_like_rows(count, options.vocabulary)
    lengths = np.array([len(row.input_ids) for row in rows])
    grouped = [
        [rows[n] for n in batch] for batch in islice(global_batches(lengths, options.batch_size, 0), options.steps)
    ]
    same = np.random.default_rng(0).permutation([int(row.id) for batch in grouped for row in batch])
    shuffled = [[rows[n] for n in part] for part in same.reshape(-1, options.batch_size)]
    base = make_base(options)
    ours = Ours(base, "pt", {"prompt_length": PROMPT_LENGTH})
    theirs = Theirs(make_base(options), options.batch_size)
    sides: dict[str, Callable[[], Any]] = {
        "ptmoe": lambda: ours.run(grouped),
        "peft": theirs.trainer(shuffled).train,
        "peft, grouped by length": theirs.trainer(grouped).train,
    }
    if options.compile:
        body = make_base(options)
        body.base_model.compile(dynamic=True)
        compiled = Ours(body, "pt", {"prompt_length": PROMPT_LENGTH})
        sides["ptmoe, compiled"] = lambda: compiled.run(grouped)
    times = alternately(sides, options.rounds)
    longest = [sorted(rows, key=lambda row: -len(row.input_ids))[: options.batch_size]]
    memory = {"ptmoe": peak_bytes(lambda: ours.run(longest)), "peft": peak_bytes(theirs.trainer(longest).train)}
    tokens = int(sum(len(row.input_ids) for batch in grouped for row in batch))
    return {
        "batch": [options.batch_size, options.steps],
        "tokens": tokens,
        **compared(times, "ptmoe", "peft"),
        "parts": compared(times, "ptmoe", "peft, grouped by length")["speed_ratio"],
        "tokens_per_second": {name: round(tokens / float(np.median(values))) for name, values in times.items()},
        "peak_bytes_beyond_weights": memory,
        "memory_ratio": round(memory["ptmoe"] / memory["peft"], 3),
        "floor": floor(base, options, tokens, float(np.median(times["ptmoe"]))),
    }


def floor(base: LlamaForCausalLM, options: Any, tokens: int, seconds: float) -> dict[str, float]:
    """Compares a run with the arithmetic that it cannot do without, at the rate of a large matrix product.

    Forward and activation gradients are two multiplications and additions a weight and token each; the soft prompt's
    tokens count, attention and the output layer at six positions a row do not.
    """
    weights = sum(parameter.numel() for parameter in base.model.layers.parameters())
    rows = options.batch_size * options.steps
    operations = 4.0 * weights * (tokens + rows * PROMPT_LENGTH)
    size = 1024 if device().type == "cpu" else 8192
    a = torch.randn(size, size, device=device(), dtype=base.dtype)
    product = float(np.median(alternately({"product": lambda: a @ a}, 5)["product"]))
    rate = 2 * size**3 / product
    return {
        "operations": operations,
        "operations_per_second_of_a_product": rate,
        "floor_s": round(operations / rate, 4),
        "share_of_floor": round(operations / rate / seconds, 3),
    }


def cost_of(options: Any) -> dict[str, Any]:
    """Seconds of a step against one size at a time, the others at batch 8, text 256, prompt 40, 2 experts."""
    params = dict(Params.load().method("ptmoe"))

    def seconds(batch: int = 8, text: int = 256, **changes: int) -> Callable[[], None]:
        ours = Ours(random_base(options.size, 1024), "ptmoe", params | {"rank": 16} | changes)
        generator = np.random.default_rng(0)
        ids = generator.integers(3, 1024, text).astype(np.int32)
        one = collate([Encoded("", "A", ids, text - 6, 1, 20, [""])] * batch, 0).to(device())
        return lambda: ours.step(one)

    grids = {"num_experts": (1, 2, 4, 8), "prompt_length": (8, 40, 80), "text": (64, 256, 512), "batch": (2, 8, 16)}
    return {
        axis: {
            value: round(float(np.median(alternately({"x": seconds(**{axis: value})}, options.rounds + 2)["x"])), 4)
            for value in values
        }
        for axis, values in grids.items()
    }


def cost_of_methods(options: Any) -> dict[str, Any]:
    """A step of every method over a step of plain soft prompts, timed in turn on the same batch."""
    params = Params.load()
    rows = [row for row in mrqa_like_rows(200, options.vocabulary) if len(row.input_ids) > 300][: options.batch_size]
    batch = collate(rows, 0).to(device())
    sides = {}
    for method in ("pt", *ROUTED):
        # A fresh base each: some methods change its layers.
        ours = Ours(make_base(options), method, dict(params.method(method)))
        sides[method] = lambda ours=ours: ours.step(batch)
    times = alternately(sides, options.rounds * 4)
    return {name: round(float(np.median(values) / np.median(times["pt"])), 3) for name, values in times.items()}


def main() -> None:
    """Measures the parts that were asked for and writes what was seen."""
    parser = arguments(__doc__)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--compile", action="store_true", help="also time `train.compile: true`")
    parser.add_argument("--what", choices=("all", "peft", "methods", "grid"), default="all")
    options = parser.parse_args()
    parts = {"peft": against_peft, "methods": cost_of_methods, "grid": cost_of}
    result: dict[str, Any] = described(options)
    for name, part in parts.items():
        if options.what in ("all", name):
            result[name] = part(options)
    write(options.output, "train", result)


if __name__ == "__main__":
    main()
