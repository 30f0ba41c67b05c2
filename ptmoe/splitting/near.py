"""Near duplicates: questions that share most of their five-character shingles with a question of another set.

Every pair above the threshold is found, and none is drawn at random. A pair that shares at least a part t of all its
pieces shares one of the few rarest of each side (prefix filtering: Chaudhuri et al. 2006), so only pairs that do are
compared. Brute force over 17,000 x 240,000 questions would take hours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Pieces in both of two questions, out of those in either (docs/data.md shows pairs on both sides of it).
THRESHOLD = 0.7
PIECE_CHARACTERS = 5
CHUNK_ROWS = 5_000


def near_duplicates(known: Sequence[str], asked: Sequence[str]) -> np.ndarray:
    """Tells which of the asked questions, all normalised, have a near duplicate among the known and none that is equal.

    Returns:
        [asked] booleans.
    """
    # Takes a second, which only the split stage is to pay.
    from sklearn.feature_extraction.text import HashingVectorizer

    no_norm: Any = None
    pieces = HashingVectorizer(
        analyzer="char",
        ngram_range=(PIECE_CHARACTERS, PIECE_CHARACTERS),
        lowercase=False,
        norm=no_norm,
        binary=True,
        alternate_sign=False,
        n_features=2**22,
    )
    found, held = np.zeros(len(asked), bool), dict.fromkeys(known)
    unequal = [number for number, question in enumerate(asked) if question not in held]
    if not unequal:
        return found
    near = np.zeros(len(unequal), bool)
    left: Any = pieces.transform(asked[number] for number in unequal)
    # By how many of the asked questions have it; what none of them has is rarest and leads to no pair.
    rank = np.bincount(left.indices, minlength=left.shape[1])
    keys, questions = _rarest(left, rank), iter(held)
    while chunk := list(itertools.islice(questions, CHUNK_ROWS)):
        right: Any = pieces.transform(chunk)
        pairs = (keys @ _rarest(right, rank).T).tocoo()
        for first in range(0, pairs.nnz, CHUNK_ROWS):
            rows, columns = pairs.row[first : first + CHUNK_ROWS], pairs.col[first : first + CHUNK_ROWS]
            common = np.asarray(left[rows].multiply(right[columns]).sum(axis=1)).ravel()
            either = np.diff(left.indptr)[rows] + np.diff(right.indptr)[columns] - common
            near[rows[common >= THRESHOLD * either]] = True
    found[unequal] = near
    return found


def _rarest(rows: Any, rank: np.ndarray) -> csr_matrix:
    """Keeps, of n pieces of each row, the n - ceil(t n) + 1 of lowest rank; two near rows share one of them."""
    from scipy.sparse import csr_matrix

    sizes = np.diff(rows.indptr)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((rows.indices, rank[rows.indices], owner))
    place = np.arange(len(owner)) - np.repeat(rows.indptr[:-1], sizes)
    kept = place <= (sizes - np.ceil(THRESHOLD * sizes))[owner]
    columns = rows.indices[order][kept]
    known = rank[columns] > 0
    owner, columns = owner[kept][known], columns[known]
    return csr_matrix((np.ones(len(columns), np.float32), (owner, columns)), rows.shape)
