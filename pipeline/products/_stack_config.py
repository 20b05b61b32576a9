"""What may stand in a `stack` entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config import DerivedProduct, WriteConfig
from pipeline.config.values import Name
from pipeline.config.write import ZarrConfig

LayerName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        json_schema_extra={"patternErrorMessage": "the name of a layer, such as red"},
    ),
]


class StackConfig(DerivedProduct):
    """Layers of several products as one aligned data cube."""

    product: Literal["stack"] = Field(description="Layers of several products as one aligned data cube.")
    layers: Mapping[Name, Annotated[tuple[LayerName, ...], Field(min_length=1)]] = Field(
        default={},
        description="Layers to take, by input: {sentinel2: [red, nir]}; nothing: all but count and qa. In the "
        "stack a layer's name begins with its input's: sentinel2_red.",
    )
    dtype: Literal["native", "float32"] = Field(
        default="native",
        description="native: the numbers as each input stores them, with their scale and nodata. float32: physical "
        "values, NaN where there is none.",
    )
    missing_inputs: Literal["fail", "fill"] = Field(
        default="fail",
        description="Where an input has nothing for a tile and period: fail (no stack is made there, and the plan "
        "names it), or fill (its layers are empty; then layers names them and dtype is float32).",
    )
    write: WriteConfig | None = Field(
        default=WriteConfig(zarr=ZarrConfig()),
        description="Formats of the stack; nothing: one Zarr store a tile and period.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> StackConfig:
        if len(set(self.inputs)) != len(self.inputs):
            raise ValueError("allowed: every name once in inputs")
        if unknown := sorted({*self.layers} - {*self.inputs}):
            raise ValueError(f"found {', '.join(unknown)} in layers; allowed: inputs ({', '.join(self.inputs)})")
        if any(len(set(names)) != len(names) for names in self.layers.values()):
            raise ValueError("allowed: every layer once")
        if self.missing_inputs == "fill" and (self.dtype != "float32" or {*self.layers} != {*self.inputs}):
            raise ValueError("allowed: missing_inputs: fill only with dtype: float32 and every input in layers")
        return self
