"""Every causal architecture of the installed transformers, tiny: trained two steps, decoded, compared or refused.

python -m benchmarks.architectures                  # all of them; writes docs/architectures.md
python -m benchmarks.architectures llama mamba      # these; prints the table
"""

from __future__ import annotations

import inspect
import logging
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from torch import nn
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from ptmoe.base.geometry import meta_model
from ptmoe.base.model import BaseInfo
from ptmoe.base.support import check_supported
from ptmoe.generation.decode import Decoder
from ptmoe.rows.batches import collate
from ptmoe.rows.encoded import Encoded
from ptmoe.runtime.errors import BaseModelError
from ptmoe.tuning.prompted_lm import AnswerLoss, PromptedLM

PAGE = Path("docs/architectures.md")
VOCABULARY, END, PROMPT, NEW_TOKENS = 61, 2, 4, 10
# Sizes by the names that configs give them; a window shorter than the rows, and few enough layers for any pattern.
_SIZES: dict[str, Any] = {
    **dict.fromkeys(["vocab_size", "n_vocab", "pronunciation_vocab_size", "shape_vocab_size"], VOCABULARY),
    **dict.fromkeys(["hidden_size", "n_embd", "d_model", "dim", "embedding_size", "n_embed"], 32),
    **dict.fromkeys(["intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "dff", "dim_ff", "d_ff"], 48),
    **dict.fromkeys(["decoder_ffn_dim", "encoder_ffn_dim", "moe_intermediate_size", "d_inner"], 48),
    **dict.fromkeys(["shared_expert_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size"], 48),
    **dict.fromkeys(["intermediate_size_mlp", "shared_intermediate_size", "moe_shared_intermediate_size"], 48),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers"], 4),
    **dict.fromkeys(["num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"], 4),
    **dict.fromkeys(["encoder_attention_heads", "linear_num_value_heads", "lightning_num_heads"], 4),
    **dict.fromkeys(["num_key_value_heads", "linear_num_key_heads"], 2),
    **dict.fromkeys(["head_dim", "linear_key_head_dim", "linear_value_head_dim", "v_head_dim"], 8),
    **dict.fromkeys(["attention_head_dim", "global_head_dim", "index_head_dim", "d_kv", "swa_head_dim"], 8),
    **dict.fromkeys(["qk_nope_head_dim", "qk_rope_head_dim"], 8),
    **dict.fromkeys(["q_lora_rank", "kv_lora_rank"], 16),
    **dict.fromkeys(["n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"], 4),
    **dict.fromkeys(["num_experts_per_tok", "moe_k", "moe_topk", "top_k_experts", "num_selected_experts"], 2),
    **dict.fromkeys(["max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"], 128),
    **dict.fromkeys(["sliding_window", "attention_window_size", "attention_chunk_size", "window_size"], 8),
    **dict.fromkeys(["n_group", "topk_group", "n_shared_experts", "indexer_kv_heads"], 1),
    **dict.fromkeys(["indexer_n_heads", "indexer_head_dim", "indexer_budget"], 8),
    **dict.fromkeys(["image_token_id", "video_token_id", "audio_token_id"], 1),
    "indexer_compress_ratio": 2,
    "encoder_hash_byte_group_vocab": VOCABULARY,
    "axial_pos_shape": [8, 16],
    "axial_pos_embds_dim": [8, 24],
    "attention_types": [[["global", "local"], 2]],
    "default_language": "en_XX",
    "enable_pronunciation": False,
    "enable_shape": False,
    "first_k_dense_replace": 1,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": VOCABULARY,
    "initializer_range": 0.3,
    "rotary_dim": 4,
    "is_decoder": True,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": END,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "mamba_d_ssm": 64,
    "state_size": 8,
    "ssm_state_size": 8,
    "time_step_rank": 4,
}


# Latent attention has as many heads of keys as of queries; an lfm2 without convolutions is not what people use.
_LATENT = ("axk1", "deepseek", "dots3", "glm4_moe_lite", "longcat_flash", "minicpm3", "youtu")
_OWN: dict[str, dict[str, Any]] = {
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8}},
}


