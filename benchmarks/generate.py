"""Greedy answers of ptmoe against `generate` in the order of the rows: time of equal work, with equal texts.

    python -m benchmarks.generate --output benchmarks/results/generate.json

Answers are as long as those of word problems: lognormal with mean 120, at most 768 tokens. The weights are random, so
each row's length is given and both sides stop it there. Both decode 32 rows at once with the same soft prompt.
`generate` is transformers', given what `PromptedLM.join` makes; peft's is timed on the same rows (its texts are wrong
on padded rows, because it counts padding as positions).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from benchmarks.common import arguments, clock, described, device, make_base, random_row, real_rows, write
from ptmoe.base.model import BaseInfo
from ptmoe.generation.answer import Answer
from ptmoe.generation.decode import Decoder
from ptmoe.rows.batches import collate
from ptmoe.rows.encoded import Encoded
from ptmoe.tuning.prompted_lm import PromptedLM

PROMPT_LENGTH, SLOTS, LONGEST_ANSWER, MEAN_ANSWER = 40, 32, 768, 120


def math_like_rows(count: int, vocabulary: int, data: Path | None) -> tuple[list[Encoded], np.ndarray]:
    """Prompts of 40 to 200 tokens, or those of a file of test rows, and how long each answer is."""
    generator = np.random.default_rng(0)
    if data:
        rows = real_rows(data, count)
    else:
        rows = [
            random_row(number, generator.integers(3, vocabulary, length), length)
            for number, length in enumerate(generator.integers(40, 201, count).tolist())
        ]
    sigma = 0.9
    answers = generator.lognormal(np.log(MEAN_ANSWER) - sigma**2 / 2, sigma, count)
    return rows, np.clip(answers, 2, LONGEST_ANSWER).astype(int)


class ScriptedDecoder(Decoder):
    """Ends each answer at its given length."""

    lengths: np.ndarray

    def _is_end(self, answer: Answer, token: int) -> bool:
        return len(answer.tokens) == self.lengths[answer.row]


class ScriptedStop(StoppingCriteria):
    """Ends each row of a batch at its given length."""

    def __init__(self, lengths: np.ndarray, prompt_length: int) -> None:
        self._lengths, self._prompt_length = torch.tensor(lengths, device=device()), prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return input_ids.shape[1] - self._prompt_length >= self._lengths


def ours(model: PromptedLM, rows: list[Encoded], lengths: np.ndarray) -> list[list[int]]:
    """Answers all rows with ptmoe's decoder."""
    longest = max(row.prompt_length for row in rows)
    budget = SLOTS * (longest + PROMPT_LENGTH + LONGEST_ANSWER)
    info = BaseInfo.of_model(model.base, parameters=0)
    decoder = ScriptedDecoder(model, info, LONGEST_ANSWER, budget)
    decoder.lengths = lengths
    found = decoder.decode(rows, np.array([row.prompt_length for row in rows]))
    return [answer.tokens for answer in sorted(found, key=lambda answer: answer.row)]


def theirs(model: Any, rows: list[Encoded], lengths: np.ndarray, with_prompt_ids: bool) -> list[list[int]]:
    """Answers all rows with `generate`, 32 at a time in their order."""
    texts = []
    for first in range(0, len(rows), SLOTS):
        part, wanted = rows[first : first + SLOTS], lengths[first : first + SLOTS]
        batch = collate(part, 0, side="left", with_targets=False).to(device())
        start = batch.input_ids.shape[1] if with_prompt_ids else 0
        tokens = model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            do_sample=False,
            max_new_tokens=LONGEST_ANSWER,
            eos_token_id=None,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([ScriptedStop(wanted, start)]),
        )
        texts += [row[start : start + length].tolist() for row, length in zip(tokens, wanted, strict=True)]
    return texts


def floor(model: PromptedLM, rows: list[Encoded], lengths: np.ndarray, seconds: float) -> dict[str, float]:
    """Compares a run with the bytes that it must move, at the rate of a copy in memory.

    Each token of a full batch reads all weights once, and the keys and values of its own row; prompts are left out.
    """
    config: Any = model.base.config
    size = model.base.dtype.itemsize
    weights = size * sum(parameter.numel() for parameter in model.base.parameters())
    column = 2 * size * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    contexts = np.array([row.prompt_length for row in rows]) + PROMPT_LENGTH
    columns = int((lengths * contexts + lengths * (lengths + 1) // 2).sum())
    moved = -(-int(lengths.sum()) // SLOTS) * weights + columns * column
    source = torch.zeros(1 << 28, dtype=torch.uint8, device=device())
    target = torch.empty_like(source)
    target.copy_(source)
    copies = []
    for _ in range(5):
        started_s = clock()
        target.copy_(source)
        copies.append(clock() - started_s)
    rate = 2 * source.numel() / float(np.median(copies))
    return {
        "bytes": moved,
        "bytes_per_second_of_a_copy": round(rate),
        "floor_s": round(moved / rate, 3),
        "share_of_floor": round(moved / rate / seconds, 3),
    }


def main() -> None:
    """Times the sides in turn and writes what was seen."""
    parser = arguments(__doc__, size="tiny")
    parser.add_argument("--rows", type=int, default=192)
    parser.add_argument("--without-peft", action="store_true")
    options = parser.parse_args()
    from peft import PromptTuningConfig, get_peft_model

    rows, lengths = math_like_rows(options.rows, options.vocabulary, options.data)
    base = make_base(options)
    base.generation_config.eos_token_id = None
    model = PromptedLM.create(base, "pt", {"prompt_length": PROMPT_LENGTH}).eval()
    torch.nn.init.normal_(next(model.method.parameters()), std=0.02)
    sides: dict[str, Any] = {"ptmoe": lambda n: ours(model, rows[:n], np.minimum(lengths[:n], limit))}
    sides["generate"] = lambda n: theirs(model, rows[:n], np.minimum(lengths[:n], limit), False)
    if not options.without_peft:
        other = make_base(options)
        config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=PROMPT_LENGTH)
        peft_model = get_peft_model(other, config).eval()
        sides["peft"] = lambda n: theirs(peft_model, rows[:n], np.minimum(lengths[:n], limit), True)
    limit = 4
    for side in sides.values():
        side(SLOTS)
    limit = LONGEST_ANSWER
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    texts: dict[str, Any] = {}
    for _ in range(options.rounds):
        for name, side in sides.items():
            started_s = clock()
            texts[name] = side(len(rows))
            seconds[name].append(clock() - started_s)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    write(
        options.output,
        "generate",
        {
            **described(options),
            "rows": len(rows),
            "slots": SLOTS,
            "answer_tokens": {"mean": round(float(lengths.mean()), 1), "longest": int(lengths.max())},
            "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
            "tokens_per_second": {name: round(int(lengths.sum()) / value) for name, value in medians.items()},
            "speed_ratio": {name: round(medians[name] / medians["ptmoe"], 2) for name in sides if name != "ptmoe"},
            "floor": floor(model, rows, lengths, medians["ptmoe"]),
            "equal_texts": {
                name: sum(a == b for a, b in zip(texts["ptmoe"], texts[name], strict=True))
                for name in sides
                if name not in ("ptmoe", "peft")
            },
        },
    )


if __name__ == "__main__":
    main()
