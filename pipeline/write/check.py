"""What GDAL, which knows nothing of how a COG was written, reads of a finished one: compared with what it should be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader
from rio_cogeo.cogeo import cog_validate

from pipeline.errors import OutputError
from pipeline.types import Band

ROWS = 512
"""Rows that are read back at once."""
Array = NDArray[Any]


def check_file(bands: Sequence[Band], geobox: GeoBox, path: Path, tags: Mapping[str, str], overviews: int) -> None:
    """Every rule and tag of a finished file, as GDAL reads it. Raises OutputError."""
    name = f"{path.name}, band {', '.join(band.name for band in bands)}"
    accepted, errors, warnings = cog_validate(path, strict=True, quiet=True)
    if not accepted or errors or warnings:
        raise OutputError(f"{name}: not a valid COG: {'; '.join([*errors, *warnings])}")
    with rasterio.open(path) as source:
        wrong = [
            f"{what}: found {found!r}, expected {expected!r}"
            for what, found, expected in (
                ("crs", source.crs, rasterio.crs.CRS.from_user_input(geobox.crs)),
                ("transform", list(source.transform[:6]), list(geobox.transform[:6])),
                ("dtype", source.dtypes, tuple(band.dtype for band in bands)),
                (
                    "nodata",
                    *(tuple(map(_comparable, one)) for one in (source.nodatavals, [band.nodata for band in bands])),
                ),
                ("scale", source.scales, tuple(band.scale for band in bands)),
                ("offset", source.offsets, tuple(band.offset for band in bands)),
                ("names", source.descriptions, tuple(band.name for band in bands)),
                ("tags", {name: source.tags().get(name) for name in tags}, dict(tags)),
                ("overviews", len(source.overviews(1)), overviews),
            )
            if found != expected
        ]
    if wrong:
        raise OutputError(f"{name}: {'; '.join(wrong)}")


def open_level(path: Path, number: int) -> DatasetReader:
    """The layer itself, 0, or one of its overviews."""
    return rasterio.open(path, overview_level=number - 1) if number else rasterio.open(path)


def stored_strips(source: DatasetReader, band: int) -> Iterator[tuple[int, Array]]:
    """(first row, pixels of a row of blocks) of a band."""
    for row in range(0, source.height, ROWS):
        rows = row, min(row + ROWS, source.height)
        yield row, source.read(band, window=(rows, (0, source.width)))


def bits(values: Array) -> Array:
    """So that NaN equals itself, and -0 does not equal 0."""
    return values.view(f"u{values.itemsize}")


def _comparable(nodata: float | None) -> float | str | None:
    return "nan" if nodata is not None and math.isnan(nodata) else nodata
