"""The HTTP API: what it answers is what is loaded, as it says it does, and nothing can be changed through it."""

from __future__ import annotations

import math
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.config import RunConfig
from pipeline.config.stores import StoresConfig
from pipeline.stores.answers import Float, Health, NearProfile, Paged, Profile, ProfileSummary, Region
from pipeline.stores.load import load_stores
from pipeline.stores.postgres import Connection
from pipeline.write.store import Store
from tests.servers.databases import RedisServer
from tests.stores.partitions import EPOCH, Cast, cycles, put_partition
from tests.stores.serving import Client, serving

pytestmark = pytest.mark.long

ANSWERS: dict[str, Any] = {
    "/health": Health,
    "/floats": Paged[Float],
    "/floats/2902269": Float,
    "/floats/2902269/latest": list[Profile],
    "/regions": list[Region],
    "/regions/arabian-sea/latest": list[Profile],
    "/profiles": Paged[ProfileSummary],
    "/profiles/2902269_1_core_0": Profile,
    "/profiles/2902269_1_core_0?originals=true": Profile,
    "/nearest?latitude=10&longitude=65": list[NearProfile],
}


def some_casts() -> list[Cast]:
    """Around the globe and at its edges, some without a place or a time."""
    dice = random.Random(3)  # noqa: S311 - the same places at every run
    casts = []
    for number in range(120):
        place = (dice.uniform(-90, 90), dice.uniform(-180, 180))
        if number % 6 == 0:
            place = (dice.uniform(-5, 5), dice.choice([-1, 1]) * dice.uniform(175, 180))
        time = None if number % 17 == 0 else EPOCH + timedelta(hours=dice.randrange(2000))
        lost = number % 19 == 0
        casts.append(
            Cast(
                wmo=2902260 + number % 7,
                cycle=number,
                time=time,
                latitude=None if lost else place[0],
                longitude=None if lost else place[1],
                mode="RAD"[number % 3],
                levels=number % 4,
            )
        )
    return casts


def distance_km(one: Cast, latitude: float, longitude: float) -> float:
    """Between two places on the sphere, by their vectors."""
    assert one.latitude is not None and one.longitude is not None

    def vector(lat: float, lon: float) -> tuple[float, float, float]:
        phi, turn = math.radians(lat), math.radians(lon)
        return math.cos(phi) * math.cos(turn), math.cos(phi) * math.sin(turn), math.sin(phi)

    chord = math.dist(vector(one.latitude, one.longitude), vector(latitude, longitude))
    return 2 * 6371.0088 * math.asin(min(1.0, chord / 2))


def test_every_answer_is_as_the_openapi_document_says(store: Store, config: RunConfig, client: Client) -> None:
    odd = {"temp_raw": (float("nan"), 1.0, float("inf")), "temp": (None, 1.0, None)}
    put_partition(store, [Cast(levels=3, values=odd), Cast(cycle=2, levels=0, time=None, latitude=None)], 1)
    load_stores(store, config)
    for path, model in ANSWERS.items():
        answer = client.ask(path)
        assert answer.status_code == 200, (path, answer.text)
        TypeAdapter(model).validate_json(answer.content)
    paths = client.ask("/openapi.json").json()["paths"]
    assert {operation for each in paths.values() for operation in each} == {"get"}
    assert len(paths) == len(ANSWERS) - 1  # one of them twice


def test_a_profile_has_its_numbers_and_its_originals_when_asked(
    store: Store, config: RunConfig, client: Client
) -> None:
    put_partition(store, [Cast(mode="A", levels=3, values={"temp_raw": (float("nan"), 20.1, float("inf"))})], 1)
    load_stores(store, config)
    plain = client.ask("/profiles/2902269_1_core_0").json()
    temp = plain["measurements"]["temp"]
    assert temp == {"mode": "A", "value": [21, 21.1, 21.2], "qc": [1, 1, 1], "error": None}
    whole = client.ask("/profiles/2902269_1_core_0", originals=True).json()["measurements"]["temp"]
    assert whole["raw"] == ["NaN", 20.1, "Infinity"] and whole["adjusted"] == [21, 21.1, 21.2]
    assert (plain["data_mode"], plain["time"]) == ("A", "2024-01-01T00:00:00+00:00")


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_show_every_profile_once_newest_first(
    store: Store, config: RunConfig, client: Client, limit: int
) -> None:
    casts = some_casts()[:40]
    put_partition(store, casts, 1)
    load_stores(store, config)
    shown = client.pages("/profiles", limit=limit)
    assert sorted(one["cycle"] for one in shown) == list(range(40))
    times = [one["time"] or "" for one in shown]
    assert times == sorted(times, reverse=True)
    assert [one["wmo"] for one in client.pages("/floats", limit=limit)] == sorted({one.wmo for one in casts})


