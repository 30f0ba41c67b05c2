"""The recipe of the tiny base: its tokenizer, what it keeps from the training text, and that it can be repeated."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from ptmoe.runtime.files import sha256_of
from recipes.mini_data.dice import Dice
from recipes.mini_data.words import POOLS, TEST, years
from recipes.tiny_base import documents, train
from recipes.tiny_base.chats import math_chat, qa_chat
from recipes.tiny_base.phases import PHASES, Phase
from recipes.tiny_base.tokens import train_tokenizer

SHIPPED = Path(__file__).parents[2] / "ptmoe" / "tiny_base"
SHORT = (Phase("repeats", {}, 3), Phase("sums", {documents.drill: 1}, 3), Phase("chats", {qa_chat: 2, math_chat: 1}, 3))

KINDS = sorted({kind for phase in PHASES for kind in phase.shares}, key=lambda kind: kind.__name__)
# SHA-256 of the first 200 documents of each kind. The shipped tokenizer and weights come from these texts: after a
# change of a sentence, a word or the order of choices, here or in recipes/mini_data, run `make tiny-base` as well.
DOCUMENTS = "5cf8c7c0eed6ed1dcd4bda30aa949c9a8a51b56d9d47ccaebad9a0aae7c1f83a"


@pytest.fixture
def short(monkeypatch):
    """A recipe of nine steps, with a loss printed after every second."""
    monkeypatch.setattr(train, "PHASES", SHORT)
    monkeypatch.setattr(train, "PROBES", {})
    monkeypatch.setattr(train, "PROBE_EVERY", 2)
    monkeypatch.setattr(train, "TOKENS_PER_STEP", 400)


def test_the_shipped_tokenizer_is_the_one_of_the_recipe(tmp_path):
    train_tokenizer(seed=0).save_pretrained(tmp_path)
    made = {path.name: sha256_of(path) for path in tmp_path.iterdir()}
    assert "tokenizer.json" in made
    assert made == {name: sha256_of(SHIPPED / name) for name in made}


def test_the_training_text_is_that_of_the_shipped_weights():
    dice = Dice("first documents")
    pieces = [piece for kind in KINDS for _ in range(200) for piece in kind(dice)]
    assert sha256("".join(f"{piece.text}{piece.learn}" for piece in pieces).encode()).hexdigest() == DOCUMENTS


def test_no_word_of_the_test_sets_is_in_the_training_text():
    kept = {word.lower() for pool in POOLS.values() for word in pool[TEST]} | set(years(TEST))
    dice = Dice("held out")
    seen = set()
    for kind in KINDS:
        for _ in range(400):
            seen |= set(re.findall(r"\w+", "".join(piece.text for piece in kind(dice)).lower()))
    assert len(seen) > 2000
    # An object of the questions that word problems of the training text count things in.
    assert seen & kept == {"basket"}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(short, tmp_path, capsys):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train.pretrain(tmp_path / name, seed, minutes=10)
    weights = {name: sha256_of(tmp_path / name / "model.safetensors") for name in "abc"}
    assert weights["a"] == weights["b"] != weights["c"]
    assert "chats step 2: loss" in capsys.readouterr().out
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config == json.loads((SHIPPED / "config.json").read_text())


def test_a_run_that_was_broken_off_goes_on_at_the_next_phase(short, tmp_path, monkeypatch, capsys):
    train_phase = train.train_phase

    def break_off(run, phase):
        if phase is SHORT[1]:
            raise KeyboardInterrupt
        train_phase(run, phase)

    monkeypatch.setattr(train, "train_phase", break_off)
    with pytest.raises(KeyboardInterrupt):
        train.pretrain(tmp_path, 0, minutes=10)
    monkeypatch.setattr(train, "train_phase", train_phase)
    capsys.readouterr()
    train.pretrain(tmp_path, 0, minutes=10)
    said = capsys.readouterr().out
    assert "1 phases done" in said and "sums step 2" in said and "repeats" not in said
    assert not (tmp_path / "progress.json").exists()
