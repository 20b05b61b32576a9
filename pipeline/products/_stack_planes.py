"""The layers of a stack: which there are, what their numbers are, and how one is put together from its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import JobError
from pipeline.products._layers import QA_EMPTY
from pipeline.products._stack_inputs import BESIDE, InputLayer, absent, decoded
from pipeline.types import Band

Dtype = Literal["native", "float32"]
Read = Callable[[InputLayer, tuple[int, int]], NDArray[Any] | None]
"""Stored numbers of some rows of a layer; None where they are lost."""


@dataclass(frozen=True)
class Plane:
    """One layer (y, x) of a stack."""

    band: Band
    step: date | None
    """Along time; None: without a time axis."""
    layers: tuple[InputLayer, ...]
    """What it is copied from: where the first has no number, the next one's. None at all: empty."""

    @property
    def measures(self) -> bool:
        """Whether it can be seen where its input has a number."""
        return any(layer.band.nodata is not None for layer in self.layers)

    @property
    def empty(self) -> float:
        """What its pixels are where there is no input."""
        if self.band.nodata is not None:
            return self.band.nodata
        return QA_EMPTY if self.band.flags and self.band.name.endswith("_qa") else 0

    def fill(self, out: NDArray[Any], rows: tuple[int, int], read: Read) -> None:
        """Put its stored numbers into some rows, (row, x) of its dtype."""
        out[...] = self.empty
        missing = np.ones(out.shape, np.bool_)
        for layer in self.layers:
            stored = read(layer, rows)
            if stored is not None:
                values = stored if _numbers(self.band) == _numbers(layer.band) else decoded(stored, layer.band)
                np.copyto(out, values, where=missing)
                missing &= absent(out, self.band.nodata)


@dataclass(frozen=True)
class Cube:
    """What a stack of a tile and period holds."""

    planes: tuple[Plane, ...]
    """Bands in order; of each, every step."""
    steps: tuple[date, ...]
    """Along time, ascending: of all bands that have steps."""
    missing: tuple[str, ...]
    """Inputs that are not there."""


def plan_cube(
    layers: Sequence[InputLayer], wanted: Mapping[str, Sequence[str]], inputs: Sequence[str], dtype: Dtype
) -> Cube:
    """The layers of a stack, inputs in order.

    wanted: input -> its layers; of one that is not named all but `count` and `qa`. What all inputs have along time is
    one axis: a band is empty at a step that its own input does not have. An input that is not there is empty in every
    layer that is wanted of it, along time if any other is. Raises JobError for a layer that an input does not have, for
    one whose numbers mean different things at two steps, and for two of one name.
    """
    steps = tuple(sorted({layer.step for layer in layers if layer.step is not None}))
    planes: list[Plane] = []
    of_product: dict[str, str] = {}
    for product in inputs:
        mine = [layer for layer in layers if layer.made_by.product == product]
        there = list(dict.fromkeys(layer.band.name for layer in mine))
        names = wanted.get(product, [name for name in there if name not in BESIDE])
        if mine and (unknown := [name for name in names if name not in there]):
            raise JobError(f"layers: {product} has no {', '.join(unknown)}; it has {', '.join(there)}")
        for name in names:
            same = [layer for layer in mine if layer.band.name == name]
            band = _band(same, dtype) if same else _absent_band(product, name)
            if (other := of_product.setdefault(band.name, product)) != product:
                raise JobError(f"{band.name}: found it in {other} and {product}; give one of them another `name`")
            at: list[date | None] = list(steps) if not same or same[0].step is not None else []
            planes += [Plane(band, step, tuple(layer for layer in same if layer.step == step)) for step in at or [None]]
    used = {plane.step for plane in planes if plane.step is not None}
    missing = tuple(name for name in inputs if name not in {layer.made_by.product for layer in layers})
    return Cube(tuple(planes), steps if used else (), missing)


def _band(layers: Sequence[InputLayer], dtype: Dtype) -> Band:
    """What readers need to know of a band of the stack: that of its input, under a name of its own."""
    first = layers[0]
    numbers = {_numbers(one.band) for one in layers}
    if dtype == "native" and len(numbers) > 1:
        raise JobError(
            f"{first.name}: (dtype, nodata, scale, offset) is {' and '.join(sorted(map(str, numbers)))} at different "
            "steps; make the older ones again with --overwrite, or choose dtype: float32"
        )
    made_by = sorted({f"{one.made_by.job_id} {one.made_by.fingerprint}" for one in layers})
    band = replace(first.band, name=first.name, source="; ".join(made_by))
    if dtype == "native":
        return band
    return replace(band, dtype="float32", nodata=math.nan, scale=1.0, offset=0.0, flags=())


def _numbers(band: Band) -> tuple[str, ...]:
    """What its stored numbers mean; as text, in which NaN equals itself."""
    return band.dtype, str(band.nodata), str(band.scale), str(band.offset)


def _absent_band(product: str, name: str) -> Band:
    return Band(f"{product}_{name}", "float32", math.nan, description=f"Empty: there was no {product} to take it from")
