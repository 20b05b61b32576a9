"""Cloud-optimised GeoTIFF: one band a file, the same bytes for the same input, read back before it is accepted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rio_cogeo.cogeo import cog_validate

from pipeline.errors import OutputError
from pipeline.types import Band, DataFile, Json, Rights
from pipeline.write.files import finished_file

MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
BLOCK_PX, NARROW_BLOCK_PX = 512, 384
LEVELS = {"deflate": (6, 9), "zstd": (9, 22)}
"""Default and highest level; the lowest is 1."""
OVERVIEWS = ("average", "nearest", "mode")
RIGHTS_TAGS = ("license", "attribution")
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CogOptions:
    """How blocks are compressed; the predictor follows from the numbers: 2 for integers, 3 for floats."""

    compress: Literal["deflate", "zstd"] = "deflate"
    level: int | None = None
    """None: 6 for deflate (1 to 9), 9 for zstd (1 to 22)."""


def rights_tags(rights: Rights) -> dict[str, str]:
    """The tags every COG must carry: licence and attribution, the latter also as TIFF's own copyright tag."""
    return {
        "license": rights.license,
        "attribution": rights.attribution,
        "TIFFTAG_COPYRIGHT": rights.attribution,
        **({"license_href": rights.license_href} if rights.license_href else {}),
    }


def write_cog(
    data: Array, band: Band, geobox: GeoBox, path: Path, options: CogOptions, tags: Mapping[str, str]
) -> DataFile:
    """A validated COG of one band; equal input gives equal bytes, whatever the machine, time or number of threads.

    data (y, x) of `band.dtype`, stored numbers; missing pixels hold `band.nodata`. Reads nothing, holds one further
    copy of `data` while it writes. `tags` must hold `license` and `attribution` (see `rights_tags`).
    Raises OutputError, and leaves no file, when input or result is not what it must be: rio-cogeo's strict rules,
    every pixel, grid, nodata, scale, offset and tag are checked on the finished file.
    """
    check_layer(data, band, geobox, path.name, tags)
    highest = LEVELS[options.compress][1]
    if options.level is not None and not 1 <= options.level <= highest:
        raise OutputError(f"{path.name}, band {band.name}: level: found {options.level}, expected 1 to {highest}")
    try:
        _write(data, band, geobox, path, options, tags)
        _check_output(data, band, geobox, path, tags)
    except (RasterioError, CPLE_BaseError, OSError) as error:
        path.unlink(missing_ok=True)
        raise OutputError(f"{path.name}, band {band.name}: GDAL could not write it: {error}") from error
    except OutputError:
        path.unlink(missing_ok=True)
        raise
    title = band.description or band.name
    return finished_file(path, band.name, MEDIA_TYPE, (band.role,), title, _fields(data, band, geobox))


def check_layer(data: Array, band: Band, geobox: GeoBox, name: str, tags: Mapping[str, str]) -> None:
    """Raise OutputError, with the name of the file to be, where a layer is not what its band and grid say."""
    for found, expected, what in (
        (data.shape, tuple(geobox.shape), "shape"),
        (str(data.dtype), band.dtype, "dtype"),
        (_holds(band), True, f"nodata {band.nodata} is a value of {band.dtype}"),
        (band.overview in OVERVIEWS, True, f"overview {band.overview!r} is one of {', '.join(OVERVIEWS)}"),
        ([name for name in RIGHTS_TAGS if not tags.get(name)], [], "missing rights tags"),
    ):
        if found != expected:
            raise OutputError(f"{name}, band {band.name}: {what}: found {found}, expected {expected}")


def statistics(data: Array, nodata: float | None) -> dict[str, float]:
    """STAC statistics of the stored numbers over valid pixels; without any, only `valid_percent: 0`.

    data (y, x); walks it in strips of one block height, so nothing as large as `data` is made. Mean and standard
    deviation (of the population) are rounded to nine digits, below which summation order would show.
    """
    count, total, minimum, maximum = 0, 0.0, math.inf, -math.inf
    for valid in _valid_strips(data, nodata):
        count += valid.size
        total += float(valid.sum(dtype=np.float64))
        minimum, maximum = min(minimum, valid.min().item()), max(maximum, valid.max().item())
    if count == 0:
        return {"valid_percent": 0.0}
    mean = total / count
    square = sum(float(np.square(valid - np.float64(mean)).sum()) for valid in _valid_strips(data, nodata))
    return {
        "minimum": minimum,
        "maximum": maximum,
        "mean": _digits(mean),
        "stddev": _digits(math.sqrt(square / count)),
        "valid_percent": _digits(100.0 * count / data.size),
    }


def band_fields(band: Band) -> dict[str, Json]:
    """STAC's words for what a band's stored numbers are."""
    described: dict[str, Json] = {
        "name": band.name,
        "description": band.description,
        "data_type": band.dtype,
        "nodata": None if band.nodata is None else json_number(band.nodata),
        "unit": band.unit,
        "raster:scale": band.scale,
        "raster:offset": band.offset,
        "eo:common_name": band.common_name,
        "eo:center_wavelength": band.center_wavelength_um,
        "groundswell:flags": [{"mask": mask, "meaning": meaning} for mask, meaning in band.flags],
    }
    return {name: value for name, value in described.items() if value not in (None, "", [])}


