"""A year of a tree-cover tile: twelve months of every channel, from committed layers of the same grid.

Optical: reflectances within 0..1, on the line between the observations before and after on days 0, 15 … 345 of the
year (1 January is day 1), smoothed by Whittaker, two days a month. Radar: of each month the composite nearest in time
that has a number. A pixel depends on its own series alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import numpy as np
from numpy.typing import NDArray

from pipeline.config import DerivedProduct
from pipeline.errors import JobError
from pipeline.ops.series import regrid
from pipeline.ops.whittaker import whittaker
from pipeline.products._stack_inputs import InputLayer, decoded, input_layers, read_rows
from pipeline.products._ttc_channels import FROM_SLOPE, INDICES, OPTICAL, RADAR, radar_scaled, slope_scaled
from pipeline.products._work import Work, in_order
from pipeline.types import Job

Floats = NDArray[np.float32]
MONTHS = 12
STEPS = np.arange(0, 360, 15)
"""Days of the even grid, two a month."""


@dataclass(frozen=True)
class Inputs:
    """The committed layers that a year is made of."""

    year: int
    optical: Mapping[str, tuple[InputLayer, ...]]
    """Band → layers by day, ascending."""
    radar: Mapping[str, tuple[InputLayer, ...]]
    """Polarisation → composites by time, ascending."""
    slope: InputLayer

    @property
    def days(self) -> tuple[date, ...]:
        """Every day with an image."""
        return tuple(sorted({_day_of(layer) for layers in self.optical.values() for layer in layers}))

    @property
    def layers(self) -> Iterator[InputLayer]:
        """All of them."""
        for some in (*self.optical.values(), *self.radar.values(), (self.slope,)):
            yield from some


def find_inputs(job: Job, config: DerivedProduct) -> Inputs:
    """The layers of a job's inputs by what they are. Raises JobError naming what is missing or of another kind."""
    start, end = job.period.start, job.period.end
    if start is None or (start, end) != (
        datetime(start.year, 1, 1, tzinfo=UTC),
        datetime(start.year + 1, 1, 1, tzinfo=UTC),
    ):
        raise JobError(f"{job.id}: made of calendar years, found {start} to {end}; set its period to whole years")
    found: dict[tuple[str, str], list[InputLayer]] = defaultdict(list)
    for layer in input_layers(job, config):
        found[layer.made_by.kind, layer.band.name].append(layer)

    def of(kind: str, name: str, hint: str) -> tuple[InputLayer, ...]:
        layers = found[kind, name]
        if not layers:
            raise JobError(f"{job.id}: none of its inputs of kind {kind} has a layer {name}; {hint}")
        return tuple(sorted(layers, key=_time_of))

    inputs = Inputs(
        start.year,
        {band: of("sentinel2", band, "add it to the entry's `bands`") for band in OPTICAL},
        {
            name: of("sentinel1", name, "the entry needs polarisations vv and vh and `orbits: together`")
            for name in RADAR
        },
        of("dem", FROM_SLOPE, "add it to the entry's `layers`")[0],
    )
    for layer in inputs.radar["vv"]:
        _check_radar(layer, job)
    return inputs


def _check_radar(layer: InputLayer, job: Job) -> None:
    said = layer.item.properties
    if said.get("groundswell:radar_scale", "power") != "power":
        raise JobError(f"{job.id}: {layer.made_by.job_id} is in decibels; make it with `scale: power`")


@dataclass(frozen=True)
class Months:
    """Twelve months of some channels, (12, y, x) each; and of their observations, (y, x) each."""

    channels: Mapping[str, Floats]
    count: NDArray[np.uint16]
    """How many there are."""
    months: NDArray[np.uint16]
    """Bit n: there is one in month n + 1 of the year itself."""


def optical_months(work: Work, inputs: Inputs, bands: Sequence[str], strip_rows: int, smoothing: float) -> Months:
    """The months of one band, or of all indices for the bands that these are made of.

    A layer that cannot be read is lost to the whole tile, wherever strips begin. Raises MissingAssetsError.
    """
    shape = work.geobox.shape.yx
    names = bands if len(bands) == 1 else tuple(INDICES)
    made = Months(
        {name: np.empty((MONTHS, *shape), np.float32) for name in names},
        np.zeros(shape, np.uint16),
        np.zeros(shape, np.uint16),
    )
    for rows in _until_sound(work, shape[0], strip_rows, [layer for band in bands for layer in inputs.optical[band]]):
        _fill(made, inputs.year, *_read_stacks(work, inputs, bands, rows), slice(*rows), smoothing)
    return made