class Result(NamedTuple):
    """What became of one architecture: `exact`, `refused`, `not built`, or a fault: `wrong`, `crash`."""

    kind: str
    reason: str = ""


_ALIKE = Result("not built", "the random model answers every prompt alike")


def tiny_model(model_type: str, std: float = 0.3) -> transformers.PreTrainedModel:
    """Builds a random causal model of a type, its config shrunk by the names of sizes; may raise anything.

    Args:
        std: of the linear layers' weights.
    """
    config_class: Any = transformers.CONFIG_MAPPING[model_type]
    parts = {"": config_class()}
    parts |= {name: getattr(parts[""], name, None) for name in getattr(config_class, "sub_configs", {})}
    shrunk = {name: _shrunk(part) for name, part in parts.items() if part is not None}
    config = config_class(**shrunk.pop("") | shrunk | _OWN.get(model_type, {}))
    config._attn_implementation = "eager"
    with torch.device("meta"):
        parameters = transformers.AutoModelForCausalLM.from_config(config).num_parameters()
    if parameters > 10_000_000:
        raise ValueError(f"its config does not shrink: {parameters:,} parameters")
    torch.manual_seed(7)
    model: Any = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std if isinstance(module, nn.Linear) else 0.3)
    return model.float().eval()


def _shrunk(config: transformers.PreTrainedConfig) -> dict[str, Any]:
    known = config.to_dict().keys() | config.attribute_map.keys()
    sizes = _SIZES | ({"num_key_value_heads": 4} if config.model_type.startswith(_LATENT) else {})
    return {name: value for name, value in sizes.items() if name in known}


def rows() -> list[Encoded]:
    """Prompts of 6 to 26 random tokens."""
    generator = np.random.default_rng(5)
    prompts = [generator.integers(3, VOCABULARY, generator.integers(6, 27)).astype(np.int32) for _ in range(7)]
    return [Encoded(str(n), "A", ids, len(ids), 1, len(ids), ["x"]) for n, ids in enumerate(prompts)]


def examined(model_type: str) -> Result:
    """Trains an architecture for two steps, decodes rows together, and compares with each row alone."""
    result = _examined(model_type, 0.3)
    # Norms after the layers, as in BERT, leave little of small weights.
    return _examined(model_type, 0.6) if result == _ALIKE else result


def _examined(model_type: str, std: float) -> Result:
    try:
        base = tiny_model(model_type, std)
    except Exception as error:  # whatever a config of the wrong sizes leads to
        return _refused_at_full_size(model_type) or Result("not built", _said(error))
    try:
        model = PromptedLM.create(base, "pt", {"prompt_length": PROMPT})
        _train(model)
        wanted = [_alone(model, row) for row in rows()]
        answers = decoded(model)
    except BaseModelError as error:
        return _refusal(error)
    except Exception as error:  # any of it is a fault of ours
        return Result("crash", _said(error))
    if len({tuple(each) for each in wanted}) < len(wanted) // 2:
        return _ALIKE
    right = sum(map(list.__eq__, answers, wanted))
    return Result("exact") if right == len(wanted) else Result("wrong", f"{right} of {len(wanted)} answers equal")


def _refused_at_full_size(model_type: str) -> Result | None:
    """Asks for a model of the config's own sizes, without storage, as the stages read a config."""
    try:
        config = transformers.CONFIG_MAPPING[model_type]()
        try:
            with torch.device("meta"):
                model = transformers.AutoModelForCausalLM.from_config(config)
        except Exception:  # what the stages make of it is what counts
            model = meta_model(config.to_dict())
        check_supported(model)
    except BaseModelError as error:
        return _refusal(error)
    except Exception:  # not even a config can be made
        pass
    return None


def _refusal(error: BaseModelError) -> Result:
    said = str(error).partition("not supported: ")[2].partition("; supported")[0]
    return Result("refused", said or str(error).partition(". ")[0])