def grid_fields(geobox: GeoBox) -> dict[str, Json]:
    """STAC projection fields of a grid, and `gsd` in metres where its unit is the metre."""
    crs = geobox.crs
    if crs is None:
        raise OutputError(f"grid {geobox!r} has no coordinate reference system; expected an EPSG code or WKT")
    reference: dict[str, Json] = (
        {"proj:code": f"EPSG:{crs.epsg}"} if crs.epsg else {"proj:code": None, "proj:wkt2": crs.to_wkt()}
    )
    a, _, _, _, e, _ = transform = [float(value) for value in geobox.transform[:6]]
    gsd = {"gsd": min(abs(a), abs(e))} if crs.projected and crs.units == ("metre", "metre") else {}
    box = geobox.boundingbox
    return {
        **reference,
        "proj:shape": list(geobox.shape),
        "proj:transform": transform,
        "proj:bbox": [float(value) for value in (box.left, box.bottom, box.right, box.top)],
        **gsd,
    }


def json_number(value: float) -> float | int | str:
    """A number as STAC spells it: integers without a point, NaN and infinities as text."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if float(value).is_integer() else float(value)


def _holds(band: Band) -> bool:
    dtype = np.dtype(band.dtype)
    if band.nodata is None or dtype.kind == "f":
        return True
    return float(band.nodata).is_integer() and np.iinfo(dtype).min <= band.nodata <= np.iinfo(dtype).max


def _write(data: Array, band: Band, geobox: GeoBox, path: Path, options: CogOptions, tags: Mapping[str, str]) -> None:
    profile = {
        "width": data.shape[1],
        "height": data.shape[0],
        "count": 1,
        "dtype": data.dtype,
        "crs": rasterio.crs.CRS.from_user_input(geobox.crs),
        "transform": geobox.transform,
        "nodata": band.nodata,
    }
    with rasterio.open("memory", "w", driver="MEM", **profile) as source:
        source.write(data, 1)
        source.scales, source.offsets, source.units = (band.scale,), (band.offset,), (band.unit,)
        source.set_band_description(1, band.name)
        source.update_tags(**{name: tags[name] for name in sorted(tags)})
        source.update_tags(1, description=band.description or band.name)
        rasterio.shutil.copy(
            source,
            path,
            driver="COG",
            COMPRESS=options.compress.upper(),
            LEVEL=LEVELS[options.compress][0] if options.level is None else options.level,
            PREDICTOR="YES",
            BLOCKSIZE=_block_px(*data.shape),
            OVERVIEW_RESAMPLING=band.overview.upper(),
            BIGTIFF="IF_SAFER",
            NUM_THREADS=1,
        )


def _block_px(rows: int, columns: int) -> int:
    """512, but never exactly as wide as a level that is taller: rio-cogeo takes such blocks for strips."""
    levels = ((math.ceil(rows / 2**level), math.ceil(columns / 2**level)) for level in range(32))
    return NARROW_BLOCK_PX if any(rows > BLOCK_PX and columns == BLOCK_PX for rows, columns in levels) else BLOCK_PX


def _check_output(data: Array, band: Band, geobox: GeoBox, path: Path, tags: Mapping[str, str]) -> None:
    accepted, errors, warnings = cog_validate(path, strict=True, quiet=True)
    if not accepted or errors or warnings:
        raise OutputError(f"{path.name}, band {band.name}: not a valid COG: {'; '.join([*errors, *warnings])}")
    with rasterio.open(path) as source:
        wrong = [
            f"{what}: found {found!r}, expected {expected!r}"
            for what, found, expected in (
                ("crs", source.crs, rasterio.crs.CRS.from_user_input(geobox.crs)),
                ("transform", list(source.transform[:6]), list(geobox.transform[:6])),
                ("dtype", source.dtypes[0], band.dtype),
                ("nodata", _comparable(source.nodata), _comparable(band.nodata)),
                ("scale", source.scales[0], band.scale),
                ("offset", source.offsets[0], band.offset),
                ("tags", {name: source.tags().get(name) for name in tags}, dict(tags)),
            )
            if found != expected
        ]
        if wrong:
            raise OutputError(f"{path.name}, band {band.name}: {'; '.join(wrong)}")
        for row in range(0, data.shape[0], BLOCK_PX):
            strip = data[row : row + BLOCK_PX]
            stored = source.read(1, window=((row, row + strip.shape[0]), (0, data.shape[1])))
            if not np.array_equal(stored, strip, equal_nan=strip.dtype.kind == "f"):
                raise OutputError(f"{path.name}, band {band.name}: rows from {row} read back other than written")


def _fields(data: Array, band: Band, geobox: GeoBox) -> dict[str, Json]:
    return {"bands": [{**band_fields(band), "statistics": statistics(data, band.nodata)}], **grid_fields(geobox)}


def _valid_strips(data: Array, nodata: float | None) -> Iterator[Array]:
    """The valid pixels (n,) of each strip that has any; NaN and infinities are never valid."""
    for row in range(0, data.shape[0], BLOCK_PX):
        strip = data[row : row + BLOCK_PX].ravel()
        if strip.dtype.kind == "f":
            strip = strip[np.isfinite(strip)]
        if nodata is not None and not math.isnan(nodata):
            strip = strip[strip != nodata]
        if strip.size:
            yield strip


def _comparable(nodata: float | None) -> float | str | None:
    return "nan" if nodata is not None and math.isnan(nodata) else nodata


def _digits(value: float) -> float:
    return float(f"{value:.9g}")
