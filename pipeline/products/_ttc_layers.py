"""The layers of a tree-cover tile in each of its forms, one after the other, as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.products._ttc_channels import (
    ARD,
    INDEX_BANDS,
    INDICES,
    MODEL,
    OPTICAL,
    RADAR,
    SLOPE,
    DType,
    channel_band,
    stored,
)
from pipeline.products._ttc_year import MONTHS, Inputs, optical_months, radar_months, slope_of
from pipeline.products._work import Work
from pipeline.types import Band

Floats = NDArray[np.float32]
Form = Literal["ard", "months", "model"]

CHANNELS: Mapping[Form, tuple[str, ...]] = {"ard": ARD, "months": MODEL, "model": MODEL}
"""In their order, by form."""
_STEP_MONTHS: Mapping[Form, int] = {"months": 1, "model": 3}
"""Months of a step, of the forms that have steps."""
DAYS_ARE: Mapping[Form, str] = {"ard": "", "months": "first day of a month", "model": "first day of a quarter"}


def layer_names(form: Form) -> tuple[str, ...]:
    """Of the layers of channels."""
    channels = CHANNELS[form]
    return (*channels, *(f"{one}_annual" for one in channels if one != SLOPE)) if form == "model" else channels


@dataclass(frozen=True)
class Layer:
    """One layer of a tile."""

    band: Band
    step: date | None
    """Its first day, where it is one of several in time."""


@dataclass(frozen=True)
class Recipe:
    """What to make of a year."""

    form: Form
    dtype: DType
    smoothing: float
    strip_rows: int

    def steps(self, year: int) -> tuple[date, ...]:
        """The first day of each step in time."""
        months = _STEP_MONTHS.get(self.form)
        return () if months is None else tuple(date(year, month, 1) for month in range(1, MONTHS + 1, months))

    def statistics(self, channel: str, year: int) -> Iterator[tuple[Layer, Callable[[Floats], Floats]]]:
        """Each layer of a channel, and how it is made of the channel's months (12, y, x)."""
        if channel == SLOPE:
            yield self._layer(channel, channel, "of the year", None), lambda months: months[0]
        elif self.form == "ard" and channel in RADAR:
            yield self._layer(channel, channel, "median of 12 months", None), middle
        elif self.form == "ard":
            yield self._layer(channel, channel, "mean of 12 months", None), mean
        else:
            size = _STEP_MONTHS[self.form]
            said = "month" if size == 1 else f"median of {size} months"
            for number, step in enumerate(self.steps(year)):
                part = slice(number * size, (number + 1) * size)
                yield self._layer(channel, channel, said, step), partial(_middle_of, part)
            if self.form == "model":
                yield self._layer(channel, f"{channel}_annual", "median of 12 months", None), middle

    def _layer(self, channel: str, name: str, statistic: str, step: date | None) -> Layer:
        return Layer(channel_band(channel, name, statistic, self.dtype), step)


@dataclass
class Tally:
    """What the item says of a tile, gathered while its layers are made."""

    count: NDArray[np.uint16]
    """(y, x) observations that every band rests on, at least."""
    months: NDArray[np.uint16]
    """(y, x) bits of the months in which every band has one."""
    preview: dict[str, Floats] = field(default_factory=dict)
    """Colours, (y, x)."""
    empty: dict[str, float] = field(default_factory=dict)
    """Channel → share of the tile where it has no number, where there is some."""

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Tally:
        """Before anything is made."""
        return cls(np.full(shape, np.iinfo(np.uint16).max, np.uint16), np.full(shape, 2**MONTHS - 1, np.uint16))


def middle(values: Floats) -> Floats:
    """Median over the first axis, (y, x); of an even number the mean of the two in the middle; NaN with any NaN."""
    ordered = np.sort(values, axis=0)
    low, high = ordered[(len(values) - 1) // 2], ordered[len(values) // 2]
    median: Floats = ((low.astype(np.float64) + high) / 2).astype(np.float32)
    median[np.isnan(ordered[-1])] = np.nan
    return median


def mean(values: Floats) -> Floats:
    """Mean over the first axis, (y, x)."""
    found: Floats = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    return found


def _middle_of(part: slice, values: Floats) -> Floats:
    return middle(values[part])


def layers_of(work: Work, inputs: Inputs, recipe: Recipe, tally: Tally) -> Iterator[tuple[Layer, NDArray[Any]]]:
    """Every layer of the channels, in their order, with its stored numbers (y, x). Fills in the tally."""
    for channel, months in _channels(work, inputs, recipe, tally):
        gone = np.isnan(months).any(axis=0)
        if gone.any():
            tally.empty[channel] = round(float(np.count_nonzero(gone)) / gone.size, 6)
        if channel in {"red", "green", "blue"}:
            tally.preview[channel] = mean(months)
        for layer, made in recipe.statistics(channel, inputs.year):
            yield layer, stored(made(months), channel, recipe.dtype)


def _channels(work: Work, inputs: Inputs, recipe: Recipe, tally: Tally) -> Iterator[tuple[str, Floats]]:
    """(channel, (12, y, x)), or (1, y, x) of the slope, in their order."""
    for channel in OPTICAL:
        found = optical_months(work, inputs, (channel,), recipe.strip_rows, recipe.smoothing)
        np.minimum(tally.count, found.count, out=tally.count)
        tally.months &= found.months
        yield channel, found.channels[channel]
    yield SLOPE, slope_of(work, inputs, recipe.strip_rows)[np.newaxis]
    for channel in RADAR:
        yield channel, radar_months(work, inputs, channel, recipe.strip_rows)
    if {*INDICES} & {*CHANNELS[recipe.form]}:
        yield from optical_months(work, inputs, INDEX_BANDS, recipe.strip_rows, recipe.smoothing).channels.items()
