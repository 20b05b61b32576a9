"""Windows of pixels around places: one scene at a time, on its own pixels, as numbers that mean something."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.ops.linear import Linear
from pipeline.ops.mask import CLEAR, OUTSIDE
from pipeline.plan.curves import transformer, turned
from pipeline.products._matchups_config import SENSORS, MatchupsConfig
from pipeline.products._optical_config import OpticalConfig
from pipeline.products._optical_sensor import Sensor
from pipeline.products._sources import Masking, codes_on
from pipeline.products._work import Work
from pipeline.read.layer import SourceWindow, Target, as_float32, as_uint16, check_integers, on_tile
from pipeline.read.pixelmap import pixel_map
from pipeline.read.raster import Raster, attempt
from pipeline.types import Asset, Band, Grid, Item

Windows = NDArray[np.float32]
"""(place, y, x), NaN where a pixel does not count."""
Decode = Callable[[SourceWindow, Asset], SourceWindow]
"""(a window of stored numbers, its asset) → physical values, float32 with NaN."""


@dataclass(frozen=True)
class Meaning:
    """How the numbers of a source are read."""

    config: MatchupsConfig
    scenes: tuple[Item, ...]

    @property
    def sensor(self) -> Sensor[Any] | None:
        return None if self.config.sensor is None else SENSORS[self.config.sensor]

    @cached_property
    def optical(self) -> OpticalConfig | None:
        return self.config.optical

    @cached_property
    def masking(self) -> Masking | None:
        """How a scene says which of its pixels are clear; None: all that have a number."""
        if self.sensor is None or not self.config.clear:
            return None
        return self.sensor.masking(self.optical, self.scenes, 1)

    @property
    def assets(self) -> int:
        """How many are read of a scene."""
        return len(self.config.bands) + (0 if self.masking is None else len(self.masking.parts))

    def accept(self, item: Item, band: str) -> None:
        """Raise PermanentAssetError where a band's numbers are not what they are taken for."""
        if self.sensor is not None:
            self.sensor.accept(item, band)

    def decoders(self, item: Item, work: Work) -> Mapping[str, Decode]:
        """By band, what makes values of a scene's stored numbers; a band without one is lost with the cause."""
        sensor, optical = self.sensor, self.optical
        if sensor is None or optical is None:
            return dict.fromkeys(self.config.bands, _declared)
        reading = sensor.read(optical, work.context.access, item, True)  # noqa: FBT003 (the sensor's own function)
        if reading.doubt is not None:
            work.ledger.note(f"{item.id}: {reading.doubt}")
        if reading.error is not None:
            for band in self.config.bands:
                work.ledger.record(item, band, reading.error)
            return {}
        return {band: _sensed(sensor.band(band), linear, item.id) for band, linear in reading.linears.items()}


@dataclass(frozen=True, eq=False)
class Sampled:
    """One scene's windows around some places."""

    scene: Item
    places: NDArray[np.int64]
    """Which of the places lie on it."""
    bands: Mapping[str, Windows]
    """By band; of a band that is lost, nothing but NaN."""


def sample(work: Work, meaning: Meaning, item: Item, places: NDArray[np.float64]) -> Sampled | None:
    """Windows of every band around places (place, 2) in degrees that lie on a scene; None where the scene is lost.

    A window's pixels are those of the first band that can be read; others give what lies nearest to their centres.
    What is lost is in the ledger. Raises MissingAssetsError beyond the policy.
    """
    side = meaning.config.window_px
    found = _first_grid(work, meaning, item)
    if found is None:
        return None
    on_scene, targets = _windows(found, places, side)
    if not targets:
        return Sampled(item, on_scene, {})
    clear = np.ones((len(targets), side, side), np.bool_)
    for part in meaning.masking.parts if meaning.masking is not None else ():
        read = work.ledger.read(item, part.band, _masks(work, meaning, item, part, targets), part.assets)
        if read is None:
            return None
        clear &= read
    decoders = meaning.decoders(item, work)
    bands = {}
    for band in meaning.config.bands:
        values = work.ledger.read(item, band, _values(work, meaning, item, decoders, (band, targets)))
        if values is None:
            values = np.full(clear.shape, np.nan, np.float32)
        bands[band] = np.where(clear, values, np.float32(np.nan))
    return Sampled(item, on_scene, bands)


def _first_grid(work: Work, meaning: Meaning, item: Item) -> Grid | None:
    """The grid of the first band that can be opened, by its own header."""

    def use(asset: Asset) -> Grid:
        return attempt(asset, work.context.access, item.id, lambda raster: raster.grid)

    grids = (work.ledger.read(item, band, use) for band in meaning.config.bands)
    return next((grid for grid in grids if grid is not None), None)


