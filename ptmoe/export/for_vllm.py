"""Questions as the embeddings that vLLM reads, and the script that lets vLLM answer them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from ptmoe.export.forms import EMBEDS_FILE, USE_FILE
from ptmoe.runtime.errors import AdapterError, DataError
from ptmoe.runtime.files import whole_folder, write_json, write_text
from ptmoe.serving.opened import Limits, open_house
from ptmoe.serving.predict import read_questions

SCRIPT = Path(__file__).with_name("answer_with_vllm.py")


@torch.no_grad()
def export_vllm(folder: Path, questions: Path, out: Path, max_new_tokens: int) -> None:
    """Writes each question as one tensor [P + T, H]: soft prompt, with the router applied, and template.

    Args:
        folder: an adapter that leaves the weights of the base as they are.
        questions: lines as for `ptmoe predict`.
        out: receives `prompt_embeds.safetensors` (in the base's precision), `questions.jsonl` (with the chosen
            experts), `how_to_use.json` and the script.
        max_new_tokens: longest answer.

    Raises:
        AdapterError: the adapter is damaged, has no template, or changes the base's weights.
        DataError: a line is malformed, or there is none.
        PtmoeError: `out` holds anything but an earlier export.
    """
    asked = [example for example, _ in read_questions(questions)]
    if not asked:
        raise DataError(f"{questions} holds no question; give a JSONL file with one question per line")
    house = open_house({"": folder}, Limits(max_new_tokens, None, 1))
    from safetensors.torch import save_file

    from ptmoe.encoding.encoder import Statistics
    from ptmoe.generation.cell import check_positions
    from ptmoe.rows.batches import collate

    adapter, info = house.adapters[""], house.info
    model = adapter.model
    if model.method.changes_base:
        raise AdapterError(
            f"{adapter.config.method} changes the base's weights, which embeddings cannot hold; use --to peft or merged"
        )
    rows = adapter.encoder.encode(asked, False, Statistics())
    check_positions(max(row.prompt_length for row in rows), max_new_tokens, model)
    tensors, lines = {}, []
    for number, row in enumerate(rows):
        batch = collate([row], info.pad_token_id, with_targets=False).to(house.accelerator.device)
        joined = model.join(batch.input_ids, batch.attention_mask, batch.prompt_mask, batch.question_mask)
        tensors[f"{number:06d}"] = joined.inputs_embeds[0].cpu()
        line: dict[str, Any] = {"id": row.id, "tensor": f"{number:06d}"}
        if joined.routing is not None:
            gate = round(joined.routing.probability.item(), 6)
            line |= {"expert": int(joined.routing.expert), "expert_probability": gate}
        lines.append(json.dumps(line, ensure_ascii=False))
    local = Path(info.name).is_dir()
    use = {
        "base": str(Path(info.name).resolve()) if local else info.name,
        "revision": None if local else info.revision,
        "dtype": info.dtype,
        "stop_token_ids": info.eos_token_ids,
        "max_tokens": max_new_tokens,
    }
    with whole_folder(out) as made:
        save_file(tensors, made / EMBEDS_FILE)
        write_text(made / "questions.jsonl", "".join(f"{line}\n" for line in lines))
        write_json(made / USE_FILE, use)
        shutil.copyfile(SCRIPT, made / SCRIPT.name)
