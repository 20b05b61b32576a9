"""What a run leaves under `runs/<id>/`: its plan before it starts, its end when it is over; and so what is current."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.types import Json, Plan
from pipeline.write.commit import list_committed
from pipeline.write.store import Store

FORMAT = 1


def new_run_id(now: datetime) -> str:
    """Sorts by start time, to the millisecond; two runs started in the same one still differ."""
    start = now.astimezone(UTC)
    return f"{start:%Y%m%dT%H%M%S}{start.microsecond // 1000:03d}Z-{secrets.token_hex(3)}"


def begin_run(store: Store, run_id: str, config: Json, plan: Plan, snapshot: Path | None) -> None:
    """Put config, snapshot and plan: the run exists from here on. Raises StoreError where it cannot write."""
    store.put_bytes(json.dumps(config, indent=2).encode(), f"runs/{run_id}/config.json")
    if snapshot is not None:
        store.put_file(snapshot, f"runs/{run_id}/items.parquet")
    store.put_bytes("".join(_lines(plan)).encode(), f"runs/{run_id}/plan.jsonl")


def finish_run(store: Store, run_id: str, summary: Json) -> None:
    """Put the end of the run: only a finished run decides what is current."""
    store.put_bytes(json.dumps({"format": FORMAT, **summary}, indent=2).encode(), f"runs/{run_id}/finished.json")


def _lines(plan: Plan) -> Iterator[str]:
    for job in plan.jobs:
        yield _line(job.id, job.fingerprint, "run")
    for skip in plan.skipped:
        yield _line(skip.job_id, skip.fingerprint, skip.reason)


def _line(job_id: str, fingerprint: str, state: str) -> str:
    return json.dumps({"format": FORMAT, "job": job_id, "fingerprint": fingerprint, "state": state}) + "\n"


def current_items(store: Store) -> Mapping[str, str]:
    """Job id → key of its current item: the one planned by the newest finished run that planned the job and has it."""
    ended = sorted(key.split("/")[1] for key, _ in store.list_objects("runs/") if key.endswith("/finished.json"))
    committed: dict[str, Mapping[str, str]] = {}
    current: dict[str, str] = {}
    for run_id in reversed(ended):
        for job_id, fingerprint in planned(store, run_id):
            product = job_id.partition("/")[0]
            if product not in committed:
                committed[product] = list_committed(store, product)
            if fingerprint in committed[product]:
                current.setdefault(job_id, committed[product][fingerprint])
    return current


def planned(store: Store, run_id: str) -> Iterator[tuple[str, str]]:
    """(job id, fingerprint) of everything a run planned, skipped jobs too. Raises StoreError for a newer format."""
    key = f"runs/{run_id}/plan.jsonl"
    for line in store.get_bytes(key).decode().splitlines():
        record = json.loads(line)
        if record["format"] > FORMAT:
            raise StoreError(f"{key}: written by a newer version (format {record['format']}); upgrade to read it")
        yield record["job"], record["fingerprint"]
