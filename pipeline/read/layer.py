"""The part of one asset that a tile, or several tiles at once, need; and one whole layer on a tile's grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.carry import Carry
from pipeline.read.gather import admit, gather, observe
from pipeline.read.pixelmap import PixelMap, coarseness, pixel_map
from pipeline.read.raster import Raster, attempt
from pipeline.read.resample import pad_px, resample
from pipeline.read.wanted import need_blocks
from pipeline.types import Asset, Grid


@dataclass(frozen=True, eq=False)
class SourceWindow:
    """A window of a source raster that covers what a tile needs of it, still in the source's own grid and dtype."""

    data: NDArray[Any]
    corner: tuple[int, int]
    """(row, column) of the window's first pixel in the source."""
    grid: Grid
    pixels: PixelMap
    nodata: float | None
    note: str | None


@dataclass(frozen=True)
class Target:
    """A part of a tile: its rows and columns [first, last). All parts share the tile's pixel map, so they fit."""

    geobox: GeoBox
    rows: tuple[int, int]
    cols: tuple[int, int]

    @classmethod
    def rows_of(cls, geobox: GeoBox, first: int = 0, last: int | None = None) -> Target:
        """Full rows; all of them by default."""
        return cls(geobox, (first, geobox.shape[0] if last is None else last), (0, geobox.shape[1]))

    @property
    def corner(self) -> tuple[int, int]:
        return self.rows[0], self.cols[0]

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows[1] - self.rows[0], self.cols[1] - self.cols[0]


@dataclass(frozen=True, eq=False)
class Want:
    """What one tile wants of a scene: a rectangle that holds it, and which pixels."""

    target: Target
    mark: Callable[[], tuple[NDArray[np.uint8], int]]
    """→ (plane, bit): the target's rows, all columns of the tile; the bit is set where the pixel is wanted."""

    @property
    def whole_rows(self) -> Target:
        """The target's rows, all columns of the tile."""
        return Target.rows_of(self.target.geobox, *self.target.rows)


@dataclass(frozen=True, eq=False)
class _Reading:
    """One window of one grid that serves every want."""

    window: tuple[slice, slice]
    need: NDArray[np.bool_]
    below: int | None
    maps: tuple[PixelMap | None, ...]


@dataclass(frozen=True, eq=False)
class Wanted:
    """What some tiles want of one scene, worked out once for every grid that its bands have."""

    wants: tuple[Want, ...]
    after: tuple[Target, ...] = ()
    """What will be read after it: blocks that it shares with those are kept."""
    resampling: str = "nearest"
    _known: dict[tuple[Grid, tuple[int, int]], _Reading | None] = field(default_factory=dict)

    def reading(self, raster: Raster) -> _Reading | None:
        """Which pixels and blocks of a raster; None where it has none that is wanted."""
        key = raster.grid, raster.block
        if key not in self._known:
            # Two threads may both work it out: they find the same.
            self._known[key] = self._read_of(raster)
        return self._known[key]

    def _read_of(self, raster: Raster) -> _Reading | None:
        pad = pad_px(self.resampling, raster.grid, self.wants[0].target.geobox)
        maps = [pixel_map(raster.grid, want.target.geobox) for want in self.wants]
        targets = [want.target for want in self.wants]
        found = [pixels.window(one.rows, one.cols, pad) for pixels, one in zip(maps, targets, strict=True)]
        windows = [window for window in found if window is not None]
        if not windows:
            return None
        whole = _hull([window[0] for window in windows]), _hull([window[1] for window in windows])
        parts = [
            need_blocks(pixels, want.whole_rows.corner, want.mark(), whole, raster.block, pad)
            for pixels, want, window in zip(maps, self.wants, found, strict=True)
            if window is not None
        ]
        later = [pixel_map(raster.grid, target.geobox).window(target.rows, target.cols, pad) for target in self.after]
        return _Reading(
            whole,
            np.logical_or.reduce(parts),
            min((window[0].start for window in later if window is not None), default=None),
            tuple(None if window is None else pixels for pixels, window in zip(maps, found, strict=True)),
        )


