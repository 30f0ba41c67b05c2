"""Stands in for vLLM, which this machine cannot run: the same calls, answered by transformers' `inputs_embeds`."""

from types import SimpleNamespace

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def SamplingParams(temperature, max_tokens, stop_token_ids):  # noqa: N802
    assert temperature == 0
    return {"max_new_tokens": max_tokens, "eos_token_id": stop_token_ids}


class LLM:
    def __init__(self, model, revision, dtype, enable_prompt_embeds):
        assert enable_prompt_embeds
        self._model = AutoModelForCausalLM.from_pretrained(model, revision=revision or "main", dtype=dtype).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(model)

    def generate(self, prompts, options):
        return [SimpleNamespace(outputs=[self._answer(each["prompt_embeds"], options)]) for each in prompts]

    def _answer(self, embeds, options):
        with torch.no_grad():
            mask = torch.ones(1, len(embeds), dtype=torch.long)
            (tokens,) = self._model.generate(
                inputs_embeds=embeds[None], attention_mask=mask, do_sample=False, pad_token_id=0, **options
            )
        ended = tokens[-1].item() in options["eos_token_id"]
        said = self._tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True)
        return SimpleNamespace(text=said, finish_reason="stop" if ended else "length")
