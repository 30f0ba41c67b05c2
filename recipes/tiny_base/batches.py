"""Batches of training text: documents of similar length side by side."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from recipes.mini_data.dice import Dice
from recipes.tiny_base.text import PAD, Document, weighted

Make = Callable[[Dice], Document]
IGNORED = -1
_POOL = 256


@dataclass(frozen=True)
class Batch:
    """Token ids [B, T], and for each token the number of the answer that it belongs to, or -1 [B, T]."""

    ids: Tensor
    answers: Tensor


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The number of one token."""
    return tokenizer.get_vocab()[token]


def _encode(tokenizer: PreTrainedTokenizerBase, documents: Sequence[Document]) -> list[list[tuple[int, bool]]]:
    """Each document as tokens, every one with whether it is to be learnt."""
    texts = [piece.text for document in documents for piece in document]
    rows = iter(tokenizer(texts, add_special_tokens=False)["input_ids"])
    return [[(token, piece.learn) for piece in document for token in next(rows)] for document in documents]


def _stack(rows: Sequence[list[tuple[int, bool]]], pad: int) -> Batch:
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad)
    answers = torch.full((len(rows), width), IGNORED)
    number = 0
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor([token for token, _ in row])
        numbers = []
        for at, (_, learn) in enumerate(row):
            # A new answer begins where reading turns into writing.
            number += learn and not (at > 0 and row[at - 1][1])
            numbers.append(number if learn else IGNORED)
        answers[place, : len(row)] = torch.tensor(numbers)
    return Batch(ids, answers)


def text_batches(
    tokenizer: PreTrainedTokenizerBase, dice: Dice, shares: dict[Make, int], tokens: int
) -> Iterator[Batch]:
    """Endless batches of about `tokens` tokens, padding included; `shares` weighs the kinds of text."""
    kinds = weighted(shares)
    pad = token_id(tokenizer, PAD)
    while True:
        rows = _encode(tokenizer, [dice.pick(kinds)(dice) for _ in range(_POOL)])
        rows.sort(key=len)
        groups: list[list[list[tuple[int, bool]]]] = [[]]
        for row in rows:
            if len(row) * (len(groups[-1]) + 1) > tokens:
                groups.append([])
            groups[-1].append(row)
        yield from (_stack(group, pad) for group in dice.shuffled(groups) if group)


def repeat_batches(dice: Dice, vocabulary: int, tokens: int) -> Iterator[Batch]:
    """Endless batches of random tokens, repeated in the same order; the later copies are to be learnt."""
    while True:
        length = dice.between(6, 40)
        copies = dice.between(2, 4)
        count = tokens // (length * copies)
        first = torch.tensor([[dice.below(vocabulary) for _ in range(length)] for _ in range(count)])
        answers = torch.arange(1, count + 1)[:, None].repeat(1, length * copies)
        answers[:, : length + 1] = IGNORED
        yield Batch(first.repeat(1, copies), answers)
