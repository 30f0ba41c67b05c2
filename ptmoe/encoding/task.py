"""The encode stage: examples as token ids, once for all methods."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.base.model import load_tokenizer, read_base_info
from ptmoe.encoding.encoder import PromptEncoder, Statistics
from ptmoe.examples.example import Example
from ptmoe.examples.tables import BATCH_ROWS, FIELDS, quiet, read_examples
from ptmoe.rows.encoded import REPORT, SCHEMA
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import scratch_folder, sha256_of, write_json
from ptmoe.runtime.progress import Progress, say

if TYPE_CHECKING:
    from datasets import Dataset

    from ptmoe.config.params import TemplateParams


def encode_task(task: str, template: TemplateParams, max_length: int, split: Path, base_dir: Path, out: Path) -> None:
    """Fills a task's template with every row and writes the token ids.

    Args:
        max_length: the longest row in tokens, target included; a longer context is cut.
        split: the folder that `split_task` wrote.
        base_dir: the folder that `prepare_base` wrote.

    Raises:
        BaseModelError: the base has no tokenizer that can be used.
        DataError: a file is missing, or no training row fits into `max_length`.
    """
    encoder = PromptEncoder(load_tokenizer(base_dir), template, max_length, read_base_info(base_dir).eos_token_ids)
    tests = sorted(str(path.relative_to(split).with_suffix("")) for path in split.glob("test/**/*.parquet"))
    report: dict[str, Any] = {
        "max_length": max_length,
        "template": template.model_dump(exclude_none=True) | encoder.description,
    }
    out.mkdir(parents=True, exist_ok=True)
    for name in ["train", "validation", *tests]:
        with scratch_folder(out) as cache:
            examples = read_examples([split / f"{name}.parquet"], cache)
            statistics = write_encoded(examples, encoder, not name.startswith("test/"), out / f"{name}.arrow")
        report[name] = statistics.summary() | {"sha256": sha256_of(out / f"{name}.arrow")}
        if not statistics.rows:
            raise DataError(f"{task}: no row of {name} fits into {max_length} tokens; raise max_length.{task}")
    write_json(out / REPORT, report)
    train, sets = report["train"], [report[name] for name in ("train", "validation", *tests)]
    cut, cut_out, kept = (sum(each[key] for each in sets) for key in ("contexts_cut", "answers_cut_out", "over_length"))
    say(
        f"{task}: {encoder.conversation.kind} template; {train['rows']} training rows, mean {train['mean_length']} "
        f"tokens; in all sets {cut} contexts cut, in {cut_out} of them the answer; "
        f"{sum(sum(each['dropped'].values()) for each in sets)} training or validation rows too long and dropped, "
        f"{kept} test rows too long and kept"
    )


def write_encoded(examples: Dataset, encoder: PromptEncoder, with_targets: bool, path: Path) -> Statistics:
    """Encodes examples into an Arrow file, whole or not at all, and counts them; memory holds one batch.

    One process, because the tokenizer itself uses all cores: with `num_proc=2` on two cores the same rows cost 9%
    more CPU time, and the batches of the file, hence its bytes, would depend on the number of cores.

    Args:
        examples: rows with the columns of `Example`.
        with_targets: whether target and end of turn follow the prompt.
    """
    from datasets import Features

    statistics = Statistics()

    def encode(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        batch = [Example(*row) for row in zip(*(columns[name] for name in FIELDS), strict=True)]
        rows = encoder.encode(batch, with_targets, statistics)
        progress.advance(len(batch))
        return {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}

    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        scratch_folder(path.parent) as scratch,
        quiet(),
        Progress(f"Encoding {path.stem}", len(examples), "row") as progress,
    ):
        # The fingerprint lands in the file and must be the same everywhere.
        examples.map(
            encode,
            batched=True,
            batch_size=BATCH_ROWS,
            writer_batch_size=BATCH_ROWS,
            remove_columns=examples.column_names,
            features=Features.from_arrow_schema(SCHEMA),
            cache_file_name=str(scratch / path.name),
            load_from_cache_file=False,
            new_fingerprint="encoded",
        )
        os.replace(scratch / path.name, path)
    return statistics
