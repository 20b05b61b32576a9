"""The user's table of tree-cover tiles (Parquet): which tiles there are, and their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.plan.cells import Cells
from pipeline.plan.ttc import COLUMNS, HALF, OWN, ROWS, TOLERANCE, cells_at, centres_of

_NEEDED = ("X", "Y", "X_tile", "Y_tile")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Centres:
    """Some tiles: both numbers, and the centre in degrees; (n,) each."""

    across: Ints
    down: Ints
    lon: Floats
    lat: Floats

    def __len__(self) -> int:
        return len(self.across)


def by_rule(cells: Cells) -> Centres:
    """Tiles of (n, 2) column and row, with our own numbers; centres to four decimals."""
    lon, lat = centres_of(cells[:, 0], cells[:, 1])
    return Centres(cells[:, 0] + OWN, cells[:, 1] + OWN, np.round(lon, 4), np.round(lat, 4))


def by_own_numbers(across: Ints, down: Ints) -> Centres:
    """The tiles of our own numbers, (n,) each; what is none of them is not in the answer."""
    cells = np.column_stack([across, down]) - OWN
    return by_rule(cells[((cells >= 0) & (cells < (COLUMNS, ROWS))).all(axis=1)])


def by_numbers(table: Path, across: Ints, down: Ints) -> Centres:
    """The tiles of a table that have these numbers, (n,) each; what it does not have is not in the answer.

    Raises ConfigError for a file that is no such table.
    """
    found = _read(table, {"X_tile": across, "Y_tile": down})
    return _among(table, found, _key(found.across, found.down), _key(across, down))


def by_cells(table: Path, cells: Cells) -> Centres:
    """The tiles of a table that lie in (n, 2) columns and rows; what it does not have is not in the answer.

    Raises ConfigError for a file that is no such table.
    """
    lon, lat = centres_of(cells[:, 0], cells[:, 1])
    found = _read(table, {"X": lon, "Y": lat})
    return _among(table, found, _key(*cells_at(found.lon, found.lat)), _key(cells[:, 0], cells[:, 1]))


def _key(one: Ints, other: Ints) -> Ints:
    return one * 2**32 + other


def _among(table: Path, found: Centres, keys: Ints, wanted: Ints) -> Centres:
    """Rows whose key is wanted, sorted by it. Raises ConfigError where one of them is no tile."""
    wanted = np.sort(wanted)
    if not len(wanted):
        return by_rule(np.empty((0, 2), np.int64))
    place = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    rows = np.flatnonzero(wanted[place] == keys)
    rows = rows[np.argsort(keys[rows], kind="stable")]
    chosen = Centres(found.across[rows], found.down[rows], found.lon[rows], found.lat[rows])
    _check(table, chosen)
    return chosen


def _read(table: Path, near: dict[str, NDArray[Any]]) -> Centres:
    """The rows of a table within the range of these values: row groups beyond it are not read.

    Raises ConfigError for a file that cannot be read or has other columns.
    """
    import pyarrow as pa  # noqa: PLC0415 (only for those who have a table)
    import pyarrow.compute as pc  # noqa: PLC0415 (the same)
    import pyarrow.parquet as pq  # noqa: PLC0415 (the same)

    within = pc.scalar(value=True)
    for name, values in near.items():
        low, high = (values.min() - HALF, values.max() + HALF) if len(values) else (0.0, -1.0)
        within = within & (pc.field(name) >= float(low)) & (pc.field(name) <= float(high))
    try:
        columns = pq.read_schema(table).names
        if not {*_NEEDED} <= {*columns}:
            raise ConfigError(
                f"{table}: found the columns {', '.join(columns) or 'none'}; allowed: a table of tiles with "
                f"{', '.join(_NEEDED)}"
            )
        rows = pq.read_table(table, columns=list(_NEEDED), filters=within)
        bare = [name for name in _NEEDED if rows[name].null_count]
        if bare:
            raise ConfigError(f"{table}: found rows without {', '.join(bare)}; allowed: a number in every row")
        lon, lat = (rows[name].cast(pa.float64()).to_numpy() for name in ("X", "Y"))
        across, down = (rows[name].cast(pa.int64()).to_numpy() for name in ("X_tile", "Y_tile"))
    except OSError as error:
        raise ConfigError(f"{table}: cannot be read as Parquet ({error}); give the table of tiles") from None
    except pa.ArrowException as error:
        raise ConfigError(f"{table}: no table of tiles in Parquet ({error})") from None
    return Centres(across, down, lon, lat)


def _check(table: Path, tiles: Centres) -> None:
    """Raise ConfigError where a row's centre is none of the grid's, or a number has two of them."""
    lon, lat = tiles.lon, tiles.lat
    with np.errstate(invalid="ignore"):  # of a centre that is no number
        x, y = centres_of(*cells_at(lon, lat))
    wrong = np.flatnonzero(~((np.abs(x - lon) <= TOLERANCE) & (np.abs(y - lat) <= TOLERANCE)))
    if len(wrong):
        row = wrong[0]
        raise ConfigError(
            f"{table}: {len(wrong)} of {len(lon)} rows have a centre that is no tile's, the first one X {lon[row]}, "
            f"Y {lat[row]}; the nearest tile's is {x[row]:.4f}, {y[row]:.4f}"
        )
    keys = _key(tiles.across, tiles.down)
    order = np.lexsort((lat, lon, keys))
    again = keys[order][1:] == keys[order][:-1]
    apart = (lon[order][1:] != lon[order][:-1]) | (lat[order][1:] != lat[order][:-1])
    twice = order[1:][again & apart]
    if len(twice):
        row = twice[0]
        raise ConfigError(
            f"{table}: X_tile {tiles.across[row]}, Y_tile {tiles.down[row]} has two centres; allowed: one tile a number"
        )
