"""The parameters of every method, as params.yaml must give them (paper, table 9). Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from ptmoe.errors import ParamsError

Count = Annotated[StrictInt, Field(ge=1)]
Real = StrictFloat | StrictInt
NonNegative = Annotated[Real, Field(ge=0)]
Positive = Annotated[Real, Field(gt=0)]
Rank = Count | Literal["auto"]
SvdPadding = Literal["seeded", "none"]
PlainStart = Literal["default", "orthogonal", "zero_bias"]
LearntStart = Literal["datasets", "clusters", "gradients"]


class MethodParams(BaseModel):
    """A block whose keys are all required and no others allowed: params.yaml is the only place of a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class NothingParams(MethodParams):
    """A method without parameters."""


class LoraParams(MethodParams):
    rank: Count
    alpha: Positive
    target_modules: Annotated[list[StrictStr], Field(min_length=1)]


class HydraLoraParams(LoraParams):
    num_experts: Count
    router_bias: StrictBool


class PromptParams(MethodParams):
    prompt_length: Count


class DecomposedPromptParams(PromptParams):
    rank: Rank
    svd_padding: SvdPadding


class ChunkedPromptParams(PromptParams):
    """Several prompts that share the virtual tokens evenly."""

    num_experts: Count

    @model_validator(mode="after")
    def _experts_divide_the_prompt(self) -> Self:
        if self.prompt_length % self.num_experts:
            raise ValueError(
                f"num_experts {self.num_experts} does not divide prompt_length {self.prompt_length}; "
                f"each expert needs the same number of virtual tokens"
            )
        return self


class SmopParams(ChunkedPromptParams):
    router_noise: NonNegative
    router_bias: StrictBool


class AttemptParams(ChunkedPromptParams):
    projection_dim: Count
    temperature: Positive


class PtmoeParams(DecomposedPromptParams):
    num_experts: Count
    selective: StrictBool
    probationary: StrictBool
    router_noise: NonNegative
    router_bias: StrictBool
    router_init: PlainStart
    router_input: Literal["prompt", "question"]
    expert_init_noise: NonNegative


class PtmoeRoutedParams(PtmoeParams):
    router_init: PlainStart | LearntStart  # type: ignore[assignment]
    router_learning_rate: NonNegative
    router_refits: list[Count]
    balance_loss: NonNegative

    @model_validator(mode="after")
    def _a_learnt_start_needs_a_bias(self) -> Self:
        if self.router_init in get_args(LearntStart) and not self.router_bias:
            raise ValueError(f"router_init {self.router_init} needs router_bias true; set it, or choose another start")
        return self


class PtmoeHierarchicalParams(PtmoeRoutedParams):
    num_groups: Count
    router_refits: Annotated[list[Count], Field(max_length=0)]

    @model_validator(mode="after")
    def _groups_divide_the_experts(self) -> Self:
        if self.num_experts % self.num_groups or self.num_experts == self.num_groups:
            raise ValueError(
                f"num_groups {self.num_groups} does not divide num_experts {self.num_experts} into groups of two or "
                f"more; each group needs the same number of experts"
            )
        return self


class ResidualPromptParams(PromptParams):
    bottleneck: Count


class DeptParams(PromptParams):
    rank: Count
    alpha: Positive
    max_length: Count


class SpotParams(PromptParams):
    source: StrictStr


class PeftParams(MethodParams):
    """A configuration block of the peft library: `peft_type` and any key of that type's config class."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())
    peft_type: StrictStr


SCHEMAS: dict[str, type[MethodParams]] = {
    "untuned": NothingParams,
    "ft": NothingParams,
    "lora": LoraParams,
    "hydralora": HydraLoraParams,
    "pt": PromptParams,
    "dpt": DecomposedPromptParams,
    "smop": SmopParams,
    "attempt": AttemptParams,
    "ptmoe": PtmoeParams,
    "ptmoe_routed": PtmoeRoutedParams,
    "ptmoe_hierarchical": PtmoeHierarchicalParams,
    "residual_pt": ResidualPromptParams,
    "dept": DeptParams,
    "spot": SpotParams,
}


def method_params(name: str, block: dict[str, Any]) -> MethodParams:
    """Validates one method's block outside params.yaml, as an adapter or a caller gives it.

    Raises:
        ParamsError: a key is unknown, missing or has a value that is not allowed.
    """
    schema = SCHEMAS.get(name, PeftParams)
    try:
        return schema.model_validate(block)
    except ValidationError as error:
        faults = [
            f"{'.'.join([name, *map(str, fault['loc'])])}: {fault['msg'].removeprefix('Value error, ')}, "
            f"got {fault['input']!r}"
            for fault in error.errors()
        ]
        raise ParamsError("; ".join(faults)) from None
