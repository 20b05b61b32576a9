"""How the items of a product are laid out in one Dataset: which tile and which time is where. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError

from pipeline.errors import ConfigError
from pipeline.types import Band, Grid
from pipeline.write.outputs import STATIC, Layer, Output, Source, tile_grids
from pipeline.write.patchwork import GridsDifferError, Patchwork, Piece, ReadWindow, blocks, centres, common_frame

Pieces = dict[tuple[int, ...], list[Piece]]


@dataclass(frozen=True)
class Step:
    """One position along `time`."""

    start: datetime
    end: datetime
    """Of the period, excluded."""
    period: str
    day: date | None
    """In a time series."""


@dataclass(frozen=True)
class Plane:
    """The axes (y, x), and `tile` before them where tiles have planes of their own."""

    tiles: tuple[str, ...]
    """Along `tile`; empty: one plane for all."""
    shape: tuple[int, int]
    corners: Mapping[str, tuple[int, int]]
    """Tile id → (row, column) of its first pixel."""
    cell: tuple[int, int] | None
    """Shape of a tile where all are alike and lie side by side."""
    coords: Mapping[str, Any]
    grid: Grid | None
    """Of a plane that all tiles share."""


@dataclass(frozen=True)
class Board:
    """The axes of the whole: (tile, time, y, x), each of the first two only where there is such an axis."""

    plane: Plane
    steps: tuple[Step, ...]
    """Along `time`; empty: timeless."""

    @property
    def grid(self) -> Grid | None:
        return self.plane.grid

    @property
    def dims(self) -> tuple[str, ...]:
        return (*(["tile"] if self.plane.tiles else []), *(["time"] if self.steps else []), "y", "x")

    @property
    def lead(self) -> tuple[int, ...]:
        return tuple(size for size in (len(self.plane.tiles), len(self.steps)) if size)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.lead, *self.plane.shape)

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Each lies within one block of one file, where tiles lie side by side."""
        cell = self.plane.cell or self.plane.shape
        planes = (blocks(side, one) for side, one in zip(self.plane.shape, cell, strict=True))
        return (*((1,) * size for size in self.lead), *planes)

    @property
    def coords(self) -> dict[str, Any]:
        return {**self.plane.coords, **_time_coords(self.steps)}


def select_crs(outputs: Sequence[Output], crs: str | None) -> tuple[Output, ...]:
    """The outputs in a CRS, however it is written; all for None. Raises ConfigError naming those there are."""
    if crs is None:
        return tuple(outputs)
    found = sorted({output.grid.crs for output in outputs})
    try:
        wanted = CRS.from_user_input(crs)
    except ProjError as error:
        raise ConfigError(f"crs={crs!r}: {error}; found tiles in {', '.join(found)}") from error
    same = {each for each in found if CRS.from_user_input(each) == wanted}
    if not same:
        raise ConfigError(f"crs={crs!r}: no tile is in it; found tiles in {', '.join(found)}")
    return tuple(output for output in outputs if output.grid.crs in same)


def plan_board(outputs: Sequence[Output], layout: str | None) -> Board:
    """The axes of a layout; None: `mosaic` where the tiles share one pixel grid, else `tiles`.

    Raises ConfigError for another layout, for `mosaic` where they do not, and where timeless items stand beside others.
    """
    grids = tile_grids(outputs)
    if layout not in {None, "mosaic", "tiles"}:
        raise ConfigError(f"layout={layout!r}: allowed: mosaic, tiles; None takes mosaic where it can be")
    if layout == "tiles":
        return Board(_tiles(grids), _steps(outputs))
    try:
        return Board(_mosaic(grids), _steps(outputs))
    except GridsDifferError:
        if layout == "mosaic":
            raise
        return Board(_tiles(grids), _steps(outputs))


def lay_out(
    outputs: Sequence[Output], band: Band, board: Board, read: ReadWindow, store: str | None = None
) -> Patchwork:
    """A band of all outputs as one array on the board, which reads when it is indexed.

    store: `cog` or `zarr`; None: Zarr where there is. Raises ConfigError naming an item that has no such file.
    """
    pieces = _pieces(outputs, band, board, store)
    bit = empty_bit(band)
    token = hashlib.sha256(repr((board.shape, band, sorted(pieces.items()))).encode()).hexdigest()
    return Patchwork(board.shape, np.dtype(band.dtype), fill_of(band), pieces, read, token, bit)


def empty_bit(band: Band) -> int:
    """The bit by which codes say that there is no number, as `qa` does; 0: none does."""
    return next((bit for bit, meaning in band.flags if meaning == "empty"), 0) if band.nodata is None else 0


def fill_of(band: Band) -> float:
    """What its pixels are where no tile lies."""
    return float(empty_bit(band)) if band.nodata is None else band.nodata


