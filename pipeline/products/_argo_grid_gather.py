"""From committed partitions to statistics in cells: which profiles count, a batch of levels at a time.

Each level gets its conservative temperature, absolute salinity and density first; then profiles are brought to standard
pressures; then to cells. What is held is a batch for each thread, and the statistics of some months.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.ops.argo_grid import Cells, Moments, eastward
from pipeline.ops.argo_layers import heat_content, mixed_layer
from pipeline.ops.seawater import depth_m, seawater
from pipeline.ops.standard_levels import Casts, Numbers, Spots, interpolate, locate, order_casts
from pipeline.products._argo_grid_config import ArgoGridConfig
from pipeline.read.partitions import Partition, read_heads, read_levels
from pipeline.types import Period, Rights

BATCH_LEVELS = 2**18
"""Rows that are read and worked on at once."""
BATCH_BYTES = 60 * 8 * BATCH_LEVELS
"""About what a batch holds: some sixty numbers a level while it is ordered and interpolated."""
DOUBTFUL = (3, 4)
"""Flags of time or position with which a profile is in no cell."""
LEFT_OUT = ("position_bad", "position_missing", "time_bad", "time_missing")
"""Why a profile is in no cell."""
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Chosen:
    """The profiles of one partition that lie in the grid."""

    partition: Partition
    put: tuple[str, int]
    """Fingerprint and generation of what was looked at."""
    columns: frozenset[str]
    number: Integers
    """(profile,): of the partition's profiles, ascending."""
    first: NDArray[np.int64]
    """(profile of the partition + 1,): rows of the levels."""
    cell: NDArray[np.int64]
    wmo: Integers
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    rights: Rights
    left_out: Mapping[str, int]
    """By cause, profiles of the kind that was asked for that are in no cell, wherever they are."""


@dataclass(frozen=True)
class Place:
    """Where and when a grid is."""

    cells: Cells
    outline: str
    """Of the region: WKT in degrees."""
    period: Period

    def cell_of(self, time: NDArray[np.datetime64], latitude: Numbers, longitude: Numbers) -> NDArray[np.int64]:
        """(profile,): as `Cells.of`, and -1 outside of the outline or the period as well."""
        cell = self.cells.of(time, latitude, longitude)
        start, end = (np.datetime64(_naive(moment), "us") for moment in (self.period.start, self.period.end))
        cell = np.where((time >= start) & (time < end), cell, -1)
        some = np.flatnonzero(cell >= 0)
        region = shapely.from_wkt(self.outline)
        shapely.prepare(region)
        east = eastward(longitude[some], region.bounds[0])
        cell[some[~shapely.intersects_xy(region, east, latitude[some])]] = -1
        return cell


def _naive(moment: datetime | None) -> datetime:
    if moment is None:
        raise ValueError("a grid of months needs a period with start and end")
    return moment.astimezone(UTC).replace(tzinfo=None)


def choose(partition: Partition, fingerprint: str, config: ArgoGridConfig, place: Place) -> Chosen:
    """Which profiles of a partition count, and in which cell. Reads one row a profile.

    Raises AssetError, and StoreError where the partition is another than
    planned, since the grid's fingerprint would then tell of inputs that it was not made from.
    """
    heads = read_heads(partition)
    if heads.footer.fingerprint != fingerprint:
        raise StoreError(
            f"{partition.levels}: found fingerprint {heads.footer.fingerprint}, expected {fingerprint} as planned: the "
            "partition was replaced by another run since; run the config again"
        )
    table = heads.table
    wanted = pc.equal(table["kind"], config.kind).to_numpy()
    if config.profiles == "primary":
        wanted = wanted & (table["profile_index"].to_numpy() == 0)
    time = table["time"].cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    latitude, longitude = (_doubles(table, name) for name in ("latitude", "longitude"))
    doubtful = {name: np.isin(_flags(table, name), DOUBTFUL) for name in ("time_qc", "position_qc")}
    cell = place.cell_of(time, latitude, longitude)
    number = np.flatnonzero((cell >= 0) & wanted & ~doubtful["time_qc"] & ~doubtful["position_qc"])
    nowhere, nowhen = ~(np.isfinite(latitude) & np.isfinite(longitude)), np.isnat(time)
    left_out = zip(LEFT_OUT, (doubtful["position_qc"], nowhere, doubtful["time_qc"], nowhen), strict=True)
    return Chosen(
        partition,
        (heads.footer.fingerprint, heads.footer.generation),
        heads.columns,
        number,
        heads.first,
        cell[number],
        table["wmo"].to_numpy()[number],
        latitude[number],
        longitude[number],
        Rights(heads.footer.license, heads.footer.attribution),
        {cause: int(np.count_nonzero(where & wanted)) for cause, where in left_out},
    )


def _doubles(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table[name].to_numpy(), np.float64)


def _flags(table: pa.Table, name: str) -> Integers:
    return np.asarray(pc.fill_null(table[name], -1).to_numpy())


@dataclass(frozen=True)
class Batch:
    """What some profiles give: cell (profile,), and by name (profile, target) numbers."""

    cell: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]