def _fill(
    made: Months, year: int, days: Sequence[date], stacks: Mapping[str, Floats], rows: slice, smoothing: float
) -> None:
    """A strip of the months; nothing that it needs outlives it."""
    numbers = np.array([(day - date(year - 1, 12, 31)).days for day in days], np.int64)
    for name, values in stacks.items() if len(stacks) == 1 else _indices(stacks):
        made.channels[name][:, rows] = months_of(values, numbers, smoothing)
    there = np.logical_and.reduce([~np.isnan(values) for values in stacks.values()])
    made.count[rows] = there.sum(axis=0, dtype=np.uint16)
    made.months[rows] = 0
    for day, seen in zip(days, there, strict=True):
        if day.year == year:
            made.months[rows] |= np.multiply(seen, np.uint16(1 << (day.month - 1)), dtype=np.uint16)


def months_of(series: Floats, days: NDArray[np.int64], smoothing: float) -> Floats:
    """(12, y, x) of observations (time, y, x) on days of the year: made even, made smooth, and two steps a month."""
    even = regrid(series, days, STEPS)
    smooth = np.empty_like(even)
    whittaker(even, smoothing, smooth)
    del even
    months: Floats = smooth.reshape(MONTHS, -1, *series.shape[1:]).mean(axis=1, dtype=np.float64).astype(np.float32)
    return months


def radar_months(work: Work, inputs: Inputs, name: str, strip_rows: int) -> Floats:
    """(12, y, x) of a polarisation, scaled: each month from the composite nearest to its middle that has a number."""
    layers = inputs.radar[name]
    made = np.empty((MONTHS, *work.geobox.shape.yx), np.float32)
    for rows in _until_sound(work, made.shape[1], strip_rows, layers):
        windows = [None if power is None else radar_scaled(power) for power in _read(work, layers, rows)]
        for month in range(MONTHS):
            middle = datetime(inputs.year, month + 1, 15, tzinfo=UTC)
            order = sorted(range(len(layers)), key=lambda at: (abs(_time_of(layers[at]) - middle), at))
            part = made[month, slice(*rows)]
            part[:] = np.nan
            for window in (windows[at] for at in order):
                if window is not None:
                    np.copyto(part, window, where=np.isnan(part))
    return made


def slope_of(work: Work, inputs: Inputs, strip_rows: int) -> Floats:
    """(y, x) slope, scaled."""
    made = np.full(work.geobox.shape.yx, np.nan, np.float32)
    for rows in _until_sound(work, made.shape[0], strip_rows, [inputs.slope]):
        (degrees,) = _read(work, [inputs.slope], rows)
        made[slice(*rows)] = np.nan if degrees is None else slope_scaled(degrees)
    return made


def _indices(stacks: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
    for name, formula in INDICES.items():
        with np.errstate(all="ignore"):
            values = formula(stacks)
        values[~np.isfinite(values)] = np.nan
        yield name, values


def _until_sound(work: Work, height: int, strip_rows: int, layers: Sequence[InputLayer]) -> Iterator[tuple[int, int]]:
    """Every strip of a tile; all of them again where one of these layers was lost on the way."""
    lost = -1
    while lost != (now := sum(work.ledger.lost(layer.item, layer.key) for layer in layers)):
        lost = now
        for first in range(0, height, strip_rows):
            yield first, min(first + strip_rows, height)
    if lost:
        work.lost[...] = True
        work.ledger.check()


def _read_stacks(
    work: Work, inputs: Inputs, bands: Sequence[str], rows: tuple[int, int]
) -> tuple[list[date], dict[str, Floats]]:
    """Days, and of each band reflectances (time, y, x) within 0..1, NaN where there is none."""
    layers = [layer for band in bands for layer in inputs.optical[band]]
    days = sorted({_day_of(layer) for layer in layers})
    place = {day: number for number, day in enumerate(days)}
    shape = (len(days), rows[1] - rows[0], work.geobox.shape[1])
    stacks = {band: np.full(shape, np.nan, np.float32) for band in bands}
    for layer, values in zip(layers, _read(work, layers, rows), strict=True):
        if values is not None:
            part = stacks[layer.band.name][place[_day_of(layer)]]
            np.copyto(part, np.clip(values, 0, 1), where=np.isnan(part))
    return days, stacks


def _read(work: Work, layers: Sequence[InputLayer], rows: tuple[int, int]) -> Iterator[Floats | None]:
    """Physical values (y, x) of some rows of each layer; None for one that is lost."""

    def read(layer: InputLayer) -> Floats | None:
        def use(_asset: object) -> Floats:
            return decoded(read_rows(layer, work.context.access, work.geobox, rows), layer.band)

        return work.ledger.read(layer.item, layer.key, use)

    return in_order(work, read, layers)


def _time_of(layer: InputLayer) -> datetime:
    """The middle of what a layer stands for."""
    if layer.key in layer.item.days:
        return datetime.combine(layer.item.days[layer.key], time(12), UTC)
    start, end = layer.made_by.period.start, layer.made_by.period.end
    return layer.item.time if start is None or end is None else start + (end - start) / 2


def _day_of(layer: InputLayer) -> date:
    return _time_of(layer).date()
