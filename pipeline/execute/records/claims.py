"""Two runs on one output share the work: a job is made by whoever puts its claim first.

A claim is an object at `claims/<product>/<fingerprint>` that names a run. It counts while that run's lease is held, so
nothing is renewed for a job, and what a killed run has left is taken over. Claims spare work and nothing else: a commit
is as safe without them, so a claim that is lost, doubled or left behind costs time at most.
"""

from __future__ import annotations

import json
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from pipeline.errors import CredentialsError, StoreError, TransientStoreError
from pipeline.execute.records.lease import is_held, run_lease, scratch_prefix
from pipeline.types import Job
from pipeline.write.files import json_bytes
from pipeline.write.keys import check_key
from pipeline.write.partition import items_of, step
from pipeline.write.stac import item_key
from pipeline.write.store import Entry, Store

FORMAT = 1
CLAIMS = "claims/"
AT_ONCE = 8
"""Requests on their way at once."""
TRUSTED_S = 2.0
"""So long after a look a run that was alive is taken for alive."""
_LOOKS = 5
"""How often a claim that moves while it is looked at is looked at again."""
_seen: dict[tuple[str, str], float] = {}
"""When (output, run) was last found alive, by `time.monotonic`."""
T = TypeVar("T")


@dataclass(frozen=True)
class Claim:
    """Who makes a job, and since when."""

    run: str
    host: str
    at_s: float
    """Seconds since 1970 by that host's clock: for people."""

    def __str__(self) -> str:
        return f"run {self.run} has been making it on {self.host} for {max(0.0, time.time() - self.at_s):.0f} s"


class Own(Enum):
    """What else a job can be."""

    MINE = "mine"
    """This run's to make."""
    DONE = "done"
    """Committed."""


Verdict = Own | Claim | StoreError
"""Whose a job is; an error where nobody knows."""


def claim_key(job: Job) -> str:
    """Where a job's claim lies."""
    return f"{CLAIMS}{job.product}/{job.fingerprint}"


def claim_all(store: Store, run_id: str, jobs: Sequence[Job], *, afloat: bool = False) -> list[Verdict]:
    """Claim jobs for a run, in the order of `jobs`; what becomes its own has to be released. Raises nothing.

    afloat: they are partitions, of which one with two items counts as not committed.
    """

    def claim(job: Job) -> Verdict:
        try:
            return _claim(store, run_id, job, afloat=afloat)
        except StoreError as error:
            return error

    return _each(claim, jobs)


def release(store: Store, jobs: Sequence[Job]) -> None:
    """Remove the claims of jobs that are made, or that are not going to be; one that stays does no harm."""

    def remove(job: Job) -> None:
        step("release")
        with suppress(StoreError):
            store.delete(claim_key(job))

    _each(remove, jobs)


def dead_claims(store: Store) -> Iterator[Entry]:
    """Claims that count no more: of runs that are not at work. Raises StoreError where they cannot be listed."""
    claims = list(store.list_entries(CLAIMS))  # before the leases are looked at: a run puts its lease first
    held: dict[str, bool] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for entry, claim in zip(claims, pool.map(lambda one: _read(store, one.key), claims), strict=True):
            run_id = "" if claim is None else claim.run
            if run_id not in held:
                held[run_id] = bool(run_id) and _lives(store, run_id)
            if not held[run_id]:
                yield entry


def _each(call: Callable[[Job], T], jobs: Sequence[Job]) -> list[T]:
    """A call for each job, some at once; requests sent again count as this thread's."""
    if len(jobs) == 1:
        return [call(jobs[0])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [one.result() for one in [pool.submit(copy_context().run, call, job) for job in jobs]]


def _claim(store: Store, run_id: str, job: Job, *, afloat: bool) -> Verdict:
    key, claim = claim_key(job), {"format": FORMAT, "run": run_id, "host": socket.gethostname(), "at": time.time()}
    data = json_bytes({**claim, "token": uuid.uuid4().hex})
    for _ in range(_LOOKS):
        step("claim")
        if not store.put_new(data, key):
            version, other = store.version_of(key), _read(store, key)
            if version is None:
                continue  # released meanwhile
            # Of this run: an attempt before this one was killed.
            if other is not None and other.run != run_id and _lives(store, other.run):
                return Own.DONE if _committed(store, job, afloat=afloat) else other
            if (other is None or other.run != run_id) and not _replaced(store, data, key, version):
                continue
        step("claim_done")
        if not _committed(store, job, afloat=afloat):
            return Own.MINE
        release(store, [job])
        return Own.DONE
    raise TransientStoreError(f"{store.uri}, key {key}: it changed {_LOOKS} times while it was looked at")


def _committed(store: Store, job: Job, *, afloat: bool) -> bool:
    """Whether it was made since this run was planned."""
    return items_of(store, job) == [item_key(job)] if afloat else store.exists(item_key(job))


def _replaced(store: Store, data: bytes, key: str, version: str) -> bool:
    """Take over the claim of a run that is no more; False where another one was faster."""
    with tempfile.TemporaryDirectory(prefix=scratch_prefix(), ignore_cleanup_errors=True) as folder:
        path = Path(folder, "claim.json")
        path.write_bytes(data)
        return store.put_if(path, key, version) is not None


def _read(store: Store, key: str) -> Claim | None:
    """Whose a claim is; None where it is gone, or no claim that this version knows."""
    try:
        document = json.loads(store.get_bytes(key))
        check_key(run_lease(document["run"]))  # which is asked for next
        return Claim(document["run"], str(document["host"]), float(document["at"]))
    except (TransientStoreError, CredentialsError):
        raise
    except (StoreError, ValueError, LookupError, TypeError):
        return None


def _lives(store: Store, run_id: str) -> bool:
    """Whether a run is at work; who was a moment ago still is."""
    now, run = time.monotonic(), (store.uri, run_id)
    if run in _seen and now - _seen[run] < TRUSTED_S:
        return True
    held = is_held(store, store.entry_of(run_lease(run_id)))
    if held:
        _seen[run] = now
    return held
