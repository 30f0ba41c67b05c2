"""What the benchmarks share: a base model, rows, and honest measuring."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from ptmoe.rows.encoded import Encoded, EncodedSet

END = 2
VOCABULARY = 128_256
# Small enough for two CPU cores, with the vocabulary of Llama 3; --size 1b is Llama-3.2-1B.
SIZES = {
    "tiny": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4},
    "small": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 8},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32},
}
MRQA_LENGTHS = (38, 512)


def arguments(description: str | None, size: str = "small") -> argparse.ArgumentParser:
    """Makes a parser of what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=SIZES, default=size)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--base", type=Path, help="a model folder, in place of random weights of --size")
    parser.add_argument("--dtype", default="float32", help="of --base: float32 | bfloat16")
    parser.add_argument("--data", type=Path, help="an Arrow file of data/encoded, in place of random tokens")
    parser.add_argument("--rounds", type=int, default=3, help="each side is timed this often, in turn")
    parser.add_argument("--output", type=Path)
    torch.set_num_threads(1)
    return parser


def device() -> torch.device:
    """Returns the GPU, or the CPU without one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_base(options: argparse.Namespace) -> LlamaForCausalLM:
    """Opens the base that the options name, frozen, or makes one with random weights."""
    if options.base is None:
        return random_base(options.size, options.vocabulary)
    base = AutoModelForCausalLM.from_pretrained(options.base, dtype=options.dtype, attn_implementation="sdpa")
    return base.to(device()).requires_grad_(False).eval()


def described(options: argparse.Namespace) -> dict[str, Any]:
    """Returns which base the options name."""
    if options.base is None:
        return {"size": options.size, "vocabulary": options.vocabulary}
    return {"base": options.base.name, "dtype": options.dtype, "data": str(options.data)}


def random_base(size: str, vocabulary: int, seed: int = 0) -> LlamaForCausalLM:
    """Makes a frozen Llama with random weights: bfloat16 on a GPU, float32 on a CPU."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        **SIZES[size],
        num_key_value_heads=8 if size != "tiny" else 4,
        vocab_size=vocabulary,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=END,
        attn_implementation="sdpa",
    )
    base = LlamaForCausalLM(config).to(device())
    if device().type == "cuda":
        base = base.to(torch.bfloat16)
    return base.requires_grad_(False).eval()


def mrqa_like_rows(count: int, vocabulary: int, seed: int = 0, answer: int = 6) -> list[Encoded]:
    """Rows whose prompts are as long as MRQA's: from 38 to 512 tokens, a third of them cut at 512."""
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(5.6, 0.8, count), *MRQA_LENGTHS).astype(int)
    return [
        random_row(number, generator.integers(3, vocabulary, length + answer), length)
        for number, length in enumerate(lengths)
    ]


def real_rows(path: Path, count: int) -> list[Encoded]:
    """Rows of a file, `count` of them, drawn at random with seed 0."""
    rows = EncodedSet(path)
    chosen = np.random.default_rng(0).permutation(len(rows))[:count]
    return [replace(rows[int(row)], id=str(number)) for number, row in enumerate(chosen)]


def random_row(number: int, ids: np.ndarray, prompt_length: int) -> Encoded:
    """Makes a row of given tokens."""
    return Encoded(str(number), "A", ids.astype(np.int32), prompt_length, 1, min(20, prompt_length), [""])


def clock() -> float:
    """Seconds: wall-clock time on a GPU; CPU time on a CPU, where other work may run beside a single thread."""
    synchronise()
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def alternately(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Times each side once a round, in turn, after one round that does not count; returns seconds."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, work in sides.items():
            started_s = clock()
            work()
            if number:
                times[name].append(clock() - started_s)
    return times


def synchronise() -> None:
    """Waits for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_bytes(work: Callable[[], Any]) -> int:
    """Returns the most memory in use while `work` runs, beyond what was in use before it.

    On a GPU: the allocator's own count. On a CPU: resident memory, sampled every millisecond.
    """
    gc.collect()
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before
    before, peak, running = _resident(), 0, True

    def watch() -> None:
        nonlocal peak
        while running:
            peak = max(peak, _resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        running = False
        watcher.join()
    return max(peak - before, 0)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def compared(times: dict[str, list[float]], ours: str, theirs: str) -> dict[str, Any]:
    """Returns medians, spread (half the range over the median) and how many times faster ours is."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "median_s": {name: round(value, 4) for name, value in medians.items()},
        "spread": {name: round((max(v) - min(v)) / 2 / medians[name], 3) for name, v in times.items()},
        "speed_ratio": round(medians[theirs] / medians[ours], 2),
    }


def write(output: Path | None, name: str, result: dict[str, Any]) -> None:
    """Prints the result, and writes it with hardware and versions."""
    result = {
        "benchmark": name,
        "hardware": {
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
            "threads": torch.get_num_threads(),
            "seconds": "wall-clock time" if torch.cuda.is_available() else "CPU time",
            "load_before": round(_LOAD, 1),
        },
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")},
        **result,
    }
    print(json.dumps(result, indent=2))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return platform.machine()


_LOAD = os.getloadavg()[0]
