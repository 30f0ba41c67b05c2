"""The training of the tiny base: phase after phase, printing what is measured."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from recipes.mini_data.dice import Dice
from recipes.tiny_base.batches import Batch, Make, repeat_batches, text_batches
from recipes.tiny_base.model import loss, new_model, share_right
from recipes.tiny_base.phases import PHASES, PROBES, Phase
from recipes.tiny_base.tokens import train_tokenizer

TOKENS_PER_STEP = 2000
LEARNING_RATE = 3e-3
WARMUP_STEPS = 100
PROBE_EVERY = 200
PROBE_BATCHES = 4
# The last phase anneals over this part of its steps; before, the rate is constant.
DECAY_SHARE = 0.6
PROGRESS = "progress.json"


@dataclass
class Run:
    """What the phases share: the model, its optimiser, the seed, and the tokens and seconds spent."""

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerBase
    optimizer: torch.optim.AdamW
    output: Path
    seed: int
    deadline: float
    steps: int = 0
    tokens: int = 0

    def batches(self, name: str, shares: dict[Make, int]) -> Iterator[Batch]:
        """The batches of a phase or probe; without shares they are repeated random tokens."""
        dice = Dice(f"pretraining/{name}/{self.seed}")
        if not shares:
            return repeat_batches(dice, len(self.tokenizer), TOKENS_PER_STEP)
        return text_batches(self.tokenizer, dice, shares, TOKENS_PER_STEP)

    def measure(self, name: str, probe: Make | None) -> float:
        """The share of right answers to a fixed sample of `probe`; for repeats the share of right tokens."""
        batches = self.batches(f"probe/{name}", {} if probe is None else {probe: 1})
        right = total = 0
        for _ in range(PROBE_BATCHES):
            batch = next(batches)
            if probe is None:
                batch = every_token(batch)
            good, count = share_right(self.model, batch)
            right, total = right + good, total + count
        return right / total

    def save(self) -> None:
        """Write the model and its tokenizer in the usual layout."""
        self.model.save_pretrained(self.output)
        self.tokenizer.save_pretrained(self.output)

    def mark(self, phases_done: int) -> None:
        """Save, and note how many phases are done, so that an interrupted run can continue."""
        self.save()
        (self.output / PROGRESS).write_text(json.dumps({"phases": phases_done, "tokens": self.tokens}))


def every_token(batch: Batch) -> Batch:
    """The batch with each learnt token as an answer of its own."""
    numbers = torch.arange(batch.answers.numel()).reshape(batch.answers.shape)
    return Batch(batch.ids, torch.where(batch.answers >= 0, numbers, batch.answers))


def rate(run: Run, phase: Phase, step: int, started: float) -> float:
    """The learning rate of a step: a short warm-up, and a decay to 2% at the end of the last phase."""
    warm = min(1.0, (run.steps + 1) / WARMUP_STEPS)
    if phase is not PHASES[-1]:
        return LEARNING_RATE * warm
    spent = max(step / phase.steps, (time.monotonic() - started) / max(run.deadline - started, 1.0))
    return LEARNING_RATE * max(0.02, min(1.0, (1.0 - spent) / DECAY_SHARE))


def train_step(run: Run, batch: Batch, learning_rate: float) -> float:
    """One update; returns the loss."""
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate
    value = loss(run.model, batch)
    run.optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimizer.step()
    run.steps += 1
    run.tokens += batch.ids.numel()
    return float(value.detach())


def train_phase(run: Run, phase: Phase) -> None:
    """Train one phase until its probe reaches the goal, its steps are done or the time is over."""
    batches = run.batches(phase.name, phase.shares)
    started, mean = time.monotonic(), 0.0
    for step in range(phase.steps):
        mean += train_step(run, next(batches), rate(run, phase, step, started)) / PROBE_EVERY
        if (step + 1) % PROBE_EVERY:
            continue
        line = f"{phase.name} step {step + 1}: loss {mean:.3f}, {run.tokens / 1e6:.1f}M tokens"
        mean = 0.0
        reached = False
        line += "".join(f", {name} {run.measure(name, probe):.2f}" for name, probe in PROBES.items())
        run.save()
        if phase.goal < 1:
            share = run.measure(phase.name, phase.probe)
            line += f", {share:.2f} right (goal {phase.goal})"
            reached = share >= phase.goal
        print(line, flush=True)
        if reached or time.monotonic() > run.deadline:
            break


def begin(output: Path, seed: int, minutes: float) -> tuple[Run, int]:
    """A run and how many of its phases are done: a new one, or the interrupted one in `output`."""
    deadline = time.monotonic() + 60 * minutes
    progress = {"phases": 0, "tokens": 0}
    if (output / PROGRESS).exists():
        progress = json.loads((output / PROGRESS).read_text())
        tokenizer = PreTrainedTokenizerFast.from_pretrained(output)
        model = LlamaForCausalLM.from_pretrained(output)
    else:
        tokenizer = train_tokenizer(seed)
        model = new_model(tokenizer, seed)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.05)
    run = Run(model, tokenizer, optimizer, output, seed, deadline, tokens=progress["tokens"])
    return run, progress["phases"]


def pretrain(output: Path, seed: int, minutes: float) -> None:
    """Train tokenizer and model from scratch and write them to `output`; stops after `minutes` at the latest.

    The same seed gives the same model as long as neither the time limit nor a restart ends a phase early.
    """
    disable_progress_bar()
    run, done = begin(output, seed, minutes)
    count = sum(parameter.numel() for parameter in run.model.parameters())
    print(f"{len(run.tokenizer)} tokens in the vocabulary, {count} parameters, {done} phases done", flush=True)
    for number, phase in enumerate(PHASES[done:], start=done + 1):
        train_phase(run, phase)
        run.mark(number)
    (output / PROGRESS).unlink()
    print(f"{run.tokens / 1e6:.1f}M tokens; written to {output}", flush=True)