def _hull(slices: Sequence[slice]) -> slice:
    return slice(min(one.start for one in slices), max(one.stop for one in slices))


def read_wanted(
    asset: Asset, access: Access, item: str, wanted: Wanted, carry: Carry | None = None
) -> tuple[SourceWindow | None, ...]:
    """Source pixels for some tiles at once: each block is read and decoded once, and only where a pixel is wanted.

    One window per want, all of the same pixels; None where the raster has none of them. What no want needs may be 0.
    Where the tile is coarser, of the overview that is still as fine. carry: decoded blocks of what was read before, and
    for what is read next. Raises PermanentAssetError or TransientAssetError.
    """

    def use(raster: Raster) -> tuple[SourceWindow | None, ...]:
        level = fitting(raster, wanted.wants[0].target.geobox)
        reading = wanted.reading(level)
        for number, want in enumerate(wanted.wants):
            if reading is None or reading.maps[number] is None:
                _check_place(raster, want.target, asset, item)
        if reading is None:
            return (None,) * len(wanted.wants)
        data = level.read(*reading.window, need=reading.need, carry=carry, below=reading.below)
        corner = reading.window[0].start, reading.window[1].start
        return tuple(
            None if pixels is None else SourceWindow(data, corner, level.grid, pixels, raster.nodata, raster.note)
            for pixels in reading.maps
        )

    return attempt(asset, access, item, use)


def fitting(raster: Raster, geobox: GeoBox) -> Raster:
    """The coarsest level of a raster that is as fine as a tile, or coarser by less than a percent.

    A pixel of 20 m has a little less in the next UTM zone: both sides of the edge take the same level. Full resolution
    where the file does not say what nodata is: zeros outside of a swath were then mixed into its overviews.
    """
    if not raster.says_nodata:
        return raster
    factor = 1.01 * min(coarseness(raster.grid, str(geobox.crs), geobox.transform[:6]))
    return raster.overview(factor) if 1.5 < factor < math.inf else raster


def _check_place(raster: Raster, target: Target, asset: Asset, item: str) -> None:
    """By the catalogue it lies here, by its own header elsewhere: nobody may believe it was simply empty."""
    if raster.note is not None and pixel_map(raster.grid, target.geobox).window((0, target.geobox.shape[0])) is None:
        raise PermanentAssetError(asset.href, f"not on the tile: {raster.note}", item=item, asset=asset.key)


def read_window(
    asset: Asset, access: Access, item: str, target: Target, pad: int | Callable[[Grid], int] = 0
) -> SourceWindow | None:
    """Source pixels for a part of a tile, at full resolution, grown by `pad`; None where the raster has none of them.

    pad: source pixels, or what tells them from the raster's grid. One read of one window, whole or an error. Raises
    PermanentAssetError or TransientAssetError.
    """

    def use(raster: Raster) -> SourceWindow | None:
        pixels = pixel_map(raster.grid, target.geobox)
        window = pixels.window(target.rows, target.cols, pad(raster.grid) if callable(pad) else pad)
        if window is None:
            _check_place(raster, target, asset, item)
            return None
        corner = window[0].start, window[1].start
        return SourceWindow(raster.read(*window), corner, raster.grid, pixels, raster.nodata, raster.note)

    return attempt(asset, access, item, use)


def read_layer(
    asset: Asset, access: Access, item: str, target: Target, resampling: str = "nearest"
) -> NDArray[np.uint16]:
    """Stored numbers of one asset on a part of a tile, 0 where there is none; nearest is what stackstac reads too.

    uint16 (y, x). The file's nodata becomes 0. Raises PermanentAssetError for a dtype that uint16 cannot hold.
    """
    everything = np.ones((target.shape[0], target.geobox.shape[1]), np.uint8)
    want = Want(target, lambda: (everything, 1))
    (found,) = read_wanted(asset, access, item, Wanted((want,), (), resampling))
    if found is None:
        return np.zeros(target.shape, np.uint16)
    check_integers(found, asset, item)
    return on_tile(replace(found, data=as_uint16(found), nodata=0), target, resampling)


