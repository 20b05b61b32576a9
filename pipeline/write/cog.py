"""Cloud-optimised GeoTIFF: one band a file, the same bytes for the same input, read back before it is accepted.

Files of several bands (`bandfile.py`) are the same, plane after plane.

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
from rasterio.io import MemoryFile

from pipeline.errors import OutputError
from pipeline.types import Band, DataFile, Json, Rights
from pipeline.write.blocks import Compress, compressor, encode
from pipeline.write.check import ROWS, bits, check_file, open_level, stored_strips
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
OF_OVERVIEWS = {258, 262, 277, 284, 338, 339, 42113}
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
        **({"license_href": " ".join(rights.license_hrefs)} if rights.license_hrefs else {}),
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
    check_level(options, f"{path.name}, band {band.name}")
    try:
        levels = pyramid(data, band, block_side(*data.shape))
        _write(levels, band_tags([band], geobox, tags), path, options)
        _check_output(levels, band, geobox, path, tags)
        title = band.description or band.name
        return finished_file(path, band.name, MEDIA_TYPE, (band.role,), title, _fields(data, band, geobox))
    except (RasterioError, CPLE_BaseError, OSError) as error:
        path.unlink(missing_ok=True)
        raise OutputError(f"{path.name}, band {band.name}: could not be written: {error}") from error
    except OutputError:
        path.unlink(missing_ok=True)
        raise


def check_level(options: CogOptions, name: str) -> None:
    """Raise OutputError where a codec has no such level."""
    highest = LEVELS[options.compress][1]
    if options.level is not None and not 1 <= options.level <= highest:
        raise OutputError(f"{name}: level: found {options.level}, expected 1 to {highest}")


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
        "groundswell:overview": "" if band.overview == "average" else band.overview,
        "groundswell:source": band.source,
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
    compress = block_compressor(options, levels[0])
    block_px = block_side(*levels[0].shape)
    images = image_headers([array.shape for array in levels], levels[0].dtype, tags, options)
    write_tiff(
        path,
        [Image(own, tuple(encode(array, block_px, compress))) for own, array in zip(images, levels, strict=True)],
    )


def block_compressor(options: CogOptions, layer: Array) -> Compress:
    """How the blocks of a layer are compressed; for one thread."""
    level = LEVELS[options.compress][0] if options.level is None else options.level
    return compressor(options.compress, level, block_side(*layer.shape) ** 2 * layer.dtype.itemsize)


def image_headers(
    shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any], tags: Mapping[int, Tag], options: CogOptions
) -> list[dict[int, Tag]]:
    """The header of a layer and of each of its overviews. shapes: (y, x) of each, largest first."""
    block_px = block_side(*shapes[0])
    layout = {
        COMPRESSION: whole_number(CODES[options.compress]),
        PREDICTOR: whole_number(3 if dtype.kind == "f" else 2),
        BLOCK_WIDTH: whole_number(block_px),
        BLOCK_HEIGHT: whole_number(block_px),
    }
    headers = []
    for shape in shapes:
        height, width = (whole_number(side) for side in shape)
        headers.append({**tags, **layout, HEIGHT: height, WIDTH: width})
        tags = {REDUCED: whole_number(1, LONG), **{number: tags[number] for number in OF_OVERVIEWS & tags.keys()}}
    return headers


def band_tags(bands: Sequence[Band], geobox: GeoBox, tags: Mapping[str, str]) -> dict[int, Tag]:
    """The tags that say what bands of one dtype and nodata, their grid and rights are, as GDAL writes one pixel.

    Several bands are planes, one after another.
    """
    planes = {} if len(bands) == 1 else {"INTERLEAVE": "BAND", "PHOTOMETRIC": "MINISBLACK"}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=1,
            height=1,
            count=len(bands),
            dtype=bands[0].dtype,
            crs=rasterio.crs.CRS.from_user_input(geobox.crs),
            transform=geobox.transform,
            nodata=bands[0].nodata,
            ENDIANNESS="LITTLE",
            BIGTIFF="NO",
            **planes,
        ) as target:
            target.scales, target.offsets, target.units = zip(
                *((band.scale, band.offset, band.unit) for band in bands), strict=True
            )
            target.update_tags(**{name: tags[name] for name in sorted(tags)})
            for number, band in enumerate(bands, 1):
                target.set_band_description(number, band.name)
                target.update_tags(number, description=band.description or band.name)
        found = read_tags(bytes(memory.getbuffer()))
    return {number: tag for number, tag in found.items() if number not in STRIPS}


def block_side(rows: int, columns: int) -> int:
    """512, but never exactly as wide as a level that is taller: rio-cogeo takes such blocks for strips."""
    levels = ((rows >> level, columns >> level) for level in range(32))
    return NARROW_BLOCK_PX if any(rows > BLOCK_PX and columns == BLOCK_PX for rows, columns in levels) else BLOCK_PX


def _check_output(levels: Sequence[Array], band: Band, geobox: GeoBox, path: Path, tags: Mapping[str, str]) -> None:
    """Every rule, tag and pixel of the finished file, as GDAL reads it, which knows nothing of how it was written."""
    check_file([band], geobox, path, tags, len(levels) - 1)
    for number, array in enumerate(levels):
        with open_level(path, number) as source:
            place = f", overview {number}" if number else ""
            for row, stored in stored_strips(source, 1):
                if not np.array_equal(bits(stored), bits(array[row : row + ROWS])):
                    raise OutputError(
                        f"{path.name}, band {band.name}{place}: rows from {row} read back other than written"
                    )


def _fields(data: Array, band: Band, geobox: GeoBox) -> dict[str, Json]:
    return {"bands": [measured_fields(data, band)], **grid_fields(geobox)}


def measured_fields(data: Array, band: Band) -> dict[str, Json]:
    """STAC's words for a band, and its statistics."""
    return {**band_fields(band), "statistics": statistics(data, band.nodata)}
