"""The architecture of the tiny base, its loss, and its accuracy."""

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from recipes.tiny_base.batches import IGNORED, Batch, token_id
from recipes.tiny_base.text import BOS, END, EOT, PAD
from recipes.tiny_base.tokens import MAX_POSITIONS


def new_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> LlamaForCausalLM:
    """An untrained Llama with 0.4 million parameters."""
    torch.manual_seed(seed)
    begin, end, turn_end, pad = (token_id(tokenizer, token) for token in (BOS, END, EOT, PAD))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=MAX_POSITIONS,
        # Texts are short: a small base distinguishes neighbouring positions better.
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=True,
        bos_token_id=begin,
        eos_token_id=[turn_end, end],
        pad_token_id=pad,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.do_sample = False
    return model


def logits_and_targets(model: LlamaForCausalLM, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [A, V], target tokens [A] and answer numbers [A] of the A tokens that are to be learnt."""
    hidden = model.model(input_ids=batch.ids[:, :-1]).last_hidden_state
    numbers = batch.answers[:, 1:]
    chosen = numbers != IGNORED
    return model.lm_head(hidden[chosen]), batch.ids[:, 1:][chosen], numbers[chosen]


def loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Mean cross-entropy of the tokens that are to be learnt."""
    logits, targets, _ = logits_and_targets(model, batch)
    return torch.nn.functional.cross_entropy(logits, targets)


@torch.no_grad()
def share_right(model: LlamaForCausalLM, batch: Batch) -> tuple[int, int]:
    """How many answers have every token predicted right, and how many answers there are."""
    logits, targets, numbers = logits_and_targets(model, batch)
    wrong = set(numbers[logits.argmax(-1) != targets].tolist())
    every = set(numbers.tolist())
    return len(every) - len(wrong), len(every)