def batches(chosen: Chosen, low: int, high: int) -> Iterator[tuple[Chosen, Integers]]:
    """The profiles with cells from `low` to the one before `high`, in lots of about `BATCH_LEVELS` rows."""
    mine = np.flatnonzero((chosen.cell >= low) & (chosen.cell < high))
    if not len(mine):
        return
    begins, ends = chosen.first[chosen.number[mine]], chosen.first[chosen.number[mine] + 1]
    start = 0
    while start < len(mine):
        stop = max(start + 1, int(np.searchsorted(ends, begins[start] + BATCH_LEVELS, side="right")))
        yield chosen, mine[start:stop]
        start = stop


def measure(chosen: Chosen, mine: Integers, config: ArgoGridConfig) -> Batch:
    """Read the levels of some profiles and make of each what the grid is made of.

    A parameter that the partition does not have gives nothing. Raises AssetError.
    """
    number = chosen.number[mine]
    there = [name for name in config.columns if name in chosen.columns]
    rows = int(chosen.first[number[0]]), int(chosen.first[number[-1] + 1])
    table = read_levels(chosen.partition, there, rows, chosen.put)
    sizes = chosen.first[number + 1] - chosen.first[number]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    picked = np.repeat(chosen.first[number] - rows[0] - first[:-1], sizes) + np.arange(first[-1])
    found = {name: _doubles(table, name)[picked] for name in there}
    none = np.full(int(first[-1]), np.nan)
    pressure = found.get("pres", none)
    quantities = {name: found.get(name, none) for name in config.parameters}
    latitude, longitude = chosen.latitude[mine], chosen.longitude[mine]
    if config.seawater:
        place = (np.repeat(each, sizes) for each in (longitude, latitude))
        water = seawater(pressure, found.get("temp", none), found.get("psal", none), *place)
        quantities["ct"], quantities["sa"] = water.conservative_temperature, water.absolute_salinity
        quantities["sigma0"] = water.sigma0
    casts = {name: order_casts(pressure, values, first) for name, values in quantities.items()}
    values = _at_levels({name: casts[name] for name in config.variables}, config)
    return Batch(chosen.cell[mine], {**values, **_of_the_column(casts, latitude, config)})


def _at_levels(casts: Mapping[str, Casts], config: ArgoGridConfig) -> dict[str, NDArray[np.float64]]:
    """(profile, target) of each quantity; those that have the same levels are looked for once."""
    targets = np.asarray(config.levels_dbar, np.float64)
    found: dict[str, NDArray[np.float64]] = {}
    known: tuple[Casts, Spots] | None = None
    for name, cast in casts.items():
        if known is None or not _alike(known[0], cast):
            known = cast, locate(cast, targets, config.gap)
        found[name] = interpolate(cast, known[1])
    return found


def _alike(one: Casts, other: Casts) -> bool:
    return np.array_equal(one.first, other.first) and np.array_equal(one.pressure, other.pressure)


def _of_the_column(
    casts: Mapping[str, Casts], latitude: NDArray[np.float64], config: ArgoGridConfig
) -> dict[str, NDArray[np.float64]]:
    """One number a profile, (profile, 1)."""
    made = []
    if config.mixed_layer is not None:
        layer = config.mixed_layer
        pressure = mixed_layer(casts["sigma0"], layer.density_kg_m3, layer.reference_dbar, config.gap)
        made.append(depth_m(pressure, latitude))
    made += [heat_content(casts["ct"], top, bottom, latitude, config.gap) for top, bottom in config.heat_content]
    return {name: values[:, None] for name, values in zip(config.columns_of_water, made, strict=True)}


class Sums:
    """Statistics of the cells of some months; only cells that hold a profile take memory."""

    def __init__(self, config: ArgoGridConfig, cells: NDArray[np.int64]) -> None:
        """cells: flat numbers, ascending, each once."""
        self.cells = cells
        self.flat = frozenset(config.columns_of_water)
        """Names of what has one number a profile."""
        levels = len(config.levels_dbar)
        self.moments = {name: Moments.none(len(cells), levels) for name in config.variables}
        self.moments |= {name: Moments.none(len(cells), 1) for name in config.columns_of_water}

    def add(self, batch: Batch) -> None:
        place = np.searchsorted(self.cells, batch.cell)
        for name, values in batch.values.items():
            self.moments[name].add(place, values)


def months_at_once(chosen: Sequence[Chosen], cells: Cells, together: int) -> Iterator[tuple[int, int]]:
    """Runs of months, (first, one after the last), cut where chunks are, with few enough occupied cells to be held.

    together: months of a chunk. No run has more occupied cells than those months have cells at all.
    """
    a_chunk = cells.rows * cells.columns * together
    occupied = np.unique(np.concatenate([np.zeros(0, np.int64), *(one.cell for one in chosen)]))
    counts = np.bincount(occupied // a_chunk, minlength=-(-cells.months // together))
    start, held = 0, 0
    for number, count in enumerate(counts):
        if held + count > a_chunk and number > start:
            yield start * together, number * together
            start, held = number, 0
        held += int(count)
    yield start * together, cells.months
