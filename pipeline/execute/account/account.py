"""The whole account of a run, read from its records: plan, journal, config, estimate, end; nothing else is asked.

One pass over plan and journal, columns of numbers instead of a value a job: a hundred thousand jobs are some 30 MB.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.execute.account.pictures import read_pictures
from pipeline.execute.account.rows import Ended, Planned
from pipeline.execute.account.told import Told
from pipeline.execute.records.lease import RUN_LEASE, is_held
from pipeline.execute.records.lines import journal_records, read_records
from pipeline.execute.records.runs import FINISHED, read_plan
from pipeline.types import Json
from pipeline.types.account import Account
from pipeline.write.store import Entry, Store

_AT_ONCE = 1_000
"""Lines of a journal in memory."""


def read_account(store: Store, run_id: str, log: Path | None = None) -> Account:
    """Everything that a run's records say of it. Raises StoreError where there is no such run, or no reading it.

    log: the journal on this machine, where it is there: reading it spares the segments in the output.
    """
    objects = {entry.key.rpartition("/")[2]: entry for entry in store.list_entries(f"runs/{run_id}/")}
    if not objects:
        raise StoreError(f"{store.uri}: found no run {run_id}: there is nothing under runs/{run_id}/")
    planned = Planned()
    if "plan.jsonl" in objects:
        for line in read_plan(store, run_id):
            planned.add(line)
    ended, told = Ended(planned), Told()
    faults: list[str] = []
    for record in _journal(store, run_id, log, faults.append):
        if record["event"] in {"job", "committed_before"}:
            ended.add(record)
        told.add(record)
    config = _document(store, run_id, "config.json", objects)
    finished = _document(store, run_id, FINISHED, objects) or {}
    jobs, causes = ended.columns()
    return Account(
        run=run_id,
        name=str((config or {}).get("name") or "groundswell"),
        uri=store.uri,
        home=f"{store.uri}/runs/{run_id}/report/",
        state=_state(store, objects, said=told.said),
        begun_s=told.begun_s,
        ended_s=told.ended_s,
        code=told.code,
        reason=told.reason,
        command=told.command,
        environment=told.environment,
        config=config,
        estimate=_document(store, run_id, "estimate.json", objects),
        actual=finished.get("actual") or told.actual,
        jobs=jobs,
        skipped=tuple(sorted(Counter(planned.reasons).items())),
        causes=causes,
        repeated=ended.repeated.groups(),
        flags=ended.flags(),
        lost=ended.lost(),
        warnings=ended.warnings.groups(),
        messages=ended.messages,
        clusters=tuple(told.clusters),
        progress=told.progress(),
        notices_failed=told.notices_failed,
        faults=tuple(faults),
        pictures=read_pictures(store, jobs),
        pages=tuple(sorted(name for name in objects if name.startswith("performance-"))),
    )


def _journal(store: Store, run_id: str, log: Path | None, tell: Callable[[str], None]) -> Iterator[Json]:
    if log is None or not log.exists():
        yield from journal_records(store, run_id, tell)
        return
    with log.open("rb") as lines:
        while part := b"".join(islice(lines, _AT_ONCE)):
            records, faults = read_records(part, str(log))
            for fault in faults:
                tell(fault)
            yield from records


def _document(store: Store, run_id: str, name: str, objects: dict[str, Entry]) -> Json:
    """A JSON document of the run; None where there is none, or what is there is none."""
    if name not in objects:
        return None
    try:
        found = json.loads(store.get_bytes(f"runs/{run_id}/{name}"))
    except (StoreError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _state(store: Store, objects: dict[str, Entry], *, said: bool) -> str:
    """`finished`, `interrupted`, `live` or `dead`, as `history.State` says it."""
    if FINISHED in objects:
        return "finished"
    if said:
        return "interrupted"
    return "live" if is_held(store, objects.get(RUN_LEASE)) else "dead"
