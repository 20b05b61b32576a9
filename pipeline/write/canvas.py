"""What a mosaic holds and how it is painted: one Zarr group, object by object, whatever stores it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import zarr
from affine import Affine
from odc.geo.geobox import GeoBox
from zarr.codecs import BloscCodec

from pipeline.errors import StoreError
from pipeline.types import Band, Grid, Json
from pipeline.write.layout import Board, Step, fill_of, lay_out, plan_board
from pipeline.write.outputs import STATIC, Output, common_bands, joint_rights, tile_grids
from pipeline.write.patchwork import GridsDifferError, ReadWindow, common_frame
from pipeline.write.zarr_attributes import (
    TIME_UNITS,
    Extent,
    Variable,
    band_attributes,
    coordinate_variables,
    group_attributes,
)

FORMAT = 1
LAYOUT = "groundswell:mosaic"
"""Root attribute: what decides whether new items fit into the arrays as they are."""

SHARD_PX, CHUNK_PX = 2048, 512
"""Longest side of an object, and of what is read at once."""
LEAST_PX = 128
"""Chunks of less, in larger tiles, would be far too many."""
SHARDS_AT_ONCE = 4
"""Objects in memory at the same time."""
LEVEL = 3
"""Of zstd."""

Shown = Mapping[str, Mapping[str, str]]
"""Period → tile → what stands for its pixels (`Output.content`)."""


@dataclass(frozen=True)
class Canvas:
    """A mosaic to be: the items of one product in one CRS, on one grid."""

    outputs: tuple[Output, ...]
    bands: tuple[Band, ...]
    board: Board
    grid: Grid
    shard: tuple[int, int]
    chunk: tuple[int, int]

    @cached_property
    def shown(self) -> Shown:
        """The items in it when it is finished, periods in order of time."""
        found: dict[str, dict[str, str]] = {step.period: {} for step in self.board.steps} or {STATIC: {}}
        for output in self.outputs:
            found[output.period][output.tile] = output.content
        return found

    def positions(self, period: str) -> list[tuple[int, ...]]:
        """Along `time`: one, or one a day; a timeless product has no such axis."""
        return [(number,) for number, step in enumerate(self.board.steps) if step.period == period] or [()]

    def layout(self, length: int) -> dict[str, Json]:
        """What the arrays are like when they hold the first `length` steps."""
        return {
            "format": FORMAT,
            "crs": self.grid.crs,
            "transform": list(self.grid.transform),
            "shape": list(self.grid.shape),
            "objects": [*self.shard, *self.chunk],
            "bands": {each.name: [each.dtype, repr(each.nodata), each.scale, each.offset] for each in self.bands},
            "steps": [[step.period, str(step.day)] for step in self.board.steps[:length]],
        }


def plan_canvas(outputs: Sequence[Output]) -> Canvas:
    """The smallest canvas for the outputs of one product. Raises GridsDifferError where they share no pixel grid."""
    board = plan_board(outputs, "mosaic")
    grid = common_frame(tile_grids(outputs)).grid
    (rows, row), (columns, column) = (_cut(side) for side in board.plane.cell or (SHARD_PX, SHARD_PX))
    return Canvas(tuple(outputs), common_bands(outputs), board, grid, (rows, columns), (row, column))


def _cut(side: int) -> tuple[int, int]:
    """Sides of objects and of chunks: whole parts of a tile's, so that an object lies in one tile, where such exist."""
    shard = _part(side, SHARD_PX)
    chunk = _part(shard, CHUNK_PX)
    # A prime has no parts but pixels.
    return (shard, chunk) if chunk >= min(side, LEAST_PX) else (SHARD_PX, CHUNK_PX)


