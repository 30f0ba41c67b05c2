"""The generation stage of one cell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ptmoe.data.encoded import Encoded, EncodedSet
from ptmoe.errors import BaseModelError, DataError
from ptmoe.files import sha256_of, whole_file
from ptmoe.generation.answer import Answer
from ptmoe.models.base import read_base_info
from ptmoe.params import GenerateParams
from ptmoe.progress import Progress, say
from ptmoe.training.costs import peak_memory_bytes, write_costs
from ptmoe.training.launch import launch
from ptmoe.training.runtime import prepare_torch

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("dataset", pa.string()),
        ("prediction", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("expert", pa.int32()),
        ("expert_probability", pa.float64()),
        ("new_tokens", pa.int32()),
        ("finished", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class GenerateJob:
    """Everything that decides the answers of one cell, and where they are written."""

    method_name: str
    base_dir: Path
    encoded_dir: Path
    adapter_dir: Path
    generate: GenerateParams
    max_new_tokens: int
    out_file: Path

    @property
    def cell(self) -> str:
        return self.out_file.stem

    @property
    def test_files(self) -> list[Path]:
        return sorted((self.encoded_dir / "test").rglob("*.arrow"))


def generate_cell(
    method_name: str,
    base_dir: Path,
    encoded_dir: Path,
    adapter_dir: Path,
    generate: GenerateParams,
    max_new_tokens: int,
    out_file: Path,
) -> None:
    """Answers the test rows of one task with one adapter, greedily; writes a row an example, in the order of the rows.

    Args:
        encoded_dir: holds `test/<dataset>.arrow`.
        max_new_tokens: longest answer.

    Raises:
        DataError: there are no test rows.
        BaseModelError: prompt and answer do not fit the base model's positions.
        AdapterError: the adapter is damaged or belongs to another base.
    """
    job = GenerateJob(**locals())
    if not any(len(EncodedSet(path)) for path in job.test_files):
        raise DataError(f"{job.encoded_dir / 'test'} has no rows to answer; give test data and run the encode stage")
    prepare_torch(read_base_info(base_dir).parameters)  # before `launch` imports torch to count devices
    launch(generate_here, job, generate.devices)


def generate_here(job: GenerateJob) -> None:
    """Answers this process's share of the rows; the main process then writes everybody's."""
    from ptmoe.models.base import load_base, load_tokenizer

    info = read_base_info(job.base_dir)
    prepare_torch(info.parameters)
    import torch

    from ptmoe.generation.decode import Decoder
    from ptmoe.generation.partial import PartialAnswers
    from ptmoe.models.prompted_lm import PromptedLM
    from ptmoe.training.run import is_widened, make_accelerator

    rows = [row for path in job.test_files for row in EncodedSet(path)]
    lengths = np.array([row.prompt_length for row in rows])
    accelerator = make_accelerator()
    model = PromptedLM.load(job.adapter_dir, load_base(job.base_dir).to(accelerator.device), info)
    if is_widened(model, info):
        model.base.to(getattr(torch, info.dtype))
    check_positions(int(lengths.max()), job.max_new_tokens, model)
    decoder = Decoder(model, info.eos_token_ids, info.pad_token_id, job.max_new_tokens, job.generate.max_batch_tokens)
    partial = PartialAnswers(job.cell, _about(job, info.fingerprint), accelerator.process_index)
    done = partial.read()
    if done and accelerator.is_main_process:
        say(f"{job.cell}: going on with {len(done)} of {len(rows)} answers done")
    missing = np.array([row for row in np.argsort(-lengths, kind="stable") if row not in done], dtype=np.int64)
    mine = missing[accelerator.process_index :: accelerator.num_processes]
    accelerator.wait_for_everyone()  # nobody writes before all have read
    started_s, tokens = time.perf_counter(), 0
    with partial, Progress(f"Answering {job.cell}", len(mine), "rows") as progress:
        for answer in decoder.decode([rows[row] for row in mine], lengths[mine]):
            answer.row = int(mine[answer.row])
            partial.add(answer)
            tokens += len(answer.tokens)
            progress.advance(1, f"{tokens / (time.perf_counter() - started_s):.0f} tokens/s")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        seconds = time.perf_counter() - started_s
        write_predictions(job.out_file, rows, partial.read(), load_tokenizer(job.base_dir))
        partial.remove()
        write_costs(
            f"{job.cell}.generate",
            seconds=seconds,
            rows=len(missing),
            tokens=tokens * accelerator.num_processes,
            tokens_per_second=tokens * accelerator.num_processes / seconds,
            peak_memory_bytes=peak_memory_bytes(),
            processes=accelerator.num_processes,
            device=accelerator.device.type,
        )
        say(f"{job.cell}: {len(rows)} answers, {tokens / seconds:.0f} tokens/s on each device, {seconds:.0f} s")


def _about(job: GenerateJob, base_fingerprint: str) -> dict[str, Any]:
    adapter = [job.adapter_dir / name for name in ("adapter_model.safetensors", "adapter_config.json")]
    return {
        "base": base_fingerprint,
        "adapter": [sha256_of(path) for path in adapter if path.is_file()],
        "data": [sha256_of(path) for path in job.test_files],
        "max_new_tokens": job.max_new_tokens,
    }


def check_positions(longest: int, max_new_tokens: int, model: Any) -> None:
    """Raises `BaseModelError` when the longest prompt with its answer exceeds what the base model can read."""
    limit, prompt_length = model.method.geometry.max_positions, model.method.prompt_length
    if limit is not None and longest + prompt_length + max_new_tokens > limit:
        raise BaseModelError(
            f"{longest} tokens of text, {prompt_length} of soft prompt and {max_new_tokens} of answer exceed the "
            f"{limit} positions of the base model; lower max_length, prompt_length or max_new_tokens"
        )


def write_predictions(path: Path, rows: list[Encoded], answers: dict[int, Answer], tokenizer: Any) -> None:
    """Writes the answers in the order of the rows."""
    records = [
        {"id": row.id, "dataset": row.dataset, "answers": row.answers, **answers[number].shown(tokenizer)}
        for number, row in enumerate(rows)
    ]
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(records, SCHEMA), temporary)
