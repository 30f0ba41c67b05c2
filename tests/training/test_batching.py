from itertools import islice

import numpy as np
import pytest
import torch

from ptmoe.rows.batches import WINDOW_BATCHES, collate, global_batches, share_of
from ptmoe.rows.encoded import Encoded

SHORT = Encoded("a", "A", np.array([1, 5, 6, 9, 2], dtype=np.int32), 3, 1, 2, ["x"])
LONG = Encoded("b", "A", np.array([1, 3, 4, 5, 8, 7, 2], dtype=np.int32), 4, 2, 4, ["y"])
LENGTHS = np.random.default_rng(0).integers(5, 300, 1000)


def take(count, lengths=LENGTHS, batch_size=16, seed=0, start=0, batches="grouped"):
    return list(islice(global_batches(lengths, batch_size, seed, start, WINDOW_BATCHES[batches]), count))


def test_right_padded_rows():
    batch = collate([SHORT, LONG], pad_token_id=0)
    assert batch.input_ids.tolist() == [[1, 5, 6, 9, 2, 0, 0], [1, 3, 4, 5, 8, 7, 2]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1, 0, 0], [1] * 7]
    assert batch.labels.tolist() == [[-100, -100, -100, 9, 2, -100, -100], [-100] * 4 + [8, 7, 2]]
    assert batch.prompt_mask.int().tolist() == [[1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0]]
    assert batch.question_mask.int().tolist() == [[0, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0]]


def test_labels_on_all_of_the_text_but_its_first_token():
    answers, text = collate([SHORT, LONG], pad_token_id=0), collate([SHORT, LONG], pad_token_id=0, loss_on="text")
    assert text.labels.tolist() == [[-100, 5, 6, 9, 2, -100, -100], [-100, 3, 4, 5, 8, 7, 2]]
    assert torch.equal(text.prompt_mask, answers.prompt_mask)  # a router still sees no answer


def test_left_padded_prompts_without_answers():
    batch = collate([SHORT, LONG], pad_token_id=9, side="left", with_targets=False)
    assert batch.input_ids.tolist() == [[9, 1, 5, 6], [1, 3, 4, 5]]
    assert batch.attention_mask.tolist() == [[0, 1, 1, 1], [1] * 4]
    assert (batch.labels == -100).all()
    assert batch.prompt_mask.int().tolist() == batch.attention_mask.tolist()
    assert batch.question_mask.int().tolist() == [[0, 0, 1, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_padding_token_may_be_a_real_token(side):
    batch = collate([SHORT, LONG], pad_token_id=2, side=side)
    assert batch.attention_mask.sum(1).tolist() == [5, 7]
    assert ((batch.labels == 2).sum(1) == 1).all()
    assert torch.equal(batch.labels != -100, batch.attention_mask.bool() & ~batch.prompt_mask)


def test_an_epoch_shows_every_row_once_and_the_next_in_another_order():
    batches = take(2 * 62, LENGTHS[:992])
    first, second = np.concatenate(batches[:62]), np.concatenate(batches[62:])
    assert sorted(first) == sorted(second) == list(range(992))
    assert first.tolist() != second.tolist()


def test_rows_of_a_batch_have_like_lengths_longest_first():
    batches = take(50)
    padded = sum(LENGTHS[rows].max() * len(rows) for rows in batches)
    assert 1 - sum(LENGTHS[rows].sum() for rows in batches) / padded < 0.05
    for rows in batches:
        assert (np.diff(LENGTHS[rows]) <= 0).all()
    shuffled = [LENGTHS[rows].max() for rows in batches]
    assert shuffled != sorted(shuffled) and shuffled != sorted(shuffled, reverse=True)


def test_random_batches_mix_lengths_and_hold_every_row_once():
    batches = take(62, LENGTHS[:992], batches="random")
    assert sorted(np.concatenate(batches)) == list(range(992))
    spread = {kind: np.mean([LENGTHS[rows].std() for rows in take(62, batches=kind)]) for kind in WINDOW_BATCHES}
    assert spread["grouped"] < 10 and spread["random"] == pytest.approx(LENGTHS.std(), rel=0.1)
    for rows in batches:
        assert (np.diff(LENGTHS[rows]) <= 0).all()  # pieces of one batch still have little padding


@pytest.mark.parametrize("batches", WINDOW_BATCHES)
@pytest.mark.parametrize("start", [1, 49, 50, 51, 137])
def test_going_on_later_gives_the_same_batches(start, batches):
    later = take(200 - start, start=start, batches=batches)
    for expected, actual in zip(take(200, batches=batches)[start:], later, strict=True):
        assert np.array_equal(expected, actual)


def test_seed_decides_the_order():
    assert np.array_equal(take(9)[8], take(9)[8])
    assert not np.array_equal(take(9)[8], take(9, seed=1)[8])


def test_as_many_rows_as_a_batch():
    for rows in take(5, LENGTHS[:16]):
        assert sorted(rows) == list(range(16))


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("micro_batch_size", [1, 3, 16])
def test_processes_share_a_batch_without_loss(processes, micro_batch_size):
    rows = np.arange(16)
    shares = [share_of(rows, micro_batch_size, process, processes) for process in range(processes)]
    assert len({len(pieces) for pieces in shares}) == 1
    assert all(len(piece) <= micro_batch_size for pieces in shares for piece in pieces)
    assert sorted(row for pieces in shares for piece in pieces for row in piece) == list(range(16))
