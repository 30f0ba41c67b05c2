"""Starting values of decomposed prompts: the singular value decomposition of the text's embeddings."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

PADDING_STD = 0.02
SvdPadding = Literal["seeded", "none"]


def decompose(embeds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns U [n, k], S [k], Vh [k, H] in float32 of embeddings [n, H], k = min(n, H).

    Computed in float64, with the sign of each component fixed by making the largest entry of its column of U
    positive, so that every machine starts from the same values.
    """
    u, s, vh = torch.linalg.svd(embeds.double(), full_matrices=False)
    largest = u.gather(0, u.abs().argmax(dim=0, keepdim=True))
    sign = torch.where(largest < 0, -1.0, 1.0).double()
    return (u * sign).float(), s.float(), (vh * sign.T).float()


def numerical_rank(s: Tensor, rows: int, columns: int) -> int:
    """Counts the singular values above float32's resolution of the largest (numpy's `matrix_rank` rule)."""
    return int((s > s[0] * max(rows, columns) * torch.finfo(torch.float32).eps).sum())


def low_rank_factors(embeds: Tensor, rank: int, padding: SvdPadding) -> tuple[Tensor, Tensor]:
    """Returns A [T, R] and B [R, H] with A B the best rank-R approximation of embeddings [T, H].

    A = U_R S_R^(1/2) and B = S_R^(1/2) V_R^T (paper, section 3.2). A text repeats words, so its rank is below T;
    a component of zero singular value would have a zero column in A and a zero row in B and so never a gradient.
    With `seeded`, each such column of A is drawn from N(0, 0.02^2) and its row of B is zero: the product is the
    same and both learn. With `none` the formula is taken literally, and components beyond min(T, H) are zero.
    """
    u, s, vh = decompose(embeds)
    kept = min(rank, s.shape[0])
    a, b = embeds.new_zeros(embeds.shape[0], rank), embeds.new_zeros(rank, embeds.shape[1])
    a[:, :kept] = u[:, :kept] * s[:kept].sqrt()
    b[:kept] = s[:kept].sqrt()[:, None] * vh[:kept]
    if padding == "seeded":
        spanned = min(kept, numerical_rank(s, *embeds.shape))
        a[:, spanned:] = torch.randn(embeds.shape[0], rank - spanned) * PADDING_STD
        b[spanned:] = 0
    return a, b


def fit_length(embeds: Tensor, length: int) -> Tensor:
    """Cuts or repeats the text's embeddings [n, H] to [length, H] (peft's rule for text initialisation)."""
    repeats = -(-length // embeds.shape[0])
    return embeds.repeat(repeats, 1)[:length]
