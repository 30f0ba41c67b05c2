"""The encode stage: examples as token ids, once for all methods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.base.model import load_tokenizer, read_base_info
from ptmoe.encoding.encoder import PromptEncoder, Statistics
from ptmoe.examples.tables import from_batch, read_batches, row_count
from ptmoe.rows.encoded import Encoded, write_encoded
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import write_json
from ptmoe.runtime.progress import Progress, say

if TYPE_CHECKING:
    from ptmoe.config.params import TemplateParams


def encode_task(task: str, template: TemplateParams, max_length: int, split: Path, base_dir: Path, out: Path) -> None:
    """Fills a task's template with every row and writes the token ids.

    Args:
        task: the task's name, for messages.
        template: instruction, input and cue.
        max_length: the longest row in tokens, target included; a longer context is cut.
        split: the folder that `split_task` wrote.
        base_dir: the folder that `prepare_base` wrote.
        out: the stage's output folder.

    Raises:
        BaseModelError: the base has no tokenizer that can be used.
        DataError: a file is missing, or no training row fits into `max_length`.
    """
    encoder = PromptEncoder(load_tokenizer(base_dir), template, max_length, read_base_info(base_dir).eos_token_ids)
    tests = sorted(str(path.relative_to(split).with_suffix("")) for path in split.glob("test/**/*.parquet"))
    report: dict[str, Any] = {"max_length": max_length, "template": template.model_dump() | encoder.description}
    for name in ["train", "validation", *tests]:
        is_test = name.startswith("test/")
        statistics = Statistics()
        write_encoded(out / f"{name}.arrow", _encoded(split / f"{name}.parquet", encoder, not is_test, statistics))
        report[name] = statistics.summary()
        if not statistics.rows:
            raise DataError(f"{task}: no row of {name} fits into {max_length} tokens; raise max_length.{task}")
    write_json(out / "encode.json", report)
    train = report["train"]
    say(
        f"{task}: {encoder.conversation.kind} template; {train['rows']} training rows, mean "
        f"{train['mean_length']} tokens, {train['contexts_cut']} contexts cut, in {train['answers_cut_out']} "
        f"of them the answer; {sum(train['dropped'].values())} rows too long"
    )


def _encoded(path: Path, encoder: PromptEncoder, with_targets: bool, statistics: Statistics) -> Iterator[list[Encoded]]:
    total = row_count(path)
    with Progress(f"Encoding {path.stem}", total, "row") as progress:
        for batch in read_batches(path):
            yield encoder.encode(from_batch(batch), with_targets, statistics)
            progress.advance(batch.num_rows)
