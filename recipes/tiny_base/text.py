"""Training text: sentence tables, pieces with a loss weight each, and invented words that make copying general."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML

from recipes.mini_data.dice import Dice
from recipes.mini_data.words import POOLS, TEST, TRAIN, words

T = TypeVar("T")

BOS = "<|begin_of_text|>"
END = "<|end_of_text|>"
HEADER = "<|start_header_id|>"
HEADER_END = "<|end_header_id|>"
EOT = "<|eot_id|>"
PAD = "<|pad|>"
SPECIAL_TOKENS = (BOS, END, HEADER, HEADER_END, EOT, PAD)

# Few syllables, so that each is one token and an invented word has two or three.
_ONSETS = "bdfgklmnprstvz"
_VOWELS = "aeiou"
_ENDS = ("", "", "", "l", "n", "r", "s")
_KNOWN = tuple(word for pool in POOLS.values() for word in pool[TRAIN])
_KEPT_FOR_TESTS = frozenset(word.lower() for pool in POOLS.values() for word in pool[TEST])
_NAMES = ("person", "town", "river")
_NONCE_SHARE = 0.8


def table(name: str) -> dict[str, Any]:
    """The sentences in `<name>.yaml` beside this file."""
    return YAML(typ="safe").load(Path(__file__).with_name(f"{name}.yaml"))


@dataclass(frozen=True)
class Piece:
    """Text that the model learns to write, or only reads: names drawn at random cannot be predicted.

    It begins where a token must begin: at a space, a line or a special token.
    """

    text: str
    learn: bool = False


Document = list[Piece]


def weighted(shares: dict[T, int]) -> list[T]:
    """Each key as often as its share says, to pick from."""
    return [key for key, share in shares.items() for _ in range(share)]


def answer(text: str) -> Piece:
    """Text that the model has to learn to write."""
    return Piece(text, learn=True)


def nonce(dice: Dice) -> str:
    """An invented word: syllables, or the front of one known word with the back of another; never a test word."""
    while True:
        if dice.chance(0.4):
            made = "".join(dice.pick(_ONSETS) + dice.pick(_VOWELS) for _ in range(dice.pick((2, 2, 3))))
            made += dice.pick(_ENDS)
        else:
            front, back = dice.pick(_KNOWN), dice.pick(_KNOWN)
            made = (front[: dice.between(1, 4)] + back[-dice.between(2, 4) :]).lower()
        if made not in _KEPT_FOR_TESTS:
            return made


def values(dice: Dice, pool: str, count: int, used: set[str]) -> list[str]:
    """`count` different words of `pool`, some invented; none is in `used`, to which they are added."""
    known = words(pool, TRAIN)
    made: list[str] = []
    while len(made) < count:
        word = dice.pick(known)
        if pool != "year" and dice.chance(_NONCE_SHARE):
            word = nonce(dice)
            word = word.capitalize() if pool in _NAMES else word
        if word not in used:
            used.add(word)
            made.append(word)
    return made
