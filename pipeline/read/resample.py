"""Source pixels resampled onto a part of a target: nearest and bilinear compiled, the others by GDAL's warper.

Bilinear is GDAL's, rule by rule (its `gdalwarpkernel.cpp`). A target pixel has a value exactly where the source pixel
that its centre lies in is there and valid; it is the mean of its neighbours, weighted by a triangle around the centre,
over those that are valid; whole numbers are rounded half up, and what would round to nodata goes one lower, or higher
where there is none. The triangle reaches one source pixel, or one target pixel where that is more than 1/0.95 source
pixels long. NaN is never valid, whatever the file calls nodata.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, inf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.read.bilinear import Missing, mean_of_four, mean_of_many
from pipeline.read.gather import gather
from pipeline.read.gcps import GcpGrid
from pipeline.read.loops import Corner
from pipeline.read.pixelmap import coarseness, grid_of, mesh_of, pixel_map
from pipeline.types import Grid

RESAMPLINGS: Final = ("nearest", "bilinear", "cubic", "average", "mode")
_FINE = 0.95
"""Target pixels per source pixel from which GDAL's triangle is not widened."""
_MOST_PX = 2**32 - 1
"""Pixels of one window that the bilinear loops' 32-bit places can name."""
_REACH = {"nearest": 0.0, "bilinear": 1.0, "cubic": 2.0, "average": 0.75, "mode": 0.75}
"""How far a method looks from a target pixel's centre, in the larger of a source and a target pixel; the diagonal of a
turned pixel included."""


def pad_px(method: str, source: Grid, target: GeoBox) -> int:
    """Source pixels to grow a window by, so that every pixel the method looks at is in it or beyond the source.

    Raises ValueError for an unknown method.
    """
    if method not in RESAMPLINGS:
        raise ValueError(f"resampling {method!r} is unknown; expected one of {', '.join(RESAMPLINGS)}")
    if method == "nearest":
        return 0
    return ceil(_REACH[method] * max(1.0, *_coarseness(source, target))) + (method != "bilinear")


def resample(
    data: NDArray[Any],
    corner: Corner,
    grids: tuple[Grid, GeoBox],
    part: tuple[tuple[int, int], tuple[int, int]],
    method: str,
    nodata: float | None,
) -> NDArray[Any]:
    """The rows and columns [first, last) of the target, in the source's dtype, from a window read with `pad_px`.

    data: (y, x), its first pixel at `corner` of the source. Where there is nothing: nodata, or without one 0 for whole
    numbers and NaN for others. Law: a part equals the same pixels of the whole target; cubic, average and mode to
    within the rounding of coordinates. Raises ValueError for an unknown method, and for four thousand million pixels.
    """
    pad_px(method, *grids)
    nodata = _held(data.dtype, nodata)
    fill = nodata if nodata is not None else np.nan if data.dtype.kind == "f" else 0
    out = np.full([last - first for first, last in part], fill, data.dtype)
    first = part[0][0], part[1][0]
    if not data.size or not out.size:
        return out
    if method == "nearest":
        gather(data, corner, pixel_map(*grids), first, out)
    elif method == "bilinear":
        _bilinear(data, corner, grids, first, nodata, out)
    else:
        data, corner = _cropped(data, corner, grids, part, pad_px(method, *grids))
        if not data.size:
            return out
        _by_gdal(data, corner, grids, first, (method, nodata), out)
        # By which pixels the source holds, not by what reaches over its edge: so no tile needs a window it cannot name.
        held = np.zeros(out.shape, np.bool_)
        gather(np.ones(data.shape, np.bool_), corner, pixel_map(*grids), first, held)
        out[~held] = fill
    return out


def _cropped(
    data: NDArray[Any],
    corner: Corner,
    grids: tuple[Grid, GeoBox],
    part: tuple[tuple[int, int], tuple[int, int]],
    pad: int,
) -> tuple[NDArray[Any], Corner]:
    """What the part needs of a window that may serve several tiles, and where that begins: the warper copies it."""
    needed = pixel_map(*grids).window(*part, pad)
    if needed is None:
        return data[:0], corner
    inside = [
        slice(max(side.start, start), min(side.stop, start + size))
        for side, start, size in zip(needed, corner, data.shape, strict=True)
    ]
    rows, cols = (
        slice(side.start - start, max(side.stop - start, 0)) for side, start in zip(inside, corner, strict=True)
    )
    return data[rows, cols], (inside[0].start, inside[1].start)


