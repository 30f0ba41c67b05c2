"""The server under load: 200 questions at once over three adapters, against one at a time and against `generate`.

    python -m benchmarks.serve --output benchmarks/results/serve.json

Base and questions are those of `profile: mini`; the adapters are untrained. All sides run behind the same server in one
process with its clients, so seconds are of both. Every answer must equal that of `ptmoe predict`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import torch
import uvicorn
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.common import write
from ptmoe.base.model import prepare_base, read_base_info
from ptmoe.commands.serve import listen
from ptmoe.config.params import BaseParams, Params
from ptmoe.generation.decode import Ask, Decoder
from ptmoe.rows.batches import collate
from ptmoe.serving.app import Gate, make_app
from ptmoe.serving.opened import Limits, open_house
from ptmoe.serving.predict import answer_questions, read_questions
from ptmoe.serving.service import Service
from ptmoe.tuning.prompted_lm import PromptedLM

METHODS, SLOTS = ("pt", "ptmoe", "attempt"), 32
LIMITS = Limits(max_new_tokens=48, max_length=None, max_batch_tokens=8192)
QUESTIONS = sorted(Path("ptmoe/sources/mini/qa").glob("*.jsonl.gz"))


class GenerateDecoder(Decoder):
    """Answers as many servers do: 32 rows of one adapter through `generate`, then the next ones."""

    def turn(self) -> list[Ask]:
        """Answers the first waiting rows whole; returns them."""
        model = self.waiting[0].model
        asks = [ask for ask in self.waiting if ask.model is model][:SLOTS]
        for ask in asks:
            self.waiting.remove(ask)
        batch = collate([ask.row for ask in asks], self._pad, side="left", with_targets=False)
        tokens = model.generate(
            batch.input_ids,
            batch.attention_mask,
            batch.prompt_mask,
            batch.question_mask,
            do_sample=False,
            max_new_tokens=self._max_new,
            eos_token_id=sorted(self._ends),
            pad_token_id=self._pad,
        )
        for ask, row in zip(asks, tokens.tolist(), strict=True):
            end = next((number for number, token in enumerate(row) if token in self._ends), None)
            ask.answer.tokens, ask.answer.finished = row if end is None else row[: end + 1], end is not None
        return asks


def make_adapters(folder: Path) -> dict[str, Path]:
    """Writes an untrained adapter of each method on the tiny base."""
    params, prepared = Params.load(), folder / "base"
    task = params.task("qa")
    prepare_base(
        BaseParams(
            name="ptmoe/tiny_base", revision="local", dtype="float32", attention="sdpa", trust_remote_code=False
        ),
        prepared,
    )
    info, tokenizer = read_base_info(prepared), AutoTokenizer.from_pretrained("ptmoe/tiny_base")
    folders = {}
    for method in METHODS:
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_pretrained("ptmoe/tiny_base")
        model = PromptedLM.create(base, method, params.method(method), task.init_text, tokenizer)
        folders[method] = folder / method
        model.save(folders[method], info, {"template": task.template.model_dump()})
    return folders


@contextlib.contextmanager
def running(service: Service) -> Iterator[str]:
    """Serves in a thread and yields the address."""
    server = uvicorn.Server(uvicorn.Config(make_app(service, Gate("", 1 << 20)), log_level="warning"))
    listening = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/completions"
    finally:
        server.should_exit = True
        thread.join()


async def load(url: str, asked: list[dict[str, Any]], at_once: int) -> tuple[list[str], list[float]]:
    """Sends all questions, so many at once; returns texts and seconds to each whole answer."""
    texts, seconds, slots = [""] * len(asked), [0.0] * len(asked), asyncio.Semaphore(at_once)
    limits = httpx2.Limits(max_connections=at_once)
    async with httpx2.AsyncClient(timeout=None, limits=limits) as client:

        async def ask(number: int) -> None:
            async with slots:
                started_s = time.perf_counter()
                reply = await client.post(url, json=asked[number])
                texts[number] = reply.raise_for_status().json()["choices"][0]["text"]
                seconds[number] = time.perf_counter() - started_s

        await asyncio.gather(*map(ask, range(len(asked))))
    return texts, seconds


async def leave_early(url: str, asked: list[dict[str, Any]]) -> None:
    """Starts streams and leaves each after its first piece."""
    async with httpx2.AsyncClient(timeout=None) as client:
        for body in asked:
            async with client.stream("POST", url, json=body | {"stream": True}) as reply:
                await anext(reply.aiter_lines())


def resident_mib() -> float:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def memory(url: str, asked: list[dict[str, Any]], requests: int) -> dict[str, Any]:
    """Compares memory before and after many requests, of which a quarter of the clients leave early."""
    before, sent = resident_mib(), 0
    while sent < requests:
        part = asked[: min(len(asked), requests - sent)]
        quarter = len(part) // 4
        asyncio.run(leave_early(url, part[:quarter]))
        asyncio.run(load(url, part[quarter:], 32))
        sent += len(part)
    return {"requests": sent, "before_mib": round(before, 1), "after_mib": round(resident_mib(), 1)}


def service_with(decoder: type[Decoder], folders: dict[str, Path]) -> Service:
    """Opens the adapters behind one kind of decoder."""
    service = Service(open_house(folders, LIMITS), 1024)
    (made,) = service.scheduler.decoders
    made.__class__ = decoder  # the same model, budget and thread under both sides
    return service


def main() -> None:
    """Times the sides in turn and writes what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folders = make_adapters(folder)
        texts = [line for path in QUESTIONS for line in gzip.decompress(path.read_bytes()).splitlines()]
        lines = [json.loads(line) for line in texts[: options.questions]]
        source, out = folder / "questions.jsonl", folder / "answers.jsonl"
        source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        answer_questions(list(read_questions(source)), open_house(folders, LIMITS), out)
        predicted = [json.loads(line) for line in out.read_text().splitlines()]
        # Question n goes to adapter n mod 3; each has a line for every question.
        asked = [
            {"model": METHODS[n % 3], "prompt": line["question"], "context": line["context"]}
            for n, line in enumerate(lines)
        ]
        expected = [predicted[3 * n + n % 3]["prediction"] for n in range(len(lines))]
        with (
            running(ours := service_with(Decoder, folders)) as url,
            running(service_with(GenerateDecoder, folders)) as other,
        ):
            sides: dict[str, Callable[[], Any]] = {
                "ptmoe": lambda: load(url, asked, len(asked)),
                "one_at_a_time": lambda: load(url, asked, 1),
                "generate": lambda: load(other, asked, len(asked)),
            }
            for side in sides.values():
                asyncio.run(side())
            wall: dict[str, list[float]] = {side: [] for side in sides}
            cpu: dict[str, list[float]] = {side: [] for side in sides}
            seconds: dict[str, list[float]] = {}
            equal: dict[str, int] = {}
            for _ in range(options.rounds):
                for side, run in sides.items():
                    started = time.perf_counter(), time.process_time()
                    texts, seconds[side] = asyncio.run(run())
                    wall[side].append(time.perf_counter() - started[0])
                    cpu[side].append(time.process_time() - started[1])
                    equal[side] = sum(a == b for a, b in zip(texts, expected, strict=True))
            kept = memory(url, asked, options.requests)
            kept |= {"rows_left": sum(ours.scheduler.rows), "open_left": ours.open}
    median = {side: float(np.median(values)) for side, values in cpu.items()}
    tokens = sum(predicted[3 * n + n % 3]["new_tokens"] for n in range(len(lines)))
    write(
        options.output,
        "serve",
        {
            "questions": len(asked),
            "answer_tokens": tokens,
            "equal_to_predict": equal,
            "wall_s": {side: [round(value, 2) for value in values] for side, values in wall.items()},
            "cpu_s": {side: [round(value, 2) for value in values] for side, values in cpu.items()},
            "tokens_per_cpu_second": {side: round(tokens / value) for side, value in median.items()},
            "speed_ratio": {side: round(value / median["ptmoe"], 2) for side, value in median.items()},
            "latency_s": {
                side: {f"p{p}": round(float(np.percentile(values, p)), 3) for p in (50, 95)}
                for side, values in seconds.items()
            },
            "memory": kept,
        },
    )


if __name__ == "__main__":
    main()
