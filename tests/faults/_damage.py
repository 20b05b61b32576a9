"""Measures which damage to a raster file a read shows, and renders it as the table of `pipeline/read/DAMAGE.md`.

`python -m tests.faults._damage` prints the table.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.raster import attempt
from pipeline.types import Asset
from tests.faults._worlds import GRID

SIDE = 256
TRIALS = 40
_FORMATS = {
    "GeoTIFF, uncompressed": {"driver": "GTiff", "compress": "none"},
    "GeoTIFF, LZW": {"driver": "GTiff", "compress": "lzw"},
    "GeoTIFF, deflate": {"driver": "GTiff", "compress": "deflate"},
    "GeoTIFF, ZSTD": {"driver": "GTiff", "compress": "zstd"},
    "JPEG 2000": {"driver": "JP2OpenJPEG", "quality": 100, "reversible": True},
}
_HEADS = ("| format | damage | shown by | what happens |", "|---|---|---|---|")
_WORDS = {
    "always": "the file is lost by name, or the pixels are right",
    "sometimes": "the file is lost by name, the pixels are right, **or they are wrong and nobody is told**",
    "never": "**the pixels are wrong and nobody is told**",
}
Damage = Callable[[bytes, "np.random.Generator"], bytes]


def render() -> str:
    """The table, measured now; the same on every machine with the pinned versions."""
    with tempfile.TemporaryDirectory() as folder:
        return "\n".join([*_HEADS, *_rows(Path(folder))]) + "\n"


def _rows(folder: Path) -> Iterator[str]:
    y, x = np.mgrid[:SIDE, :SIDE]
    pixels = (1000 + 3 * x + 5 * y + np.random.default_rng(0).integers(0, 40, (SIDE, SIDE))).astype(np.uint16)
    for name, options in _FORMATS.items():
        path = folder / "whole"
        profile = {"width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "nodata": 0, "tiled": True}
        profile |= {"crs": "EPSG:32633", "transform": GRID.transform, "blockxsize": 64, "blockysize": 64, **options}
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(pixels, 1)
        whole = path.read_bytes()
        damages = dict(_DAMAGES)
        if options["driver"] != "GTiff":
            del damages[_NO_BLOCK]
        for damage, spoil in damages.items():
            shown = _shown(folder / "spoilt", pixels, [spoil(whole, np.random.default_rng(n)) for n in range(TRIALS)])
            by = {"always": "the read", "sometimes": "the read, sometimes", "never": "nothing"}[shown]
            yield f"| {name} | {damage} | {by} | {_WORDS[shown]} |"


def _shown(path: Path, pixels: NDArray[np.uint16], spoilt: list[bytes]) -> str:
    """Whether reading shows it `always`, `sometimes` or `never`; right pixels need no showing."""
    verdicts = set()
    for data in spoilt:
        path.write_bytes(data)
        try:
            read = attempt(Asset("red", str(path)), Access(), "item", lambda raster: raster.read(_ALL, _ALL))
        except PermanentAssetError:
            verdicts.add("shown")
        else:
            verdicts.add("right" if np.array_equal(read, pixels) else "wrong")
    return "always" if "wrong" not in verdicts else "sometimes" if "shown" in verdicts else "never"


_ALL = slice(0, SIDE)


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(len(data) * rng.uniform(0.05, 0.95))]


def _zero(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(len(data) * rng.uniform(0.3, 0.7))
    return data[:start] + bytes(4096) + data[start + 4096 :]


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(len(data) * rng.uniform(0.3, 0.95))
    return data[:place] + bytes([data[place] ^ 1 << int(rng.integers(8))]) + data[place + 1 :]


def _forget_block(data: bytes, rng: np.random.Generator) -> bytes:
    """One entry of a little-endian TIFF's TileOffsets and TileByteCounts set to zero: "this block is empty"."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    spoilt, block = bytearray(data), int(rng.integers((SIDE // 64) ** 2))
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, _, where = struct.unpack_from("<HHII", data, entry)
        if tag in (324, 325):
            size = {3: 2, 4: 4}[kind]
            spoilt[where + block * size : where + (block + 1) * size] = bytes(size)
    return bytes(spoilt)


_NO_BLOCK = "one block struck from the index"
_DAMAGES: dict[str, Damage] = {
    "cut short anywhere (5-95 %)": _cut,
    "4 KiB of zeros in the middle": _zero,
    "one bit flipped": _flip,
    _NO_BLOCK: _forget_block,
}


if __name__ == "__main__":
    print(render(), end="")
