"""Whether a file that another system made is what a product promises: as GDAL reads it, to its last block."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rio_cogeo.cogeo import cog_validate

from pipeline.types import Band, DataFile, Json
from pipeline.write.cog import MEDIA_TYPE, grid_fields, measured_fields
from pipeline.write.edges import FIELD, outer_edges
from pipeline.write.files import finished_file
from pipeline.write.outputs import GEOTIFF

_OF_A_PIXEL = 1e-3
"""How far a corner may be from where it is expected: numbers in degrees are rounded."""
_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_TIFF_INTERNAL_MASK": "NO"}


@dataclass(frozen=True)
class Looked:
    """A file that was looked at."""

    file: DataFile | None
    """None where it does not fit."""
    wrong: tuple[str, ...] = ()
    """Everything that is not as promised: what was found, what was expected."""
    assumed: tuple[str, ...] = ()
    """What the file does not say of its numbers, so the product's word counts."""


def look_at(
    path: Path,
    key: str,
    bands: Sequence[Band],
    geobox: GeoBox,
    more: Mapping[str, Json],
    others: Collection[str] = (),
) -> Looked:
    """A GeoTIFF beside what its product promises; key: of its asset. more: further fields of that.

    others: names of bands that lie in the product's other files, so a file that says it is one of them is not this.
    Its grid is compared before a pixel is read, so a file of another size costs nothing.
    """
    try:
        with rasterio.Env(**_OPTIONS), rasterio.open(path, driver="GTiff") as source:
            wrong = tuple(_differences(source, bands, geobox, others))
            if wrong:
                return Looked(None, wrong)
            fields = [_measured(source.read(number), band) for number, band in enumerate(bands, 1)]
            assumed = tuple(_unsaid(source, bands))
        kind = MEDIA_TYPE if cog_validate(path, strict=False, quiet=True)[0] else GEOTIFF
    except (RasterioError, OSError) as error:
        return Looked(None, (f"found no GeoTIFF that can be read to its end ({_line(error)})",))
    said = {"bands": fields, **grid_fields(geobox), **more}
    title = ", ".join(band.description or band.name for band in bands)
    return Looked(finished_file(path, key, kind, (bands[0].role,), title, said), (), assumed)


def _differences(
    source: DatasetReader, bands: Sequence[Band], geobox: GeoBox, others: Collection[str]
) -> Iterator[str]:
    expected_crs = rasterio.crs.CRS.from_user_input(geobox.crs)
    if source.crs != expected_crs:
        yield f"CRS: found {source.crs or 'none'}, expected {geobox.crs}"
    if (source.height, source.width) != tuple(geobox.shape):
        rows, columns = geobox.shape.yx
        yield f"size: found {source.height} x {source.width} pixels, expected {rows} x {columns}"
    elif not _same_grid(source, geobox):
        found, expected = (list(one[:6]) for one in (source.transform, geobox.transform))
        yield f"grid: found the transform {found}, expected {expected}"
    if source.count != len(bands):
        names = ", ".join(band.name for band in bands)
        yield f"bands: found {source.count}, expected {len(bands)} ({names})"
        return
    named = [band.name for band in bands]
    said, own_or_other = source.descriptions, {*named, *others}
    if any(found in own_or_other and found != name for found, name in zip(said, named, strict=True)):
        order = "the order " if len(named) > 1 else ""
        yield f"bands: found {order}{', '.join(map(str, said))}, expected {', '.join(named)}"
    if any(MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags for flags in source.mask_flag_enums):
        yield "mask: found one beside the numbers, expected a nodata among them"
    for number, band in enumerate(bands):
        yield from _numbers(source, number, band)


def _numbers(source: DatasetReader, number: int, band: Band) -> Iterator[str]:
    """Of one band: a nodata, scale or offset that the file does not say is none that differs."""
    if source.dtypes[number] != band.dtype:
        yield f"{band.name}: dtype: found {source.dtypes[number]}, expected {band.dtype}"
    nodata = source.nodatavals[number]
    if nodata is not None and not _equal(nodata, band.nodata):
        yield f"{band.name}: nodata: found {nodata:g}, expected {band.nodata if band.nodata is not None else 'none'}"
    linear = source.scales[number], source.offsets[number]
    if linear not in {(1.0, 0.0), (band.scale, band.offset)}:
        found, expected = (f"{one[0]:g}, {one[1]:g}" for one in (linear, (band.scale, band.offset)))
        yield f"{band.name}: scale, offset: found {found}, expected {expected}"


def _unsaid(source: DatasetReader, bands: Sequence[Band]) -> Iterator[str]:
    for number, band in enumerate(bands):
        if (band.scale, band.offset) not in {(1.0, 0.0), (source.scales[number], source.offsets[number])}:
            yield f"{band.name}: scale {band.scale:g}, offset {band.offset:g}"
        if source.nodatavals[number] is None and band.nodata is not None:
            yield f"{band.name}: nodata {band.nodata:g}"


def _same_grid(source: DatasetReader, geobox: GeoBox) -> bool:
    """Whether the corners of both are the same, to a thousandth of a pixel."""
    rows, columns = geobox.shape.yx
    back = ~geobox.transform
    corners = [(0, 0), (columns, 0), (0, rows), (columns, rows)]
    seen = np.array([back @ (source.transform @ corner) for corner in corners])
    return bool(np.abs(seen - np.array(corners)).max() <= _OF_A_PIXEL)


def _equal(found: float, expected: float | None) -> bool:
    return expected is not None and (found == expected or (math.isnan(found) and math.isnan(expected)))


def _measured(data: NDArray[np.generic], band: Band) -> dict[str, Json]:
    edges = outer_edges(data, band)
    return {**measured_fields(data, band), **({FIELD: edges} if edges else {})}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
