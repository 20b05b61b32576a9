"""Sentinel-1 GRD: amplitudes in radar geometry, placed by their ground control points, calibrated to power.

Not terrain corrected: a place is that of the ground at the points' heights, so slopes lie elsewhere and shine too much
or too little. What is made of it says so, and products that need terrain-corrected input refuse it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import JobError, PermanentAssetError
from pipeline.ops.calibration import calibrate, flat
from pipeline.products._base import asset_of
from pipeline.products._sentinel1_annotation import Noise, Vectors, parse_calibration, parse_noise
from pipeline.read.access import Access
from pipeline.read.document import KEPT, read_document
from pipeline.read.gcps import GcpGrid
from pipeline.read.layer import Target
from pipeline.read.pixelmap import coarseness, grid_of, pixel_map
from pipeline.read.raster import Raster, attempt
from pipeline.read.resample import pad_px, resample
from pipeline.types import Asset, Item, Json

NOT_TERRAIN_CORRECTED: Final = "groundswell:not_terrain_corrected"
CALIBRATION: Final = "groundswell:calibration"
NOISE_REMOVED: Final = "groundswell:thermal_noise_removed"
UNCALIBRATED: Final = "uncalibrated"
_RTC: Final = re.compile(r"(?i)(?<![a-z])rtc(?![a-z])")
_APART = 0.02
"""By how much an image and its calibration annotation may differ in width."""
ANNOTATIONS_BYTES = KEPT * 400 * 1024
"""What those that are kept take: 30 lines of 650 samples, three tables of them or noise with samples of its own."""
_PART_PX = 1024
"""Scene pixels along the side of what is read and calibrated at once."""

Power = NDArray[np.float32]
Part = tuple[tuple[int, int], tuple[int, int]]
"""Rows and columns [first, last) of a tile."""


@dataclass(frozen=True)
class Calibration:
    """What amplitudes become."""

    backscatter: Literal["gamma0", "sigma0", "beta0"] = "gamma0"
    """Of the ellipsoid, by the annotation's table."""
    remove_noise: bool = True
    """Take the thermal noise off where the item has an annotation of it."""


class Clean(Protocol):
    """What is done to power in radar geometry before it is placed."""

    @property
    def pad_px(self) -> int:
        """Pixels around each that it looks at."""

    def clean(self, power: Power) -> Power:
        """A window with `pad_px` more on each side, or to the scene's edge → the same window."""


@dataclass(frozen=True, eq=False)
class _Tables:
    gain: Vectors | None
    noise: Noise | None


def is_grd(item: Item) -> bool:
    """Whether a catalogue's item is ground range detected: amplitudes that nobody has terrain corrected.

    RTC that was made from GRD says `sar:product_type: GRD` too (the Planetary Computer's does), so names count.
    """
    if _RTC.search(item.id) or _RTC.search(item.collection):
        return False
    said = item.properties.get("sar:product_type")
    return said == "GRD" if isinstance(said, str) else "_GRD" in item.id


