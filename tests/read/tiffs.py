"""GeoTIFFs of every kind, written by GDAL, and what GDAL itself reads of them: what readers are held to."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags

ORIGIN = rasterio.Affine(10, 0, 600_000, 0, -10, 5_000_000)
DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
CODINGS = (
    ("none", 1),
    ("lzw", 1),
    ("lzw", 2),
    ("lzw", 3),
    ("deflate", 1),
    ("deflate", 2),
    ("deflate", 3),
    ("zstd", 1),
    ("zstd", 2),
    ("zstd", 3),
)
"""Compression and predictor; 3 is for floating-point numbers only."""
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles of 16": {"tiled": True, "blockxsize": 16, "blockysize": 16},
    "tiles of 64 x 32": {"tiled": True, "blockxsize": 64, "blockysize": 32},
    "tiles larger than the image": {"tiled": True, "blockxsize": 256, "blockysize": 256},
    "strips of 1": {"blockysize": 1},
    "strips of 7": {"blockysize": 7},
    "one strip": {"blockysize": 1000},
}
CONTAINERS: dict[str, dict[str, Any]] = {
    "classic": {},
    "big": {"bigtiff": "YES"},
    "big-endian": {"endianness": "BIG"},
    "big, big-endian": {"bigtiff": "YES", "endianness": "BIG"},
}


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Numbers over the whole range of a type, smooth enough in part to compress."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = rng.normal(0, 1e3, shape)
        values[..., :5, :5] = np.nan
        return values.astype(kind)
    info = np.iinfo(kind)
    values = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
    values[..., 10:60, 10:60] = 7
    return values


def write(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    """A GeoTIFF of (bands, rows, columns) or (rows, columns)."""
    bands = pixels[None] if pixels.ndim == 2 else pixels
    profile = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "crs": "EPSG:32633",
        "transform": ORIGIN,
    } | options
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(bands)
    return path


@dataclass(frozen=True)
class Truth:
    """What rasterio says of one band."""

    crs: str | None
    transform: tuple[float, ...]
    nodata: float | None
    pixels: NDArray[Any]
    overviews: tuple[tuple[tuple[float, ...], NDArray[Any]], ...]
    """Transform and pixels of each."""
    masked: bool

    @classmethod
    def of(cls, path: Path, band: int = 1) -> Truth:
        with rasterio.open(path) as dataset:
            code = dataset.crs.to_epsg() if dataset.crs else None
            levels = []
            for level in range(len(dataset.overviews(band))):
                with rasterio.open(path, overview_level=level) as reduced:
                    levels.append((tuple(reduced.transform[:6]), reduced.read(band)))
            return cls(
                f"EPSG:{code}" if code else dataset.crs and dataset.crs.to_wkt(),
                tuple(dataset.transform[:6]),
                dataset.nodatavals[band - 1],
                dataset.read(band),
                tuple(levels),
                MaskFlags.per_dataset in dataset.mask_flag_enums[band - 1],
            )


def coarse(path: Path, max_px: int, band: int = 1) -> NDArray[Any]:
    """The whole band in at most `max_px` a side, as GDAL decimates it."""
    with rasterio.open(path) as dataset:
        factor = max(1.0, max(dataset.shape) / max_px)
        shape = tuple(max(1, int(side / factor)) for side in dataset.shape)
        return np.asarray(dataset.read(band, out_shape=shape))


def equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """To the bit, NaN included."""
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


Tags = dict[int, tuple[int, NDArray[Any]]]
"""By number: TIFF's field type, and the values."""


def tags_of(side: int, blocks: list[bytes], block: int = 16, compression: int = 8) -> Tags:
    """Tags of a square uint8 image in UTM whose tiles lie one after another from byte 8 on."""
    offsets = np.cumsum([8, *(len(each) for each in blocks)])[:-1]
    long = {256: [side], 257: [side], 322: [block], 323: [block], 324: offsets, 325: [len(each) for each in blocks]}
    short = {258: [8], 259: [compression], 262: [1], 277: [1]}
    short[34735] = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633]
    double = {33550: [10, 10, 0], 33922: [0, 0, 0, 600_000, 5_000_000, 0]}
    return (
        {tag: (4, np.array(values, "<u4")) for tag, values in long.items()}
        | {tag: (3, np.array(values, "<u2")) for tag, values in short.items()}
        | {tag: (12, np.array(values, "<f8")) for tag, values in double.items()}
    )


def put_together(path: Path, tags: Tags, blocks: list[bytes], following: int = 0) -> Path:
    """A little-endian classic TIFF: blocks, then values that are too long for their entries, then one directory."""
    body = bytearray(b"II*\0\0\0\0\0" + b"".join(blocks))
    rows = []
    for tag, (kind, values) in sorted(tags.items()):
        inline = values.tobytes()
        if len(inline) > 4:
            inline, body = struct.pack("<I", len(body)), body + inline
        rows.append(struct.pack("<HHI4s", tag, kind, values.size, inline))
    struct.pack_into("<I", body, 4, len(body))
    path.write_bytes(body + struct.pack("<H", len(rows)) + b"".join(rows) + struct.pack("<I", following))
    return path