def _pieces(outputs: Sequence[Output], band: Band, board: Board, store: str | None) -> Pieces:
    """Where the files of a band lie on the board, by leading position, in the order of the outputs.

    Raises ConfigError where a band is of single days in one item and of the whole period in another: shown at every
    day, a composite would pass for an observation.
    """
    tiles = {tile: (number,) for number, tile in enumerate(board.plane.tiles)}
    times = _positions(board.steps)
    pieces: Pieces = {}
    kinds: dict[str, tuple[bool, Output]] = {}
    for output in outputs:
        for layer in output.layers:
            if layer.band.name == band.name:
                daily, other = kinds.setdefault(output.period, (layer.day is not None, output))
                if daily != (layer.day is not None):
                    one, many = (output, other) if daily else (other, output)
                    raise ConfigError(
                        f"band {band.name} is of the whole period in {one.id} and of single days in {many.id}; make "
                        "one of them again, or under another product `name`"
                    )
                piece = Piece(*board.plane.corners[output.tile], output.grid.shape, _source(output, layer, store))
                for time in times[output.period, layer.day]:
                    pieces.setdefault((*tiles.get(output.tile, ()), *time), []).append(piece)
    return pieces


def _positions(steps: Sequence[Step]) -> Mapping[tuple[str, date | None], Sequence[tuple[int, ...]]]:
    """Where a layer of a period and day belongs along `time`; one without a day, in a time series, at every day."""
    if not steps:
        return {(STATIC, None): [()]}
    found: dict[tuple[str, date | None], list[tuple[int, ...]]] = {}
    for number, step in enumerate(steps):
        for day in {step.day, None}:
            found.setdefault((step.period, day), []).append((number,))
    return found


def _source(output: Output, layer: Layer, store: str | None) -> Source:
    found = layer.preferred if store is None else layer.sources.get(store)
    if found is None:
        raise ConfigError(
            f"store={store!r}: {output.id}, band {layer.band.name}, is in {', '.join(layer.sources)} only"
        )
    return found


def _mosaic(grids: Mapping[str, Grid]) -> Plane:
    frame = common_frame(grids)
    x, y = centres(frame.grid)
    return Plane((), frame.grid.shape, frame.corners, frame.cell, {"y": y, "x": x}, frame.grid)


def _tiles(grids: Mapping[str, Grid]) -> Plane:
    """Planes as large as the largest tile; smaller ones lie in the first corner."""
    shape = max(grid.shape[0] for grid in grids.values()), max(grid.shape[1] for grid in grids.values())
    x, y = zip(*(centres(Grid(grid.crs, grid.transform, shape)) for grid in grids.values()), strict=True)
    coords = {
        "tile": list(grids),
        "crs": ("tile", [grid.crs for grid in grids.values()]),
        "transform": (("tile", "affine"), [list(grid.transform) for grid in grids.values()]),
        "y": (("tile", "y"), np.stack(y)),
        "x": (("tile", "x"), np.stack(x)),
    }
    return Plane(tuple(grids), shape, dict.fromkeys(grids, (0, 0)), shape, coords, None)


def _steps(outputs: Sequence[Output]) -> tuple[Step, ...]:
    """The positions along `time`, sorted; none for a timeless product.

    A period that tiles cover in part begins with the first of them and ends with the last.
    """
    dated = [(output, output.start, output.end) for output in outputs if output.start and output.end]
    if dated and len(dated) < len(outputs):
        static = next(output for output in outputs if output.start is None)
        raise ConfigError(
            f"{static.id} is timeless and {dated[0][0].id} is not: two products had this name; name one of them anew"
        )
    spans: dict[str, tuple[datetime, datetime]] = {}
    days: dict[str, set[date | None]] = {}
    for output, start, end in dated:
        first, last = spans.get(output.period, (start, end))
        spans[output.period] = min(first, start), max(last, end)
        days.setdefault(output.period, set()).update(layer.day for layer in output.layers)
    steps = [
        Step(start if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC), end, period, day)
        for period, (start, end) in spans.items()
        for day in (days[period] - {None} or {None})
    ]
    return tuple(sorted(steps, key=lambda step: (step.start, step.end, step.period)))


def _time_coords(steps: Sequence[Step]) -> dict[str, Any]:
    if not steps:
        return {"period": STATIC}
    return {
        "time": _instants(step.start for step in steps),
        "period": ("time", [step.period for step in steps]),
        "period_end": ("time", _instants(step.end for step in steps)),
    }


def _instants(moments: Iterable[datetime]) -> NDArray[np.datetime64]:
    return np.array([moment.replace(tzinfo=None) for moment in moments], "datetime64[ns]")
