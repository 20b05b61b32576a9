"""What nobody told of is found by listing, exactly once, and nothing else is."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pipeline.errors import ConfigError
from pipeline.events.buckets.buckets import LOCAL_ROOT
from pipeline.events.consumer.routing import Router
from pipeline.events.event import Ended, ObjectEvent, State
from pipeline.events.inbox.inbox import Arrival
from pipeline.events.sweep.missing import Cause, Swept
from pipeline.events.sweep.objects import Window, prefixes
from pipeline.events.sweep.sweep import sweep
from tests.events.by_hand import BUCKET, RULES, Place, make_place

Look = Callable[..., Swept]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """As `place` of all tests of events; with either kind of inbox."""
    database = None
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres").dsn
        with psycopg.connect(database) as connection:
            connection.execute("DROP SCHEMA IF EXISTS groundswell_events CASCADE")
    made = make_place(tmp_path, database)
    monkeypatch.setenv(LOCAL_ROOT, str(made.root))
    return made


@pytest.fixture
def look(place: Place) -> Look:
    """A sweep of everything, by default without waiting for events that are on their way."""

    def swept(*rules: str, since_s: float | None = None, grace_s: float = 0.0, dry: bool = False) -> Swept:
        with place.inbox() as inbox:
            return sweep(place.config(), inbox, Window(time.time() + 1, since_s, grace_s, dry), rules)

    return swept


def route(place: Place) -> dict[str, State]:
    """Have rules asked about everything, as a consumer does; the orders of all objects."""
    with place.inbox() as inbox:
        Router(place.config(), inbox).run()
        targets = [f"object/{BUCKET}/{one.key}" for one in inbox.objects(BUCKET)]
        return {target: state for (_, target), state in inbox.states([("tables", one) for one in targets]).items()}


def do_all(place: Place) -> None:
    """Every order is done; its result is committed where the target names it."""
    with place.inbox() as inbox:
        Router(place.config(), inbox).run()
        while taken := inbox.take(time.time() + 5, 60, 100, dict.fromkeys(place.config().rules)):
            for one in taken:
                rule, key = one.order.rule, one.order.target.split("/", 2)[2]
                path = place.folder / "output" / "checks" / rule / BUCKET / f"{key}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{}")
                inbox.finish(one, Ended(one.order.target), time.time())


def causes(found: Swept) -> dict[Cause, int]:
    return {cause: count for cause, count in found.counts.items() if count}


def test_objects_that_no_event_told_of_are_stored_once(place: Place, look: Look) -> None:
    """The second sweep finds nothing; what no rule is for is left alone."""
    for key in ("in/a.csv", "in/deep/b c+d%.csv", "in/c.txt", "out/d.csv"):
        place.put(key)
    first, second = look(), look()
    assert causes(first) == {Cause.EVENT: 2}
    assert {one.what for one in first.named} == {f"s3://{BUCKET}/in/a.csv", f"s3://{BUCKET}/in/deep/b c+d%.csv"}
    assert causes(second) == {}
    assert route(place) == dict.fromkeys(
        (f"object/{BUCKET}/in/a.csv", f"object/{BUCKET}/in/deep/b c+d%.csv"), State.WAITING
    )


def test_a_dry_sweep_says_the_same_and_stores_nothing(place: Place, look: Look) -> None:
    place.put("in/a.csv")
    assert causes(look(dry=True)) == causes(look(dry=True)) == {Cause.EVENT: 1}
    with place.inbox() as inbox:
        assert inbox.counts()["events"] == 0
    assert causes(look()) == {Cause.EVENT: 1}


def test_what_an_event_told_of_is_not_missed(place: Place, look: Look) -> None:
    """The inbox knows its ETag."""
    place.put("in/a.csv", b"")
    event = ObjectEvent(BUCKET, "in/a.csv", etag="d41d8cd98f00b204e9800998ecf8427e", sequencer="01")
    with place.inbox() as inbox:
        inbox.put([Arrival(event)])
    route(place)
    assert causes(look()) == {}


def test_a_rewrite_that_no_event_told_of_is_found(place: Place, look: Look) -> None:
    place.put("in/a.csv", b"one")
    look()
    do_all(place)
    place.put("in/a.csv", b"two")
    assert causes(look()) == {Cause.EVENT: 1}
    assert route(place) == {f"object/{BUCKET}/in/a.csv": State.WAITING}


def test_what_is_gone_is_told_as_removed(place: Place, look: Look) -> None:
    """Once; and its order is made, so that its result is withdrawn."""
    place.put("in/a.csv")
    place.put("in/b.csv")
    look()
    do_all(place)
    (place.root / BUCKET / "in/a.csv").unlink()
    assert causes(look(dry=True)) == causes(look()) == {Cause.REMOVAL: 1}
    assert route(place)[f"object/{BUCKET}/in/a.csv"] is State.WAITING
    do_all(place)
    (place.folder / "output/checks/tables" / BUCKET / "in/a.csv.json").unlink()
    assert causes(look()) == {}


def test_a_bucket_that_is_not_there_removes_nothing(place: Place, look: Look) -> None:
    """It is a fault, which is told; nothing is concluded from it."""
    place.put("in/a.csv")
    look()
    shutil.rmtree(place.root / BUCKET)
    found = look()
    assert causes(found) == {}
    assert ["no such folder" in fault for fault in found.faults] == [True]


def test_a_result_that_is_gone_is_made_again(place: Place, look: Look) -> None:
    """Of what was done; what still waits is not missed, and what failed is for `redrive`."""
    for key in ("in/a.csv", "in/b.csv"):
        place.put(key)
    look()
    do_all(place)
    (place.folder / "output/checks/tables" / BUCKET / "in/a.csv.json").unlink()
    assert causes(look(dry=True)) == causes(look()) == {Cause.RESULT: 1}
    states = route(place)
    assert states == {f"object/{BUCKET}/in/a.csv": State.WAITING, f"object/{BUCKET}/in/b.csv": State.DONE}
    assert causes(look()) == {}


def test_a_new_rule_gets_what_was_there_before(place: Place, look: Look) -> None:
    place.put("in/a.csv")
    look()
    do_all(place)
    place.write(rules=RULES | {"second": RULES["tables"]})
    found = look()
    assert causes(found) == {Cause.JOB: 1}
    assert [one.rules for one in found.named] == [("second",)]
    do_all(place)
    assert causes(look()) == {}


def test_jobs_that_failed_are_left_to_redrive(place: Place, look: Look) -> None:
    place.put("in/a.csv")
    look()
    route(place)
    with place.inbox() as inbox:
        (taken,) = inbox.take(time.time() + 5, 60, 1, {"tables": None})
        inbox.finish(taken, Ended(taken.order.target, failed=True, cause="no"), time.time())
    assert causes(look()) == {}


def test_events_that_are_on_their_way_are_left_alone(place: Place, look: Look) -> None:
    """Objects that were put just now; and with `since` those that were put long ago."""
    old, new = place.put("in/old.csv"), place.put("in/new.csv")
    os.utime(old, (time.time() - 5000, time.time() - 5000))
    assert new.is_file()
    assert [one.what for one in look(grace_s=600).named] == [f"s3://{BUCKET}/in/old.csv"]
    assert [one.what for one in look(since_s=time.time() - 4000).named] == [f"s3://{BUCKET}/in/new.csv"]
    old.unlink()
    assert causes(look(since_s=time.time() - 4000)) == {}, "some were not looked for, so none is known to be gone"


def test_only_the_rules_that_are_named_are_looked_at(place: Place, look: Look) -> None:
    place.put("in/a.csv")
    place.put("in/b.dat")
    other = {"match": {"bucket": BUCKET, "suffix": ".dat"}, "check": {}}
    place.write(rules=RULES | {"other": other})
    assert [one.rules for one in look("other").named] == [("other",)]
    with pytest.raises(ConfigError, match=r"found no rule none; allowed: tables, other"):
        look("none")


def test_a_zarr_store_is_one_job(place: Place, look: Look) -> None:
    for name in ("zarr.json", "t/zarr.json", "t/c/0"):
        place.put(f"in/x.zarr/{name}")
    place.write(rules={"tables": {"match": {"bucket": BUCKET, "suffix": ".zarr"}, "check": {}}})
    assert causes(look()) == {Cause.EVENT: 3}
    with place.inbox() as inbox:
        Router(place.config(), inbox).run()
        assert inbox.states([("tables", f"object/{BUCKET}/in/x.zarr")]) == {
            ("tables", f"object/{BUCKET}/in/x.zarr"): State.WAITING
        }
        assert inbox.counts()["waiting"] == 1


def test_a_bucket_is_listed_once_wherever_rules_overlap(place: Place) -> None:
    rules = {
        name: {"match": {"bucket": BUCKET, "prefix": prefix}, "check": {}}
        for name, prefix in {"a": "in/", "b": "in/deep/", "c": "inner", "d": "out/", "e": "in/"}.items()
    }
    place.write(rules=rules)
    assert prefixes(place.config(), BUCKET) == ["in/", "inner", "out/"]
    place.write(rules=rules | {"all": {"match": {"bucket": BUCKET}, "check": {}}})
    assert prefixes(place.config(), BUCKET) == [""]


@pytest.mark.long
def test_many_objects_are_found_once(place: Place, look: Look) -> None:
    """More than a page of them, some of which an event told of."""
    folder = place.put("in/0.csv", b"").parent
    for number in range(1, 2500):
        Path(folder, f"{number}.csv").write_bytes(b"")
    known = [
        Arrival(ObjectEvent(BUCKET, f"in/{number}.csv", etag="d41d8cd98f00b204e9800998ecf8427e", sequencer="01"))
        for number in range(0, 2500, 5)
    ]
    with place.inbox() as inbox:
        inbox.put(known)
    route(place)
    assert causes(look()) == {Cause.EVENT: 2000}
    shutil.rmtree(folder)
    place.put("in/7.csv", b"")
    assert causes(look()) == {Cause.REMOVAL: 2499}
    assert causes(look()) == {}
