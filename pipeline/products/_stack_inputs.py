"""The layers of the products that a job is made from: which there are, where along time they stand, their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS

from pipeline.config import DerivedProduct
from pipeline.errors import ConfigError, JobError, MisalignedError
from pipeline.plan.entries import ProductPlan
from pipeline.products._sentinel1_grd import NOT_TERRAIN_CORRECTED
from pipeline.products._upstream import CommittedItem
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_window
from pipeline.types import Band, Grid, Job, Json, Period, Upstream

BESIDE = frozenset({"count", "qa"})
"""Layers that every product writes beside its own."""
READ_ROWS = 512
"""Rows that are read at once: a row of blocks of the files that products write."""
READS = 4
"""Reads at once."""
READ_BYTES = 24
"""What a pixel that is read takes meanwhile: stored, decoded in double precision, and as it is kept."""


@dataclass(frozen=True)
class InputLayer:
    """One committed layer (y, x) that a job may be made from."""

    made_by: Upstream
    item: CommittedItem
    key: str
    """Of its asset: the band's name, of a series with the day behind it."""
    band: Band
    step: date | None
    """Where it stands along time; None: for all of the job's period."""

    @property
    def name(self) -> str:
        """Of the band among those of all inputs: `sentinel2_red`."""
        return f"{self.made_by.product}_{self.band.name}"


def refuse_ground_range(config: DerivedProduct, upstream: Mapping[str, ProductPlan]) -> None:
    """Raise ConfigError where an input is known to be radar without terrain correction, unless that is allowed."""
    for name in () if config.allow_not_terrain_corrected else config.inputs:
        if name in upstream and (upstream[name].kind, upstream[name].parameters.get("kind")) == ("sentinel1", "grd"):
            raise ConfigError(
                f"{config.name}: its input {name} is of ground range scenes, not terrain corrected; take RTC scenes, "
                f"made by groundswell rtc for instance, or say allow_not_terrain_corrected: true in {config.name}"
            )


def terrain(job: Job) -> dict[str, Json]:
    """What an item says of radar among its inputs that is not terrain corrected."""
    return {NOT_TERRAIN_CORRECTED: True} if any(NOT_TERRAIN_CORRECTED in one.properties for one in job.items) else {}


def input_layers(job: Job, config: DerivedProduct) -> list[InputLayer]:
    """Every layer of a job's committed inputs, in the order that the entry has them, then of time.

    A layer has a step along time where it is of a day of a series, or of a period that does not hold all of the job's:
    the months of a year have one, the year of a month has none. That depends on the config alone, never on which
    months there are. Raises MisalignedError for a layer that is not on the job's own grid, and JobError for radar that
    is not terrain corrected where the entry does not allow that.
    """
    found = []
    for made_by, item in zip(job.upstream, job.items, strict=True):
        if not isinstance(item, CommittedItem):
            raise TypeError(f"{job.id}: expected committed items, found {type(item).__name__} {item.id}")
        if NOT_TERRAIN_CORRECTED in item.properties and not config.allow_not_terrain_corrected:
            raise JobError(
                f"{job.id}: {made_by.job_id} is radar that is not terrain corrected; make it of RTC scenes, or say "
                f"allow_not_terrain_corrected: true in {config.name}"
            )
        whole = _holds(made_by.period, job.period)
        start = None if made_by.period.start is None or whole else made_by.period.start.date()
        for key, band in item.bands.items():
            check_grid(item.assets[key].grid, job.tile.geobox, f"{made_by.job_id}, layer {key}")
            found.append(InputLayer(made_by, item, key, band, item.days.get(key, start)))
    place = {name: number for number, name in enumerate(config.inputs)}
    return sorted(found, key=lambda layer: (place[layer.made_by.product], layer.step or date.min))


def read_rows(layer: InputLayer, access: Access, geobox: GeoBox, rows: tuple[int, int]) -> NDArray[Any]:
    """Stored numbers of some rows, in the layer's dtype. Raises AssetError, and MisalignedError for another grid."""
    asset = layer.item.assets[layer.key]
    found = read_window(asset, access, layer.item.id, Target.rows_of(geobox, *rows))
    where = f"{layer.made_by.job_id}, layer {layer.key}, {asset.href}"
    check_grid(None if found is None else found.grid, geobox, where)
    expected = (rows[1] - rows[0], geobox.shape[1]), np.dtype(layer.band.dtype)
    if found is None or (found.data.shape, found.data.dtype) != expected:
        shown = None if found is None else (found.data.shape, found.data.dtype)
        raise MisalignedError(f"{where}, rows {rows}: found {shown}, expected {expected} as its item says")
    return found.data


def check_grid(grid: Grid | None, geobox: GeoBox, what: str) -> None:
    """Raise MisalignedError unless a grid is the tile's own, to the last bit."""
    if grid is not None:
        same = grid.shape == geobox.shape.yx and tuple(grid.transform) == tuple(map(float, geobox.transform[:6]))
        if same and _same_crs(grid.crs, str(geobox.crs)):
            return
    found = "no grid" if grid is None else f"{grid.crs} {grid.transform} {grid.shape}"
    expected = f"{geobox.crs} {tuple(geobox.transform[:6])} {geobox.shape.yx}"
    raise MisalignedError(
        f"{what}: found {found}, expected the tile's own grid {expected}; make it again with --overwrite"
    )


def decoded(stored: NDArray[Any], band: Band) -> NDArray[np.float32]:
    """Physical values, float32 (y, x) with NaN where there is none."""
    return linear(stored, band.scale, band.offset, band.nodata)


def linear(stored: NDArray[Any], scale: float, offset: float, nodata: float | None) -> NDArray[np.float32]:
    """Stored * scale + offset, worked out in double precision and rounded once; NaN for nodata."""
    values = (stored.astype(np.float64) * scale + offset).astype(np.float32)
    values[absent(stored, nodata)] = np.nan
    return values


def absent(stored: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Where there is no number: nodata, and NaN whatever nodata is."""
    none = np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, np.bool_)
    if nodata is not None and not math.isnan(nodata):
        none |= stored == nodata
    return none


def strips_of(height: int) -> Iterator[tuple[int, int]]:
    """(first, last) row of every strip of a tile."""
    for first in range(0, height, READ_ROWS):
        yield first, min(first + READ_ROWS, height)


def _holds(period: Period, other: Period) -> bool:
    """Whether a period lasts all of another one; what has no time always does."""
    if period.id == other.id or period.start is None or period.end is None:
        return True
    return other.start is not None and other.end is not None and period.start <= other.start and other.end <= period.end


@lru_cache(maxsize=64)
def _same_crs(one: str, other: str) -> bool:
    return one == other or CRS.from_user_input(one) == CRS.from_user_input(other)