def _train(model: PromptedLM) -> None:
    torch.manual_seed(3)
    nn.init.normal_(model.method.prompt, std=0.5)  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=0.01)
    batch = collate(rows(), 0, side="right", with_targets=False)
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    for _ in range(2):
        loss = model.train()(batch.input_ids, batch.attention_mask, labels, prompt_mask=batch.attention_mask)
        assert isinstance(loss, AnswerLoss)
        loss.loss_sum.backward()
        optimiser.step()
    if not torch.isfinite(loss.loss_sum) or not model.method.prompt.grad.any():  # type: ignore[union-attr]
        raise ValueError("the loss or its gradient is not finite")
    model.eval()


def _alone(model: PromptedLM, row: Encoded) -> list[int]:
    """A row's greedy answer by transformers' `generate`, or by forward passes without a cache where it has none."""
    batch = collate([row], 0, side="left", with_targets=False)
    joined = model.join(batch.input_ids, batch.attention_mask)
    embeds = joined.inputs_embeds
    if "inputs_embeds" in inspect.signature(model.base.prepare_inputs_for_generation).parameters:  # type: ignore[arg-type]
        options = {"do_sample": False, "max_new_tokens": NEW_TOKENS, "eos_token_id": END, "pad_token_id": 0}
        return model.generate(batch.input_ids, batch.attention_mask, **options)[0].tolist()
    tokens: list[int] = []
    while len(tokens) < NEW_TOKENS and END not in tokens:
        with torch.no_grad():
            logits = model.base(inputs_embeds=embeds.clone(), use_cache=False).logits  # ctrl scales them in place
            tokens.append(int(logits[0, -1].argmax()))
            embeds = torch.cat([embeds, model.base.get_input_embeddings()(torch.tensor([tokens[-1:]]))], dim=1)
    return tokens


def decoded(model: PromptedLM) -> list[list[int]]:
    """Decodes all rows, three at a time, so that rows are padded, leave and enter."""
    found = rows()
    info = replace(BaseInfo.of_model(model.base, 0), pad_token_id=0, eos_token_ids=[END])
    answers = Decoder(model, info, NEW_TOKENS, 130).decode(found, np.array([len(row.input_ids) for row in found]))
    return [answer.tokens for answer in sorted(answers, key=lambda answer: answer.row)]


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()):.140}".replace("|", "/")


_HEADINGS = {
    "exact": "Supported exactly",
    "refused": "Refused before training",
    "not built": "Not examined: no tiny random model could be made of the config, or it says nothing",
    "crash": "Not refused, and fails with an error",
    "wrong": "Wrong",
}


def page(results: dict[str, Result]) -> str:
    """Makes docs/architectures.md."""
    lines = [
        "# Which base models are supported",
        "",
        "The decoder answers rows of several lengths together; each answer must be the one that the row gets alone. "
        "A base for which that cannot hold is refused when its sizes are read (stage `base`, `PromptedLM`, "
        "`ptmoe budget`). Supported: causal language models whose every layer is full, sliding-window or chunked "
        "attention and whose positions can be given.",
        "",
        f"`python -m benchmarks.architectures` makes this page. Each of the {len(results)} causal architectures of "
        f"transformers {transformers.__version__} is built tiny and random (float32, one CPU), trained for two steps "
        "by `pt`, and decoded by our decoder; *exact* means that all answers equal transformers' greedy answers to "
        "each row alone from the same embeddings. CI examines one architecture of each kind.",
    ]
    for kind, heading in _HEADINGS.items():
        found = {name: result.reason for name, result in sorted(results.items()) if result.kind == kind}
        if not found:
            continue
        lines += ["", f"## {heading} ({len(found)})", ""]
        if any(found.values()):
            lines += ["| model_type | reason |", "|---|---|"]
            lines += [f"| {name} | {reason} |" for name, reason in found.items()]
        else:
            lines += [", ".join(found)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Examines the architectures that were named, or all, and then writes the page."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    results: dict[str, Result] = {}
    for name in sys.argv[1:] or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        results[name] = examined(name)
        print(name, *results[name], sep="\t", flush=True)
    if not sys.argv[1:]:
        PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
