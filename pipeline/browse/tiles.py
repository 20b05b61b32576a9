"""One map tile of one layer: what the current items say of it, in the colours of the layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject, transform_bounds
from rio_tiler.colormap import cmap
from rio_tiler.errors import EmptyMosaicError, TileOutsideBounds
from rio_tiler.io import Reader
from rio_tiler.models import ImageData
from rio_tiler.mosaic import mosaic_reader

from pipeline.browse.layers import Colour, Layer, shade_numbers
from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.gdal import forget, open_gdal
from pipeline.results.window import WindowReader
from pipeline.types import Asset, Band, Grid
from pipeline.write.outputs import Output, Source

MAX_ITEMS = 64
"""Of one map tile: beyond, outlines say more than pixels would."""
MAX_WINDOW_PX = 2**24
"""Of a Zarr array, which has no overviews, for one map tile."""
EDGE_M = 20037508.342789244
"""Half the side of the map's square, EPSG:3857."""
_MAP = CRS.from_epsg(3857)
Place = tuple[int, int, int]
"""Zoom, column and row of a map tile."""


def bounds_m(place: Place) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a map tile in metres of EPSG:3857."""
    zoom, column, row = place
    side = 2 * EDGE_M / 2**zoom
    left, top = column * side - EDGE_M, EDGE_M - row * side
    return left, top - side, left + side, top


def bounds_degrees(place: Place) -> tuple[float, float, float, float]:
    """The same as west, south, east and north."""
    west, south, east, north = transform_bounds(_MAP, "EPSG:4326", *bounds_m(place))
    return west, south, east, north


def draw_tile(outputs: Sequence[Output], layer: Layer, place: Place, size_px: int, access: Access) -> bytes:
    """A PNG of `size_px` by `size_px`; transparent where no item has a number.

    Of items that overlap, the first by tile that has a number gives it, as in `open_results`. Raises AssetError naming
    a file that cannot be read.
    """

    def read(output: Output) -> ImageData:
        return _read(output, layer, place, size_px, access)

    try:
        image, _ = mosaic_reader(outputs, read, threads=0, allowed_exceptions=(TileOutsideBounds,))
    except EmptyMosaicError:
        return empty_tile(size_px)
    return _coloured(image, layer)


@lru_cache(maxsize=4)
def empty_tile(size_px: int) -> bytes:
    """A transparent PNG."""
    nothing = np.ma.MaskedArray(np.zeros((1, size_px, size_px), np.uint8), mask=True)
    return bytes(ImageData(nothing).render(img_format="PNG"))


def _read(output: Output, layer: Layer, place: Place, size_px: int, access: Access) -> ImageData:
    """The layer's bands of one item on a map tile: stored numbers, masked. Raises TileOutsideBounds."""
    sources = {one.band.name: one.sources for one in output.layers if one.day == layer.day}
    if any(band.name not in sources for band in layer.bands):
        raise TileOutsideBounds(f"{output.id}: no such layer")
    planes = []
    for band in layer.bands:
        there = sources[band.name]
        if "cog" in there:
            planes.append(_of_cog(there["cog"], band, place, size_px, access))
        else:
            planes.append(_of_zarr(there["zarr"], band, output.grid, (place, size_px), access))
    numbers = np.concatenate([np.ma.getdata(plane) for plane in planes])
    absent = np.logical_or.reduce([np.ma.getmaskarray(plane) for plane in planes])
    joined = np.ma.MaskedArray(numbers, np.broadcast_to(absent, numbers.shape))
    return ImageData(joined, bounds=bounds_m(place), crs=_MAP)


def _of_cog(source: Source, band: Band, place: Place, size_px: int, access: Access) -> np.ma.MaskedArray[Any, Any]:
    zoom, column, row = place

    def draw() -> np.ma.MaskedArray[Any, Any]:
        with open_gdal(Asset("cog", source.href, source.band), access) as raster:
            reader = Reader(None, dataset=raster.dataset)
            image = reader.tile(column, row, zoom, tilesize=size_px, indexes=[source.band], nodata=band.nodata)
        return image.array

    try:
        return draw()
    except RasterioError:
        forget(source.href, access)  # or this server would see a moment's failure for as long as it lives
    try:
        return draw()
    except RasterioError as error:
        forget(source.href, access)
        raise PermanentAssetError(source.href, f"{type(error).__name__}: {error}") from error