def read_floats(
    asset: Asset, access: Access, item: str, target: Target, resampling: str = "bilinear"
) -> NDArray[np.float32]:
    """Numbers of one asset on a part of a tile, as they are stored: float32 (y, x), NaN where there is none.

    Of a file of any dtype; integers above 2**24 lose digits. Where the tile is coarser, of the overview that is still
    as fine. Raises AssetError.
    """
    everything = np.ones((target.shape[0], target.geobox.shape[1]), np.uint8)
    want = Want(target, lambda: (everything, 1))
    (found,) = read_wanted(asset, access, item, Wanted((want,), (), resampling))
    if found is None:
        return np.full(target.shape, np.nan, np.float32)
    return on_tile(as_float32(found), target, resampling)


def as_float32(found: SourceWindow) -> SourceWindow:
    """The window as float32 with NaN for nodata."""
    data = found.data.astype(np.float32, copy=False)
    if found.nodata is not None and not math.isnan(found.nodata):
        # Compared as a number, not in the file's dtype: there -9999.5 would be -9999, and -9999 a fault in uint8.
        with np.errstate(over="ignore"):
            data = np.where(found.data == found.nodata, np.float32(np.nan), data)
    return replace(found, data=data, nodata=math.nan)


def on_tile(found: SourceWindow, target: Target, resampling: str) -> NDArray[Any]:
    """A window's pixels on a part of the tile, in its own dtype; nodata (0 where there is none) where it has none."""
    nodata = 0 if found.nodata is None else found.nodata
    if resampling != "nearest":
        part = target.rows, target.cols
        return resample(found.data, found.corner, (found.grid, target.geobox), part, resampling, nodata)
    out = np.full(target.shape, nodata, found.data.dtype)
    gather(found.data, found.corner, found.pixels, target.corner, out)
    return out


def place_pixels(found: SourceWindow, want: Want, resampling: str, shift: int, out: NDArray[np.uint16]) -> None:
    """Carry integers to the pixels that are wanted and still 0; nodata and 0 stay away, then `shift` is added.

    out: uint16, the want's rows and all columns of the tile; what is carried stays within 1..65534.
    """
    if resampling == "nearest":
        values = 0 if found.nodata is None else found.nodata, shift
        corners = found.corner, want.whole_rows.corner
        observe(found.data, corners, found.pixels, want.mark(), values, out)
    else:
        # Zero and negative numbers are no observations, so they may not be mixed into one.
        stored = replace(found, data=as_uint16(found), nodata=0)
        admit(on_tile(stored, want.whole_rows, resampling), want.mark(), (0, shift), out)


def check_integers(found: SourceWindow, asset: Asset, item: str) -> None:
    """Refuse what uint16 cannot hold. Raises PermanentAssetError for floating-point files and integers above 65535."""
    data = found.data
    if data.dtype.kind not in "iu" or (data.dtype.itemsize > 2 and data.size and int(data.max()) > 65535):
        raise PermanentAssetError(
            asset.href, f"pixels are {data.dtype}; expected integers within 0..65535", item=item, asset=asset.key
        )


def as_uint16(found: SourceWindow) -> NDArray[np.uint16]:
    """The window as uint16 with nodata as 0; negative numbers, which only signed files hold, become 0 too.

    It has passed `check_integers`.
    """
    data = found.data
    if found.nodata is not None and found.nodata != 0:
        data = np.where(data == found.nodata, 0, data)
    return np.maximum(data, 0).astype(np.uint16) if data.dtype.kind == "i" else data.astype(np.uint16, copy=False)
