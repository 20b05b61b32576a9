"""Rows that come twice, in bounded memory: two hashes of 64 bits a row, on disk where there are many."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

_ROW = np.dtype([("first", "u8"), ("second", "u8"), ("row", "u8")])
_SEEDS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
ROWS_HELD = 2_000_000
"""Kept in memory, 24 bytes each and as much again while they are sorted; more of them go to disk."""
_PARTS = 64


@dataclass(frozen=True)
class Repeats:
    """Rows that repeat an earlier one."""

    count: int
    first: tuple[tuple[int, int], ...]
    """Row and the row that it repeats, the first of them."""


@dataclass
class Seen:
    """What was seen of the rows of one table; hashes of 128 bits stand for the values."""

    folder: Path
    rows_held: int = ROWS_HELD
    _held: list[NDArray[np.void]] = field(default_factory=list)
    _count: int = 0
    _spilt: Path | None = None

    def add(self, columns: pl.DataFrame, first_row: int) -> int:
        """Look at a batch of rows; how many of them lack a value. Those are nobody's repeat."""
        missing = columns.select(pl.any_horizontal(pl.all().is_null())).to_series()
        rows = np.empty(len(columns), _ROW)
        rows["first"] = columns.hash_rows(_SEEDS[0]).to_numpy()
        rows["second"] = columns.hash_rows(_SEEDS[1]).to_numpy()
        rows["row"] = np.arange(first_row, first_row + len(columns), dtype="u8")
        lacking = int(missing.sum())
        self._held.append(rows[~missing.to_numpy()] if lacking else rows)
        self._count += len(columns) - lacking
        if self._count > self.rows_held:
            self._spill()
        return lacking

    def repeats(self, most: int) -> Repeats:
        """All repeats are counted, the first are named."""
        if self._spilt is None:
            return _repeats(np.concatenate(self._held), most) if self._held else Repeats(0, ())
        self._spill()
        parts = [
            _repeats(np.fromfile(path, _ROW), most)
            for path in (self._spilt / str(k) for k in range(_PARTS))
            if path.exists()
        ]
        first = sorted(pair for part in parts for pair in part.first)[:most]
        return Repeats(sum(part.count for part in parts), tuple(first))

    def _spill(self) -> None:
        """Move what is held to files by the first bits of its hash, so that equal rows share one."""
        if self._spilt is None:
            self._spilt = Path(tempfile.mkdtemp(prefix="rows-", dir=self.folder))
        rows = np.concatenate(self._held) if self._held else np.empty(0, _ROW)
        part = rows["first"] % np.uint64(_PARTS)
        for k in range(_PARTS):
            with (self._spilt / str(k)).open("ab") as file:
                file.write(rows[part == k].tobytes())
        self._held, self._count = [], 0


def _repeats(rows: NDArray[np.void], most: int) -> Repeats:
    rows = rows[np.lexsort((rows["row"], rows["second"], rows["first"]))]
    same = (rows["first"][1:] == rows["first"][:-1]) & (rows["second"][1:] == rows["second"][:-1])
    count = int(same.sum())
    if not count:
        return Repeats(0, ())
    starts = np.concatenate([[True], ~same])
    begun = np.maximum.accumulate(np.where(starts, np.arange(len(rows)), 0))
    repeat = np.flatnonzero(~starts)
    order = repeat[np.argsort(rows["row"][repeat])][:most]
    return Repeats(count, tuple((int(rows["row"][k]), int(rows["row"][begun[k]])) for k in order))
