"""Cloud-optimised GeoTIFF: one band a file, the same bytes for the same input, read back before it is accepted.

GDAL says what the tags of a band and its grid are, and reads the finished file; the blocks are compressed here
(`blocks.py`) and laid out as its own driver does (`tiff.py`), which takes a third of the time that the driver takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rio_cogeo.cogeo import cog_validate

from pipeline.errors import OutputError
from pipeline.types import Band, DataFile, Json, Rights
from pipeline.write.blocks import compressor, encode
from pipeline.write.files import finished_file
from pipeline.write.pyramid import pyramid
from pipeline.write.statistics import statistics
from pipeline.write.tiff import LONG, Image, Tag, read_tags, whole_number, write_tiff

MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
BLOCK_PX, NARROW_BLOCK_PX = 512, 384
LEVELS = {"deflate": (None, 9), "zstd": (9, 22)}
"""Default and highest level; the lowest is 1."""
CODES = {"deflate": 8, "zstd": 50_000}
"""TIFF's number of a codec."""
REDUCED, WIDTH, HEIGHT, COMPRESSION, PREDICTOR, BLOCK_WIDTH, BLOCK_HEIGHT = 254, 256, 257, 259, 317, 322, 323
STRIPS = {273, 278, 279}
OF_OVERVIEWS = {258, 262, 277, 284, 339, 42113}
"""Tags of a layer that its overviews share: what its numbers are, and nodata."""
OVERVIEWS = ("average", "nearest", "mode")
RIGHTS_TAGS = ("license", "attribution")
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CogOptions:
    """How blocks are compressed; the predictor follows from the numbers: 2 for integers, 3 for floats."""

    compress: Literal["deflate", "zstd"] = "deflate"
    level: int | None = None
    """1 to 9 for deflate, None: what each block is best served with; 1 to 22 for zstd, None: 9."""


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

    data (y, x) of `band.dtype`, stored numbers; missing pixels hold `band.nodata`. Reads nothing, holds a third of
    `data` and its compressed blocks while it writes. `tags` must hold `license` and `attribution` (see `rights_tags`).
    Raises OutputError, and leaves no file, when input or result is not what it must be: rio-cogeo's strict rules,
    every pixel (of overviews, too), grid, nodata, scale, offset and tag are checked on the finished file.
    """
    check_layer(data, band, geobox, path.name, tags)
    highest = LEVELS[options.compress][1]
    if options.level is not None and not 1 <= options.level <= highest:
        raise OutputError(f"{path.name}, band {band.name}: level: found {options.level}, expected 1 to {highest}")
    try:
        levels = pyramid(data, band, _block_px(*data.shape))
        _write(levels, _tags(band, geobox, tags), path, options)
        _check_output(levels, band, geobox, path, tags)
        title = band.description or band.name
        return finished_file(path, band.name, MEDIA_TYPE, (band.role,), title, _fields(data, band, geobox))
    except (RasterioError, CPLE_BaseError, OSError) as error:
        path.unlink(missing_ok=True)
        raise OutputError(f"{path.name}, band {band.name}: could not be written: {error}") from error
    except OutputError:
        path.unlink(missing_ok=True)
        raise


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


def _write(levels: Sequence[Array], tags: Mapping[int, Tag], path: Path, options: CogOptions) -> None:
    """levels: the layer and its overviews. tags: what they are."""
    dtype, block_px = levels[0].dtype, _block_px(*levels[0].shape)
    level = LEVELS[options.compress][0] if options.level is None else options.level
    compress = compressor(options.compress, level, block_px * block_px * dtype.itemsize)
    layout = {
        COMPRESSION: whole_number(CODES[options.compress]),
        PREDICTOR: whole_number(3 if dtype.kind == "f" else 2),
        BLOCK_WIDTH: whole_number(block_px),
        BLOCK_HEIGHT: whole_number(block_px),
    }
    images = []
    for array in levels:
        height, width = (whole_number(side) for side in array.shape)
        own = {**tags, **layout, HEIGHT: height, WIDTH: width}
        images.append(Image(own, tuple(encode(array, block_px, compress))))
        tags = {REDUCED: whole_number(1, LONG), **{number: tags[number] for number in OF_OVERVIEWS & tags.keys()}}
    write_tiff(path, images)


def _tags(band: Band, geobox: GeoBox, tags: Mapping[str, str]) -> dict[int, Tag]:
    """The tags that say what a band, its grid and its rights are, as GDAL writes them for a single pixel."""
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=1,
            height=1,
            count=1,
            dtype=band.dtype,
            crs=rasterio.crs.CRS.from_user_input(geobox.crs),
            transform=geobox.transform,
            nodata=band.nodata,
            ENDIANNESS="LITTLE",
            BIGTIFF="NO",
        ) as target:
            target.scales, target.offsets, target.units = (band.scale,), (band.offset,), (band.unit,)
            target.set_band_description(1, band.name)
            target.update_tags(**{name: tags[name] for name in sorted(tags)})
            target.update_tags(1, description=band.description or band.name)
        found = read_tags(bytes(memory.getbuffer()))
    return {number: tag for number, tag in found.items() if number not in STRIPS}


def _block_px(rows: int, columns: int) -> int:
    """512, but never exactly as wide as a level that is taller: rio-cogeo takes such blocks for strips."""
    levels = ((rows >> level, columns >> level) for level in range(32))
    return NARROW_BLOCK_PX if any(rows > BLOCK_PX and columns == BLOCK_PX for rows, columns in levels) else BLOCK_PX


def _check_output(levels: Sequence[Array], band: Band, geobox: GeoBox, path: Path, tags: Mapping[str, str]) -> None:
    """Every rule, tag and pixel of the finished file, as GDAL reads it, which knows nothing of how it was written."""
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
                ("overviews", len(source.overviews(1)), len(levels) - 1),
            )
            if found != expected
        ]
        if wrong:
            raise OutputError(f"{path.name}, band {band.name}: {'; '.join(wrong)}")
        _check_pixels(source, levels[0], f"{path.name}, band {band.name}")
    for number, array in enumerate(levels[1:]):
        with rasterio.open(path, overview_level=number) as source:
            _check_pixels(source, array, f"{path.name}, band {band.name}, overview {number + 1}")


def _check_pixels(source: DatasetReader, expected: Array, name: str) -> None:
    bits = f"u{expected.itemsize}"  # so that NaN equals itself, and -0 does not equal 0
    for row in range(0, expected.shape[0], BLOCK_PX):
        strip = expected[row : row + BLOCK_PX]
        stored = source.read(1, window=((row, row + strip.shape[0]), (0, strip.shape[1])))
        if not np.array_equal(stored.view(bits), strip.view(bits)):
            raise OutputError(f"{name}: rows from {row} read back other than written")


def _fields(data: Array, band: Band, geobox: GeoBox) -> dict[str, Json]:
    return {"bands": [{**band_fields(band), "statistics": statistics(data, band.nodata)}], **grid_fields(geobox)}


def _comparable(nodata: float | None) -> float | str | None:
    return "nan" if nodata is not None and math.isnan(nodata) else nodata
