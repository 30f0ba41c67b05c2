"""One prompt, trained by peft, answered three ways: by peft row by row, by peft in left-padded batches, and by ptmoe.

    python -m benchmarks.padding --base BASE --data data/encoded/qa/train.arrow \\
        --test data/encoded/qa/test/in_domain/mrqa_squad.arrow

peft's own comparison of methods answers in left-padded batches. Its prompt tuning drops the position ids that
`generate` makes from the mask, so padding counts as positions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from benchmarks.common import arguments, described, device, make_base, real_rows, write
from benchmarks.train import PROMPT_LENGTH, Theirs
from ptmoe.base.model import BaseInfo
from ptmoe.generation.decode import Decoder
from ptmoe.rows.batches import collate
from ptmoe.rows.encoded import Encoded
from ptmoe.scoring.registry import load_metric
from ptmoe.tuning.prompted_lm import PromptedLM


def peft_answers(model: Any, info: BaseInfo, rows: list[Encoded], size: int, longest: int) -> list[list[int]]:
    """Answers with `generate`, `size` rows at once in their order, padded on the left."""
    answers = []
    for first in range(0, len(rows), size):
        batch = collate(rows[first : first + size], info.pad_token_id, side="left", with_targets=False).to(device())
        tokens = model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            do_sample=False,
            max_new_tokens=longest,
            eos_token_id=info.eos_token_ids,
            pad_token_id=info.pad_token_id,
        )
        answers += tokens[:, batch.input_ids.shape[1] :].tolist()
    return [_until_end(answer, info.eos_token_ids) for answer in answers]


def our_answers(model: PromptedLM, info: BaseInfo, rows: list[Encoded], longest: int) -> list[list[int]]:
    """Answers with ptmoe's decoder, up to 16 of the longest rows at once."""
    widths = np.array([row.prompt_length for row in rows])
    decoder = Decoder(model, info, longest, 16 * (int(widths.max()) + PROMPT_LENGTH + longest))
    found = decoder.decode(rows, widths)
    return [_until_end(answer.tokens, info.eos_token_ids) for answer in sorted(found, key=lambda answer: answer.row)]


def _until_end(tokens: list[int], ends: list[int]) -> list[int]:
    return tokens[: next((place for place, token in enumerate(tokens) if token in ends), len(tokens))]


def main() -> None:
    """Trains with peft, answers the three ways, and writes scores and how many answers are equal."""
    parser = arguments(__doc__)
    parser.add_argument("--test", type=Path, required=True, help="an Arrow file of data/encoded/<task>/test")
    parser.add_argument("--metric", default="qa")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=0.03)
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--longest", type=int, default=32, help="tokens of the longest answer")
    options = parser.parse_args()
    theirs = Theirs(make_base(options), options.batch_size, learning_rate=options.learning_rate)
    training = real_rows(options.data, options.batch_size * options.steps)
    theirs.trainer([training]).train()
    peft_model = theirs.model.eval()
    base = make_base(options)
    ours = PromptedLM.create(base, "pt", {"prompt_length": PROMPT_LENGTH}).eval()
    with torch.no_grad():
        next(ours.method.parameters()).copy_(peft_model.get_prompt_embedding_to_save("default"))
    info, rows, longest = (
        BaseInfo.of_model(base, parameters=0),
        real_rows(options.test, options.rows),
        options.max_new_tokens,
    )
    sides: dict[str, Callable[[], list[list[int]]]] = {
        "peft, one row at a time": lambda: peft_answers(peft_model, info, rows, 1, longest),
        "peft, 16 rows padded on the left": lambda: peft_answers(peft_model, info, rows, 16, longest),
        "ptmoe": lambda: our_answers(ours, info, rows, longest),
    }
    answers = {name: side() for name, side in sides.items()}
    tokenizer, metric = AutoTokenizer.from_pretrained(options.base), load_metric(options.metric)
    alone = answers["peft, one row at a time"]
    result = {}
    for name, given in answers.items():
        texts = tokenizer.batch_decode(given, skip_special_tokens=True)
        scored = zip(texts, rows, strict=True)
        scores = [metric.score_one(text.strip(), row.answers, metric.rules[0]) for text, row in scored]
        means = {column: round(100 * float(np.mean([each[column] for each in scores])), 1) for column in metric.columns}
        result[name] = means | {"equal_to_one_row_at_a_time": sum(a == b for a, b in zip(given, alone, strict=True))}
    facts = {"test": str(options.test), "rows": len(rows), "steps": options.steps}
    write(options.output, "padding", described(options) | facts | {"sides": result})


if __name__ == "__main__":
    main()
