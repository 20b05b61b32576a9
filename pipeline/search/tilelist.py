"""Lists of tiles as CSV: ids of the grid in use, or tree-cover tiles with their centres; maybe in some years only."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from pipeline.config.area import GridConfig
from pipeline.errors import ConfigError
from pipeline.plan.areas import Area
from pipeline.plan.tiles import tile_of
from pipeline.plan.ttc import place_tile, ttc_id
from pipeline.types import Tile

COLUMNS = ("Year", "X", "Y", "Y_tile", "X_tile")
"""Of a list of tree-cover tiles: year, longitude and latitude of the centre, and the tile's two numbers."""
_SHOWN = 12

Row = Mapping[str, str | None]


def read_tiles(path: Path, grid: GridConfig) -> Area:
    """The tiles that a CSV file lists, and of each the years it is asked for where the file says so.

    Columns are `tile` and maybe `Year`, or `COLUMNS` with a grid of kind ttc; a tile may stand there again for another
    year. Raises ConfigError naming file and lines, and what is allowed there.
    """
    faults: list[str] = []
    tiles: dict[str, Tile] = {}
    years: dict[str, set[int]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            columns = tuple(rows.fieldnames or ())
            _check(columns, path, grid)
            for row in rows:
                try:
                    tile = _tile(row, grid, tiles)
                    if "Year" in columns:
                        years.setdefault(tile.id, set()).add(_year(row))
                    tiles[tile.id] = tile
                except ValueError as error:
                    faults.append(f"{path}:{rows.line_num}: found {_named(row)}; {error} (grid.kind {grid.kind})")
    except OSError as error:
        raise ConfigError(
            f"area.tiles: {path}: cannot be read ({error.strerror}); give the path of a CSV file"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"area.tiles: {path}: no CSV file in UTF-8 ({error}); save it as such") from None
    if faults:
        more = [f"… and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise ConfigError("\n".join([*faults[:_SHOWN], *more]))
    if not tiles:
        raise ConfigError(f"{path}: found no tile; allowed: a line with the id of a tile, or more")
    asked = {tile_id: frozenset(some) for tile_id, some in years.items()} or None
    return Area(tiles=tuple(tiles), placed=() if "tile" in columns else tuple(tiles.values()), years=asked)


def _check(columns: tuple[str, ...], path: Path, grid: GridConfig) -> None:
    allowed = "a column `tile` with ids of tiles"
    if "tile" in columns:
        return
    if grid.kind == "ttc":
        allowed += f", or {','.join(COLUMNS)}"
        if {*COLUMNS} <= {*columns}:
            return
    found = ", ".join(columns) or "none"
    hint = "; tree-cover tiles need grid.kind ttc" if {*COLUMNS} <= {*columns} else ""
    raise ConfigError(f"{path}:1: found the columns {found}; allowed: {allowed}{hint}")


def _named(row: Row) -> str:
    if "tile" in row:
        return repr((row["tile"] or "").strip())
    return ", ".join(f"{name} {(row[name] or '').strip()!r}" for name in COLUMNS)


def _tile(row: Row, grid: GridConfig, known: Mapping[str, Tile]) -> Tile:
    """The tile of a row; known: of the rows before it. Raises ValueError saying what is allowed."""
    if "tile" in row:
        return tile_of((row["tile"] or "").strip(), grid)
    try:
        across, down = int(row["X_tile"] or ""), int(row["Y_tile"] or "")
        lon, lat = float(row["X"] or ""), float(row["Y"] or "")
    except ValueError:
        raise ValueError("allowed: numbers, X_tile and Y_tile whole ones") from None
    tile = place_tile(ttc_id(across, down), lon, lat, grid)
    if known.get(tile.id, tile) != tile:
        raise ValueError("allowed: one centre for every tile, the same in each of its rows")
    return tile


def _year(row: Row) -> int:
    text = (row["Year"] or "").strip()
    if not (len(text) == 4 and text.isascii() and text.isdigit() and text > "0000"):
        raise ValueError(f"Year {text!r} is none; allowed: a year such as 2021")
    return int(text)
