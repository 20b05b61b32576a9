"""The part of one asset that a tile needs, and one whole layer on the tile's grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.gather import gather
from pipeline.read.pixelmap import PixelMap, pixel_map
from pipeline.read.raster import Raster, attempt
from pipeline.types import Asset


@dataclass(frozen=True, eq=False)
class SourceWindow:
    """A window of a source raster that covers what a tile needs of it, still in the source's own grid and dtype."""

    data: NDArray[Any]
    corner: tuple[int, int]
    """(row, column) of the window's first pixel in the source."""
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


def read_window(asset: Asset, access: Access, item: str, target: Target, pad: int = 0) -> SourceWindow | None:
    """Source pixels for a part of a tile, grown by `pad` source pixels; None where the raster has none of them.

    One read of one window, whole or an error. Raises PermanentAssetError or TransientAssetError.
    """

    def use(raster: Raster) -> SourceWindow | None:
        pixels = pixel_map(raster.grid, target.geobox)
        window = pixels.window(target.rows, target.cols, pad)
        if window is None:
            if raster.note is not None and pixels.window((0, target.geobox.shape[0])) is None:
                # By the catalogue it lies here, by its own header elsewhere: nobody may believe it was simply empty.
                raise PermanentAssetError(asset.href, f"not on the tile: {raster.note}", item=item, asset=asset.key)
            return None
        data = raster.read(*window)
        return SourceWindow(data, (window[0].start, window[1].start), pixels, raster.nodata, raster.note)

    return attempt(asset, access, item, use)


def read_layer(asset: Asset, access: Access, item: str, target: Target) -> NDArray[np.uint16]:
    """Stored numbers of one asset on a part of a tile, nearest, 0 where there is none: what stackstac reads too.

    uint16 (y, x). The file's nodata becomes 0. Raises PermanentAssetError for a dtype that uint16 cannot hold.
    """
    out = np.zeros(target.shape, np.uint16)
    found = read_window(asset, access, item, target)
    if found is None:
        return out
    gather(as_uint16(found, asset, item), found.corner, found.pixels, target.corner, out)
    return out


def check_integers(found: SourceWindow, asset: Asset, item: str) -> None:
    """Refuse what uint16 cannot hold. Raises PermanentAssetError for floating-point files and integers above 65535."""
    data = found.data
    if data.dtype.kind not in "iu" or (data.dtype.itemsize > 2 and data.size and int(data.max()) > 65535):
        raise PermanentAssetError(
            asset.href, f"pixels are {data.dtype}; expected integers within 0..65535", item=item, asset=asset.key
        )


def as_uint16(found: SourceWindow, asset: Asset, item: str) -> NDArray[np.uint16]:
    """The window as uint16 with nodata as 0; negative numbers, which only signed files hold, become 0 too.

    Raises PermanentAssetError as `check_integers` does.
    """
    check_integers(found, asset, item)
    data = found.data
    if found.nodata is not None and found.nodata != 0:
        data = np.where(data == found.nodata, 0, data)
    return np.maximum(data, 0).astype(np.uint16) if data.dtype.kind == "i" else data.astype(np.uint16, copy=False)
