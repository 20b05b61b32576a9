"""How committed tiles compare with limits that were set after they were made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config import QualityConfig
from pipeline.errors import StoreError
from pipeline.execute.worker.quality import PROPERTY, bounds, judge
from pipeline.types import Json, Quality
from pipeline.write.catalog import TABLE_KEY
from pipeline.write.store import Store

_FINGERPRINT = "groundswell:fingerprint"


def judge_again(
    store: Store, committed: Mapping[str, str], limits: Mapping[str, QualityConfig]
) -> Iterator[tuple[str, Quality]]:
    """(job id, quality) of each committed tile that does not simply pass, by what its item says was measured.

    committed: job id → fingerprint. limits: by product name. Reads `items.parquet` alone: nothing is told of a tile
    that is not in it, or that a version made which did not measure. A tile is never made again for this.
    """
    wanted = {fingerprint: job_id for job_id, fingerprint in committed.items()}
    for row in _rows(store, wanted, limits.values()):
        job_id, figures = wanted[row[_FINGERPRINT]], row[PROPERTY]
        if figures is not None:
            quality = judge(_without_nothing(figures), limits[job_id.partition("/")[0]])
            if quality.status != "pass":
                yield job_id, quality


def _rows(store: Store, wanted: Iterable[str], limits: Iterable[QualityConfig]) -> list[dict[str, Json]]:
    """Fingerprint and figures of the tiles of which any of the limits may say something."""
    if not wanted or not store.exists(TABLE_KEY):
        return []
    try:
        file = pq.ParquetFile(pa.BufferReader(store.get_bytes(TABLE_KEY)))
        if PROPERTY not in file.schema_arrow.names:
            return []
        table = file.read(columns=[_FINGERPRINT, PROPERTY])
        table = table.filter(_suspect(table[PROPERTY], limits))
        found: list[dict[str, Json]] = table.filter(pc.is_in(table[_FINGERPRINT], pa.array(wanted))).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"{store.uri}, key {TABLE_KEY}: found no table ({error}); run `groundswell catalog`"
        ) from error
    return sorted(found, key=lambda row: str(row[_FINGERPRINT]))


def _suspect(figures: pa.ChunkedArray, limits: Iterable[QualityConfig]) -> pa.Array:
    """By row, whether `judge` may say something of it: only those, as a rule a few, are worth an object of Python."""
    tests = [("valid_fraction", pc.equal, 0.0), ("offsets_in_doubt", pc.not_equal, 0.0)]
    for limit in limits:
        if limit.band_ranges:
            return pc.is_valid(figures)
        tests += [(figure, pc.less if below else pc.greater, bound) for figure, below, bound in bounds(limit)]
    named, found = {field.name for field in figures.type}, np.zeros(len(figures), np.bool_)
    for name, compare, bound in dict.fromkeys(tests):
        if name in named:
            found |= pc.fill_null(compare(pc.struct_field(figures, name), bound), fill_value=False).to_numpy()
    return pa.array(found)


def _without_nothing(figures: Json) -> Json:
    """In a table every row has every column; what an item does not say is null there."""
    if isinstance(figures, dict):
        return {name: _without_nothing(value) for name, value in figures.items() if value is not None}
    return [_without_nothing(each) for each in figures] if isinstance(figures, list) else figures
