"""The hot layer: nothing that is older than PostgreSQL is ever put, whoever reads, loads or is away meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from redis import Redis

from pipeline.config import RunConfig
from pipeline.config.stores import StoresConfig
from pipeline.errors import ConfigError
from pipeline.stores.load import load_stores, rebuild_redis
from pipeline.stores.postgres import Connection
from pipeline.stores.redis import HotLayer, open_redis
from pipeline.write.store import Store
from tests.servers.databases import RedisServer
from tests.stores.conftest import run_of
from tests.stores.held import documents, modes
from tests.stores.partitions import EPOCH, Cast, cycles, put_partition

pytestmark = pytest.mark.long

FLOAT = "float:2902269"
NOWHERE = "unix:///nowhere/redis.sock"


@pytest.fixture
def hot(stores: StoresConfig) -> Iterator[HotLayer]:
    assert stores.redis is not None
    client = open_redis(stores.redis)
    yield HotLayer(client, stores.redis, stores.postgres.schema_name)
    client.close()


def without_redis(stores: StoresConfig, url: str | None) -> RunConfig:
    redis = None if url is None or stores.redis is None else stores.redis.model_copy(update={"url": SecretStr(url)})
    return run_of(stores.model_copy(update={"redis": redis}))


def test_what_was_read_is_kept_for_its_time(hot: HotLayer) -> None:
    assert hot.get(FLOAT) is None
    assert hot.fill(FLOAT, lambda: b"[1]") == b"[1]"
    assert hot.get(FLOAT) == b"[1]"
    (key,) = hot.client.scan_iter(f"{hot.config.prefix}:*:latest")
    assert 0 < hot.client.ttl(key) <= hot.config.ttl_s
    assert list(hot.kept()) == [FLOAT]


def _forgotten(hot: HotLayer) -> None:
    hot.forget([FLOAT])


def _forgotten_and_read_anew(hot: HotLayer) -> None:
    hot.forget([FLOAT])
    hot.fill(FLOAT, lambda: b"new")


def _everything_lost(hot: HotLayer) -> None:
    for key in hot.client.scan_iter(f"{hot.config.prefix}:*"):
        hot.client.delete(key)
    hot.forget([FLOAT])


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [(_forgotten, None), (_forgotten_and_read_anew, b"new"), (_everything_lost, None)],
)
def test_what_was_read_before_a_change_is_never_put_after_it(
    hot: HotLayer, meanwhile: Callable[[HotLayer], None], left: bytes | None
) -> None:
    def read() -> bytes:
        meanwhile(hot)
        return b"old"

    assert hot.fill(FLOAT, read) == b"old"
    assert hot.get(FLOAT) == left


def test_a_document_holds_the_latest_casts_newest_first(store: Store, config: RunConfig, stores: StoresConfig) -> None:
    """One profile a cast: the synthetic one, else the primary of the core file; at most `latest` (3) of them."""
    fourth = EPOCH + timedelta(days=40)
    casts = [*cycles(5), Cast(cycle=5, index=1, levels=1), Cast(cycle=3, direction="D", time=None)]
    casts += [Cast(cycle=4, kind=kind, time=fourth) for kind in ("synthetic", "bgc")]
    put_partition(store, casts, 1)
    load_stores(store, config)
    for target in (FLOAT, "region:arabian-sea"):
        shown = [(one["cycle"], one["kind"], one["profile_index"]) for one in documents(stores)[target]]
        assert shown == [(5, "core", 0), (4, "synthetic", 0), (3, "core", 0)]
    assert documents(stores)["region:date-line"] == []


def test_a_region_over_the_180th_meridian_has_both_sides(store: Store, config: RunConfig, stores: StoresConfig) -> None:
    places = [175.0, -175.0, 165.0]
    put_partition(store, [Cast(cycle=i, longitude=each, latitude=0.0) for i, each in enumerate(places)], 1)
    load_stores(store, config)
    assert sorted(one["longitude"] for one in documents(stores)["region:date-line"]) == [-175.0, 175.0]


def test_a_redis_that_was_away_forgets_when_it_is_back(
    store: Store, config: RunConfig, stores: StoresConfig, database: Connection
) -> None:
    """It kept the real-time profile all the while: what it has to forget was written down with the change."""
    put_partition(store, cycles(1), 1)
    load_stores(store, config)
    put_partition(store, cycles(1, mode="D"), 2)
    loaded = load_stores(store, without_redis(stores, NOWHERE))
    assert loaded.promoted == 1
    assert "Redis: ConnectionError" in loaded.notes[0] and "--rebuild-redis" in loaded.notes[0]
    assert modes(stores, FLOAT) == [(1, "R")]
    again = load_stores(store, config)
    assert (again.loaded, again.notes) == (0, ())
    assert modes(stores, FLOAT) == modes(stores, "region:arabian-sea") == [(1, "D")]
    assert database.execute("SELECT count(*) FROM pending").fetchone() == (0,)


def test_a_lost_redis_is_made_again_from_postgres(
    store: Store, config: RunConfig, stores: StoresConfig, hot: HotLayer
) -> None:
    put_partition(store, cycles(4), 1)
    put_partition(store, cycles(1, wmo=13857), 1)
    load_stores(store, config)
    before = documents(stores)
    for key in hot.client.scan_iter(f"{hot.config.prefix}:*"):
        hot.client.delete(key)
    hot.fill("float:9999999", lambda: b"[]")  # of a float that is not there
    hot.fill(FLOAT, lambda: b"[]")
    rebuilt = rebuild_redis(config)
    assert documents(stores) == before
    assert rebuilt.documents == len(before) == 5


def test_what_was_dropped_to_begin_anew_is_forgotten_too(store: Store, config: RunConfig, stores: StoresConfig) -> None:
    put_partition(store, cycles(1), 1)
    bucket = put_partition(store, cycles(1, wmo=13857), 1)
    load_stores(store, config)
    store.delete(f"data/argo/{bucket}/static/levels.parquet")
    load_stores(store, config, anew=True)
    assert {target for target in documents(stores) if target.startswith("float:")} == {FLOAT}


def test_a_region_that_is_redrawn_is_read_again(store: Store, stores: StoresConfig) -> None:
    put_partition(store, [Cast(longitude=65.0)], 1)
    load_stores(store, run_of(stores))
    redrawn = stores.model_copy(update={"regions": {"bengal": (60.0, 5.0, 70.0, 23.0)}})
    load_stores(store, run_of(redrawn))
    assert modes(stores, "region:bengal") == [(1, "R")]
    assert "region:arabian-sea" not in documents(stores)


def test_without_redis_nothing_is_left_to_forget(store: Store, stores: StoresConfig, database: Connection) -> None:
    put_partition(store, cycles(1), 1)
    loaded = load_stores(store, without_redis(stores, None))
    assert (loaded.inserted, loaded.documents, loaded.notes) == (1, 0, ())
    assert database.execute("SELECT count(*) FROM pending").fetchone() == (0,)
    with pytest.raises(ConfigError, match=r"found no section `stores.redis`"):
        rebuild_redis(without_redis(stores, None))


def test_an_address_may_ask_for_texts(store: Store, stores: StoresConfig, redis_server: RedisServer) -> None:
    """`decode_responses` in it changes nothing."""
    assert stores.redis is not None
    put_partition(store, cycles(1), 1)
    texts = stores.redis.model_copy(update={"url": SecretStr(f"{redis_server.url}?decode_responses=true")})
    asking = run_of(stores.model_copy(update={"redis": texts}))
    load_stores(store, asking)
    assert rebuild_redis(asking).documents == 4


def test_a_redis_that_is_killed_while_it_is_filled_costs_a_note(
    store: Store, stores: StoresConfig, redis_server: RedisServer, database: Connection
) -> None:
    put_partition(store, cycles(2), 1)
    redis_server.stop()
    try:
        loaded = load_stores(store, run_of(stores))
    finally:
        redis_server.start()
    assert (loaded.inserted, len(loaded.notes)) == (2, 1)
    assert load_stores(store, run_of(stores)).documents == 4
    assert modes(stores, FLOAT) == [(2, "R"), (1, "R")]
    with Redis.from_url(redis_server.url) as client:
        assert client.ping()
