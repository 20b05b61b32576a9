"""Levels of committed partitions as Dask arrays (profile, level): which rows a chunk reads, and what it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.plan.argo_rules import QualityRule
from pipeline.read.partitions import Heads, Partition, read_levels

if TYPE_CHECKING:
    import dask.array as da

CHUNK_NUMBERS = 2**21
"""Profiles times levels of a chunk, at most."""
NO_FLAG = -1
"""Of a level without a flag, or without a number."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some profiles of one partition: where their levels begin, and how many each has."""

    partition: Partition
    put: tuple[str, int]
    columns: frozenset[str]
    rows: NDArray[np.int64]
    """(profile,): first row of each."""
    levels: NDArray[np.int64]

    def read(self, names: Sequence[str]) -> dict[str, NDArray[Any] | None]:
        """Columns as (row,) arrays of exactly these profiles' levels; None for what the partition does not have."""
        there = [name for name in names if name in self.columns]
        if not there or not self.levels.sum():
            return dict.fromkeys(names)
        start, stop = int(self.rows[0]), int(self.rows[-1] + max(self.levels[-1], 1))
        table = read_levels(self.partition, there, (start, stop), self.put)
        before = np.concatenate([[0], np.cumsum(self.levels)[:-1]])
        picked = np.repeat(self.rows - start - before, self.levels) + np.arange(self.levels.sum())
        return {name: plain(table[name])[picked] if name in there else None for name in names}


Reader = Callable[[Chunk], NDArray[Any] | None]


def chunks_of(partition: Partition, heads: Heads, number: NDArray[np.int64], levels: int) -> list[Chunk]:
    """Some profiles of a partition, by their numbers, in chunks; levels: of the longest profile of all."""
    step = max(1, CHUNK_NUMBERS // levels)
    put = heads.footer.fingerprint, heads.footer.generation
    counts = heads.table["levels"].to_numpy().astype(np.int64)
    parts = [number[start : start + step] for start in range(0, len(number), step)]
    return [Chunk(partition, put, heads.columns, heads.first[part], counts[part]) for part in parts]


@dataclass(frozen=True)
class Column:
    """Reads one column as it is."""

    name: str

    def __call__(self, chunk: Chunk) -> NDArray[Any] | None:
        return chunk.read([self.name])[self.name]


@dataclass(frozen=True)
class Taken:
    """Reads what goes with the best values of a parameter; NaN where a rule does not take the value.

    The rule is that of `ops/argo_best.best_values`: what is opened by a rule is what a run by that rule commits.
    """

    name: str
    """The column: the parameter itself, its error, or what is computed of it."""
    parameter: str
    """In lower case, as columns are named."""
    rule: QualityRule

    def __call__(self, chunk: Chunk) -> NDArray[Any] | None:
        tests = self._tests()
        read = chunk.read([*dict.fromkeys((self.name, *tests))])
        values = read[self.name]
        if values is None:
            return None
        kept = np.ones(len(values), np.bool_)
        for column, takes in tests.items():
            found = read[column]
            kept &= takes(found) if found is not None else False
        return np.where(kept, values, np.nan).astype(values.dtype)

    def _tests(self) -> dict[str, Callable[[NDArray[Any]], NDArray[np.bool_]]]:
        """What the rule asks of which columns; no others are read."""
        flags, limit = self.rule.flags, self.rule.pressure_error_dbar
        tests: dict[str, Callable[[NDArray[Any]], NDArray[np.bool_]]] = {}
        if flags is not None:
            tests[f"{self.parameter}_qc"] = lambda found: np.isin(found, flags)
        if self.rule.delayed_only:
            tests[f"{self.parameter}_mode"] = lambda found: found == "D"
        if limit is not None and self.parameter == "pres":
            tests["pres_error"] = lambda found: found < limit
        return tests


def _block(chunk: Chunk, read: Reader, levels: int, dtype: str) -> NDArray[Any]:
    """(profile, level) of one chunk, padded."""
    kind = np.dtype(dtype)
    block = np.full((len(chunk.levels), levels), np.nan if kind.kind == "f" else NO_FLAG, kind)
    found = read(chunk)
    if found is not None:
        block[np.arange(levels) < chunk.levels[:, None]] = found
    return block


def lazy_levels(chunks: Sequence[Chunk], levels: int, read: Reader, dtype: str) -> da.Array:
    """One variable of all chunks, (profile, level); a block is read when it is computed."""
    import dask.array as da  # noqa: PLC0415 (only for those who open profiles)
    from dask.base import tokenize  # noqa: PLC0415 (the same)

    places = [(chunk.partition, chunk.put, chunk.rows, chunk.levels) for chunk in chunks]
    name = f"profiles-{tokenize(places, read, levels)}"
    graph = {(name, number, 0): (_block, chunk, read, levels, dtype) for number, chunk in enumerate(chunks)}
    sizes = tuple(len(chunk.levels) for chunk in chunks)
    return da.Array(graph, name, (sizes, (levels,)), dtype=dtype, meta=np.empty((0, 0), dtype))


def plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """NaN for null numbers, -1 for null codes, an empty text for null text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if pa.types.is_integer(column.type):
        return np.asarray(pc.fill_null(column, NO_FLAG).to_numpy())
    if pa.types.is_string(column.type):
        return np.asarray(pc.fill_null(column, "").to_numpy(), np.str_)
    return np.asarray(column.to_numpy())
