"""What a run leaves under `runs/<id>/`: its plan before it starts, its end when it is over; and so what is current."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path

from pipeline.errors import PreflightError, StoreError
from pipeline.execute.records.lease import LOCKS, run_lease, scratch_prefix, wait_for_locks
from pipeline.plan.made import skipped_places
from pipeline.plan.outlines import lonlat_boxes
from pipeline.plan.rows import Place
from pipeline.types import Json, Plan, Tile
from pipeline.write.commit import list_committed
from pipeline.write.files import document_digest, json_bytes
from pipeline.write.store import Store

FORMAT = 1
FINISHED = "finished.json"
_AT_ONCE = 1024
"""Lines of a plan that are made together."""
_PLAN_FIELDS = ("job", "fingerprint", "state")
_PLANNED = re.compile(
    rb'^\{"format": 1, "job": "([^"\\]+)", "fingerprint": "([^"\\]+)", "state": "[^"\\]*"[^\n]*\}$', re.MULTILINE
)
"""A line of a plan, without reading the rest of it: ten times as fast as JSON."""
REMOVALS = "removals.json"
"""Put anew by whoever removes items, before the first of them goes: what was listed before it may be gone."""


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
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix=scratch_prefix(), suffix=".jsonl") as file:
        file.writelines(_lines(plan))
        file.flush()
        store.put_file(Path(file.name), f"runs/{run_id}/plan.jsonl")


def note_removal(store: Store) -> None:
    """Say that items are about to be removed; to be called under a lock (see `lease`), before the first one goes."""
    document = {"format": FORMAT, "at": datetime.now(UTC).isoformat(timespec="seconds"), "token": secrets.token_hex(8)}
    store.put_bytes(json_bytes(document), REMOVALS)


def removals(store: Store) -> str | None:
    """What tells, asked before a listing, whether that still holds later (see `settle_run`).

    None where items are being removed right now. The mark first: who takes a lock after this look puts another one.
    """
    mark = store.version_of(REMOVALS) or ""
    return None if any(store.list_keys(LOCKS)) else mark


def settle_run(store: Store, plan: Plan, say: Callable[[str], None], since: str | None = None) -> None:
    """Wait for a vacuum that may not have seen this run begin; what it will not make again must still be there then.

    since: of `removals`, before what is committed was listed: as long as nobody removes anything, one listing does.
    Raises PreflightError when something is gone.
    """
    wait_for_locks(store, say)
    if not plan.skipped or (since is not None and since == (store.version_of(REMOVALS) or "")):
        return
    committed: dict[str, Mapping[str, str]] = {}
    gone = []
    for skip in plan.skipped:
        product = skip.job_id.partition("/")[0]
        if product not in committed:
            committed[product] = list_committed(store, product)
        if skip.fingerprint not in committed[product]:
            gone.append(skip.job_id)
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
    """A line a job: what it is, and where it lies; written out by hand, since there are hundreds of thousands."""
    planned = (((job.id, job.fingerprint, "run"), Place.of(job)) for job in plan.jobs)
    skipped = (((skip.job_id, skip.fingerprint, skip.reason), place) for skip, place in skipped_places(plan))
    entries = chain(planned, skipped)
    while some := list(islice(entries, _AT_ONCE)):
        texts = _tile_texts([place.tile for _, place in some if place is not None])
        for (job_id, fingerprint, state), place in some:
            words = f'"job": {json.dumps(job_id)}, "fingerprint": "{fingerprint}", "state": "{state}"'
            if place is not None:
                words += f', "region": "{place.region}", "kind": "{place.kind}", {texts[place.tile.id]}'
                words += f', "scenes": {place.scenes}, "read_bytes": {place.read_bytes}'
            yield f'{{"format": {FORMAT}, {words}}}\n'


def _tile_texts(tiles: Sequence[Tile]) -> dict[str, str]:
    """By tile id, its box in degrees and its pixels, as they stand in a record."""
    systems: dict[str, dict[str, Tile]] = {}
    for tile in tiles:
        systems.setdefault(str(tile.geobox.crs), {})[tile.id] = tile
    texts = {}
    for crs, named in systems.items():
        boxes = lonlat_boxes([tile.geobox for tile in named.values()], crs)
        for (tile_id, tile), box in zip(named.items(), boxes, strict=True):
            rows, columns = tile.geobox.shape.yx
            texts[tile_id] = f'"bbox": [{", ".join(f"{side:.5f}" for side in box)}], "px": {rows * columns}'
    return texts


def current_items(store: Store, known: Mapping[str, Mapping[str, str]] | None = None) -> Mapping[str, str]:
    """Job id → key of its current item: the one planned by the newest finished run that planned the job and has it.

    known: what was listed of some products a moment ago, as `list_committed` gives it.
    """
    ended = sorted(key.split("/")[1] for key in store.list_keys("runs/") if key.endswith(f"/{FINISHED}"))
    committed = dict(known or {})
    current: dict[str, str] = {}
    for run_id in reversed(ended):
        for job_id, fingerprint in planned(store, run_id):
            product = job_id.partition("/")[0]
            if product not in committed:
                committed[product] = list_committed(store, product)
            if fingerprint in committed[product]:
                current.setdefault(job_id, committed[product][fingerprint])
    return current


def current_by_product(store: Store, known: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, list[str]]:
    """Keys of the current items, sorted, by product; known: as in `current_items`."""
    keys: dict[str, list[str]] = {}
    for job_id, key in sorted(current_items(store, known).items()):
        keys.setdefault(job_id.partition("/")[0], []).append(key)
    return keys


def planned(store: Store, run_id: str) -> Iterator[tuple[str, str]]:
    """(job id, fingerprint) of everything a run planned, skipped jobs too. Raises StoreError for a newer format."""
    key = f"runs/{run_id}/plan.jsonl"
    data = store.get_bytes(key)
    found = _PLANNED.findall(data)
    if len(found) == data.count(b"\n") and data.endswith(b"\n"):  # every line is as this version writes it
        return ((job_id.decode(), fingerprint.decode()) for job_id, fingerprint in found)
    return ((line["job"], line["fingerprint"]) for line in _records(store, key, data, _PLAN_FIELDS))


def read_plan(store: Store, run_id: str) -> Iterator[Json]:
    """Every line of a run's plan: `job`, `fingerprint`, and `state`, which is `run` or why it is skipped.

    Raises StoreError naming the run where it cannot be read, and for a newer format.
    """
    return read_lines(store, f"runs/{run_id}/plan.jsonl", _PLAN_FIELDS)


def read_lines(store: Store, key: str, fields: Sequence[str] = ()) -> Iterator[Json]:
    """Records of a file of JSON lines that have a format and all of `fields`; StoreError for others, named."""
    yield from _records(store, key, store.get_bytes(key), fields)


def _records(store: Store, key: str, data: bytes, fields: Sequence[str]) -> Iterator[Json]:
    for number, line in enumerate(data.splitlines(), start=1):
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
