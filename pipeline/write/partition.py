"""How a partition is published: one object at a fixed key, replaced by one atomic put, and that put is the commit.

What is derived of it (its other tables, its item) follows, and is of the newest state whoever comes last: each table
holds the partition's generation, and no older one replaces a newer one.
"""

from __future__ import annotations

import io
import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pipeline.errors import MovedError, StoreError
from pipeline.types import DataFile, Job
from pipeline.write.stac import data_key, item_key
from pipeline.write.store import Store

logger = logging.getLogger("pipeline.write.commit")

FOOTER = b"groundswell"
"""Key of a partition's own record in the metadata of its Parquet footer: JSON with `generation` and `fingerprint`."""
TABLES = ("levels", "profiles", "ledger")
"""Names of a partition's files, without suffix; the first is the commit."""


def is_partition(key: str) -> bool:
    """Whether a key is that of a partition's table: it stands for itself, whatever the items say."""
    parts = key.split("/")
    return len(parts) == 5 and parts[0] == "data" and parts[4] in {f"{name}.parquet" for name in TABLES}


def put_partition(store: Store, job: Job, files: Sequence[DataFile]) -> str:
    """Replace a partition and what is derived of it; the commit's new version. files: the commit first.

    Raises MovedError where the partition is no longer what this state was made from: nothing was put then.
    """
    first, *derived = files
    key = data_key(job, first)
    if first.replaces is None:
        raise StoreError(f"{job.id}: {first.key}: a partition that does not say what it replaces")
    step(f"partition_put:{first.key}")
    version = store.put_if(first.path, key, first.replaces.version)
    if version is None:
        raise MovedError(f"{store.uri}, key {key}: another run replaced it meanwhile; it is read and merged again")
    for file in derived:
        step(f"partition_put:{file.key}")
        _follow(store, data_key(job, file), file)
    return version


def step(name: str) -> None:
    """Announce a step of a commit just before it is taken: tests stop the process here."""
    logger.debug("commit step %s", name)


def put_item(store: Store, job: Job, data: bytes, version: str, commit: DataFile) -> None:
    """Put the item of the state that `version` is, and leave the item of the newest state alone: older ones go.

    Where the partition has moved on, whoever moved it puts an item, maybe of the same name.
    """
    mine, state = item_key(job), data_key(job, commit)
    if store.version_of(state) != version:
        return
    store.put_bytes(data, mine)
    others = [key for key in items_of(store, job) if key != mine]
    if store.version_of(state) == version:
        for key in others:
            store.delete(key)
        return
    with suppress(StoreError):  # gone by now
        if store.get_bytes(mine) == data:
            store.delete(mine)


def items_of(store: Store, job: Job) -> list[str]:
    """Keys of all items of a unit, of whatever state."""
    begins = item_key(job).removesuffix(f"{job.fingerprint}.json")
    folder = begins.rpartition("/")[0] + "/"
    return [key for key, _ in store.list_objects(folder) if key.startswith(begins)]


def list_partitions(store: Store, product: str) -> Mapping[str, str]:
    """Item key by fingerprint of every unit of a product that has exactly one item.

    Where it has two, one put its item while another moved the partition on: which state is there, its footer tells, so
    it is made again, which costs one look.
    """
    units: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key in store.list_keys(f"items/{product}/"):
        unit, _, fingerprint = key.removesuffix(".json").rpartition("_")
        units[unit].append((fingerprint, key))
    return dict(one[0] for one in units.values() if len(one) == 1)


def _follow(store: Store, key: str, file: DataFile) -> None:
    """Put what is derived of a partition, unless what is there is of a newer state already."""
    generation = file.replaces.generation if file.replaces is not None else 0
    while True:
        version = store.version_of(key)
        if version is not None and generation_of(store, key) > generation:
            return
        if store.put_if(file.path, key, version) is not None:
            return


def generation_of(store: Store, key: str) -> int:
    """Of what lies at a key; 0 where it says none, or nothing is there, or it is no Parquet file."""
    import pyarrow as pa  # noqa: PLC0415 (every commit imports this module, few are of tables)
    import pyarrow.parquet as pq  # noqa: PLC0415 (the same)

    try:
        metadata = pq.read_schema(io.BytesIO(store.get_bytes(key))).metadata or {}
        return int(json.loads(metadata[FOOTER])["generation"])
    except (StoreError, pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return 0
