"""What events start on data: each object fetched, checked, and its result committed, here or on a Dask cluster.

It looks at objects as they are now, so neither the order of events nor their duplicates matter: what is gone loses its
result, what was checked as it is keeps it, and what changed while it was checked is checked again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pipeline.checks.check import fingerprint, oversized
from pipeline.checks.checksums import SIDECAR_BYTES, Checksum, of_etag, of_s3, of_sidecar
from pipeline.checks.commit import commit, committed, is_whole, withdraw
from pipeline.checks.guard import CheckLostError
from pipeline.checks.place import result_key
from pipeline.checks.readers import Readers
from pipeline.checks.result import Result, Subject
from pipeline.config.checks import CheckConfig
from pipeline.config.events import EventsConfig
from pipeline.errors import ConfigError, CredentialsError, GroundswellError, StoreError, TransientStoreError
from pipeline.events.buckets.buckets import Buckets, Fetched, MissingObjectError, open_buckets
from pipeline.events.event import Ended
from pipeline.events.jobs.check_rows import CheckRows
from pipeline.write.store import Store, open_store

_AT_ONCE = 8
"""Objects of one batch that are fetched or committed side by side: the network is waited for, not computed."""
_ROUNDS = 5
"""In which an object may change while it is checked."""


@dataclass(frozen=True)
class Work:
    """What a check of objects needs, without a secret: it goes to workers as it is."""

    rule: str
    check: CheckConfig
    buckets: Buckets
    store: Store


@dataclass(frozen=True)
class Checked:
    """What became of one target."""

    ended: Ended
    bucket: str = ""
    key: str = ""
    result: Result | None = None
    """What is committed now; None with a success: nothing."""


def check_objects(config: EventsConfig, rule_name: str, targets: Sequence[str], tell: Callable[[Ended], None]) -> None:
    """Check each `object/BUCKET/KEY` and tell what became of it, exactly once, from the calling thread.

    A verdict is a success. Raises ConfigError, PreflightError and StoreError for what concerns all targets that were
    not told of: a rule without a check, a database or cluster that cannot be had.
    """
    work = work_of(config, rule_name)
    database = config.database
    with CheckRows(database.get_secret_value()) if database is not None else nullcontext() as rows:
        for checked in _run(config, work, targets):
            tell(_with_row(checked, work, rows))


def work_of(config: EventsConfig, rule_name: str) -> Work:
    """What a rule's checks need. Raises ConfigError where it has none."""
    rule = config.rules.get(rule_name)
    if rule is None or rule.check is None or config.output is None:
        raise ConfigError(f"rule {rule_name}: found no check; expected a rule with `check` and an `output`")
    storage = config.storage
    store = open_store(config.output, endpoint=storage.endpoint, profile=storage.profile)
    return Work(rule_name, rule.check, open_buckets(config), store)


def checked_state(store: Store, rule: str, bucket: str, key: str) -> tuple[int, str, str] | None:
    """Size, ETag and version of an object as it was when its committed result was found; None: there is no result."""
    result = committed(store, rule, bucket, key)
    return None if result is None else result.subject.state


def _run(config: EventsConfig, work: Work, targets: Sequence[str]) -> Iterator[Checked]:
    if config.cluster is None:
        return check_here(work, targets)
    from pipeline.events.jobs.check_cluster import check_on_cluster  # noqa: PLC0415 (Dask)

    return check_on_cluster(config, work, targets)


