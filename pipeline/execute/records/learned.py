"""What earlier runs took: the last words of this machine's journals, and of the runs that lie in the output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.execute.records.journal import state_folder
from pipeline.execute.records.lines import read_records
from pipeline.execute.records.runs import FINISHED
from pipeline.types import Json
from pipeline.types.estimate import Opened, Seen
from pipeline.write.store import Store

ACTUAL = "actual"
"""Event of a journal: what the run took and cost, see `types.Actual`."""
_RUNS = 20
"""Newest runs that are learned from."""
_ENOUGH = 5
"""With so many of this machine's own, nothing is asked of the output."""
_LOOKED_AT = 200
"""Journals that are opened to find them: runs without a job tell nothing."""
_TAIL_BYTES = 256 * 1024
_OLD_DAYS = 3650.0
_MOST = 1e9
"""Seconds and jobs: what says more is damaged."""
_FACTOR = 1e4
"""Seconds for a second of work, and work for a second: the same."""
_RUN = re.compile(r"(\d{8}T\d{6})\d{3}Z-")


@dataclass(frozen=True)
class History:
    """What there is to learn from."""

    seen: tuple[Seen, ...] = ()
    opened: tuple[Opened, ...] = ()


def read_history(store: Store, now: datetime | None = None) -> History:
    """The newest runs that say what they took. Raises nothing: what cannot be read teaches nothing."""
    now = now or datetime.now(UTC)
    found = dict(_own(state_folder() / "runs"))
    if len(found) < _ENOUGH:
        with suppress(StoreError):
            found = {**dict(_of_output(store, found)), **found}
    seen: list[Seen] = []
    opened: list[Opened] = []
    for run in sorted(found, reverse=True)[:_RUNS]:
        with suppress(LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            new_seen, new_opened = _told(run, found[run], now)
            seen += new_seen
            opened += new_opened
    return History(tuple(seen), tuple(opened))


def _own(folder: Path) -> Iterator[tuple[str, Json]]:
    """(run, what it took) of this machine's journals, newest first."""
    try:
        paths = sorted(folder.glob("*.jsonl"), reverse=True)[:_LOOKED_AT]
    except OSError:
        return
    found = 0
    for path in paths:
        record = _last(path)
        if record is not None:
            found += 1
            yield path.stem, record
        if found >= _RUNS:
            return


def _last(path: Path) -> Json:
    """The record of what a run took, which is among the last ones; None where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if b'"actual"' in line:
            with suppress(StoreError):
                records, _ = read_records(line, str(path))
                if records and records[0].get("event") == ACTUAL:
                    return records[0]
    return None


def _of_output(store: Store, known: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """The same of runs of other machines that ended on this output."""
    ends = sorted((key for key in store.list_keys("runs/") if key.endswith(f"/{FINISHED}")), reverse=True)
    for key in ends[:_ENOUGH]:
        run = key.split("/")[1]
        if run not in known:
            with suppress(StoreError, ValueError, AttributeError):
                record = json.loads(store.get_bytes(key)).get("actual")
                if record:
                    yield run, record


def _told(run: str, record: Json, now: datetime) -> tuple[list[Seen], list[Opened]]:
    """Raises LookupError, TypeError, ValueError or ArithmeticError for what is no such record."""
    moment = _RUN.match(run)
    began = datetime.strptime(moment[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if moment else now
    age_days = min(max(0.0, (now - began).total_seconds() / 86400), _OLD_DAYS)
    regions = {one["region"]: one for one in record["regions"]}
    seen = [
        Seen(
            run,
            str(row["kind"]),
            str(regions[row["region"]]["backend"]),
            regions[row["region"]]["machine"],
            int(_number(row["timed"])),
            _number(row["made_s"]),
            _number(row["work_s"]),
            age_days,
        )
        for row in record["rows"]
        if row["kind"] and row["timed"] and row["region"] in regions
    ]
    opened = [
        Opened(
            run,
            str(one["backend"]),
            _number(one["open_s"]),
            None if one["first_s"] is None else _number(one["first_s"]),
            _number(one["close_s"]),
        )
        for one in regions.values()
    ]
    if any(one.jobs < 1 or not 1 / _FACTOR < one.made_s / one.work_s < _FACTOR for one in seen):
        raise ValueError("no machine takes so long, or so little")
    return seen, opened


def _number(value: Json) -> float:
    """Seconds, or a count. Raises ValueError for what is none, TypeError and OverflowError for no number."""
    number = float(value)
    if not 0 <= number < _MOST:
        raise ValueError(f"{number} is no time, and no number of jobs")
    return number