def _coarseness(source: Grid, target: GeoBox) -> tuple[float, float]:
    """As `coarseness`; one where that says nothing of use, as in the middle of a file of the whole earth it may."""
    grid = grid_of(target)
    found = coarseness(source, grid.crs, grid.transform)
    return found if all(0 < each < inf for each in found) else (1.0, 1.0)


def _bilinear(
    data: NDArray[Any],
    corner: Corner,
    grids: tuple[Grid, GeoBox],
    first: Corner,
    nodata: float | None,
    out: NDArray[Any],
) -> None:
    if data.size >= _MOST_PX:
        raise ValueError(f"a window of {data.shape} pixels is too large to resample at once; ask for fewer rows")
    source, target = grids
    pixels = pixel_map(source, target)
    # Also where grids map by index: how far a centre is from its pixel's is in no index.
    nodes = (pixels.mesh_rows, pixels.mesh_cols) if pixels.mesh_rows.size else _straight_mesh(source, grid_of(target))
    mesh = (*nodes, pixels.step if pixels.mesh_rows.size else _STRAIGHT_STEP)
    missing = _missing(data.dtype, nodata)
    flat = np.require(data, requirements=("C", "W")).reshape(-1)
    window, strip = (*corner, *data.shape), (out.reshape(-1), *out.shape, out.shape[1])
    scales = tuple(1 / along for along in _coarseness(source, target))
    if min(scales) >= _FINE:
        mean_of_four(flat, window, mesh, first, missing, strip)
    else:
        mean_of_many(flat, window, mesh, first, (*missing, *(min(1.0, scale) for scale in scales)), strip)


_STRAIGHT_STEP = 64


@lru_cache(maxsize=1024)
def _straight_mesh(source: Grid, target: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes of a mesh between grids of one CRS, where any is exact."""
    return mesh_of(source, target, _STRAIGHT_STEP)


def _held(dtype: np.dtype[Any], nodata: float | None) -> float | None:
    """Nodata as pixels hold it; None where none can, so that there is none."""
    if nodata is None:
        return None
    if dtype.kind == "f":
        return None if float(np.finfo(dtype).max) < abs(nodata) < inf else float(dtype.type(nodata))
    info = np.iinfo(dtype)
    return nodata if float(nodata).is_integer() and info.min <= nodata <= info.max else None


def _missing(dtype: np.dtype[Any], nodata: float | None) -> Missing:
    if nodata is None or dtype.kind == "f":
        absent = np.nan if nodata is None else nodata  # which equals nothing
        return absent, absent, dtype.kind != "f"
    return float(nodata), float(nodata + 1 if nodata == np.iinfo(dtype).min else nodata - 1), True


def _by_gdal(
    data: NDArray[Any],
    corner: Corner,
    grids: tuple[Grid, GeoBox],
    first: Corner,
    how: tuple[str, float | None],
    out: NDArray[Any],
) -> None:
    """GDAL's warper with coordinates to a billionth of a pixel, and a scale that is the same for all tiles of a grid.

    Left to itself it lets coordinates be off by an eighth of a pixel, and estimates the scale from the window: it may
    widen its kernel in one tile and not in the next.
    """
    from affine import Affine  # noqa: PLC0415 (GDAL is heavy, and most jobs do without)
    from rasterio.enums import Resampling  # noqa: PLC0415
    from rasterio.io import MemoryFile  # noqa: PLC0415
    from rasterio.vrt import WarpedVRT  # noqa: PLC0415

    (source, target), (method, nodata) = grids, how
    if isinstance(source, GcpGrid):
        raise ValueError(  # noqa: TRY004 (it is the method that is wrong)
            f"resampling {method} of a raster that is placed by ground control points; allowed: bilinear"
        )
    if data.dtype.kind == "f":
        nodata = np.nan if nodata is None else nodata
        data = np.where(np.isnan(data), data.dtype.type(nodata), data)
    transform = Affine(*source.transform) @ Affine.translation(corner[1], corner[0])
    form = {"height": data.shape[0], "width": data.shape[1], "dtype": data.dtype, "nodata": nodata}
    rows, cols = _coarseness(source, target)
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", count=1, crs=source.crs, transform=transform, **form) as copy:
            copy.write(data, 1)
        with (
            memory.open() as copy,
            WarpedVRT(
                copy,
                crs=str(target.crs),
                transform=target.transform @ Affine.translation(first[1], first[0]),
                height=out.shape[0],
                width=out.shape[1],
                resampling=Resampling[method],
                tolerance=1e-9,
                XSCALE=1 / cols,
                YSCALE=1 / rows,
                SOURCE_EXTRA=pad_px(method, source, target),
            ) as warped,
        ):
            warped.read(1, out=out)