def check_here(work: Work, targets: Sequence[str], most: int | None = None) -> Iterator[Checked]:
    """Each target's outcome as it comes, by threads of this process; those of abandoned ones end with the iterator.

    most: objects that are read at once; nothing: as many as there are processors, and as their number is worth.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    readers = Readers(max(1, min(most or processors, _AT_ONCE, len(targets) // _AT_ONCE)))
    with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(targets)))) as threads:
        futures = [threads.submit(check_one, work, target, readers) for target in targets]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            readers.kill()


def check_one(work: Work, target: str, readers: Readers) -> Checked:
    """One target as it is now. Raises nothing that concerns only it."""
    kind, _, place = target.partition("/")
    bucket, _, key = place.partition("/")
    if kind != "object" or not bucket or not key:
        return failed(target, "", "", f"found target {target!r}, expected object/BUCKET/KEY", passing=False)
    try:
        return _settled(work, target, bucket, key, readers)
    except (TransientStoreError, CredentialsError, CheckLostError, OSError) as error:
        return failed(target, bucket, key, str(error), passing=True)
    except GroundswellError as error:
        return failed(target, bucket, key, str(error), passing=False)


def _settled(work: Work, target: str, bucket: str, key: str, readers: Readers) -> Checked:
    """Look, act, and look again, until what is committed is of the object as it is."""
    for _ in range(_ROUNDS):
        state = work.buckets.state(bucket, key)
        if state is None:
            there = withdraw(work.store, work.rule, bucket, key)
            if work.buckets.state(bucket, key) is None:
                note = "withdrawn" if there else "withdrawn: there was no result"
                return Checked(Ended(target, note=note), bucket, key)
            continue
        subject = Subject(work.rule, bucket, key, state.size_bytes, state.etag, state.version)
        known = committed(work.store, work.rule, bucket, key)
        if known is None or known.subject != subject or known.fingerprint != fingerprint(work.check):
            known = None
        elif is_whole(work.store, known):
            return Checked(Ended(target, note=f"skipped: {known.note}"), bucket, key, known)
        try:
            result = known or _checked(work, subject, readers)
        except MissingObjectError:
            continue
        commit(work.store, result)
        again = work.buckets.state(bucket, key)
        if again is not None and (again.size_bytes, again.etag, again.version) == result.subject.state:
            return Checked(Ended(target, note=result.note), bucket, key, result)
    raise TransientStoreError(f"s3://{bucket}/{key}: it changed {_ROUNDS} times while it was checked")


def _checked(work: Work, subject: Subject, readers: Readers) -> Result:
    """Fetch an object and have it read. Raises MissingObjectError where it went meanwhile."""
    too_large = oversized(work.check, subject)
    if too_large is not None:
        return too_large
    with tempfile.TemporaryDirectory(prefix="groundswell-check-") as scratch:
        folder = Path(scratch, "object")
        folder.mkdir()
        fetched = work.buckets.fetch(subject.bucket, subject.key, folder)
        own = Subject(subject.rule, subject.bucket, subject.key, fetched.size_bytes, fetched.etag, fetched.version)
        checksums = list(_checksums(work, own, fetched))
        return readers.run(work.check, own, fetched.path, checksums, Path(scratch))


def _checksums(work: Work, subject: Subject, fetched: Fetched) -> Iterator[Checksum]:
    """Those that are known of an object: by S3, by its ETag where that is asked for, by the first object beside it."""
    config = work.check.checksum
    kept = of_s3(fetched.checksums.get("SHA256", ""))
    if kept is not None:
        yield kept
    tagged = of_etag(subject.etag) if config.etag else None
    if tagged is not None:
        yield tagged
    for suffix in config.sidecar:
        name = f"{subject.key}{suffix}"
        try:
            text = work.buckets.read(subject.bucket, name, SIDECAR_BYTES)
        except MissingObjectError:
            continue
        yield of_sidecar(text, suffix, subject.key.rsplit("/", 1)[-1], f"the object {name}")
        return


def _with_row(checked: Checked, work: Work, rows: CheckRows | None) -> Ended:
    """The outcome, after its row in the database is as it is."""
    if rows is None or checked.ended.failed:
        return checked.ended
    try:
        place = work.rule, checked.bucket, checked.key
        result = checked.result
        for _ in range(_ROUNDS):  # another process may have committed, and written its row, since
            if result is None:
                rows.remove(*place)
            else:
                rows.put(result, f"{work.store.uri}/{result_key(*place)}")
            written, result = result, committed(work.store, *place)
            if result == written:
                break
    except (StoreError, GroundswellError) as error:
        return failed(checked.ended.target, checked.bucket, checked.key, str(error), passing=True).ended
    return checked.ended


def failed(target: str, bucket: str, key: str, cause: str, *, passing: bool) -> Checked:
    """The outcome of a target of which nothing could be found out."""
    return Checked(Ended(target, failed=True, cause=" ".join(cause.split()), passing=passing), bucket, key)
