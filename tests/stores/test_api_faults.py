"""The HTTP API when what it answers from is away, slow, or not what it should be."""

from __future__ import annotations

import signal

import pytest
from pydantic import SecretStr

from pipeline.config import RunConfig
from pipeline.config.stores import StoresConfig
from pipeline.stores.load import load_stores
from pipeline.stores.postgres import Connection
from pipeline.write.store import Store
from tests.servers.databases import RedisServer
from tests.stores.partitions import cycles, put_partition
from tests.stores.serving import Client, serving

pytestmark = pytest.mark.long


def test_what_postgres_refuses_is_told_as_that(
    store: Store, config: RunConfig, client: Client, database: Connection
) -> None:
    put_partition(store, cycles(1), 1)
    load_stores(store, config)
    database.execute("ALTER TABLE profiles RENAME COLUMN levels TO depths")
    answer = client.ask("/profiles")
    assert (answer.status_code, answer.json()["detail"]) == (500, "PostgreSQL refused the request: UndefinedColumn")


def test_empty_tables_and_a_postgres_that_is_away_are_503_by_name(stores: StoresConfig, client: Client) -> None:
    answer = client.ask("/floats")
    assert (answer.status_code, answer.json()["detail"]) == (503, "nothing is loaded: groundswell load CONFIG")


def test_a_redis_that_hangs_costs_little(
    store: Store, config: RunConfig, client: Client, redis_server: RedisServer
) -> None:
    put_partition(store, cycles(1), 1)
    load_stores(store, config)
    assert redis_server.process is not None
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        answer = client.ask("/floats/2902269/latest", patience_s=5)
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    assert (answer.headers["X-Cache"], [one["cycle"] for one in answer.json()]) == ("down", [1])


def test_a_postgres_that_is_away_is_503(stores: StoresConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.stores.backend.WAIT_S", 0.2)
    away = stores.postgres.model_copy(update={"dsn": SecretStr("postgresql:///x?host=/nowhere&user=hunter2")})
    with serving(stores.model_copy(update={"postgres": away})) as client:
        answer = client.ask("/floats")
    assert (answer.status_code, answer.json()["detail"]) == (503, "PostgreSQL cannot be reached")
