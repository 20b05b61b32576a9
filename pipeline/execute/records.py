"""What a run leaves under `runs/<id>/`: its plan before it starts, its end when it is over; and so what is current."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import PreflightError, StoreError
from pipeline.execute.lease import run_lease, wait_for_locks
from pipeline.types import Json, Plan
from pipeline.write.commit import list_committed
from pipeline.write.files import document_digest, json_bytes
from pipeline.write.store import Store

FORMAT = 1
FINISHED = "finished.json"


def new_run_id(now: datetime) -> str:
    """Sorts by start time, to the millisecond; two runs started in the same one still differ."""
    start = now.astimezone(UTC)
    return f"{start:%Y%m%dT%H%M%S}{start.microsecond // 1000:03d}Z-{secrets.token_hex(3)}"


def begin_run(store: Store, run_id: str, config: Json, plan: Plan, records: Sequence[Path]) -> None:
    """Put config, what was searched (`records`) and plan: the run exists from here on.

    Raises StoreError where it cannot write.

    Whoever begins a run holds its lease (`lease.run_lease`) from before until after its end.
    """
    store.put_bytes(json.dumps(config, indent=2).encode(), f"runs/{run_id}/config.json")
    for path in records:
        store.put_file(path, f"runs/{run_id}/{path.name}")
    store.put_bytes("".join(_lines(plan)).encode(), f"runs/{run_id}/plan.jsonl")


def settle_run(store: Store, plan: Plan, say: Callable[[str], None]) -> None:
    """Wait for a vacuum that may not have seen this run begin; what it will not make again must still be there then.

    Raises PreflightError when it is not.
    """
    wait_for_locks(store, say)
    products = {skip.job_id.partition("/")[0] for skip in plan.skipped}
    committed = {fingerprint for product in products for fingerprint in list_committed(store, product)}
    gone = [skip.job_id for skip in plan.skipped if skip.fingerprint not in committed]
    if gone:
        raise PreflightError(
            f"{len(gone)} items were removed while this run was planned ({', '.join(gone[:5])}): run the command again"
        )


def finish_run(store: Store, run_id: str, summary: Json) -> None:
    """Put the end of the run, with size and digest of all its records: only a finished run decides what is current."""
    lease, folder = run_lease(run_id), f"runs/{run_id}/"
    keys = sorted(key for key, _ in store.list_objects(folder) if key not in {lease, f"{folder}{FINISHED}"})
    files = {}
    for key in keys:
        size_bytes, digest = store.digest(key)
        files[key.removeprefix(folder)] = {"size": size_bytes, "sha256": digest}
    document = {"format": FORMAT, **summary, "files": files}
    store.put_bytes(json_bytes({**document, "digest": document_digest(document)}), f"{folder}{FINISHED}")


def read_finished(data: bytes) -> Json:
    """The document that `finish_run` put; StoreError where it is not what was put."""
    try:
        document = json.loads(data)
        if document["format"] > FORMAT:
            raise StoreError(f"format {document['format']}, which a newer version wrote; upgrade to read it")
        digest = document.pop("digest")
        if digest != document_digest(document) or json_bytes({**document, "digest": digest}) != data:
            raise StoreError("another text than the one that was put")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(f"no record of a run's end ({type(error).__name__}: {error})") from error
    return document


def _lines(plan: Plan) -> Iterator[str]:
    for job in plan.jobs:
        yield _line(job.id, job.fingerprint, "run")
    for skip in plan.skipped:
        yield _line(skip.job_id, skip.fingerprint, skip.reason)


def _line(job_id: str, fingerprint: str, state: str) -> str:
    return json.dumps({"format": FORMAT, "job": job_id, "fingerprint": fingerprint, "state": state}) + "\n"


def current_items(store: Store) -> Mapping[str, str]:
    """Job id → key of its current item: the one planned by the newest finished run that planned the job and has it."""
    ended = sorted(key.split("/")[1] for key, _ in store.list_objects("runs/") if key.endswith(f"/{FINISHED}"))
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


def current_by_product(store: Store) -> dict[str, list[str]]:
    """Keys of the current items, sorted, by product."""
    keys: dict[str, list[str]] = {}
    for job_id, key in sorted(current_items(store).items()):
        keys.setdefault(job_id.partition("/")[0], []).append(key)
    return keys


def planned(store: Store, run_id: str) -> Iterator[tuple[str, str]]:
    """(job id, fingerprint) of everything a run planned, skipped jobs too. Raises StoreError for a newer format."""
    return ((line["job"], line["fingerprint"]) for line in read_plan(store, run_id))


def read_plan(store: Store, run_id: str) -> Iterator[Json]:
    """Every line of a run's plan: `job`, `fingerprint`, and `state`, which is `run` or why it is skipped.

    Raises StoreError naming the run where it cannot be read, and for a newer format.
    """
    return read_lines(store, f"runs/{run_id}/plan.jsonl", ("job", "fingerprint", "state"))


def read_lines(store: Store, key: str, fields: Sequence[str] = ()) -> Iterator[Json]:
    """Records of a file of JSON lines that have a format and all of `fields`; StoreError for others, named."""
    for number, line in enumerate(store.get_bytes(key).splitlines(), start=1):
        try:
            record = json.loads(line)
            newer = record["format"] > FORMAT
            missing = [field for field in fields if field not in record]
        except (ValueError, LookupError, TypeError) as error:
            raise StoreError(f"{store.uri}, key {key}, line {number}: found no record ({error})") from error
        if newer:
            raise StoreError(f"{key}: written by a newer version (format {record['format']}); upgrade to read it")
        if missing:
            raise StoreError(f"{store.uri}, key {key}, line {number}: found a record without {', '.join(missing)}")
        yield record
