"""The only place that publishes: data files first, one atomic put each, then the STAC item, which is the commit."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import OutputError, StoreError, TransientAssetError
from pipeline.types import DataFile, Job, Json, Made
from pipeline.write.files import json_bytes
from pipeline.write.partition import put_item, put_partition, step
from pipeline.write.stac import data_key, item_key, render_item
from pipeline.write.store import Store

PUTS_AT_ONCE = 8
"""Objects of one folder in flight."""


@dataclass(frozen=True)
class Committed:
    """A job that is done, as any reader can see."""

    item_key: str
    written_bytes: int
    """Of data files and item put by this call; the item is not counted where an equal one was there."""
    created: bool
    """False when an equal item of the same fingerprint was there already."""


class OtherFilesError(StoreError):
    """An item of the same fingerprint is there, and names other files."""


def commit(store: Store, job: Job, made: Made, *, overwrite: bool = False, now: datetime | None = None) -> Committed:
    """Publish a job: after it returns the item names only files that are there, whole; before, nobody sees the job.

    Safe to do twice, or from two processes at once: names hold fingerprint and content, and the item is put only where
    none is. An item with the same fingerprint and the same files is the same commit. With `overwrite` the item is
    replaced. Of a partition the put of its first file is the commit, and its item follows (see `partition`), unless
    a file was lost for a passing cause. Raises MovedError when that was replaced meanwhile, OtherFilesError when the
    item there names other files, StoreError when the store fails, and OutputError when a local file is no longer the
    one that was validated.
    """
    fixed = [file for file in made.files if file.replaces is not None]
    version = None
    if fixed:
        for file in fixed:
            _check_size(job, file.path, file.size_bytes)
        version = put_partition(store, job, fixed)
    for file in made.files:
        if file.replaces is not None:
            continue
        step(f"data_put:{file.key}")
        _put(store, job, file)
        step(f"data_put_done:{file.key}")
    step("item_render")
    item = render_item(job, made, created=now or datetime.now(UTC).replace(microsecond=0))
    data, key = json_bytes(item), item_key(job)
    written = sum(file.size_bytes for file in made.files)
    step("item_put")
    if version is not None and any(loss.error == TransientAssetError.__name__ for loss in made.losses):
        # What could not be had today is asked for again: without its item the next run looks at the bucket once more.
        store.delete(key)
        return Committed(key, written, created=False)
    if version is not None:
        put_item(store, job, data, version, fixed[0])
        created = True
    elif overwrite:
        store.put_bytes(data, key)
        created = True
    else:
        created = store.put_new(data, key)
        if not created:
            _check_same(store, key, item)
    step("item_put_done")
    return Committed(key, written + len(data) if created else written, created)


def list_committed(store: Store, product: str) -> Mapping[str, str]:
    """Item key by fingerprint of everything a product has committed, from one listing and without opening an item."""
    return {
        fingerprint: key
        for key in store.list_keys(f"items/{product}/")
        if (fingerprint := fingerprint_of(key)) is not None
    }


def fingerprint_of(key: str) -> str | None:
    """The fingerprint in an item's key, None for any other key; tile and period may hold `_` themselves."""
    stem, dot, suffix = key.rpartition(".")
    _, underscore, fingerprint = stem.rpartition("_")
    return fingerprint if dot and underscore and suffix == "json" else None


def _put(store: Store, job: Job, file: DataFile) -> None:
    """One atomic put a file, or an object of a folder; of these some are on their way at once."""
    key = data_key(job, file)
    if not file.objects:
        _check_size(job, file.path, file.size_bytes)
        store.put_file(file.path, key)
        return
    on_their_way: deque[Future[None]] = deque()
    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        for one in file.objects:
            path = file.path / one.key
            _check_size(job, path, one.size_bytes)
            if len(on_their_way) == PUTS_AT_ONCE:
                on_their_way.popleft().result()
            step(f"object_put:{file.key}/{one.key}")
            on_their_way.append(pool.submit(copy_context().run, store.put_file, path, f"{key}/{one.key}"))
        for put in on_their_way:
            put.result()


def _check_size(job: Job, path: Path, expected: int) -> None:
    if (found := path.stat().st_size) != expected:
        raise OutputError(f"{job.id}: {path}: found {found} bytes, expected the {expected} validated")


def _check_same(store: Store, key: str, item: Mapping[str, Json]) -> None:
    try:
        found = _files(json.loads(store.get_bytes(key)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{store.uri}, key {key}: what is there is no item ({error}); --overwrite replaces it"
        ) from error
    expected = _files(item)
    differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if differing:
        raise OtherFilesError(
            f"{store.uri}, key {key}: an item of the same fingerprint is there with other files for "
            f"{', '.join(differing)}; the same inputs should give the same bytes. If another version of the software "
            "made it, keep it; run with --overwrite to replace it"
        )


def _files(item: Mapping[str, Json]) -> dict[str, str]:
    """Href by asset: it holds the content's digest, of a folder that of its manifest."""
    return {name: asset["href"] for name, asset in item["assets"].items()}
