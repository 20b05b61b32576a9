"""`open_results`: the current items of an output as one lazy Dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Unpack

import dask.array as da
import numpy as np
import rioxarray  # noqa: F401 (gives Datasets their `.rio`)
import shapely
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.errors import ConfigError, NothingToDoError
from pipeline.plan.curves import transformer, turned
from pipeline.plan.outlines import lonlat_outlines
from pipeline.results.find import find_outputs
from pipeline.results.where import Storage, Where, place_of, refuse_unknown, refuse_unknown_keys
from pipeline.results.window import WindowReader
from pipeline.types import Band, Grid
from pipeline.write.layout import Board, lay_out, plan_board, select_crs
from pipeline.write.outputs import Output, common_bands, joint_rights, tile_grids
from pipeline.write.patchwork import Patchwork
from pipeline.write.zarr_attributes import flag_attributes

Box = tuple[float, float, float, float]
_SIDE_PARTS = 256
"""Points along the sides of a box, which are curves on most grids."""


class Shown(Storage, total=False):
    """Which part of a product is opened, and how; what is left out is no condition. One name needs no list."""

    bands: Sequence[str] | str | None
    """Only these variables."""
    tiles: Sequence[str] | str | None
    """Only these tiles, by id."""
    periods: Sequence[str] | str | None
    """Only these periods, by id: 2024-06."""
    bbox: Box | None
    """West, south, east, north in degrees, west above east across the antimeridian: only tiles that meet it, and in a
    mosaic only what lies within it."""
    crs: str | None
    """Only tiles in this one."""
    layout: Literal["mosaic", "tiles"] | None
    """`mosaic` is (time, y, x) on one pixel grid, nodata where no tile is; `tiles` is (tile, time, y, x), where `x`,
    `y`, `crs` and `transform` belong to each tile. Left out: mosaic where all tiles share one pixel grid."""
    store: Literal["zarr", "cog"] | None
    """Which files are read; left out: Zarr where there is."""


def open_results(
    where: Where, product: str | None = None, *, decode: bool = False, **shown: Unpack[Shown]
) -> xr.Dataset:
    """Everything current of one product as one lazy Dataset: a variable a band, stored numbers, no pixel read.

    where: the `output` of runs, a folder or s3://, or a config, or the path of its file (.yaml). product: needed where
    there are several. decode: missing numbers become NaN, scale and offset are applied, in float32 (float64 for
    4-byte integers): reflectance, linear power, metres, as the attribute `units` says.
    bands, tiles, periods, bbox, crs: which part; layout, store: how; see `Shown`. endpoint, profile, anonymous: how an
    output on S3 is reached.

    Dims (time, y, x), or (tile, time, y, x); `time` is the period's start (the day, in a time series), with `period`
    (its id) and `period_end` (excluded); timeless products have no `time`. The attributes `scale_factor`, `add_offset`
    and `_FillValue` are CF's, so `xr.decode_cf` understands them; the CRS is where rioxarray looks for it. A chunk lies
    within one block of one file; where tiles overlap, the first by id that has a number gives it. Picklable: works on
    any cluster whose workers reach the files. Source: the items of the output, nothing else.

    Raises NothingToDoError where there are no results, ConfigError naming what there is for what there is not; when
    computed, AssetError naming the file that cannot be read.
    """
    refuse_unknown_keys(shown, Shown)
    place = place_of(where, shown)
    store = shown.get("store")
    found = find_outputs(place.store, product, day_files=store == "cog")
    outputs = _selected(select_crs(found, shown.get("crs")), shown)
    board = plan_board(outputs, shown.get("layout"))
    reader = WindowReader(place.access)
    variables = {
        band.name: (board.dims, _lazy(lay_out(outputs, band, board, reader, store), board), _attributes(band))
        for band in _chosen(outputs, _names(shown.get("bands")))
    }
    dataset = xr.Dataset(variables, board.coords, {"product": outputs[0].product, **joint_rights(outputs)})
    if board.grid is not None:
        dataset = _placed(dataset, board.grid, outputs, shown.get("bbox"))
    return _decoded(dataset) if decode else dataset


def _placed(dataset: xr.Dataset, grid: Grid, outputs: Sequence[Output], box: Box | None) -> xr.Dataset:
    """A mosaic with its CRS and transform; of a box in degrees, the pixels that it touches."""
    transform = Affine(*grid.transform)
    if box is not None:
        left, bottom, right, top = reach_of(tile_grids(outputs).values(), box)
        columns = _touched(dataset["x"].values, abs(transform.a), left, right)
        rows = _touched(dataset["y"].values, abs(transform.e), bottom, top)
        dataset, transform = dataset.isel(x=columns, y=rows), transform @ Affine.translation(columns.start, rows.start)
    placed: xr.Dataset = dataset.rio.write_crs(grid.crs).rio.write_transform(transform)
    return placed


def reach_of(grids: Iterable[Grid], box: Box) -> Box:
    """Left, bottom, right, top, in the one CRS of tiles that meet a box in degrees, of what of them lies within it.

    Tile by tile: far from them, a CRS such as UTM may not be defined, or its numbers mean something else.
    """
    geoboxes, area = _geoboxes(grids), _area(box)
    found = []
    for geobox, outline in zip(geoboxes, lonlat_outlines(geoboxes), strict=True):
        own = geobox.boundingbox.bbox
        if area.covers(outline):
            found.append(own)
            continue
        west, south, east, north = outline.bounds
        seen = shapely.segmentize(outline.intersection(area), max(east - west, north - south) / _SIDE_PARTS)
        x, y = transformer(4326, str(geobox.crs)).transform(*shapely.get_coordinates(seen).T)
        x = turned(x, str(geobox.crs), (own[0] + own[2]) / 2)
        if len(x):
            found.append((x.min(), y.min(), x.max(), y.max()))
    left, bottom, right, top = np.array(found).T
    return float(left.min()), float(bottom.min()), float(right.max()), float(top.max())


def _touched(centres: NDArray[np.float64], size: float, low: float, high: float) -> slice:
    """Which pixels of a size reach between two coordinates."""
    found = np.flatnonzero((centres + size / 2 > low) & (centres - size / 2 < high))
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)


def _selected(outputs: Sequence[Output], shown: Shown) -> Sequence[Output]:
    """The items of some tiles and periods. Raises ConfigError naming those there are, NothingToDoError for none."""
    tiles, periods = _names(shown.get("tiles")), _names(shown.get("periods"))
    if tiles is not None:
        refuse_unknown("tiles", tiles, (output.tile for output in outputs))
        outputs = [output for output in outputs if output.tile in tiles]
    if periods is not None:
        refuse_unknown("periods", periods, (output.period for output in outputs))
        outputs = [output for output in outputs if output.period in periods]
    if not outputs:
        raise ConfigError("tiles, periods: found an empty list; expected one name or more, or None for all")
    if (box := shown.get("bbox")) is not None:
        outputs = _within(outputs, box)
    return outputs


def _within(outputs: Sequence[Output], box: Box) -> Sequence[Output]:
    """Those whose tile meets a box in degrees."""
    grids, area = tile_grids(outputs), _area(box)
    outlines = lonlat_outlines(_geoboxes(grids.values()))
    inside = {tile for tile, outline in zip(grids, outlines, strict=True) if outline.intersects(area)}
    if not inside:
        found = shapely.total_bounds(outlines).round(4).tolist()
        raise NothingToDoError(f"bbox={tuple(box)}: no tile meets it; the {len(grids)} tiles lie within {found}")
    return [output for output in outputs if output.tile in inside]


def _area(box: Box) -> BaseGeometry:
    """A box in degrees, in two parts where it crosses the antimeridian. Raises ConfigError for what is none."""
    if len(box) != 4 or not (-180 <= min(box[::2]) < max(box[::2]) <= 180 and -90 <= box[1] < box[3] <= 90):
        raise ConfigError(
            f"bbox={tuple(box)}: expected (west, south, east, north) in degrees, south below north; "
            "west above east crosses the antimeridian"
        )
    west, south, east, north = box
    if west < east:
        return shapely.box(*box)
    return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))


def _geoboxes(grids: Iterable[Grid]) -> list[GeoBox]:
    return [GeoBox(grid.shape, Affine(*grid.transform), grid.crs) for grid in grids]


def _names(names: Sequence[str] | str | None) -> Sequence[str] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _chosen(outputs: Sequence[Output], names: Sequence[str] | None) -> list[Band]:
    by_name = {band.name: band for band in common_bands(outputs, names)}
    if names is None:
        return list(by_name.values())
    if missing := [name for name in names if name not in by_name]:
        there = sorted({layer.band.name for output in outputs for layer in output.layers})
        raise ConfigError(f"bands={list(names)}: no {', '.join(missing)}; found {', '.join(there)}")
    return [by_name[name] for name in names]


def _lazy(patchwork: Patchwork, board: Board) -> da.Array:
    empty = np.empty((0,) * patchwork.ndim, patchwork.dtype)
    lazy: da.Array = da.from_array(patchwork, chunks=board.chunks, meta=empty, name=f"results-{patchwork.token}")
    return lazy


def _attributes(band: Band) -> dict[str, Any]:
    """CF's words for what the numbers mean; what changes nothing is left out, so that codes stay integers."""
    dtype = np.dtype(band.dtype).type
    return {
        "long_name": band.description or band.name,
        "units": band.unit,
        **({"common_name": band.common_name} if band.common_name else {}),
        **({"scale_factor": band.scale} if band.scale != 1 else {}),
        **({"add_offset": band.offset} if band.offset != 0 else {}),
        **({"_FillValue": dtype(band.nodata)} if band.nodata is not None else {}),
        **flag_attributes(band),
    }


def _decoded(dataset: xr.Dataset) -> xr.Dataset:
    """Masked and scaled by xarray itself, which goes by the type of scale and offset: float32, both or none."""
    for variable in dataset.data_vars.values():
        scaling = {
            key: np.float32(variable.attrs[key]) for key in ("scale_factor", "add_offset") if key in variable.attrs
        }
        if scaling:
            variable.attrs |= {"scale_factor": np.float32(1), "add_offset": np.float32(0)} | scaling
    decoded: xr.Dataset = xr.decode_cf(dataset, decode_times=False, decode_coords=False)
    return decoded
