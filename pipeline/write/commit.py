"""The only place that publishes: data files first, one atomic put each, then the STAC item, which is the commit."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import OutputError, StoreError
from pipeline.types import Job, Json, Made
from pipeline.write.files import json_bytes
from pipeline.write.stac import data_key, item_key, render_item
from pipeline.write.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Committed:
    """A job that is done, as any reader can see."""

    item_key: str
    written_bytes: int
    """Of data files and item put by this call; the item is not counted where an equal one was there."""
    created: bool
    """False when an equal item of the same fingerprint was there already."""


def commit(store: Store, job: Job, made: Made, *, overwrite: bool = False, now: datetime | None = None) -> Committed:
    """Publish a job: after it returns the item names only files that are there, whole; before, nobody sees the job.

    Safe to do twice, or from two processes at once: names hold fingerprint and content, and the item is put only where
    none is. An item with the same fingerprint and the same files is the same commit. With `overwrite` the item is
    replaced. Raises StoreError when the item there names other files, or when the store fails, and OutputError when a
    local file is no longer the one that was validated.
    """
    for file in made.files:
        if (found := file.path.stat().st_size) != file.size_bytes:
            raise OutputError(f"{job.id}: {file.path}: found {found} bytes, expected the {file.size_bytes} validated")
        _step(f"data_put:{file.key}")
        store.put_file(file.path, data_key(job, file))
        _step(f"data_put_done:{file.key}")
    _step("item_render")
    item = render_item(job, made, created=now or datetime.now(UTC).replace(microsecond=0))
    data, key = json_bytes(item), item_key(job)
    _step("item_put")
    if overwrite:
        store.put_bytes(data, key)
        created = True
    else:
        created = store.put_new(data, key)
        if not created:
            _check_same(store, key, item)
    _step("item_put_done")
    written = sum(file.size_bytes for file in made.files)
    return Committed(key, written + len(data) if created else written, created)


def list_committed(store: Store, product: str) -> Mapping[str, str]:
    """Item key by fingerprint of everything a product has committed, from one listing and without opening an item."""
    return {
        fingerprint: key
        for key, _ in store.list_objects(f"items/{product}/")
        if (fingerprint := fingerprint_of(key)) is not None
    }


def fingerprint_of(key: str) -> str | None:
    """The fingerprint in an item's key, None for any other key; tile and period may hold `_` themselves."""
    stem, dot, suffix = key.rpartition(".")
    _, underscore, fingerprint = stem.rpartition("_")
    return fingerprint if dot and underscore and suffix == "json" else None


def _step(name: str) -> None:
    """Announce a step just before it is taken: tests stop the process here."""
    logger.debug("commit step %s", name)


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
        raise StoreError(
            f"{store.uri}, key {key}: an item of the same fingerprint is there with other files for "
            f"{', '.join(differing)}; the same inputs should give the same bytes. If another version of the software "
            "made it, keep it; run with --overwrite to replace it"
        )


def _files(item: Mapping[str, Json]) -> dict[str, tuple[str, int, str]]:
    return {name: (asset["href"], asset["file:size"], asset["file:checksum"]) for name, asset in item["assets"].items()}
