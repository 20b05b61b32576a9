"""From committed partitions to PostgreSQL, and from there to Redis: what they do not hold yet, and no more.

What is there of a partition is told by its row in PostgreSQL, written by the transaction that brought its profiles. So
a load that was killed goes on where it was, two at once agree, and a second over unchanged partitions reads nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from redis.exceptions import RedisError

from pipeline.config import RunConfig
from pipeline.config.stores import StoresConfig
from pipeline.errors import ConfigError, NothingToDoError, PreflightError, StoreError, TransientStoreError
from pipeline.plan.argo_schema import partition_key
from pipeline.stores import stores_of
from pipeline.stores.partition import Listed, PartitionFile, list_partitions
from pipeline.stores.postgres import (
    Connection,
    claim,
    drop,
    forget_pending,
    held_partitions,
    migrate,
    open_postgres,
    set_regions,
)
from pipeline.stores.redis import HotLayer, open_redis, rebuild, settle
from pipeline.stores.replace import Written, remove_partition, write_partition
from pipeline.write.store import Store

ATTEMPTS = 5
BACKOFF_S = 0.2
"""Upper bound of the first pause; it doubles, with full jitter."""
LOOKS = 3
"""At a partition whose tables are not of one put: the puts are a moment apart, or a crash lies between."""
SAY_EVERY_S = 5.0

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Loaded:
    """What a load came to."""

    partitions: int
    loaded: int = 0
    """Of the partitions, those that were read and written; the others were held already."""
    removed: int = 0
    """Partitions that are not in the output any more."""
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    """Profiles; the others of the partitions that were loaded were held already."""
    promoted: int = 0
    """Of the updated, those that are delayed mode now and were not."""
    documents: int = 0
    """Documents of Redis that were made anew."""
    notes: tuple[str, ...] = ()
    """What was not done, and why."""

    def add(self, written: Written) -> Loaded:
        """With one more partition."""
        return replace(
            self,
            loaded=self.loaded + written.written,
            inserted=self.inserted + written.inserted,
            updated=self.updated + written.updated,
            deleted=self.deleted + written.deleted,
            promoted=self.promoted + written.promoted,
            notes=(*self.notes, written.refused) if written.refused else self.notes,
        )

    def render(self) -> str:
        """Plain lines."""
        first = (
            f"stores: {self.loaded} of {self.partitions} partitions loaded: {self.inserted} profiles new, "
            f"{self.updated} changed ({self.promoted} of them to delayed mode), {self.deleted} gone"
        )
        more = [f"stores: {self.removed} partitions removed, which the output has no more"] if self.removed else []
        more += [f"stores: {self.documents} documents in Redis made anew"] if self.documents else []
        return "\n".join([first, *more, *(f"stores: warning: {note}" for note in self.notes)])


def load_stores(
    store: Store, config: RunConfig, say: Callable[[str], None] = lambda _: None, *, anew: bool = False
) -> Loaded:
    """Bring PostgreSQL and Redis up to what is committed; anew: what they hold is dropped first.

    A Redis that cannot be reached is a note: what it has to forget stays written down in PostgreSQL. Raises
    ConfigError, NothingToDoError where nothing is committed, PreflightError without PostgreSQL, and StoreError.
    """
    stores, product = stores_of(config)
    listed = list_partitions(store, product)
    if not listed:
        raise NothingToDoError(f"{store.uri}: found no partition under data/{product}/; expected the output of a run")
    connect = _Connecting(stores)
    with closing(connect):
        if anew:
            connect.attempt(lambda connection: drop(connection, stores.postgres.schema_name))
        connect.attempt(lambda connection: migrate(connection, stores.postgres.schema_name))
        connect.attempt(lambda connection: claim(connection, store.uri, product))
        connect.attempt(lambda connection: set_regions(connection, stores.regions))
        held = connect.attempt(held_partitions)
        loaded, told = Loaded(len(listed)), time.monotonic()
        for one in listed:
            if one.modified_s is None or held.get(one.bucket) != (one.size_bytes, one.modified_s):
                loaded = loaded.add(_tried(connect, partial(_load, store, product, one)))
                if time.monotonic() > told + SAY_EVERY_S:
                    told = time.monotonic()
                    say(f"stores: {loaded.loaded} partitions, {loaded.inserted + loaded.updated} profiles so far")
        for bucket in sorted(held.keys() - {one.bucket for one in listed}):
            # One that was committed since the listing may have been loaded by somebody else.
            if not store.exists(partition_key(product, bucket)):
                deleted = connect.attempt(partial(remove_partition, bucket))
                loaded = replace(loaded, removed=loaded.removed + 1, deleted=loaded.deleted + deleted)
        return _settled(connect, stores, loaded, rebuild if anew else settle)


def rebuild_redis(config: RunConfig) -> Loaded:
    """Make Redis hold what PostgreSQL does, whatever it held before.

    Raises ConfigError without a section `stores.redis`, PreflightError without PostgreSQL, and StoreError.
    """
    stores, _ = stores_of(config)
    if stores.redis is None:
        raise ConfigError("found no section `stores.redis`; expected redis: {url: ${REDIS_URL}}")
    connect = _Connecting(stores)
    with closing(connect):
        connect.attempt(lambda connection: migrate(connection, stores.postgres.schema_name))
        partitions = connect.attempt(held_partitions)
        return _settled(connect, stores, Loaded(len(partitions)), rebuild)


def _tried(connect: _Connecting, load: Callable[[Connection], Written]) -> Written:
    """A partition that cannot be read costs itself, by name: what was held of it stays."""
    try:
        return connect.attempt(load)
    except TransientStoreError:
        raise
    except StoreError as error:
        return Written(refused=str(error))


def _load(store: Store, product: str, listed: Listed, connection: Connection) -> Written:
    file = PartitionFile(store, product, listed.bucket)
    for attempt in range(LOOKS):
        if file.whole:
            break
        time.sleep(BACKOFF_S * 2**attempt)
        file = PartitionFile(store, product, listed.bucket)
    return write_partition(connection, listed, file)


def _settled(
    connect: _Connecting, stores: StoresConfig, loaded: Loaded, bring: Callable[[Connection, HotLayer], int]
) -> Loaded:
    if stores.redis is None:
        connect.attempt(forget_pending)
        return loaded
    client = open_redis(stores.redis)
    hot = HotLayer(client, stores.redis, stores.postgres.schema_name)
    with closing(client):
        try:
            return replace(loaded, documents=connect.attempt(lambda connection: bring(connection, hot)))
        except RedisError as error:
            note = f"Redis: {type(error).__name__}: {error}; the next load goes on, or --rebuild-redis"
            return replace(loaded, notes=(*loaded.notes, note))


class _Connecting:
    """One connection at a time, made anew when it is lost."""

    def __init__(self, stores: StoresConfig) -> None:
        """Connects when it is used."""
        self._stores = stores
        self._connection: Connection | None = None

    def attempt(self, do: Callable[[Connection], _Answer]) -> _Answer:
        """Do something on the connection; lost connections, deadlocks and clashes are tried again.

        Raises PreflightError without PostgreSQL at first, and StoreError.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = open_postgres(self._stores.postgres)
                return do(self._connection)
            except (TransientStoreError, PreflightError):
                if attempt == ATTEMPTS or self._connection is None:  # one that was there may be so again
                    raise
                time.sleep(random.uniform(0, BACKOFF_S * 2**attempt))  # noqa: S311 - spreads attempts, guards nothing
        raise AssertionError("unreachable: the last attempt returns or raises")

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
