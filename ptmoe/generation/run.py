"""The generation stage of one cell."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ptmoe.files import whole_file, write_json
from ptmoe.params import GenerateParams
from ptmoe.progress import Progress, say
from ptmoe.training import runtime  # noqa: F401  (sets how torch computes, before torch is imported)

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


def generate_cell(
    method_name: str,
    base_dir: Path,
    encoded_dir: Path,
    adapter_dir: Path,
    generate: GenerateParams,
    max_new_tokens: int,
    out_file: Path,
) -> None:
    """Answers the test rows of one task with one adapter, greedily; writes a row an example in the order of the rows.

    Args:
        encoded_dir: holds `test/<dataset>.arrow`.
        max_new_tokens: longest answer.
    """
    import numpy as np

    from ptmoe.data.encoded import EncodedSet
    from ptmoe.generation.decode import Decoder
    from ptmoe.models.base import load_base, load_tokenizer, read_base_info
    from ptmoe.models.prompted_lm import PromptedLM

    sets = [EncodedSet(path) for path in sorted((encoded_dir / "test").rglob("*.arrow"))]
    rows = [row for rows in sets for row in rows]
    lengths = np.concatenate([rows.prompt_lengths for rows in sets])
    info, tokenizer = read_base_info(base_dir), load_tokenizer(base_dir)
    model = PromptedLM.load(adapter_dir, load_base(base_dir), info)
    decoder = Decoder(model, info.eos_token_ids, info.pad_token_id, max_new_tokens, generate.max_batch_tokens)
    ends, records, tokens = set(info.eos_token_ids), [{}] * len(rows), 0
    started_s = time.perf_counter()
    with Progress(f"Answering {out_file.stem}", len(rows), "rows") as progress:
        for answer in decoder.decode(rows, lengths):
            row = rows[answer.row]
            said = [token for token in answer.tokens if token not in ends]
            tokens += len(answer.tokens)
            records[answer.row] = {
                "id": row.id,
                "dataset": row.dataset,
                "prediction": str(tokenizer.decode(said, skip_special_tokens=True)).strip(),
                "answers": row.answers,
                "expert": answer.expert,
                "expert_probability": None if answer.probability is None else round(answer.probability, 6),
                "new_tokens": len(answer.tokens),
                "finished": answer.finished,
            }
            progress.advance(1, f"{tokens / (time.perf_counter() - started_s):.0f} tokens/s")
    seconds = time.perf_counter() - started_s
    with whole_file(out_file) as temporary:
        pq.write_table(pa.Table.from_pylist(records, SCHEMA), temporary)
    write_json(
        Path(".costs") / f"{out_file.stem}.generate.json",
        {"seconds": seconds, "rows": len(rows), "tokens_per_second": tokens / seconds},
    )
    say(f"{out_file.stem}: {len(rows)} answers, {tokens / seconds:.0f} tokens/s, {seconds:.0f} s")