def _windows(grid: Grid, places: NDArray[np.float64], side: int) -> tuple[NDArray[np.int64], list[Target]]:
    """Which places lie on a grid, and a window of its pixels around each of those.

    Longitudes of a grid in degrees may go on beyond 180, as those of oceans often do.
    """
    east, north = transformer(4326, grid.crs).transform(places[:, 0], places[:, 1])
    middle, _ = Affine(*grid.transform) @ (grid.shape[1] / 2, grid.shape[0] / 2)
    with np.errstate(invalid="ignore"):
        east = turned(np.asarray(east), grid.crs, middle)
        columns, rows = ~Affine(*grid.transform) @ (east, np.asarray(north))
        on_grid = (columns >= 0) & (columns < grid.shape[1]) & (rows >= 0) & (rows < grid.shape[0])
    number = np.flatnonzero(on_grid)
    targets = []
    for row, column in zip(rows[number].astype(int), columns[number].astype(int), strict=True):
        corner = Affine(*grid.transform) @ Affine.translation(column - side // 2, row - side // 2)
        targets.append(Target.rows_of(GeoBox((side, side), corner, grid.crs)))
    return number, targets


def _masks(
    work: Work, meaning: Meaning, item: Item, part: Masking, targets: Sequence[Target]
) -> Callable[[Asset], NDArray[np.bool_]]:
    def use(asset: Asset) -> NDArray[np.bool_]:
        meaning.accept(item, part.band)
        codes = np.stack([codes_on(part, asset, work.context.access, item.id, target)[0] for target in targets])
        return np.asarray((codes >= CLEAR) & (codes != OUTSIDE))

    return use


def _values(
    work: Work, meaning: Meaning, item: Item, decoders: Mapping[str, Decode], asked: tuple[str, Sequence[Target]]
) -> Callable[[Asset], Windows]:
    band, targets = asked

    def use(asset: Asset) -> Windows:
        meaning.accept(item, band)
        decode = decoders[band]

        def read(raster: Raster) -> Windows:
            return np.stack([_window(raster, asset, target, decode) for target in targets])

        return attempt(asset, work.context.access, item.id, read)

    return use


def _window(raster: Raster, asset: Asset, target: Target, decode: Decode) -> NDArray[np.float32]:
    """One window of one band, at full resolution, by the nearest pixel."""
    values = _part(raster, asset, target, decode)
    for beyond in _beyond_seam(raster.grid, target):
        values = np.where(np.isnan(values), _part(raster, asset, beyond, decode), values)
    return values


def _beyond_seam(grid: Grid, target: Target) -> Iterator[Target]:
    """The same window a turn further on, where it reaches over the seam of a grid that goes once around the globe."""
    pixel, _, west = grid.transform[:3]
    crs, corner = target.geobox.crs, target.geobox.transform
    if crs is None or not crs.geographic or abs(pixel * grid.shape[1] - 360) > abs(pixel) / 2:
        return
    first = round((corner.c - west) / pixel)
    for turn, over in ((360, first < 0), (-360, first + target.shape[1] > grid.shape[1])):
        if over:
            yield replace(target, geobox=GeoBox(target.geobox.shape, Affine.translation(turn, 0) @ corner, crs))


def _part(raster: Raster, asset: Asset, target: Target, decode: Decode) -> NDArray[np.float32]:
    """What of a window lies on the raster; NaN elsewhere."""
    pixels = pixel_map(raster.grid, target.geobox)
    window = pixels.window(target.rows, target.cols)
    if window is None:
        return np.full(target.shape, np.nan, np.float32)
    corner = window[0].start, window[1].start
    found = SourceWindow(raster.read(*window), corner, raster.grid, pixels, raster.nodata, raster.note)
    values: NDArray[np.float32] = on_tile(decode(found, asset), target, "nearest")
    return values


def _declared(found: SourceWindow, asset: Asset) -> SourceWindow:
    """Stored * scale + offset as the catalogue says, without a sensor's knowledge."""
    window = as_float32(found)
    scale, offset = (1.0 if asset.scale is None else asset.scale), asset.offset or 0.0
    if (scale, offset) == (1.0, 0.0):
        return window
    return replace(window, data=(window.data.astype(np.float64) * scale + offset).astype(np.float32))


def _sensed(band: Band, linear: Linear, item: str) -> Decode:
    """As the sensor's product stores them, and then in its unit."""

    def decode(found: SourceWindow, asset: Asset) -> SourceWindow:
        check_integers(found, asset, item)
        stored = np.ascontiguousarray(as_uint16(found)).copy()
        linear.apply(stored)
        values = stored * np.float64(band.scale) + band.offset
        return replace(found, data=np.where(stored == 0, np.nan, values).astype(np.float32), nodata=np.nan)

    return decode
