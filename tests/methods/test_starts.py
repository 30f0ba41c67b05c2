"""A model that is created without what an initialisation needs still learns, whatever the method and its start."""

import itertools

import pytest
import torch

from ptmoe.config.params import known_methods
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.prompted_lm import PromptedLM
from ptmoe.tuning.registry import load_method
from tests.methods.cases import batch, every_method
from tests.models.bases import tiny_base

CHOICES = {
    "router_init": ["default", "orthogonal", "zero_bias", "datasets", "clusters", "gradients"],
    "svd_padding": ["seeded", "none"],
    "expert_init_noise": [0.0, 0.1],
    "selective": [True, False],
    "probationary": [True, False],
}


@pytest.mark.parametrize("method", [name for name in known_methods() if name != "untuned"])
def test_without_a_text_no_start_leaves_every_gradient_zero(method, tmp_path):
    params, fields = every_method(tmp_path)[method], load_method(method).schema.model_fields
    found = {name: values for name, values in CHOICES.items() if name in fields}
    if method == "ptmoe_continual":
        found["router_init"] = ["clusters"]
    for values in itertools.product(*found.values()):
        changes = dict(zip(found, values, strict=True))
        torch.manual_seed(0)
        model = PromptedLM.create(tiny_base(), method, params | changes).train()
        model(**batch()).loss_sum.backward()
        gradients = [value.grad for value in model.parameters() if value.grad is not None]
        assert any(gradient.any() for gradient in gradients), changes
        assert all(gradient.isfinite().all() for gradient in gradients), changes


def test_a_text_without_its_tokenizer_is_refused():
    with pytest.raises(ParamsError, match="init_text: needs the base's tokenizer; give tokenizer, or leave init_text"):
        PromptedLM.create(tiny_base(), "pt", {"prompt_length": 4}, "Answer the question.")
