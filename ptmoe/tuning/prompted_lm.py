"""A frozen language model with a tuning method."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptmoe.base.geometry import Geometry
from ptmoe.base.hub import find_folder
from ptmoe.base.model import BaseInfo, open_base
from ptmoe.runtime.errors import BaseModelError, ParamsError
from ptmoe.tuning.adapters import AdapterConfig, base_of, check_base, check_tensors, read_adapter, write_adapter
from ptmoe.tuning.fit import check_fit
from ptmoe.tuning.joining import IGNORED, AnswerLoss, Joined, TextLogits, place
from ptmoe.tuning.method import Method, SoftPrompt
from ptmoe.tuning.registry import load_method, method_params

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class PromptedLM(nn.Module):
    """A causal language model under a tuning method.

    Only the method's own parameters require gradients. The method's noise is on in training mode; call `eval()` before
    measuring or generating.

    Args:
        base: any Hugging Face causal language model; it is frozen here and changed in place by methods with layers.
        method: made with the geometry of `base`.

    Raises:
        BaseModelError: the model has no output embeddings, so it is not a causal language model.
    """

    def __init__(self, base: PreTrainedModel, method: Method[Any]) -> None:
        super().__init__()
        head = base.get_output_embeddings()
        if head is None:
            raise BaseModelError(f"{type(base).__name__} has no output embeddings; give a causal language model")
        base.requires_grad_(False)
        self.base = method.inject(base)
        self.method = method.to(base.device)
        self._takes_positions = "position_ids" in inspect.signature(base.forward).parameters
        self._answers: Tensor | None = None
        head.register_forward_pre_hook(self._keep_answers)

    @classmethod
    def create(
        cls,
        base: PreTrainedModel,
        method: str,
        params: dict[str, Any],
        init_text: str = "",
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> Self:
        """Builds a model to train from a method's name and its block of params.yaml.

        Args:
            init_text: describes the task; soft prompts start from its embeddings, without it from those of random
                tokens (from zero, a product of two factors would never get a gradient).
            tokenizer: needed with `init_text`.

        Raises:
            ParamsError: the parameters are not allowed or do not fit the base model, or the tokenizer is missing.
        """
        from ptmoe.tuning.text_init import embed_random, embed_text

        if init_text and tokenizer is None:
            raise ParamsError("init_text: needs the base's tokenizer; give tokenizer, or leave init_text out")
        geometry = Geometry.from_model(base)
        model = cls(base, load_method(method)(method_params(method, params), geometry))
        if init_text and tokenizer:
            start = embed_text(init_text, base, tokenizer)[0]
        else:
            start = embed_random(geometry.vocab_size, base)
        model.method.initialise(start.cpu())
        return model

    def _keep_answers(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        # Inside the base's own forward, so that its own logit scaling and soft cap apply.
        if self._answers is None:
            return None
        return (inputs[0].flatten(0, 1).index_select(0, self._answers).unsqueeze(0), *inputs[1:])

    def join(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        prompt_mask: Tensor | None = None,
        question_mask: Tensor | None = None,
        prompt: Tensor | None = None,
    ) -> Joined:
        """Makes each row's prompt and joins it with the text.

        Args:
            input_ids: [B, T].
            attention_mask: [B, T] 0 at padding, on either side.
            prompt_mask: [B, T] what a router may see, never an answer; all of the text by default.
            question_mask: [B, T] the question alone, for methods that route on it; `prompt_mask` by default.
            prompt: [B, P, H] replaces the method's own prompt.
        """
        embeds = self.base.get_input_embeddings()(input_ids)
        seen = attention_mask if prompt_mask is None else prompt_mask
        if self.method.router_input == "question" and question_mask is not None:
            seen = question_mask
        with torch.autocast(embeds.device.type, enabled=False):
            made = SoftPrompt(prompt) if prompt is not None else self.method.soft_prompt(embeds, seen.bool())
        embeds = embeds if made.text is None else made.text.to(embeds.dtype)
        attention_mask = attention_mask.long()
        if made.embeds.shape[1]:
            embeds, attention_mask = place(made.embeds, embeds, attention_mask)
        positions = (attention_mask.cumsum(dim=-1) - 1).clamp(min=0)
        return Joined(embeds, attention_mask, positions, made.routing)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        prompt_mask: Tensor | None = None,
        question_mask: Tensor | None = None,
        prompt: Tensor | None = None,
    ) -> TextLogits | AnswerLoss:
        """Computes the loss of the answers, or the logits of the text.

        Args:
            labels: [B, T] the token at answer positions, -100 elsewhere. Logits are computed at answers only, and the
                default of `prompt_mask` leaves them out. All else as in `join`.
        """
        if labels is not None and prompt_mask is None:
            prompt_mask = attention_mask.bool() & (labels == IGNORED)
        joined = self.join(input_ids, attention_mask, prompt_mask, question_mask, prompt)
        if labels is None:
            logits = self._logits(joined)
            return TextLogits(logits[:, -input_ids.shape[1] :], joined.routing)
        # The token at text position t is predicted one position earlier, at P + t - 1.
        targets = F.pad(labels[:, 1:], (joined.inputs_embeds.shape[1] - labels.shape[1], 1), value=IGNORED).flatten()
        self._answers = answers = (targets != IGNORED).nonzero().squeeze(-1)
        try:
            logits = self._logits(joined).squeeze(0)
        finally:
            self._answers = None
        targets = targets.index_select(0, answers)
        output = AnswerLoss.of(logits, targets, joined.routing)
        if self.training:
            return output
        return output.by_row(logits, targets, answers // joined.inputs_embeds.shape[1], labels.shape[0])

    def _logits(self, joined: Joined) -> Tensor:
        mask, positions = joined.attention_mask, joined.position_ids
        if mask[:, 0].all():
            # No token sees padding on its right, and attention is faster without a mask.
            mask, positions = None, torch.arange(mask.shape[1], device=mask.device).expand_as(positions)
        taken = {"position_ids": positions} if self._takes_positions else {}
        return self.base(inputs_embeds=joined.inputs_embeds, attention_mask=mask, use_cache=False, **taken).logits

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        prompt_mask: Tensor | None = None,
        question_mask: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        """Returns new tokens alone, [B, at most max_new_tokens], of rows [B, T] that are padded on the left.

        Masks are those of `join`, `options` those of transformers' `generate`.
        """
        joined = self.join(input_ids, attention_mask, prompt_mask, question_mask)
        return self.base.generate(  # type: ignore[operator]
            inputs_embeds=joined.inputs_embeds, attention_mask=joined.attention_mask, **options
        )

    def trained(self) -> dict[str, nn.Parameter]:
        """Returns the trained parameters by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def trainable_state(self) -> dict[str, Tensor]:
        """Returns copies of the trained tensors by name, on the CPU."""
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in self.trained().items()}

    @torch.no_grad()
    def load_trainable_state(self, tensors: dict[str, Tensor]) -> None:
        """Sets the trained tensors; raises `AdapterError` when names or shapes are not those of this model."""
        own = self.trained()
        check_tensors(own, tensors)
        for name, parameter in own.items():
            parameter.copy_(tensors[name])

    @property
    def trainable_parameters(self) -> int:
        """The number of trained parameters."""
        return sum(parameter.numel() for parameter in self.trained().values())

    def save(
        self,
        folder: str | Path,
        info: BaseInfo | None = None,
        note: dict[str, Any] | None = None,
        tensors: dict[str, Tensor] | None = None,
    ) -> None:
        """Writes an adapter folder.

        Args:
            info: the base model, from `read_base_info`; by default read from the model in memory.
            note: `task`, `template` and `init_text`, where known.
            tensors: a `trainable_state` to write instead of the present one (the best of a run).
        """
        tensors = self.trainable_state() if tensors is None else tensors
        config = AdapterConfig(
            method=self.method.name(),
            params=self.method.params.model_dump(),
            base=info or BaseInfo.of_model(self.base, self.method.geometry.parameters),
            trainable_parameters=sum(tensor.numel() for tensor in tensors.values()),
            prompt_length=self.method.prompt_length,
            **(note or {}),
        )
        write_adapter(Path(folder), config, tensors)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        base: PreTrainedModel | None = None,
        info: BaseInfo | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """Loads an adapter folder, in eval mode.

        Args:
            base: the base model; by default the one that the adapter names, at its revision.
            info: facts of the base from `read_base_info`, to refuse one that the adapter was not trained on; opens it
                where `base` is not given.
            trust_remote_code: whether code that comes with the base may run.

        Raises:
            AdapterError: the folder is damaged or does not fit the base model.
            BaseModelError: the base model cannot be loaded.
        """
        config, tensors = read_adapter(Path(folder))
        if base is None:
            info = info or base_of(config, trust_remote_code=trust_remote_code)
            check_base(config, info)
            if not info.trust_remote_code:  # else only the base's own code knows its sizes
                check_fit(config, tensors, find_folder(info.name, info.revision)[0])
            base = open_base(info)
        elif info is not None:
            check_base(config, info)
        method = load_method(config.method)(method_params(config.method, config.params), Geometry.from_model(base))
        model = cls(base, method)
        model.load_trainable_state(tensors)
        return model.eval()
