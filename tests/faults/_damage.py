"""Measures which damage to a raster file a read shows, and renders it as the table of `pipeline/read/DAMAGE.md`.

`python -m tests.faults._damage` prints the table.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.raster import attempt
from pipeline.types import Asset, Grid
from tests.faults._worlds import GRID

SIDE, BLOCK, TRIALS = 512, 256, 40
_FORMATS: dict[str, dict[str, Any]] = {
    "GeoTIFF, uncompressed": {"driver": "GTiff", "compress": "none"},
    "GeoTIFF, LZW": {"driver": "GTiff", "compress": "lzw", "predictor": 2},
    "GeoTIFF, deflate": {"driver": "GTiff", "compress": "deflate", "predictor": 2},
    "GeoTIFF, ZSTD": {"driver": "GTiff", "compress": "zstd", "predictor": 2},
    "JPEG 2000": {"driver": "JP2OpenJPEG", "quality": 100, "reversible": True},
}
_HEADS = ("| format | damage | shown by the read | what happens |", "|---|---|---|---|")
_OUTCOMES = {
    "always": "the asset is lost, by name",
    "mostly": "the asset is lost, by name; or wrong pixels, unnoticed",
    "**seldom**": "wrong pixels, unnoticed; or the asset is lost, by name",
    "**never**": "wrong pixels, unnoticed",
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
        profile: dict[str, Any] = {"width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "tiled": True}
        profile |= {"blockxsize": BLOCK, "blockysize": BLOCK, "transform": GRID.transform, **options}
        if options["driver"] == "GTiff":
            profile["crs"] = "EPSG:32633"  # as scenes have, so that they are read as scenes are
        with rasterio.open(folder / "whole", "w", **profile) as dataset:
            dataset.write(pixels, 1)
        whole = (folder / "whole").read_bytes()
        if _verdict(folder / "copy", pixels, whole) != "right":
            raise AssertionError(f"{name}: the undamaged file does not read right")
        for damage, spoil in _DAMAGES.items():
            if damage != _STRUCK or options["driver"] == "GTiff":
                spoilt = (spoil(whole, np.random.default_rng(seed)) for seed in range(TRIALS))
                often = _often([_verdict(folder / "copy", pixels, data) for data in spoilt])
                yield f"| {name} | {damage} | {often} | {_OUTCOMES[often]} |"


def _verdict(path: Path, pixels: NDArray[np.uint16], data: bytes) -> str:
    """`shown`: reading refuses these bytes; `right` or `wrong`: the pixels that it gives instead."""
    path.write_bytes(data)
    asset = Asset("red", str(path), grid=Grid("EPSG:32633", tuple(GRID.transform[:6]), pixels.shape))
    try:
        read = attempt(asset, Access(), "item", lambda raster: raster.read(slice(0, SIDE), slice(0, SIDE)))
    except PermanentAssetError:
        return "shown"
    return "right" if np.array_equal(read, pixels) else "wrong"


def _often(verdicts: list[str]) -> str:
    """How often damage to pixels is shown, in words coarse enough for other builds of the same libraries."""
    harmful = [verdict for verdict in verdicts if verdict != "right"]
    share = harmful.count("shown") / len(harmful)
    return {0.0: "**never**", 1.0: "always"}.get(share, "mostly" if share >= 0.5 else "**seldom**")


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
    spoilt, block = bytearray(data), int(rng.integers((SIDE // BLOCK) ** 2))
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, _, where = struct.unpack_from("<HHII", data, entry)
        if tag in (324, 325):
            size = {3: 2, 4: 4}[kind]
            spoilt[where + block * size : where + (block + 1) * size] = bytes(size)
    return bytes(spoilt)


_STRUCK = "one block struck from the index"
_DAMAGES: dict[str, Damage] = {
    "cut short anywhere (5-95 %)": _cut,
    "4 KiB of zeros in the middle": _zero,
    "one bit flipped": _flip,
    _STRUCK: _forget_block,
}


if __name__ == "__main__":
    sys.stdout.write(render())
