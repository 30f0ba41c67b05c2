"""A row alone and the same row in a padded batch are the same, for every method on every architecture."""

import pytest
import torch

from tests.methods.cases import CASES, padded, rows, trained
from tests.models.bases import NAMES

LENGTHS = (4, 13, 9)


@pytest.mark.parametrize("base", NAMES)
@pytest.mark.parametrize("method", CASES)
def test_logits_do_not_depend_on_padding(method, base):
    model, texts = trained(method, base), rows(*LENGTHS)
    with torch.no_grad():
        alone = [model(text[None], torch.ones_like(text)[None]).logits[0] for text in texts]
        for side in ("left", "right"):
            ids, mask = padded(texts, side)
            logits = model(ids, mask).logits
            for row, expected in enumerate(alone):
                torch.testing.assert_close(logits[row][mask[row].bool()], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("base", NAMES)
@pytest.mark.parametrize("method", CASES)
def test_greedy_text_does_not_depend_on_padding(method, base):
    model, texts = trained(method, base), rows(*LENGTHS)
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    ids, mask = padded(texts, "left")
    together = model.generate(ids, mask, **options)
    for row, text in enumerate(texts):
        alone = model.generate(text[None], torch.ones_like(text)[None], **options)
        assert together[row].tolist() == alone[0].tolist()


def test_generation_follows_the_logits():
    model, (text,) = trained("ptmoe"), rows(8)
    tokens = model.generate(text[None], torch.ones(1, 8), max_new_tokens=5, do_sample=False, pad_token_id=0)[0]
    routed_on = torch.ones(1, 8).bool()
    for step, token in enumerate(tokens.tolist()):
        ids = torch.cat([text, tokens[:step]])[None]
        seen = torch.nn.functional.pad(routed_on, (0, step), value=False)
        with torch.no_grad():
            joined = model.join(ids, torch.ones_like(ids), prompt_mask=seen)
            assert model._logits(joined)[0, -1].argmax().item() == token


def test_neighbours_do_not_change_a_row():
    model, (first, second, third) = trained("smop"), rows(9, 9, 9)
    with torch.no_grad():
        pair = model(torch.stack([first, second]), torch.ones(2, 9)).logits[0]
        other = model(torch.stack([first, third]), torch.ones(2, 9)).logits[0]
    torch.testing.assert_close(pair, other)