def _part(side: int, longest: int) -> int:
    """The largest whole part of a side that is not longer."""
    return next(side // count for count in range(1, side + 1) if side % count == 0 and side // count <= longest)


def fit(canvas: Canvas, layout: Json) -> Canvas | None:
    """The canvas on the grid of arrays with that layout, which may only grow: to the south, the east, later times.

    None where they cannot: for tiles north or west of them, earlier periods, other bands or objects.
    """
    mine, steps = canvas.layout(len(canvas.board.steps)), layout["steps"]
    same = all(layout[key] == mine[key] for key in ("format", "crs", "objects", "bands"))
    if not same or mine["steps"][: len(steps)] != steps:
        return None
    old = Grid(layout["crs"], tuple(layout["transform"]), tuple(layout["shape"]))
    try:
        frame = common_frame({"old": old, "new": canvas.grid})
    except GridsDifferError:
        return None
    if frame.corners["old"] != (0, 0):
        return None
    down, right = frame.corners["new"]
    corners = {tile: (row + down, column + right) for tile, (row, column) in canvas.board.plane.corners.items()}
    plane = replace(canvas.board.plane, shape=frame.grid.shape, corners=corners, grid=frame.grid)
    return replace(canvas, board=replace(canvas.board, plane=plane), grid=frame.grid)


def prepare(group: zarr.Group, canvas: Canvas, length: int) -> None:
    """Make the arrays, or make them larger, for the first `length` steps; coordinates and attributes are put anew."""
    rights = joint_rights(canvas.outputs)
    transform, shape = Affine(*canvas.grid.transform), canvas.grid.shape
    geobox = GeoBox(shape, transform, canvas.grid.crs)
    timed = bool(canvas.board.steps)
    variables = {**coordinate_variables(Extent(geobox)), **(_time(canvas.board.steps[:length]) if timed else {})}
    for name, (dims, values, attributes) in variables.items():
        group.create_array(
            name, data=values, chunks=values.shape, dimension_names=dims, attributes=attributes, overwrite=True
        )
    lead = (length,) if timed else ()
    for band in canvas.bands:
        if band.name in group:
            _array(group, band.name).resize((*lead, *shape))
        else:
            _create(group, canvas, band, lead)
    beside = ["spatial_ref", *(["time_bnds"] if "time_bnds" in variables else [])]
    group.attrs.put(
        {**group_attributes(geobox, rights), "coordinates": " ".join(beside), LAYOUT: canvas.layout(length)}
    )


def _create(group: zarr.Group, canvas: Canvas, band: Band, lead: tuple[int, ...]) -> None:
    ones, dtype = (1,) * len(lead), np.dtype(band.dtype)
    group.create_array(
        band.name,
        shape=(*lead, *canvas.grid.shape),
        dtype=dtype,
        chunks=(*ones, *canvas.chunk),
        shards=(*ones, *canvas.shard),
        compressors=BloscCodec(cname="zstd", clevel=LEVEL, shuffle="shuffle", typesize=dtype.itemsize),
        fill_value=fill_of(band),
        dimension_names=(*(["time"] if lead else []), "y", "x"),
        attributes=band_attributes(band, ["spatial_ref"]),
        config={"write_empty_chunks": True},
    )


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise StoreError(f"{group.store_path}: {name} is a group; expected an array of a mosaic")
    return array


def _time(steps: Sequence[Step]) -> dict[str, Variable]:
    """CF's `time` and its bounds; the ids of the periods are an attribute, since Zarr v3 has no settled text type."""
    ends = [step.end if step.day is None else step.start + timedelta(days=1) for step in steps]
    bounds = np.array([[step.start.timestamp(), end.timestamp()] for step, end in zip(steps, ends, strict=True)])
    described = {
        "standard_name": "time",
        "axis": "T",
        "units": TIME_UNITS,
        "calendar": "proleptic_gregorian",
        "bounds": "time_bnds",
        "period": [step.period for step in steps],
    }
    return {
        "time": (("time",), bounds[:, 0].astype(np.int64), described),
        "time_bnds": (("time", "bnds"), bounds.astype(np.int64), {}),
    }


def paint(
    group: zarr.Group,
    canvas: Canvas,
    changed: Mapping[str, Collection[str]],
    read: ReadWindow,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Write whatever the changed tiles touch, by period: object by object, whole, a few at a time.

    after: called when one is written. Raises AssetError when a file cannot be read; what is written then is of no use.
    """
    height, width = canvas.shard

    def write(place: tuple[str, tuple[int, ...], tuple[int, int]]) -> None:
        name, at, (row, column) = place
        window: Any = (*at, slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width))
        arrays[name][window] = works[name][window]
        after()

    corners, grids = canvas.board.plane.corners, tile_grids(canvas.outputs)
    arrays = {band.name: _array(group, band.name) for band in canvas.bands}
    works = {band.name: lay_out(canvas.outputs, band, canvas.board, read) for band in canvas.bands}
    with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
        for period, tiles in changed.items():
            objects = sorted({each for tile in tiles for each in _touched(canvas, corners[tile], grids[tile].shape)})
            deque(pool.map(write, product(arrays, canvas.positions(period), objects)), maxlen=0)


def _touched(canvas: Canvas, corner: tuple[int, int], shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The objects (row, column) in which such a rectangle has pixels."""
    rows, columns = (
        range(first // size, -(-(first + side) // size))
        for first, side, size in zip(corner, shape, canvas.shard, strict=True)
    )
    yield from product(rows, columns)
