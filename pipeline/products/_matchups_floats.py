"""The committed profiles that scenes are looked for: where, when, and the water at their surface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.ops.matchups import surface_means
from pipeline.products._matchups_config import MatchupsConfig
from pipeline.read.access import Access
from pipeline.read.partitions import HEADS, Heads, Partition, read_heads, read_levels
from pipeline.types import Item, Period, Rights

DOUBTFUL = (3, 4)
"""Flags of a time or position that no scene is looked for at."""
_RUN_ROWS = 2**18
"""Rows of levels that are read at once."""


@dataclass(frozen=True, eq=False)
class Floats:
    """Profiles of a region and period."""

    table: pa.Table
    """One row a profile: `HEADS`, and of each parameter `<p>` and `<p>_levels`."""
    left_out: Mapping[str, int]
    """Profiles that cannot be matched, by cause."""
    rights: tuple[Rights, ...]

    @cached_property
    def times(self) -> NDArray[np.datetime64]:
        return _times(self.table)

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """(profile, 2): longitude and latitude."""
        return np.column_stack([self.table[name].to_numpy() for name in ("longitude", "latitude")])


def read_floats(inputs: Iterable[Item], config: MatchupsConfig, access: Access, outline: str, period: Period) -> Floats:
    """The profiles of some partitions that lie in a region and period, and the means of their surface.

    inputs: one a partition, `updated` is the fingerprint that was planned. outline: WKT in degrees. Raises AssetError,
    and StoreError where a partition is another than planned: the fingerprint of the match-ups would then be wrong.
    """
    tables, left_out, rights = [], Counter[str](), {}
    for item in inputs:
        partition = Partition(item.assets["levels"].href, access)
        heads = read_heads(partition)
        footer = heads.footer
        if footer.fingerprint != item.updated:
            raise StoreError(
                f"{partition.levels}: found fingerprint {footer.fingerprint}, expected {item.updated} as planned: the "
                "partition was replaced by another run since; run the config again"
            )
        chosen = _choose(heads.table, config, outline, period, left_out)
        if len(chosen):
            tables.append(_with_surface(partition, heads, chosen, config.surface_dbar))
            rights[footer.license, footer.attribution] = Rights(footer.license, footer.attribution)
    whole = pa.concat_tables(tables, promote_options="default") if tables else _none()
    return Floats(whole.combine_chunks(), dict(left_out), tuple(rights[key] for key in sorted(rights)))


def _none() -> pa.Table:
    """No profile at all."""
    words = ("direction", "kind", "data_mode", "file")
    columns = {name: pa.array([], pa.string() if name in words else pa.float64()) for name in HEADS}
    columns["time"] = pa.array([], pa.timestamp("us", tz="UTC"))
    return pa.table(columns)


def _times(table: pa.Table) -> NDArray[np.datetime64]:
    return np.asarray(table["time"].cast(pa.timestamp("us")).to_numpy(), "datetime64[us]")


def _choose(
    table: pa.Table, config: MatchupsConfig, outline: str, period: Period, left_out: Counter[str]
) -> NDArray[np.int64]:
    """Numbers of the profiles that are asked for; how many have no sound time or place is added to `left_out`."""
    wanted = np.ones(len(table), np.bool_)
    if config.kinds:
        wanted = pc.is_in(table["kind"].cast(pa.string()), pa.array(config.kinds)).to_numpy()
    times = _times(table)
    longitude, latitude = (np.asarray(table[name].to_numpy(), np.float64) for name in ("longitude", "latitude"))
    faults = {
        "time missing": np.isnat(times),
        "time flagged bad": _flagged(table, "time_qc"),
        "position missing": ~(np.isfinite(longitude) & np.isfinite(latitude)),
        "position flagged bad": _flagged(table, "position_qc"),
    }
    region = shapely.from_wkt(outline)
    shapely.prepare(region)
    west = region.bounds[0]
    inside = shapely.intersects_xy(region, west + np.mod(longitude - west, 360.0), latitude)
    within = wanted & (np.isnat(times) | _during(times, period)) & (inside | faults["position missing"])
    for cause, where in faults.items():
        left_out[cause] += int(np.count_nonzero(within & where))
        within &= ~where
    return np.flatnonzero(within)


def _flagged(table: pa.Table, name: str) -> NDArray[np.bool_]:
    return np.isin(pc.fill_null(table[name], -1).to_numpy(), DOUBTFUL)


def _during(times: NDArray[np.datetime64], period: Period) -> NDArray[np.bool_]:
    within = np.ones(len(times), np.bool_)
    if period.start is not None:
        within &= times >= np.datetime64(period.start.replace(tzinfo=None), "us")
    if period.end is not None:
        within &= times < np.datetime64(period.end.replace(tzinfo=None), "us")
    return within


def _with_surface(partition: Partition, heads: Heads, number: NDArray[np.int64], limit_dbar: float) -> pa.Table:
    """Heads of some profiles with the means of their best values near the surface."""
    names = [name.lower() for name in heads.footer.parameters if name != "PRES"]
    names = [name for name in names if name in heads.columns]
    table = heads.table.select(HEADS).take(number)
    parts = [_surface(partition, heads, part, (names, limit_dbar)) for part in _runs(heads.first, number)]
    for name in names:
        means, counts = (np.concatenate([part[name][column] for part in parts]) for column in (0, 1))
        table = table.append_column(name, pa.array(means, pa.float32(), from_pandas=True))
        table = table.append_column(f"{name}_levels", pa.array(counts, pa.int32()))
    return table


def _runs(first: NDArray[np.int64], number: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
    """The profiles in lots whose levels lie within about `_RUN_ROWS` rows."""
    start = 0
    while start < len(number):
        end = int(np.searchsorted(first[number + 1], first[number[start]] + _RUN_ROWS, side="right"))
        stop = max(start + 1, end)
        yield number[start:stop]
        start = stop


def _surface(
    partition: Partition, heads: Heads, number: NDArray[np.int64], asked: tuple[Sequence[str], float]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int32]]]:
    names, limit_dbar = asked
    rows = int(heads.first[number[0]]), int(heads.first[number[-1] + 1])
    put = heads.footer.fingerprint, heads.footer.generation
    table = read_levels(partition, ["pres", *names], rows, put)
    first = heads.first[number[0] : number[-1] + 2] - rows[0]
    mine = number - number[0]
    pressure, *columns = (np.asarray(table[name].to_numpy(), np.float64) for name in ("pres", *names))
    found = {}
    for name, values in zip(names, columns, strict=True):
        mean, count = surface_means(pressure, values, first, limit_dbar)
        found[name] = (mean[mine], count[mine])
    return found
