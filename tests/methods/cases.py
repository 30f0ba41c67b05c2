"""Every method with small parameters, on any of the tiny bases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ptmoe.config.params import known_methods
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.models.bases import VOCABULARY, tiny_base

HIDDEN = 24
SVD = {"svd_padding": "seeded"}
ROUTER = {"router_noise": 0.01, "router_bias": True}
LEARNT = {"router_learning_rate": 1.0, "router_refits": [], "balance_loss": 0.0}
PTMOE: dict[str, Any] = {
    "prompt_length": 6,
    "num_experts": 3,
    "rank": 4,
    "selective": True,
    "probationary": True,
    "router_init": "default",
    "router_input": "prompt",
    "expert_init_noise": 0.1,
    **SVD,
    **ROUTER,
    **LEARNT,
}
ROUTED_PTMOE: dict[str, Any] = PTMOE | {"router_learning_rate": 0.0}
LAYERS = {"rank": 2, "alpha": 4, "target_modules": ["q_proj", "v_proj"]}
CASES: dict[str, dict[str, Any]] = {
    "untuned": {},
    "ft": {},
    "lora": LAYERS,
    "hydralora": LAYERS
    | {"num_experts": 2, "router_bias": False, "router_learning_rate": 1.0, "router_temperature": 1.0},
    "pt": {"prompt_length": 6},
    "dpt": {"prompt_length": 6, "rank": 4, **SVD},
    "smop": {"prompt_length": 6, "num_experts": 2, "router_init": "orthogonal", **ROUTER, **LEARNT},
    "attempt": {"prompt_length": 6, "num_experts": 2, "projection_dim": 3, "temperature": 1.0}
    | {"router_learning_rate": 1.0, "balance_loss": 0.0},
    "ptmoe": PTMOE,
    "ptmoe_routed": ROUTED_PTMOE,
    # Not selective, so that three rows reach the routers of both groups.
    "ptmoe_hierarchical": ROUTED_PTMOE | {"num_experts": 4, "num_groups": 2, "selective": False},
}
EXTRA: dict[str, dict[str, Any]] = {
    "residual_pt": {"prompt_length": 6, "bottleneck": 5},
    "mpt": {"prompt_length": 6},
    "dept": {"prompt_length": 3, "rank": 2, "alpha": 4.0, "max_length": 10},
    "p_tuning": {"peft_type": "P_TUNING", "num_virtual_tokens": 6, "encoder_hidden_size": 8},
    "p_tuning_v2": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4},
    "prefix_tuning": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4}
    | {"prefix_projection": True, "encoder_hidden_size": 8},
    "dora": {"peft_type": "LORA", "r": 2, "use_dora": True, "target_modules": ["q_proj", "v_proj"]},
    "ia3": {"peft_type": "IA3", "target_modules": ["q_proj", "v_proj"], "feedforward_modules": []},
    "vera": {"peft_type": "VERA", "r": 4, "target_modules": ["q_proj"]},
    "ln_tuning": {"peft_type": "LN_TUNING", "target_modules": ["input_layernorm", "post_attention_layernorm"]},
}
ALL = CASES | EXTRA
GROWING: dict[str, Any] = {
    "prompt_length": 4,
    "num_experts": 1,
    "rank": 3,
    "router_init": "clusters",
    "router_input": "prompt",
    **SVD,
}
TRAINED = [name for name in ALL if name != "untuned"]
ROUTED = ["smop", "attempt", "ptmoe", "ptmoe_routed", "ptmoe_hierarchical"]
_FUSED = {"gpt2": ["c_attn"], "gpt_neox": ["query_key_value"]}


def params_for(method: str, base: str = "llama", **changes: Any) -> dict[str, Any]:
    params = ALL[method] | changes
    if "q_proj" in params.get("target_modules", []) and base in _FUSED:
        params = params | {"target_modules": _FUSED[base]}
    return params


def fresh(method: str, base: str = "llama", seed: int = 0, **changes: Any) -> PromptedLM:
    """A method at its initial values, which come from a text of nine tokens, two of them equal."""
    torch.manual_seed(seed)
    model = PromptedLM.create(tiny_base(base), method, params_for(method, base, **changes))
    torch.manual_seed(seed + 50)
    text = torch.randn(9, HIDDEN)
    text[7] = text[2]
    model.method.initialise(text)
    return model


def trained(method: str, base: str = "llama", seed: int = 0, **changes: Any) -> PromptedLM:
    """A method whose every parameter has moved, in eval mode."""
    model = fresh(method, base, seed, **changes)
    torch.manual_seed(seed + 100)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def rows(*lengths: int, seed: int = 3) -> list[Tensor]:
    torch.manual_seed(seed)
    return [torch.randint(3, VOCABULARY, (length,)) for length in lengths]


def padded(texts: list[Tensor], side: str) -> tuple[Tensor, Tensor]:
    """Returns ids [B, T] and mask [B, T] of rows padded on the left or the right."""
    width = max(len(text) for text in texts)
    ids, mask = torch.zeros(len(texts), width, dtype=torch.long), torch.zeros(len(texts), width, dtype=torch.long)
    for row, text in enumerate(texts):
        place = slice(width - len(text), width) if side == "left" else slice(0, len(text))
        ids[row, place], mask[row, place] = text, 1
    return ids, mask


def batch(seed: int = 3) -> dict[str, Tensor]:
    """Three rows padded on the right; the last four tokens of each are its answer."""
    ids, mask = padded(rows(12, 7, 10, seed=seed), "right")
    labels = torch.full_like(ids, -100)
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        labels[row, length - 4 : length] = ids[row, length - 4 : length]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def every_method(folder: Path) -> dict[str, dict[str, Any]]:
    """The parameters of all methods, also of those that go on from another run: here from an adapter in `folder`."""
    trained("pt").save(folder)
    every = ALL | {"ptmoe_continual": GROWING, "spot": {"prompt_length": 6, "source": str(folder)}}
    assert sorted(every) == known_methods()
    return every
