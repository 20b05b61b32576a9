"""The fast reader: GeoTIFF in the layouts and codecs that scenes use, decoded straight into the window.

It reads what GDAL would read, to the bit, or leaves the file to it (`Unsupported`, with the reason).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.read import coarse, codecs, tiff
from pipeline.read.access import Access
from pipeline.read.blocks import Window
from pipeline.read.carry import Carry
from pipeline.read.fetch import ByteSource, Unsupported, Version, open_source
from pipeline.read.gdal import GdalRaster
from pipeline.read.place import check_size, check_window, coarse_shape, contradiction, scaled
from pipeline.types import Asset, Grid

_SIDECARS = (".aux.xml", ".AUX.XML", ".aux", ".ovr", ".OVR", ".msk", ".MSK")
_REMEMBERED, _REMEMBERED_BYTES = 2048, 16 * 2**20
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Memory(Generic[K, V]):
    """What this process knows of files, the latest few thousand and few megabytes; safe from several threads."""

    def __init__(self, weigh: Callable[[V], int] = lambda _: 0) -> None:
        """weigh: bytes of a value."""
        self._known: dict[K, V] = {}
        self._weigh = weigh
        self._held_bytes = 0
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        return self._known.get(key)

    def put(self, key: K, value: V) -> V:
        with self._lock:
            self._forget(key)
            self._known[key] = value
            self._held_bytes += self._weigh(value)
            # The latest is kept, whatever it weighs: it is about to be used.
            while len(self._known) > 1 and (len(self._known) > _REMEMBERED or self._held_bytes > _REMEMBERED_BYTES):
                self._forget(next(iter(self._known)))
        return value

    def _forget(self, key: K) -> None:
        if key in self._known:
            self._held_bytes -= self._weigh(self._known.pop(key))


def _table_bytes(*images: tiff.Image) -> int:
    """Of the places of all blocks: a file in strips of one row has as many as rows."""
    return sum(image.offsets.nbytes + image.counts.nbytes for image in images)


_HEADERS: _Memory[tuple[str, Version], tiff.Header] = _Memory(lambda header: _table_bytes(header.image))
_OVERVIEWS: _Memory[tuple[str, Version], tuple[tiff.Image, ...]] = _Memory(lambda images: _table_bytes(*images))
_REFUSED: _Memory[tuple[str, Access], str] = _Memory()


@dataclass(frozen=True, eq=False)
class GeoTiff:
    """One band of an open GeoTIFF, at full resolution or at an overview: `pipeline.read.raster.Raster`."""

    source: ByteSource = field(repr=False)
    header: tiff.Header = field(repr=False)
    image: tiff.Image = field(repr=False)
    level: int
    """0: full resolution; n: the n-th overview."""
    band: int
    grid: Grid
    nodata: float | None
    note: str | None
    slow: Callable[[], GdalRaster] = field(repr=False)
    """The same band through GDAL, for what turns out to be its business after the file was opened."""

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.image.layout.dtype

    @property
    def says_nodata(self) -> bool:
        return self.header.image.nodata is not None

    @property
    def block(self) -> tuple[int, int]:
        return self.image.block

    def read(
        self,
        rows: slice,
        cols: slice,
        *,
        need: NDArray[np.bool_] | None = None,
        carry: Carry | None = None,
        below: int | None = None,
    ) -> NDArray[Any]:
        check_window(rows, cols, self.dtype)
        if not (
            0 <= rows.start < rows.stop <= self.image.shape[0] and 0 <= cols.start < cols.stop <= self.image.shape[1]
        ):
            raise ValueError(f"rows {rows}, columns {cols} of a raster of {self.image.shape}")
        return Window(self.source, self.image, (self.band, self.level), rows, cols).read(need, carry, below)

    def read_coarse(self, max_px: int) -> NDArray[Any]:
        try:
            images = (self.image, *self._overviews()[self.level :])
        except Unsupported:
            return self.slow().read_coarse(max_px)
        shape = coarse_shape(self.image.shape, max_px)
        level = coarse.best_overview([image.shape for image in images], shape)
        picked = replace(self, image=images[level], level=self.level + level)
        rows, cols = (coarse.nearest(*sides) for sides in zip(picked.image.shape, shape, strict=True))
        out = np.empty(shape, self.dtype)
        band = rows // picked.block[0]
        for first in np.unique(band):
            lines = np.flatnonzero(band == first)
            top, bottom = int(rows[lines[0]]), int(rows[lines[-1]]) + 1
            part = picked.read(slice(top, bottom), slice(0, picked.image.shape[1]))
            out[lines] = part[np.ix_(rows[lines] - top, cols)]
        return out

    def overview(self, factor: float) -> GeoTiff | GdalRaster:
        try:
            images = self._overviews() if factor > 1 else ()
        except Unsupported:
            return self.slow().overview(factor)
        best = self
        height, width = self.header.image.shape
        for level, image in enumerate(images, 1):
            if max(height / image.shape[0], width / image.shape[1]) > factor:
                break
            best = replace(self, image=image, level=level, grid=scaled(self.grid, image.shape))
        return best

    def _overviews(self) -> tuple[tiff.Image, ...]:
        key = self.source.href, self.source.version
        known = _OVERVIEWS.get(key)
        return _OVERVIEWS.put(key, tiff.overviews(_bytes(self.source), self.header)) if known is None else known


@contextmanager
def open_geotiff(asset: Asset, access: Access, newer_than: float, slow: Callable[[], GdalRaster]) -> Iterator[GeoTiff]:
    """Open one asset; headers are parsed once a process and version of the file.

    Raises Unsupported, before anything is yielded, where GDAL has to read it, PermanentAssetError where nobody can, and
    whatever `open_source` raises. A remote file that was GDAL's for good is not asked again.
    """
    with ExitStack() as opened:
        try:
            _check_known(asset.href, access)
            raster = _describe(opened.enter_context(open_source(asset.href, access, newer_than)), asset, slow)
        except Unsupported as reason:
            if "://" in asset.href and not reason.passing:
                _REFUSED.put((asset.href, access), str(reason))
            raise
        yield raster


def _check_known(href: str, access: Access) -> None:
    """Raises Unsupported for what GDAL had to read before, and for files on a disk that have sidecars."""
    if "://" in href:
        reason = _REFUSED.get((href, access))
        if reason is not None:
            raise Unsupported(reason)
        return
    stem = os.path.splitext(href)[0]  # noqa: PTH122 (asked for every read; a path object costs ten times as much)
    for name in (*(href + ending for ending in _SIDECARS), stem + ".aux"):
        if os.path.exists(name):  # noqa: PTH110 (the same)
            raise Unsupported(f"its sidecar {name} may change its grid, its nodata or its overviews")


def _describe(source: ByteSource, asset: Asset, slow: Callable[[], GdalRaster]) -> GeoTiff:
    key = source.href, source.version
    header = _HEADERS.get(key) or _HEADERS.put(key, _whole(tiff.parse(_bytes(source)), source.version.size))
    check_size(asset, header.image.shape, header.image.bands)
    try:
        codecs.check(header.image.layout.codec)
    except ImportError as error:
        raise Unsupported(f"imagecodecs cannot be imported: {error}") from None
    grid = Grid(f"EPSG:{header.epsg}", header.transform, header.image.shape)
    nodata = asset.nodata if header.image.nodata is None else header.image.nodata
    return GeoTiff(source, header, header.image, 0, asset.band, grid, nodata, contradiction(asset, grid), slow)


def _whole(header: tiff.Header, size: int) -> tiff.Header:
    """Overviews often come first, so a file that was cut short would serve them. Raises OSError for such a file."""
    end = np.uint64(size)
    left = end - np.minimum(header.image.offsets.astype(np.uint64), end)
    cut = header.image.counts > left
    if np.any(cut):
        raise OSError(
            f"the file is cut short: {np.count_nonzero(cut)} of its {cut.size} blocks lie beyond {size} bytes"
        )
    return header


def _bytes(source: ByteSource) -> tiff.Bytes:
    return tiff.Bytes(source.head, source.version.size, lambda start, length: source.ranges([(start, length)])[0])
