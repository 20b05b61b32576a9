"""The hot layer: the latest profiles of each float and region, kept in Redis until they change or their time is up.

A document is put only under the token that was there before PostgreSQL was asked for it; to forget a document is to
replace its token. So what was read before a change can never be put after it, whoever reads, loads or dies meanwhile:
what has to be forgotten stands in PostgreSQL (`pending`), written with the change and removed when Redis has forgotten.
Nothing depends on Redis: without it PostgreSQL is asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from pipeline.config.stores import RedisConfig
from pipeline.errors import PreflightError
from pipeline.stores import queries
from pipeline.stores.postgres import Connection, named

TIMEOUT_S = 5.0
RETRIES = 3
_TOKEN_S = 3600
"""How long a token lives that nobody replaces; a reader that takes longer puts nothing."""
_PUT = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
end
"""


def open_redis(config: RedisConfig, timeout_s: float = TIMEOUT_S, retries: int = RETRIES) -> Redis:
    """A client; connects when it is used. Raises PreflightError for an address that is none, without a word of it."""
    retry = Retry(ExponentialBackoff(cap=1.0, base=0.05), retries=retries)
    try:
        client = Redis.from_url(
            config.url.get_secret_value(), socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=retry
        )
        options = client.connection_pool.connection_kwargs
        options["decode_responses"] = False  # whatever the address says
        client.connection_pool.connection_class(**options)  # which looks at the others
    except (ValueError, TypeError, RedisError):
        raise PreflightError(
            "stores.redis.url: found no address of Redis; expected redis://, rediss:// or unix://, with options it has"
        ) from None
    return client


@dataclass(frozen=True)
class HotLayer:
    """The documents of one schema. A target is `float:<wmo>` or `region:<name>`."""

    client: Redis
    config: RedisConfig
    schema_name: str

    def get(self, target: str) -> bytes | None:
        """A document; None where there is none now. Raises RedisError."""
        return cast("bytes | None", self.client.get(self._keys(target)[1]))

    def fill(self, target: str, read: Callable[[], bytes]) -> bytes:
        """Read a document and keep it, unless it was to be forgotten meanwhile. Raises RedisError before reading."""
        token, document = self._keys(target)
        mine = uuid.uuid4().hex.encode()
        self.client.set(token, mine, nx=True, ex=_TOKEN_S)
        found = self.client.get(token)
        content = read()
        if found is not None:
            self.client.eval(_PUT, 2, token, document, cast("bytes", found), content, self.config.ttl_s)
        return content

    def forget(self, targets: Iterable[str]) -> None:
        """From now on none of these documents is there, nor will one be that is being read now. Raises RedisError."""
        for target in targets:
            token, document = self._keys(target)
            with self.client.pipeline(transaction=True) as pipeline:
                pipeline.set(token, uuid.uuid4().hex, ex=_TOKEN_S)
                pipeline.delete(document)
                pipeline.execute()

    def kept(self) -> Iterator[str]:
        """The targets of the documents that are there. Raises RedisError."""
        head, tail = f"{self.config.prefix}:{self.schema_name}:{{", "}:latest"
        for key in self.client.scan_iter(match=f"{head}*{tail}", count=1000):
            yield cast("bytes", key).decode().removeprefix(head).removesuffix(tail)

    def _keys(self, target: str) -> tuple[str, str]:
        """Keys of token and document; the braces keep both on one node of a cluster."""
        head = f"{self.config.prefix}:{self.schema_name}:{{{target}}}"
        return f"{head}:token", f"{head}:latest"


def read_target(connection: Connection, target: str, limit: int) -> bytes | None:
    """The document of a target, from PostgreSQL; None where there is no such float or region."""
    kind, _, name = target.partition(":")
    if kind == "float":
        chosen = queries.Filter(wmo=int(name))
        document = queries.latest(connection, chosen, limit)
        return None if document == "[]" else document.encode()
    box = queries.region_of(connection, name)
    return None if box is None else queries.latest(connection, queries.Filter(box=box), limit).encode()


def settle(connection: Connection, hot: HotLayer) -> int:
    """Make Redis forget what is pending, and read it anew; returns the number of documents. Raises RedisError."""
    return _renew(connection, hot, ())


def rebuild(connection: Connection, hot: HotLayer) -> int:
    """Forget everything and read it anew from PostgreSQL; returns the number of documents. Raises RedisError."""
    with named("reading floats and regions"):
        rows = connection.execute("SELECT 'float:' || wmo FROM floats UNION ALL SELECT 'region:' || name FROM regions")
        targets = {str(target) for (target,) in rows.fetchall()}
    return _renew(connection, hot, targets | set(hot.kept()))


def _renew(connection: Connection, hot: HotLayer, further: Iterable[str]) -> int:
    with named("reading what is pending"):
        pending = connection.execute("SELECT pending_id, target FROM pending").fetchall()
    targets = sorted({*further, *(str(target) for _, target in pending)})
    hot.forget(targets)
    with named("removing what was pending"):
        # Only what was seen: of two changes the one with the smaller number may be committed later.
        connection.execute("DELETE FROM pending WHERE pending_id = ANY(%s)", ([each[0] for each in pending],))
    return sum(_refill(connection, hot, target) for target in targets)


def _refill(connection: Connection, hot: HotLayer, target: str) -> bool:
    """Keep the document of a target; False where there is no such float or region any more. Raises RedisError."""

    def read() -> bytes:
        with named(f"reading {target}"):
            found = read_target(connection, target, hot.config.latest)
        if found is None:
            raise _NothingError
        return found

    try:
        hot.fill(target, read)
    except _NothingError:
        return False
    return True


class _NothingError(Exception):
    """There is no such float or region."""
