"""Where a GeoTIFF lies: only what can be said without doubt, and as GDAL says it to the last bit.

Source: OGC GeoTIFF 1.1; for the order of arithmetic GDAL's GeoTIFF driver.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.io import MemoryFile

from pipeline.read.fetch import Unsupported
from pipeline.types import Affine6

GeoKeys = dict[int, int | str | tuple[float, ...]]

_MODEL, _RASTER, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_UNITS = {2054: 9102, 3076: 9001}
"""Keys of units, and the only values (degree, metre) that change nothing of what the code says."""
_HARMLESS = {1026, 2049, 2057, 2059, 3073}
"""Keys beside a code that repeat it: citations, the ellipsoid's size."""
_ONE_PIXEL = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 1), (279, 0))
"""TIFF's tags of an image of one byte that was never written."""
_OVERRIDING = re.compile(r"ESRI PE|IMAGINE|LUnits|PCS Name =|\\bTOWGS84", re.IGNORECASE)
"""Citations from which GDAL takes a CRS instead of the code's."""


def keys(directory: NDArray[Any], doubles: NDArray[Any], texts: str) -> GeoKeys:
    """GeoKeys by number, from the three tags that hold them.

    Raises Unsupported where there are none, and where anything is not as it should be: GDAL then has no CRS either, or
    guesses one.
    """
    if directory.dtype != np.uint16 or directory.size < 4 or directory[:2].tolist() != [1, 1]:
        raise Unsupported("no GeoKeys, or of another version")
    _, _, minor, count, *rows = directory.tolist()
    if minor > 1 or len(rows) != 4 * count or rows[::4] != sorted(set(rows[::4])):
        raise Unsupported("GeoKeys out of order, or not as many as they say")
    values: dict[int, Any] = {34736: tuple(doubles.tolist()) if doubles.dtype == np.float64 else (), 34737: texts}
    found: GeoKeys = {}
    for key, where, length, value in zip(*(rows[column::4] for column in range(4)), strict=True):
        if where == 0 and length == 1:
            found[key] = value
        elif where in values and length > 0 and value + length <= len(values[where]):
            found[key] = values[where][value : value + length]
        else:
            raise Unsupported(f"GeoKey {key} with {length} values in tag {where}")
    return found


def is_point(found: GeoKeys) -> bool:
    """Pixels are points: the transform speaks of their centres."""
    return found.get(_RASTER) == 2


def affine(scale: Sequence[float], ties: Sequence[float], matrix: Sequence[float], *, centres: bool) -> Affine6:
    """The transform of pixel corners. Raises Unsupported for ground control points, no transform, or two."""
    if len(scale) >= 2 and scale[0] > 0 and scale[1] > 0 and len(ties) == 6 and not matrix:
        a, b, d, e = scale[0], 0.0, 0.0, -scale[1]
        c, f = ties[3] - ties[0] * a, ties[4] - ties[1] * e
    elif len(matrix) == 16 and not scale and not ties:
        a, b, _, c, d, e, _, f = matrix[:8]
    else:
        raise Unsupported("no transform, two of them, or ground control points")
    if centres:
        c, f = c - (a * 0.5 + b * 0.5), f - (d * 0.5 + e * 0.5)
    return a, b, c, d, e, f


def epsg(found: GeoKeys, directory: NDArray[Any], doubles: NDArray[Any], texts: str) -> int:
    """The EPSG code of a plain projected or geographic CRS that nothing else in the file changes, or Unsupported.

    found: what `keys` made of the others.
    """
    model = found.get(_MODEL)
    if model not in {1, 2} or found.get(_RASTER) not in {1, 2}:
        raise Unsupported(f"model type {model}, raster type {found.get(_RASTER)}")
    code = found.get(_PROJECTED if model == 1 else _GEOGRAPHIC)
    known = {_MODEL, _RASTER, _GEOGRAPHIC, *(() if model == 2 else (_PROJECTED,)), *_UNITS, *_HARMLESS}
    if not isinstance(code, int) or found.keys() - known:
        raise Unsupported(f"a CRS of more than a code: GeoKeys {sorted(found.keys() - known)}")
    if any(found.get(key, plain) != plain for key, plain in _UNITS.items()):
        raise Unsupported("a CRS in units of its own")
    words = [text for text in found.values() if isinstance(text, str)]
    if any(_OVERRIDING.search(text) or not text.endswith("|") for text in words):
        raise Unsupported("a CRS in words")
    if not _is_plain(code, projected=model == 1):
        raise Unsupported(f"EPSG:{code}, which is not one in metres or degrees that PROJ knows by this code alone")
    if _gdals_code(directory.tobytes(), doubles.tobytes(), texts.encode("latin-1")) != code:
        raise Unsupported(f"EPSG:{code}, for which GDAL takes another CRS")
    return code


@lru_cache(maxsize=256)
def _is_plain(code: int, *, projected: bool) -> bool:
    """GDAL reads this code as itself, of the kind that is said, in the usual units."""
    try:
        crs = CRS.from_epsg(code)
        if crs.to_epsg() != code:
            return False
        if projected:
            return bool(crs.is_projected) and crs.linear_units.lower() in {"metre", "meter"}
        return bool(crs.is_geographic) and crs.units_factor[0] == "degree"
    except CRSError:
        return False


@lru_cache(maxsize=256)
def _gdals_code(directory: bytes, doubles: bytes, texts: bytes) -> int | None:
    """The EPSG code that GDAL finds in these GeoKeys: it replaces deprecated codes and leaves out heights.

    Asked of GDAL itself, by a file of one pixel in memory that has them.
    """
    scale, tie = struct.pack("3d", 1, 1, 0), struct.pack("6d", 0, 0, 0, 0, 0, 0)
    tags = [(tag, 3, 1, struct.pack("HH", value, 0)) for tag, value in _ONE_PIXEL]
    tags += [(33550, 12, 3, scale), (33922, 12, 6, tie), (34735, 3, len(directory) // 2, directory)]
    tags += [(34736, 12, len(doubles) // 8, doubles)] if doubles else []
    tags += [(34737, 2, len(texts), texts)] if texts else []
    body, entries = b"\0" * 8, b""
    for tag, kind, count, value in tags:
        inline = value if len(value) <= 4 else struct.pack("I", len(body))
        entries += struct.pack("HHI", tag, kind, count) + inline.ljust(4, b"\0")
        body += value + b"\0" * (len(value) % 2)
    mark = struct.pack("2sHI", b"II" if sys.byteorder == "little" else b"MM", 42, len(body))
    data = mark + body[8:] + struct.pack("H", len(tags)) + entries + b"\0" * 4
    try:
        with MemoryFile(data) as file, file.open(driver="GTiff") as dataset:
            code: int | None = dataset.crs.to_epsg() if dataset.crs else None
            return code
    except RasterioError:
        return None
