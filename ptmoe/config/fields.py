"""Types that blocks of params.yaml are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

Count = Annotated[StrictInt, Field(ge=1)]
Amount = Annotated[StrictInt, Field(ge=0)]
Real = Annotated[StrictFloat, Field(allow_inf_nan=False)] | StrictInt
NonNegative = Annotated[Real, Field(ge=0)]
Positive = Annotated[Real, Field(gt=0)]
Percent = Annotated[Real, Field(ge=0, le=100)]
Name = Annotated[StrictStr, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class Block(BaseModel):
    """A block whose keys are all required and no others allowed: params.yaml is the only place of a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
