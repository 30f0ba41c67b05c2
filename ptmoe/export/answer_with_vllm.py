"""Lets vLLM answer the questions of this folder: `python answer_with_vllm.py [BASE] > answers.jsonl`.

Needs vLLM and safetensors, not ptmoe. BASE is the base model's folder or Hub id, if it is not where ptmoe found it.
"""

import json
import sys
from pathlib import Path

from safetensors.torch import load_file
from vllm import LLM, SamplingParams  # pyright: ignore

folder = Path(__file__).resolve().parent
use = json.loads((folder / "how_to_use.json").read_text(encoding="utf-8"))
questions = [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
embeds = load_file(folder / "prompt_embeds.safetensors")

base, revision = (sys.argv[1], None) if sys.argv[1:] else (use["base"], use["revision"])
llm = LLM(model=base, revision=revision, dtype=use["dtype"], enable_prompt_embeds=True)
greedy = SamplingParams(temperature=0.0, max_tokens=use["max_tokens"], stop_token_ids=use["stop_token_ids"])
outputs = llm.generate([{"prompt_embeds": embeds[question["tensor"]]} for question in questions], greedy)
for question, output in zip(questions, outputs, strict=True):
    said = output.outputs[0]
    answer = {"id": question["id"], "prediction": said.text.strip(), "expert": question.get("expert")}
    print(json.dumps(answer | {"finished": said.finish_reason == "stop"}, ensure_ascii=False))