def grd_aliases(polarisations: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The annotations of polarisations, beside their bands; items that have none of them are read all the same."""
    return {
        f"{what}-{each}": (f"schema-{what}-{each}", f"{what}-{each}")
        for each in polarisations
        for what in ("calibration", "noise")
    }


def grd_state(items: Sequence[Item], polarisations: Sequence[str], how: Calibration) -> Mapping[str, Json]:
    """Item properties that say what the numbers are. Raises JobError where they are not the same in all scenes.

    A composite of calibrated and of uncalibrated scenes would be neither.
    """
    states: dict[tuple[str, bool], str] = {}
    for item in items:
        for each in polarisations:
            if each in item.assets:
                states.setdefault(_state(item, each, how), f"{item.id} ({each})")
    if len(states) > 1:
        found = "; ".join(
            f"{where} is {name}{' without its noise' if clean else ''}" for (name, clean), where in states.items()
        )
        raise JobError(
            f"scenes of one output are calibrated differently: {found}. Some lack the annotations that others have: "
            f"filter the source, or set remove_noise: false where only the noise's is missing"
        )
    name, clean = next(iter(states), (how.backscatter, how.remove_noise))
    return {NOT_TERRAIN_CORRECTED: True, CALIBRATION: name, NOISE_REMOVED: clean}


def _state(item: Item, polarisation: str, how: Calibration) -> tuple[str, bool]:
    if f"calibration-{polarisation}" not in item.assets:
        return UNCALIBRATED, False
    return how.backscatter, how.remove_noise and f"noise-{polarisation}" in item.assets


def read_grd(
    item: Item, polarisation: str, access: Access, target: Target, how: Calibration, clean: Clean | None = None
) -> Power:
    """Power of one polarisation on a part of a tile: (y, x) float32, linear, NaN where there is none.

    Bilinear in power, always of full resolution: means of amplitudes, as overviews are, are no power's. A part equals
    the same pixels of the whole. Without a calibration annotation: squared amplitudes. Raises AssetError.
    """
    asset = asset_of(item, polarisation)
    tables = _read_tables(item, polarisation, access, how)
    out = np.full(target.shape, np.nan, np.float32)

    def use(raster: Raster) -> Power:
        _check(raster, asset, item, tables)
        for part in _parts(raster, target):
            rows, cols = (
                slice(first - start, last - start) for (first, last), start in zip(part, target.corner, strict=True)
            )
            out[rows, cols] = _place(raster, target, part, tables, clean)
        return out

    return attempt(asset, access, item.id, use, gcps=True)


def _read_tables(item: Item, polarisation: str, access: Access, how: Calibration) -> _Tables:
    """What the item's annotations say. One that it has and nobody can read is an error: nothing goes on without it."""
    name, clean = _state(item, polarisation, how)
    if name == UNCALIBRATED:
        return _Tables(None, None)
    tables = read_document(asset_of(item, f"calibration-{polarisation}"), access, item.id, parse_calibration)
    noise = read_document(asset_of(item, f"noise-{polarisation}"), access, item.id, parse_noise) if clean else None
    return _Tables(tables[name], noise)


def _check(raster: Raster, asset: Asset, item: Item, tables: _Tables) -> None:
    if raster.dtype != np.uint16:
        cause = f"pixels are {raster.dtype}; GRD holds amplitudes as uint16"
        raise PermanentAssetError(asset.href, cause, item=item.id, asset=asset.key)
    if tables.gain is None:
        return
    if not isinstance(raster.grid, GcpGrid):
        cause = "the file has a CRS of its own, so its pixels are not those that the calibration annotation speaks of"
        raise PermanentAssetError(asset.href, cause, item=item.id, asset=asset.key)
    last = np.array([side - 1 for side in raster.grid.shape])
    try:
        _, (sample,) = raster.grid.lattice.original(last[:1], last[1:])
    except ValueError as error:
        raise PermanentAssetError(asset.href, f"cannot be calibrated: {error}", item=item.id, asset=asset.key) from None
    said = float(tables.gain.samples[0][-1])
    if abs(sample - said) > _APART * said:
        cause = f"its calibration annotation reaches to sample {said:.0f}, the image to {sample:.0f}: of another image"
        raise PermanentAssetError(asset.href, cause, item=item.id, asset=asset.key)


def _parts(raster: Raster, target: Target) -> Iterator[Part]:
    """The target in squares that need about `_PART_PX` pixels of the scene along a side: memory stays the same."""
    grid = grid_of(target.geobox)
    longest = max(coarseness(raster.grid, grid.crs, grid.transform))
    step = max(1, int(_PART_PX / max(longest, 1.0))) if math.isfinite(longest) else _PART_PX
    (top, bottom), (left, right) = target.rows, target.cols
    for row in range(top, bottom, step):
        for col in range(left, right, step):
            yield (row, min(row + step, bottom)), (col, min(col + step, right))


def _place(raster: Raster, target: Target, part: Part, tables: _Tables, clean: Clean | None) -> Power | float:
    """Power on a part of the target; NaN where the scene has none of it."""
    grids = raster.grid, target.geobox
    pad = pad_px("bilinear", *grids) + (0 if clean is None else clean.pad_px)
    window = pixel_map(*grids).window(part[0], part[1], pad)
    if window is None:
        return math.nan
    power = _power(raster, window, tables)
    if clean is not None:
        power = clean.clean(power)
    placed: Power = resample(power, (window[0].start, window[1].start), grids, part, "bilinear", None)
    return placed


def _power(raster: Raster, window: tuple[slice, slice], tables: _Tables) -> Power:
    """A window in radar geometry."""
    amplitude = raster.read(*window)
    if tables.gain is None or not isinstance(raster.grid, GcpGrid):
        return calibrate(amplitude, flat(*amplitude.shape), None, raster.nodata)
    rows, cols = (np.arange(side.start, side.stop) for side in window)
    lines, samples = raster.grid.lattice.original(rows, cols)
    noise = None if tables.noise is None else tables.noise.tables(lines, samples)
    return calibrate(amplitude, tables.gain.table(lines, samples), noise, raster.nodata)
