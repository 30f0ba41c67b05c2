"""A row alone and the same row in a padded batch are the same, for every method on every architecture."""

import pytest
import torch

from tests.methods.cases import CASES, EXTRA, padded, rows, trained
from tests.models.bases import NAMES

LENGTHS = (4, 13, 9)
OPTIONS = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
# One method of each kind (nothing, prompt, layers, prefix) meets every architecture, each method meets some.
EVERYWHERE = ["untuned", "ptmoe", "hydralora", "p_tuning_v2"]
PAIRS = [(method, base) for method in EVERYWHERE for base in NAMES]
PAIRS += [(method, base) for method in CASES if method not in EVERYWHERE for base in ("llama", "gemma2")]
PAIRS += [(method, "llama") for method in EXTRA if method not in EVERYWHERE]


@pytest.mark.parametrize(("method", "base"), PAIRS)
def test_a_row_does_not_depend_on_padding(method, base):
    model, texts = trained(method, base), rows(*LENGTHS)
    with torch.no_grad():
        alone = [model(text[None], torch.ones_like(text)[None]).logits[0] for text in texts]
        for side in ("left", "right"):
            ids, mask = padded(texts, side)
            logits = model(ids, mask).logits
            for row, expected in enumerate(alone):
                torch.testing.assert_close(logits[row][mask[row].bool()], expected, atol=1e-4, rtol=1e-4)
    ids, mask = padded(texts, "left")
    together = model.generate(ids, mask, **OPTIONS)
    for row, text in enumerate(texts):
        tokens = model.generate(text[None], torch.ones_like(text)[None], **OPTIONS)
        assert together[row].tolist() == tokens[0].tolist()


@pytest.mark.parametrize("method", ["ptmoe", "p_tuning_v2", "dept", "hydralora"])
def test_generation_follows_the_logits(method):
    model, (text,) = trained(method), rows(8)
    tokens = model.generate(text[None], torch.ones(1, 8), **OPTIONS)[0]
    for step, token in enumerate(tokens.tolist()):
        ids = torch.cat([text, tokens[:step]])[None]
        seen = torch.nn.functional.pad(torch.ones(1, 8).bool(), (0, step), value=False)
        with torch.no_grad():
            assert model(ids, torch.ones_like(ids), prompt_mask=seen).logits[0, -1].argmax().item() == token


@pytest.mark.parametrize("method", ["smop", "attempt", "ptmoe"])
def test_neighbours_do_not_change_a_row(method):
    model, (first, second, third) = trained(method), rows(9, 9, 9)
    with torch.no_grad():
        pair = model(torch.stack([first, second]), torch.ones(2, 9)).logits[0]
        other = model(torch.stack([first, third]), torch.ones(2, 9)).logits[0]
    torch.testing.assert_close(pair, other)
