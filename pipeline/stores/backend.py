"""What the HTTP API answers from: a pool of read-only connections, and Redis where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg_pool import ConnectionPool
from redis.exceptions import RedisError

from pipeline.config.stores import StoresConfig
from pipeline.stores.postgres import CONNECT_TIMEOUT_S, Connection, settings
from pipeline.stores.redis import HotLayer, open_redis, read_target

CONNECTIONS = 8
WAIT_S = 5.0
"""For a connection, before a request is answered with 503."""
REDIS_S = 1.0
"""For Redis, before PostgreSQL is asked instead."""
LATEST = 10
"""Profiles of a float or region where there is no Redis to say how many."""


class NotLoadedError(LookupError):
    """There is no such float, profile or region; the message says which."""


class Backend:
    """Connections, and what is read through them."""

    def __init__(self, stores: StoresConfig) -> None:
        """Connects when `pool` is opened; a PostgreSQL that is away is waited for by each request."""
        self.pool: ConnectionPool[Connection] = ConnectionPool(
            stores.postgres.dsn.get_secret_value(),
            kwargs={
                "autocommit": True,
                "options": settings(stores.postgres, read_only=True),
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": "groundswell serve",
            },
            min_size=1,
            max_size=CONNECTIONS,
            timeout=WAIT_S,
            open=False,
            check=ConnectionPool.check_connection,
        )
        self._hot: HotLayer | None = None
        if stores.redis is not None:
            self._hot = HotLayer(
                open_redis(stores.redis, REDIS_S, retries=0), stores.redis, stores.postgres.schema_name
            )

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection of the pool. Raises psycopg_pool.PoolTimeout."""
        with self.pool.connection() as connection:
            yield connection

    def document(self, target: str) -> tuple[bytes, str]:
        """The latest profiles of a float or region as JSON, and what Redis had to say: hit, miss, down or none.

        Raises NotLoadedError.
        """

        def read() -> bytes:
            with self.connection() as connection:
                found = read_target(connection, target, self._hot.config.latest if self._hot else LATEST)
            if found is None:
                raise NotLoadedError(f"no {target.replace(':', ' ')} is loaded")
            return found

        if self._hot is None:
            return read(), "none"
        try:
            kept = self._hot.get(target)
            return (self._hot.fill(target, read), "miss") if kept is None else (kept, "hit")
        except RedisError:
            return read(), "down"

    def redis(self) -> str:
        """`ok`, `down` or `none`."""
        if self._hot is None:
            return "none"
        try:
            self._hot.client.ping()
        except RedisError:
            return "down"
        return "ok"

    def close(self) -> None:
        """End all connections."""
        self.pool.close()
        if self._hot is not None:
            self._hot.client.close()
