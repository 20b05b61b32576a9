"""What a run has not made, and nobody ordered, is ordered: as its events would have asked for it."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import pytest

from pipeline.events.buckets.buckets import LOCAL_ROOT
from pipeline.events.event import Ended, State
from pipeline.events.inbox.inbox import open_inbox
from pipeline.events.sweep.missing import Cause, Swept
from pipeline.events.sweep.objects import Window
from pipeline.events.sweep.sweep import sweep
from tests.events.by_hand import Place
from tests.events.run_world import run_world
from tests.worlds import SmallWorld

pytestmark = pytest.mark.long
SCENES = {"match": {"collection": "sentinel-2-l2a"}, "source": "s2", "settle": "period_end+5d"}


def look(place: Place, *, dry: bool = False) -> Swept:
    with place.inbox() as inbox:
        return sweep(place.config(), inbox, Window(time.time() + 1, grace_s=0, dry=dry))


def test_jobs_that_are_not_committed_are_ordered_once(place: Place, world: SmallWorld) -> None:
    """A job that was done and whose item is gone is ordered again; one that was committed by a run is not."""
    place.write(rules={"scenes": SCENES | {"run": str(world.config)}})
    session = world.session()
    jobs = [job.id for job in session.plan.jobs]
    assert len(jobs) > 2
    assert dict(look(place, dry=True).counts) == dict(look(place).counts) == {Cause.PLAN: len(jobs)}
    found = look(place)
    assert not found.counts and found.jobs == len(jobs), "they wait"
    world.run(session, session.plan.jobs[0])
    with place.inbox() as inbox:
        done = jobs[:2]
        for one in inbox.take(time.time() + 86_400, 60, 100, {"scenes": None}, [("scenes", job) for job in done]):
            inbox.finish(one, Ended(one.order.target), time.time())
    found = look(place)
    assert [(one.cause, one.what, one.rules) for one in found.named] == [(Cause.PLAN, jobs[1], ("scenes",))]
    with place.inbox() as inbox:
        states = inbox.states([("scenes", job) for job in jobs])
    assert {job: state for (_, job), state in states.items()} == dict.fromkeys(jobs, State.WAITING) | {
        jobs[0]: State.DONE
    }


def test_each_rule_orders_what_its_events_lead_to(
    demo_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of its source and what is made of them; of files of floats the floats; others are other rules'."""
    monkeypatch.setenv(LOCAL_ROOT, str(tmp_path / "root"))
    for name in ("argo", "data"):
        (tmp_path / "root" / name).mkdir(parents=True)
    world = run_world(demo_world, tmp_path)
    config = world.config()
    with open_inbox(config.inbox.get_secret_value()) as inbox:
        found = sweep(config, inbox, Window(time.time()))
    assert not found.faults
    products = defaultdict(set)
    for one in found.named:
        for rule in one.rules:
            products[rule].add(one.what.partition("/")[0])
    assert {rule: sorted(names) for rule, names in products.items()} == {
        "s2": ["matchups", "sentinel2", "stack"],
        "s1": ["sentinel1", "stack"],
        "dem": ["dem", "stack"],
        "landsat": ["landsat", "stack"],
        "floats": ["float"],
    }
