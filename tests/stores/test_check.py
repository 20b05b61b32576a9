"""What is known of the databases before anything is begun."""

from __future__ import annotations

import sys
import traceback

import pytest
from pydantic import SecretStr

from pipeline.config.stores import PostgresConfig, RedisConfig, StoresConfig
from pipeline.errors import ConfigError, PreflightError
from pipeline.stores import check_stores, needing_extra, stores_of
from tests.stores.conftest import run_of

STORES = StoresConfig(postgres=PostgresConfig(dsn=SecretStr("postgresql:///x")))


def test_a_config_without_databases_is_fine_until_they_are_asked_for() -> None:
    check_stores(run_of(None))
    with pytest.raises(ConfigError, match="found no section `stores`"):
        stores_of(run_of(None))


@pytest.mark.parametrize("product", ["grids", "argo2"])
def test_the_product_must_be_one_of_floats(product: str) -> None:
    assert stores_of(run_of(STORES)) == (STORES, "argo")
    with pytest.raises(ConfigError, match=f"found {product}; expected one of argo"):
        check_stores(run_of(STORES.model_copy(update={"product": product})))


def test_a_missing_extra_is_named_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    check_stores(run_of(STORES))
    monkeypatch.setattr("pipeline.stores.find_spec", lambda name: None if name == "redis" else object())
    with pytest.raises(PreflightError, match=r"found no package redis; .*groundswell\[stores\]"):
        check_stores(run_of(STORES))


def test_a_missing_extra_is_named_where_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(PreflightError, match="found no package uvicorn"), needing_extra():
        import uvicorn  # noqa: F401, PLC0415
    monkeypatch.setitem(sys.modules, "colorsys", None)
    with pytest.raises(ModuleNotFoundError), needing_extra():
        import colorsys  # noqa: F401, PLC0415


@pytest.mark.parametrize(
    "dsn",
    [
        "hunter2 is no dsn",
        "postgresql://me:hunter2@db/argo?hunter2=1",
        # Reserved characters in a password: libpq would take a part of it for the host or the port, and quote it.
        "postgresql://me:hunter2@hunter2@db/argo",
        "postgresql://me:hunter2/hunter2@db/argo",
        "postgres://me:hunter2?hunter2@db/argo",
    ],
)
def test_a_connection_string_that_is_none_is_refused_before_a_run_without_a_word_of_it(dsn: str) -> None:
    with pytest.raises(PreflightError, match=r"stores\.postgres\.dsn: .*expected postgresql://") as raised:
        check_stores(run_of(StoresConfig(postgres=PostgresConfig(dsn=SecretStr(dsn)))))
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "dsn", ["", "host=db password='a@b' dbname=argo", "postgresql://me:a%40b:c#d@[::1],db:5433/argo?sslmode=require"]
)
def test_connection_strings_of_postgresql_are_fine(dsn: str) -> None:
    check_stores(run_of(StoresConfig(postgres=PostgresConfig(dsn=SecretStr(dsn)))))


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "redis://:pass@cache:hunter2",
        "redis://cache?hunter2=1",
        "redis://cache?db=hunter2",
        "redis://cache?protocol=7",
        "rediss://cache?ssl_cert_reqs=hunter2",
    ],
)
def test_an_address_of_redis_that_is_none_is_refused_before_a_run_without_a_word_of_it(url: str) -> None:
    with pytest.raises(PreflightError, match=r"stores\.redis\.url: .*expected redis://") as raised:
        check_stores(run_of(STORES.model_copy(update={"redis": RedisConfig(url=SecretStr(url))})))
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))
