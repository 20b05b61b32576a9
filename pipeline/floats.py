"""The floats that a run is about: found in the index of a GDAC or of its copy, kept as a table, replayed from it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from pipeline.config import RunConfig
from pipeline.config.aliases import gdac_names
from pipeline.config.given import ConfigSource
from pipeline.errors import CatalogError
from pipeline.execute.records.codec import decode, encode
from pipeline.plan.argo_names import GREYLIST_FILE
from pipeline.plan.argo_select import Selection
from pipeline.plan.outlines import lonlat_outline
from pipeline.plan.periods import periods_of
from pipeline.plan.tiles import plan_tiles
from pipeline.search.area import read_area
from pipeline.types import Item

FLOATS = "floats.parquet"
"""Name of a run's record of its floats, beside its `items.parquet`."""
GREYLIST = "argo:greylist"
_AT_ONCE = 500
"""Floats, with some hundred files each."""


@dataclass(frozen=True)
class Afloat:
    """Floats of all sources of Argo, one item each, with the lines that the greylist has of it."""

    items: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()


def selections(config: RunConfig) -> dict[str, Selection]:
    """What of each source of Argo the run asks for: its own keys, and the run's area and period.

    Raises ConfigError where the area's file cannot be read.
    """
    names = [name for name, source in config.sources.items() if source.gdac is not None]
    if not names:
        return {}
    from pipeline.search.argo import selection_of  # noqa: PLC0415 (only for runs with floats)

    area = read_area(config.area, config.grid)
    shapes = [region.geometry for region in area.regions]
    if area.tiles:
        shapes = [lonlat_outline(tile.geobox) for tile in plan_tiles(area, config.grid)]
    periods = periods_of(config.period)
    start = min(period.start for period in periods if period.start is not None)
    end = max(period.end for period in periods if period.end is not None)
    return {name: selection_of(config.sources[name], shapes=tuple(shapes), start=start, end=end) for name in names}


def environment_sets(path: ConfigSource) -> Sequence[str]:
    """What the environment, or `.env` in this folder, says about a config's sources of Argo, as `--set` assignments."""
    if not gdac_names(path):
        return ()
    from pipeline.mirror.settings import read_settings  # noqa: PLC0415 (only for runs with floats)

    settings = read_settings()
    settings.log()
    return settings.sets(path)


def sync_mirrors(config: RunConfig, console: Console) -> None:
    """Bring the copy of every source of Argo that has one up to date, as far as the run asks for it.

    A file that could not be had is told, and the run goes on with what is there. Raises CatalogError where no index can
    be read, and PreflightError where another sync is at work.
    """
    for name, selection in selections(config).items():
        source = config.sources[name]
        if source.mirror is None or not source.download:
            continue
        from pipeline.mirror.settings import read_settings  # noqa: PLC0415 (as above)
        from pipeline.mirror.sync import sync  # noqa: PLC0415 (as above)

        report = sync(name, source, selection, read_settings().sync, console)
        console.print(report.render(), markup=False, highlight=False)


def find_floats(config: RunConfig, snapshot: Path | None = None) -> Afloat:
    """The floats of all sources of Argo, from their indices; or as a run found them, from its own records.

    snapshot: a run's `items.parquet`; its floats lie beside it. Raises CatalogError where no index can be read.
    """
    chosen = selections(config)
    if not chosen:
        return Afloat()
    if snapshot is not None:
        return _replayed(snapshot.with_name(FLOATS))
    from pipeline.mirror.floats import read_beside, search_floats  # noqa: PLC0415 (only for runs with floats)

    items: list[Item] = []
    notes: list[str] = []
    for name, selection in chosen.items():
        source = config.sources[name]
        found = search_floats(name, source, selection)
        text = read_beside(source, GREYLIST_FILE)
        listed = _greylist(text)
        items += [_greylisted(item, listed) for item in found.items]
        notes += found.notes
        if text is None:
            notes.append(f"{name}: there is no {GREYLIST_FILE}: no flag of real-time data is made worse by it")
    return Afloat(tuple(items), tuple(notes))


def _greylist(text: bytes | None) -> Mapping[str, tuple[str, ...]]:
    """The lines of the greylist by WMO number, as they are; its first line names the columns."""
    lines: dict[str, list[str]] = defaultdict(list)
    for line in (text or b"").decode("latin-1").splitlines()[1:]:
        lines[line.partition(",")[0].strip()].append(line.strip())
    return {wmo: tuple(sorted(each)) for wmo, each in lines.items()}


def _greylisted(item: Item, listed: Mapping[str, tuple[str, ...]]) -> Item:
    return replace(item, properties={**item.properties, GREYLIST: list(listed.get(item.id, ()))})


def write_floats(afloat: Afloat, path: Path) -> bool:
    """What a run found of floats as one Parquet file, a row a float; False where there is none, and no file."""
    if not afloat.items:
        return False
    import pyarrow as pa  # noqa: PLC0415 (every run imports this module, few have floats)
    import pyarrow.parquet as pq  # noqa: PLC0415 (the same)

    schema = pa.schema([(name, pa.string()) for name in ("source", "wmo", "item")])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["source"]) as file:
        for start in range(0, len(afloat.items), _AT_ONCE):  # as JSON, items are as large as they are themselves
            some = afloat.items[start : start + _AT_ONCE]
            rows = [{"source": item.source, "wmo": item.id, "item": json.dumps(encode(item))} for item in some]
            file.write_batch(pa.RecordBatch.from_pylist(rows, schema))
    return True


def _replayed(path: Path) -> Afloat:
    import pyarrow as pa  # noqa: PLC0415 (as above)
    import pyarrow.parquet as pq  # noqa: PLC0415 (as above)

    try:
        with pq.ParquetFile(path) as file:
            texts = (
                text for batch in file.iter_batches(_AT_ONCE, columns=["item"]) for text in batch["item"].to_pylist()
            )
            items = tuple(decode(Item, json.loads(text)) for text in texts)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise CatalogError(f"{path}: no record of a run's floats beside its snapshot: {error}") from None
    return Afloat(items)