def test_a_parameter_of_64_bits_is_found_as_any_other(store: Store, config: RunConfig, client: Client) -> None:
    timed = Cast(levels=1, values={"mtime": (0.5,)})
    put_partition(store, [timed, Cast(cycle=2, levels=0)], 1, parameters=("PRES", "TEMP", "PSAL", "MTIME"))
    load_stores(store, config)
    assert "mtime" in client.ask("/floats/2902269").json()["parameters"]
    assert [one["cycle"] for one in client.pages("/profiles", parameter="MTIME")] == [1]
    near = client.ask("/nearest", latitude=1, longitude=1, parameter="MTIME").json()
    assert [one["cycle"] for one in near] == [1]


def test_pages_go_on_while_others_load(store: Store, config: RunConfig, client: Client) -> None:
    """What was there from the beginning to the end is shown once, whatever comes and goes meanwhile."""
    put_partition(store, cycles(6), 1)
    load_stores(store, config)
    first = client.ask("/profiles", limit=3).json()
    put_partition(store, [*cycles(6)[:5], *cycles(9)[6:]], 2)
    load_stores(store, config)
    rest = client.ask("/profiles", limit=3, cursor=first["next"]).json()
    assert [one["cycle"] for one in (*first["items"], *rest["items"])] == [6, 5, 4, 3, 2, 1]


def test_filters_choose_what_they_say(store: Store, config: RunConfig, client: Client) -> None:
    casts = some_casts()
    put_partition(store, casts, 1)
    load_stores(store, config)
    start, end = EPOCH + timedelta(hours=500), EPOCH + timedelta(hours=900)

    def inside(one: Cast, west: float, south: float, east: float, north: float) -> bool:
        if one.latitude is None or one.longitude is None or not south <= one.latitude <= north:
            return False
        return west <= one.longitude <= east if west < east else one.longitude >= west or one.longitude <= east

    cases: list[tuple[dict[str, Any], Any]] = [
        ({"wmo": 2902263}, lambda one: one.wmo == 2902263),
        ({"data_mode": "D"}, lambda one: one.mode == "D"),
        ({"bbox": "-60,-30,60,40"}, lambda one: inside(one, -60, -30, 60, 40)),
        ({"bbox": "170,-10,-170,10"}, lambda one: inside(one, 170, -10, -170, 10)),
        ({"parameter": "PSAL"}, lambda one: one.levels > 0),
        (
            {"start": start.isoformat(), "end": end.isoformat()},
            lambda one: one.time is not None and start <= one.time < end,
        ),
    ]
    for asked, chosen in cases:
        wanted = sorted(one.cycle for one in casts if chosen(one))
        assert wanted and sorted(one["cycle"] for one in client.pages("/profiles", **asked)) == wanted, asked


def test_nearest_is_nearest_on_the_sphere(store: Store, config: RunConfig, client: Client) -> None:
    """Over the poles and the 180th meridian, also where fewer are there than asked for."""
    casts = some_casts()
    put_partition(store, casts, 1)
    load_stores(store, config)
    placed = [one for one in casts if one.latitude is not None]
    for latitude, longitude in ((0, 179.9), (0, -180), (89.9, 10), (-90, 0), (45, 0.001), (12.3, -77)):
        for limit in (1, 5, 100):
            asked: dict[str, Any] = {"latitude": latitude, "longitude": longitude, "limit": limit}
            found = client.ask("/nearest", **asked).json()
            wanted = sorted(distance_km(one, latitude, longitude) for one in placed)[:limit]
            assert [one["distance_km"] for one in found] == pytest.approx(wanted, rel=1e-9, abs=1e-3)
    only = client.ask("/nearest", latitude=0, longitude=0, data_mode="D", limit=3).json()
    wanted = sorted(distance_km(one, 0, 0) for one in placed if one.mode == "D")[:3]
    assert [one["distance_km"] for one in only] == pytest.approx(wanted)


def test_the_corner_of_a_box_is_not_nearer_than_what_lies_beside_it(
    store: Store, config: RunConfig, client: Client
) -> None:
    put_partition(store, [Cast(cycle=1, latitude=0.9, longitude=0.9), Cast(cycle=2, latitude=1.1, longitude=0.0)], 1)
    load_stores(store, config)
    assert client.ask("/nearest", latitude=0, longitude=0, limit=1).json()[0]["cycle"] == 2


