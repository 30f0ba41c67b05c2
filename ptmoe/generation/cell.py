"""The generation stage of one cell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ptmoe.base.compute import make_accelerator, prepare_torch_for
from ptmoe.base.model import read_base_info
from ptmoe.config.params import GenerateParams
from ptmoe.generation.answer import Answer
from ptmoe.rows.encoded import Encoded, checksums, open_encoded
from ptmoe.runtime.costs import peak_memory_bytes, write_costs
from ptmoe.runtime.errors import BaseModelError, DataError
from ptmoe.runtime.files import checkpoint_root, sha256_of, whole_file
from ptmoe.runtime.launch import launch
from ptmoe.runtime.progress import say

if TYPE_CHECKING:
    from ptmoe.generation.session import Session
    from ptmoe.tuning.mixture import PromptMixture

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
        ("by_expert", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class GenerateJob:
    """Everything that determines the answers of one cell, and where they are written.

    Attributes:
        encoded_dir: holds `test/<dataset>.arrow`.
        max_new_tokens: longest answer.
    """

    base_dir: Path
    encoded_dir: Path
    adapter_dir: Path
    generate: GenerateParams
    max_new_tokens: int
    out_file: Path

    @property
    def cell(self) -> str:
        return self.out_file.stem


def generate_cell(job: GenerateJob) -> None:
    """Answers the test rows of one task with one adapter, greedily; writes one row per example, in order.

    Raises:
        DataError: there are no test rows, or a file of them changed since it was written.
        BaseModelError: prompt and answer do not fit the base model's positions.
        AdapterError: the adapter is damaged or belongs to another base.
    """
    launch(generate_here, job, job.generate.devices)


def generate_here(job: GenerateJob) -> None:
    """Answers this process's share of the rows; the main process then writes those of all."""
    info, rows = read_base_info(job.base_dir), read_rows(job.encoded_dir)
    prepare_torch_for(info.parameters)
    from ptmoe.base.model import load_tokenizer
    from ptmoe.generation.decode import Decoder
    from ptmoe.generation.session import Session
    from ptmoe.tuning.mixture import PromptMixture
    from ptmoe.tuning.opening import open_adapter

    accelerator = make_accelerator()
    model = open_adapter(job.adapter_dir, info, accelerator.device)
    check_positions(max(row.prompt_length for row in rows), job.max_new_tokens, model)
    decoder = Decoder(model, info, job.max_new_tokens, job.generate.max_batch_tokens)
    session = Session(checkpoint_root(), job.cell, rows, decoder, about(job, info.fingerprint), accelerator)
    answers = session.answer(range(len(rows)))
    cost = session.cost()
    by_expert: dict[int, list[Answer]] = {}
    method = model.method
    if job.generate.forced_experts and isinstance(method, PromptMixture) and method.num_experts > 1:
        by_expert = _force_experts(session, method, answers)
    if accelerator.is_main_process:
        write_predictions(job.out_file, rows, answers, by_expert, load_tokenizer(job.base_dir))
        session.remove()
        write_costs(f"{job.cell}.generate", **cost, peak_memory_bytes=peak_memory_bytes())
        say(
            f"{job.cell}: {len(rows)} answers, {cost['tokens_per_second'] / cost['processes']:.0f} tokens/s on each "
            f"device, {cost['seconds']:.0f} s"
        )


def read_rows(encoded_dir: Path) -> list[Encoded]:
    """Reads the test rows of all data sets; raises `DataError` where there are none, or a file of them changed."""
    rows = [row for name in test_sets(encoded_dir) for row in open_encoded(encoded_dir, name)]
    if not rows:
        raise DataError(f"{encoded_dir / 'test'} has no rows to answer; give test data and run the encode stage")
    return rows


def test_sets(encoded_dir: Path) -> dict[str, str]:
    """Returns the SHA-256 of each test set by its name, in the order of their answers."""
    listed = checksums(encoded_dir)
    return {name: listed[name] for name in sorted(listed, key=Path) if name.startswith("test/")}


def _force_experts(session: Session, method: PromptMixture, answers: dict[int, Answer]) -> dict[int, list[Answer]]:
    """Answers every row with each expert in place of the router's choice; equal choices are not computed again."""
    forced: list[dict[int, Answer]] = []
    for expert in range(method.num_experts):
        method.forced = expert
        kept = {row: each for row, each in answers.items() if method.selective and each.expert == expert}
        asked = [row for row in answers if row not in kept]
        forced.append(kept | session.answer(asked, f"expert-{expert}"))
    return {row: [each[row] for each in forced] for row in answers}


def about(job: GenerateJob, base_fingerprint: str) -> dict[str, Any]:
    """Returns everything that determines the answers, by name."""
    adapter = [job.adapter_dir / name for name in ("adapter_model.safetensors", "adapter_config.json")]
    return {
        "base": base_fingerprint,
        "adapter": [sha256_of(path) for path in adapter if path.is_file()],
        "data": [*test_sets(job.encoded_dir).values()],
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


def write_predictions(
    path: Path, rows: list[Encoded], answers: dict[int, Answer], by_expert: dict[int, list[Answer]], tokenizer: Any
) -> None:
    """Writes the answers in the order of the rows, with the texts of each forced expert where there are any."""
    records = []
    for number, row in enumerate(rows):
        forced = [each.shown(tokenizer)["prediction"] for each in by_expert[number]] if by_expert else None
        answer = answers[number].shown(tokenizer)
        records.append({"id": row.id, "dataset": row.dataset, "answers": row.answers, **answer, "by_expert": forced})
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(records, SCHEMA), temporary)
