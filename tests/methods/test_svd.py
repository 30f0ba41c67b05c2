"""Initial factors of decomposed prompts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptmoe.tuning.svd import decompose, low_rank_factors, numerical_rank


def repeated_text(distinct: int, length: int, hidden: int, seed: int = 0) -> torch.Tensor:
    """Embeddings of a text that repeats its words: rank `distinct`."""
    torch.manual_seed(seed)
    return torch.randn(distinct, hidden)[torch.arange(length) % distinct]


def test_factors_multiply_back_and_share_the_root():
    embeds = torch.randn(7, 12)
    u, s, vh = decompose(embeds)
    torch.testing.assert_close(u * s @ vh, embeds)
    a, b = low_rank_factors(embeds, 7, "none")
    torch.testing.assert_close(a.T @ a, torch.diag(s), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(b @ b.T, torch.diag(s), atol=1e-5, rtol=1e-5)


def test_signs_are_fixed():
    embeds = torch.randn(7, 12)
    u, _, vh = decompose(embeds)
    assert (u.gather(0, u.abs().argmax(0, keepdim=True)) > 0).all()
    flipped_u, _, flipped_vh = decompose(-embeds)
    torch.testing.assert_close(flipped_u, u)
    torch.testing.assert_close(flipped_vh, -vh)


@settings(max_examples=25, deadline=None)
@given(rank=st.integers(1, 10), padding=st.sampled_from(["seeded", "none"]), seed=st.integers(0, 99))
def test_the_error_is_that_of_the_discarded_singular_values(rank, padding, seed):
    torch.manual_seed(seed)
    embeds = torch.randn(8, 10)
    a, b = low_rank_factors(embeds, rank, padding)
    discarded = decompose(embeds)[1][rank:]
    assert (a @ b - embeds).norm().item() == pytest.approx(discarded.norm().item(), abs=1e-4)


def test_seeded_padding_keeps_the_product_and_revives_dead_components():
    embeds = repeated_text(distinct=4, length=8, hidden=10)
    assert numerical_rank(decompose(embeds)[1], 8, 10) == 4
    a, b = low_rank_factors(embeds, 12, "seeded")
    torch.testing.assert_close(a @ b, embeds)
    assert (b[4:] == 0).all() and (a[:, 4:].abs() > 0).all() and a[:, 4:].std().item() == pytest.approx(0.02, rel=0.4)

    factors = [tensor.requires_grad_() for tensor in (a.clone(), b.clone())]
    ((factors[0] @ factors[1]) ** 2).sum().backward()
    assert (factors[1].grad.norm(dim=1) > 0).all()


def test_the_literal_formula_leaves_components_beyond_the_text_dead():
    a, b = low_rank_factors(repeated_text(distinct=4, length=8, hidden=10), 8, "none")
    assert a[:, 4:].abs().max() < 1e-5 and b[4:].abs().max() < 1e-5


def test_padding_is_seeded():
    embeds = repeated_text(4, 8, 10)
    torch.manual_seed(3)
    first = low_rank_factors(embeds, 8, "seeded")[0]
    torch.manual_seed(3)
    assert torch.equal(first, low_rank_factors(embeds, 8, "seeded")[0])