def test_the_latest_come_from_redis_and_without_it_from_postgres(
    store: Store, config: RunConfig, stores: StoresConfig, client: Client, redis_server: RedisServer
) -> None:
    put_partition(store, cycles(5), 1)
    load_stores(store, config)
    kept = client.ask("/floats/2902269/latest")
    assert kept.headers["X-Cache"] == "hit"
    assert [one["cycle"] for one in kept.json()] == [5, 4, 3]
    redis_server.stop()
    away = client.ask("/floats/2902269/latest")
    assert (away.headers["X-Cache"], client.ask("/health").json()["redis"]) == ("down", "down")
    redis_server.start()
    said = [client.ask("/regions/arabian-sea/latest").headers["X-Cache"] for _ in range(2)]
    assert said == ["miss", "hit"]
    put_partition(store, cycles(5, mode="D"), 2)
    load_stores(store, config)
    fresh = client.ask("/floats/2902269/latest")
    assert (fresh.headers["X-Cache"], {one["data_mode"] for one in fresh.json()}) == ("hit", {"D"})
    with serving(stores.model_copy(update={"redis": None})) as without:
        plain = without.ask("/floats/2902269/latest")
        assert (plain.headers["X-Cache"], without.ask("/health").json()["redis"]) == ("none", "none")
        assert plain.json()[:3] == fresh.json()
    assert away.json() == kept.json()


def test_a_profile_that_moves_is_shown_once_at_every_moment(
    store: Store, config: RunConfig, stores: StoresConfig, client: Client
) -> None:
    """Across basin and year, again and again, while somebody asks: never none, never two."""
    there = Cast(longitude=65.0, time=EPOCH)
    here = Cast(longitude=90.0, time=EPOCH - timedelta(days=3), mode="D")
    put_partition(store, [there], 1)
    load_stores(store, config)
    over, seen = threading.Event(), list[tuple[int, int]]()

    def poll() -> None:
        while not over.is_set():
            latest = client.ask("/floats/2902269/latest").json()
            seen.append((len(client.ask("/profiles", wmo=2902269).json()["items"]), len(latest)))

    with ThreadPoolExecutor(1) as pool:
        poller = pool.submit(poll)
        try:
            for generation in range(2, 14):
                put_partition(store, [here if generation % 2 == 0 else there], generation)
                load_stores(store, config)
        finally:
            over.set()
            poller.result()
    assert len(seen) > 12 and set(seen) == {(1, 1)}
    assert client.ask("/floats/2902269").json()["longitude"] == 65


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/floats/1234567", 404),
        ("/floats/1234567/latest", 404),
        ("/regions/atlantis/latest", 404),
        ("/profiles/2902269_9_core_0", 404),
        ("/profiles/2902269'; DROP TABLE profiles; --", 404),
        ("/floats/99999999999", 422),
        ("/floats?cursor=x", 422),
        ("/profiles?cursor=W10", 422),
        ("/profiles?bbox=1,2,3", 422),
        ("/profiles?limit=0", 422),
        ("/profiles?start=tomorrow", 422),
        ("/profiles?wmos=2902269", 422),
        ("/nearest?latitude=91&longitude=0", 422),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_told(
    store: Store, config: RunConfig, client: Client, path: str, status: int
) -> None:
    put_partition(store, cycles(1), 1)
    load_stores(store, config)
    answer = client.ask(path)
    assert (answer.status_code, "detail" in answer.json()) == (status, True)


def test_nothing_can_be_changed(store: Store, config: RunConfig, client: Client, database: Connection) -> None:
    put_partition(store, cycles(1), 1)
    load_stores(store, config)
    for method in ("post", "put", "patch", "delete"):
        assert client.ask("/profiles", method).status_code == 405
    held = client.app.state.backend
    with held.connection() as connection, pytest.raises(Exception, match="read-only transaction"):
        connection.execute("DELETE FROM profiles")
    assert database.execute("SELECT count(*) FROM profiles").fetchone() == (1,)


def test_web_pages_of_other_origins_may_ask_when_they_are_named(stores: StoresConfig) -> None:
    with serving(stores, ["https://maps.example"]) as client:
        for origin, allowed in (("https://maps.example", True), ("https://other.example", False)):
            answer = client.ask("/openapi.json", headers={"Origin": origin})
            assert ("access-control-allow-origin" in answer.headers) is allowed