def _of_zarr(
    source: Source, band: Band, grid: Grid, wanted: tuple[Place, int], access: Access
) -> np.ma.MaskedArray[Any, Any]:
    """Only the window that the map tile touches is read; raises TileOutsideBounds where it is none, or too large."""
    place, size_px = wanted
    rows, columns = _window(grid, bounds_m(place))
    if (rows.stop - rows.start) * (columns.stop - columns.start) > MAX_WINDOW_PX:
        raise TileOutsideBounds(f"{source.href}: too many pixels without overviews")
    stored = WindowReader(access)(source, rows, columns)
    valid = np.ones(stored.shape, np.uint8) if band.nodata is None else (~missing(stored, band.nodata)).astype(np.uint8)
    a, b, c, d, e, f = grid.transform
    from_here = (a, b, c + columns.start * a + rows.start * b, d, e, f + columns.start * d + rows.start * e)
    left, _, right, top = bounds_m(place)
    onto_map = Affine((right - left) / size_px, 0, left, 0, (left - right) / size_px, top)
    shape = (1, size_px, size_px)
    pixels, kept = np.zeros(shape, stored.dtype), np.zeros(shape, np.uint8)
    for plane, onto in ((stored, pixels), (valid, kept)):
        reproject(
            plane[None],
            onto,
            src_transform=Affine(*from_here),
            src_crs=grid.crs,
            dst_transform=onto_map,
            dst_crs=_MAP,
            resampling=Resampling.nearest,
        )
    return np.ma.MaskedArray(pixels, kept == 0)


def _window(grid: Grid, bounds: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Rows and columns of a grid that a map tile touches. Raises TileOutsideBounds."""
    left, bottom, right, top = transform_bounds(_MAP, grid.crs, *bounds)
    inverse = ~Affine(*grid.transform)
    corners = [inverse @ (x, y) for x in (left, right) for y in (bottom, top)]
    (low_x, high_x), (low_y, high_y) = ((min(each), max(each)) for each in zip(*corners, strict=True))
    height, width = grid.shape
    rows = slice(max(0, int(low_y) - 1), min(height, int(high_y) + 2))
    columns = slice(max(0, int(low_x) - 1), min(width, int(high_x) + 2))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise TileOutsideBounds("the item lies elsewhere")
    return rows, columns


def missing(stored: NDArray[Any], nodata: float) -> NDArray[np.bool_]:
    """Where there is no number."""
    return np.isnan(stored) if np.isnan(nodata) else np.asarray(stored == nodata)


def _coloured(image: ImageData, layer: Layer) -> bytes:
    if layer.kind in {"flags", "classes"}:
        mask = np.ma.getmaskarray(image.array)
        numbers = shade_numbers(layer, image.array.data)
        drawn = ImageData(np.ma.MaskedArray(numbers, mask | (numbers == 255)), bounds=image.bounds, crs=image.crs)
        return bytes(drawn.render(img_format="PNG", colormap=shade_colours(layer), ZLEVEL=1))
    image.rescale(in_range=(layer.stored_range,))
    colours = cmap.get(layer.colours) if layer.colours else None
    return bytes(image.render(img_format="PNG", colormap=colours, ZLEVEL=1))


def shade_colours(layer: Layer) -> dict[int, Colour]:
    """By number of the shade; every number has one, as rio-tiler asks for."""
    return dict.fromkeys(range(256), (0, 0, 0, 0)) | {n: one.colour for n, one in enumerate(layer.shades)}


def ramp(name: str, steps: int = 16) -> list[str]:
    """A colour map as so many colours, `#rrggbb`."""
    colours = cmap.get(name)
    return ["#{:02x}{:02x}{:02x}".format(*colours[round(n * 255 / (steps - 1))][:3]) for n in range(steps)]
