"""The type of a tuning method: a module that makes a soft prompt, changes layers of the base model, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import torch
from pydantic import field_validator
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

from ptmoe.base.geometry import Geometry, meta_model
from ptmoe.config.fields import Block, Count
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.svd import fit_length

LARGEST = 1 << 18


class MethodParams(Block):
    """A method's block of params.yaml."""

    @field_validator("*")
    @classmethod
    def _has_a_size_that_memory_holds(cls, value: Any) -> Any:
        if type(value) is int and value > LARGEST:
            raise ValueError(f"got {value}; allowed: at most {LARGEST}")
        return value


class NoParams(MethodParams):
    """A method without parameters."""


class PromptParams(MethodParams):
    prompt_length: Count


Params = TypeVar("Params", bound=MethodParams)
Prompt = TypeVar("Prompt", bound=PromptParams)


@dataclass(frozen=True)
class Routing:
    """A router's decision for each row.

    Attributes:
        expert: [B] the expert with the highest gate.
        probability: [B] that expert's gate.
        gates: [B, N] the softmax over experts; with their gradient, so that a loss on them can train a router.
    """

    expert: Tensor
    probability: Tensor
    gates: Tensor

    @classmethod
    def of(cls, gates: Tensor) -> Routing:
        """Derives the decisions from gates [B, N]."""
        probability, expert = gates.detach().max(dim=-1)
        return cls(expert, probability, gates)

    @property
    def entropy(self) -> Tensor:
        """[B] entropy of the gates in nats: 0 for a certain router, log N for an undecided one."""
        return torch.special.entr(self.gates).sum(dim=-1)


@dataclass(frozen=True)
class SoftPrompt:
    """What precedes the text.

    Attributes:
        embeds: [B, P, H] in float32; P may be 0.
        routing: None for a method without a router.
        text: [B, T, H] in place of the text's embeddings; None where the method leaves them.
    """

    embeds: Tensor
    routing: Routing | None = None
    text: Tensor | None = None


@dataclass(frozen=True)
class RoutedPrompts:
    """A routed method as plain tensors, for use outside this package.

    Attributes:
        experts: [N, P, H] the prompts that are mixed.
        router: the tensors that the rule names.
        rule: how the row's weights over experts follow from the embeddings of its prompt text.
    """

    experts: Tensor
    router: Mapping[str, Tensor]
    rule: str


class Method(nn.Module, Generic[Params]):
    """One tuning method, from its block of params.yaml; the default does nothing to the base model.

    A router's option that the parameters lack is off.

    Raises:
        ParamsError: the parameters do not fit the base model (see `check`).
    """

    params: Params
    schema: ClassVar[type[MethodParams]] = NoParams
    """The keys of the method's block of params.yaml."""
    size_key: ClassVar[str | None] = None
    """The parameter that `ptmoe budget --params` varies; None where nothing is to be varied."""
    task_key: ClassVar[str | None] = None
    """The parameter that counts the tasks so far in `ptmoe continual`; None where no task adds anything."""

    def __init__(self, params: Params, geometry: Geometry) -> None:
        super().__init__()
        self.check(params, geometry)
        self.params, self.geometry = params, geometry

    @classmethod
    def name(cls) -> str:
        """The name of the method, which is the name of its file."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def check(cls, params: Params, geometry: Geometry) -> None:
        """Raises `ParamsError` when the parameters do not fit the base model; loads nothing."""

    @classmethod
    def count(cls, params: Params, geometry: Geometry) -> int:
        """Counts the trainable parameters on the meta device, where no tensor has storage."""
        with torch.device("meta"):
            method = cls(params, geometry)
        trained = list(method.parameters())
        if cls.inject is not Method.inject:
            base = method.inject(meta_model(geometry.config).requires_grad_(False))
            trained += [parameter for parameter in base.parameters() if parameter.requires_grad]
        return sum(parameter.numel() for parameter in trained)

    @classmethod
    def solved(cls, params: Params, geometry: Geometry) -> Params:
        """Returns the parameters with the number in place of every `auto`."""
        return params

    @property
    def prompt_length(self) -> int:
        """Virtual tokens before every row."""
        return 0

    @property
    def router_input(self) -> Literal["prompt", "question"]:
        """The router's input: the whole prompt, or the question in it."""
        return getattr(self.params, "router_input", "prompt")

    @property
    def changes_base(self) -> bool:
        """Whether `inject` changes the base model, so that no other adapter can use the same one at a time."""
        return type(self).inject is not Method.inject

    @property
    def balance_loss(self) -> float:
        """The weight of the load-balancing loss; 0 for a method without one."""
        return getattr(self.params, "balance_loss", 0.0)

    @property
    def router_refits(self) -> list[int]:
        """The steps after which the router is fitted again to the experts' losses."""
        return getattr(self.params, "router_refits", [])

    def is_router(self, parameter: str) -> bool:
        """Whether a trained parameter decides which expert a row gets; `base.` begins the name of one in a layer."""
        return False

    def rate_of(self, parameter: str) -> float:
        """The learning rate of a trained parameter, as a multiple of the method's rate; names as in `is_router`."""
        return getattr(self.params, "router_learning_rate", 1.0) if self.is_router(parameter) else 1.0

    def inject(self, base: PreTrainedModel) -> PreTrainedModel:
        """Puts trainable layers into the base model, or makes its weights trainable; returns the base model."""
        return base

    def initialise(self, text_embeds: Tensor) -> None:
        """Sets initial values from embeddings [n, H] (float32) of the task's text and torch's global generator."""

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        """Makes the rows' prompts.

        Args:
            embeds: [B, T, H] embeddings of the text.
            mask: [B, T] true on the router's input; never on padding or answers.

        Returns:
            embeds [B, P, H].
        """
        return SoftPrompt(embeds.new_empty(embeds.shape[0], 0, embeds.shape[2]))

    def routed(self) -> RoutedPrompts | None:
        """Returns the routed prompts as plain tensors; None for a method without a router."""
        return None

    def peft_layers(self) -> Any:
        """Returns the config under which peft's own layers hold this method; None where it has no such layers."""
        return None


class PromptMethod(Method[Prompt]):
    """A method with virtual tokens before the text: one prompt for all rows, unless `soft_prompt` makes them apart."""

    schema = PromptParams
    size_key = "prompt_length"

    @classmethod
    def check(cls, params: Prompt, geometry: Geometry) -> None:
        limit = geometry.max_positions
        if limit is not None and params.prompt_length >= limit:
            raise ParamsError(
                f"prompt_length: got {params.prompt_length}; allowed: less than {limit}, the positions of the base"
            )

    @property
    def prompt_length(self) -> int:
        return self.params.prompt_length

    def made(self) -> Tensor:
        """Returns the prompt [T, H] that every row gets."""
        raise NotImplementedError

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        return SoftPrompt(self.made().expand(embeds.shape[0], -1, -1))


class TextPrompt(PromptMethod[Prompt]):
    """A prompt made of P [T, H], which starts from the embeddings of the task's text."""

    def __init__(self, params: Prompt, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.prompt = nn.Parameter(torch.zeros(params.prompt_length, geometry.hidden_size))

    def initialise(self, text_embeds: Tensor) -> None:
        self.prompt.data.copy_(fit_length(text_embeds, self.prompt_length))

    def made(self) -> Tensor:
        return self.prompt
