"""The least work that makes a tile: the needed blocks read and inflated once, carried, reduced, written as one COG.

It knows the world it reads (deflate, predictor 2, 16-bit or 8-bit blocks, little-endian, offset -1000) and checks
nothing. Its image is what the product must come to.
"""

from __future__ import annotations

import math
import os
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.io import MemoryFile

from tests.benchmarks.jobs import BANDS, CLEAR, EPSG, MASK, PIXEL_M, Scene, Square
from tests.benchmarks.kernels import STEP, carry, carry_aligned, exchanges, mark_clear, median, undo_differences

_FORMATS = {3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class Blocks:
    """Where a file's full-resolution blocks lie."""

    side: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    predictor: int


def blocks_of(head: bytes) -> Blocks:
    """From the first 16 KiB of a little-endian classic TIFF with square blocks."""
    mark, at = struct.unpack_from("<4sI", head)
    if mark != b"II*\0":
        raise ValueError(f"found {mark!r}: the floor reads little-endian classic TIFF only")
    tags: dict[int, tuple[int, ...]] = {}
    for n in range(struct.unpack_from("<H", head, at)[0]):
        place = at + 2 + 12 * n
        tag, kind, count = struct.unpack_from("<HHI", head, place)
        if kind in _FORMATS:
            layout = f"<{count}{_FORMATS[kind]}"
            where = place + 8 if struct.calcsize(layout) <= 4 else struct.unpack_from("<I", head, place + 8)[0]
            tags[tag] = struct.unpack_from(layout, head, where)
    return Blocks(tags[322][0], tags[324], tags[325], tags.get(317, (1,))[0])


@dataclass(frozen=True)
class Window:
    """Rows and columns [first, last) of a source that a tile needs."""

    top: int
    bottom: int
    left: int
    right: int


@lru_cache(maxsize=64)
def mesh_of(tile: Square, epsg: int, transform: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Source (rows, columns) at the centres of every 64th target pixel."""
    nodes = (np.arange(-(-tile.px // STEP) + 1) * STEP + 0.5) * PIXEL_M
    x, y = np.meshgrid(tile.left + nodes, tile.top - nodes)
    if epsg != EPSG:
        x, y = Transformer.from_crs(EPSG, epsg, always_xy=True).transform(x, y)
    # What rounding does to an exact edge must not move a pixel.
    return (y - transform[5]) / transform[4] + 1e-9, (x - transform[2]) / transform[0] + 1e-9


def window_of(tile: Square, scene: Scene, band: str) -> Window | None:
    """What the tile needs of a scene's band; None: nothing."""
    rows, cols = mesh_of(tile, scene.epsg, scene.transforms[band])
    height, width = scene.shapes[band]
    # The last nodes lie on the centre of the pixel after the tile's last, where the tile is whole cells wide.
    beyond = 1 if tile.px % STEP == 0 and scene.epsg == EPSG else 0
    top, left = max(0, int(rows.min())), max(0, int(cols.min()))
    bottom, right = min(height, int(rows.max()) + 1 - beyond), min(width, int(cols.max()) + 1 - beyond)
    if rows.max() < 0 or cols.max() < 0 or top >= bottom or left >= right:
        return None
    return Window(top, bottom, left, right)


def aligned(tile: Square, scene: Scene, band: str) -> tuple[int, int] | None:
    """Whole rows and columns from the tile's corner to the source's; None where their pixels differ."""
    a, _, x, _, _, y = scene.transforms[band][:6]
    right, down = (tile.left - x) / PIXEL_M, (y - tile.top) / PIXEL_M
    same = scene.epsg == EPSG and a == PIXEL_M and right.is_integer() and down.is_integer()
    return (int(down), int(right)) if same else None


def read(path: str, window: Window, dtype: Any) -> tuple[NDArray[Any], int, int]:
    """The window's pixels (rows, columns), with the blocks and bytes that were read."""
    size = np.dtype(dtype).itemsize
    out = np.zeros((window.bottom - window.top, window.right - window.left), dtype)
    file = os.open(path, os.O_RDONLY)
    taken = 0
    try:
        blocks = blocks_of(os.pread(file, 16384, 0))
        across, side, count = _across(blocks), blocks.side, 0
        for i in range(window.top // side, -(-window.bottom // side)):
            for j in range(window.left // side, -(-window.right // side)):
                n = i * across + j
                data = os.pread(file, blocks.sizes[n], blocks.offsets[n])
                count, taken = count + 1, taken + len(data)
                plain = np.frombuffer(imagecodecs.deflate_decode(data, out=side * side * size), dtype)
                first = max(0, window.top - i * side), max(0, window.left - j * side)
                rows = slice(max(0, i * side - window.top), min(out.shape[0], (i + 1) * side - window.top))
                cols = slice(max(0, j * side - window.left), min(out.shape[1], (j + 1) * side - window.left))
                into = out[rows, cols]
                if blocks.predictor == 2:
                    undo_differences(plain.reshape(side, side), first, into)
                else:
                    into[:] = plain.reshape(side, side)[first[0] :, first[1] :][: into.shape[0], : into.shape[1]]
    finally:
        os.close(file)
    return out, count, taken


def _across(blocks: Blocks) -> int:
    """Blocks in a row of a square image."""
    return math.isqrt(len(blocks.offsets))


@dataclass
class Made:
    """One tile, and what was read for it."""

    image: NDArray[np.uint16]
    """(band, y, x)."""
    objects: int = 0
    blocks: int = 0
    bytes: int = 0


class Floor:
    """Makes tiles of scenes on two threads."""

    def __init__(self, scenes: Sequence[Scene], threads: int = 2) -> None:
        self._scenes, self._pool = scenes, ThreadPoolExecutor(threads)
        self._clear = np.isin(np.arange(256), CLEAR)
        self._lock = threading.Lock()

    def make(self, tile: Square) -> Made:
        """Masks, bands, medians; nothing is written."""
        made = Made(np.zeros((len(BANDS), tile.px, tile.px), np.uint16))
        days = [list(scenes) for _, scenes in groupby(self._scenes, key=lambda scene: scene.day)]
        marks = np.zeros((len(days), tile.px, tile.px), np.uint8)
        stack = np.empty((len(days), tile.px, tile.px), np.uint16)
        pairs = exchanges(len(days))
        self._each(lambda n: self._mask(tile, days[n], marks[n], made), range(len(days)))
        for number, band in enumerate(BANDS):
            self._each(partial(self._layer, tile, band, days, (marks, stack), made), range(len(days)))
            self._each(partial(self._reduce, stack, pairs, made.image[number]), range(0, tile.px, 256))
        return made

    def _each(self, function: Callable[[Any], None], values: Iterable[Any]) -> None:
        list(self._pool.map(function, values))

    def _mask(self, tile: Square, day: Sequence[Scene], marks: NDArray[np.uint8], made: Made) -> None:
        for number, scene in enumerate(day, 1):
            found = self._read(tile, scene, MASK, np.uint8, made)
            if found is not None:
                pixels, window = found
                mesh = mesh_of(tile, scene.epsg, scene.transforms[MASK])
                mark_clear(pixels, (window.top, window.left), mesh, marks, np.uint8(number), self._clear)

    @staticmethod
    def _reduce(stack: NDArray[np.uint16], pairs: NDArray[np.int64], image: NDArray[np.uint16], top: int) -> None:
        median(stack[:, top : top + 256], pairs, image[top : top + 256])

    def _layer(self, tile: Square, band: str, days: Sequence[Any], to: tuple[Any, Any], made: Made, n: int) -> None:
        """One day's observations of one band."""
        marks, into = to[0][n], to[1][n]
        into[:] = 0
        for number, scene in enumerate(days[n], 1):
            found = self._read(tile, scene, band, np.uint16, made)
            if found is None:
                continue
            pixels, window = found
            shift = aligned(tile, scene, band)
            if shift is None:
                mesh = mesh_of(tile, scene.epsg, scene.transforms[band])
                carry(pixels, (window.top, window.left), mesh, marks, np.uint8(number), into)
            else:
                top, left = window.top - shift[0], window.left - shift[1]
                part = slice(top, top + pixels.shape[0]), slice(left, left + pixels.shape[1])
                carry_aligned(pixels, marks[part], np.uint8(number), into[part])

    def _read(
        self, tile: Square, scene: Scene, band: str, dtype: Any, made: Made
    ) -> tuple[NDArray[Any], Window] | None:
        window = window_of(tile, scene, band)
        if window is None:
            return None
        pixels, blocks, size = read(scene.assets[band], window, dtype)
        with self._lock:
            made.objects, made.blocks, made.bytes = made.objects + 1, made.blocks + blocks, made.bytes + size
        return pixels, window


def write_cog(image: NDArray[np.uint16], tile: Square, path: Path) -> None:
    """One COG of all bands (band, y, x) by GDAL: deflate 6, predictor, blocks of 512, overviews, two threads."""
    profile = {
        "driver": "GTiff",
        "count": image.shape[0],
        "height": image.shape[1],
        "width": image.shape[2],
        "dtype": image.dtype,
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(PIXEL_M, 0, tile.left, 0, -PIXEL_M, tile.top),
        "nodata": 0,
        "interleave": "band",
    }
    chosen = {"compress": "deflate", "level": 6, "predictor": "yes", "blocksize": 512, "overview_resampling": "average"}
    with MemoryFile() as memory:
        with memory.open(**profile) as plain:
            plain.write(image)
        with memory.open() as plain:
            rasterio.shutil.copy(plain, path, driver="COG", num_threads=2, interleave="band", **chosen)
