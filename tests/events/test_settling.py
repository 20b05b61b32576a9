"""A month of scenes asks for each of its tiles once, when the month has settled, and no faster than its budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.config.settle import DAY_S, LATE_S
from pipeline.events.event import Ended, SceneEvent, Taken
from pipeline.events.inbox.inbox import Arrival, Inbox, open_inbox
from pipeline.events.rules.route import route_event
from pipeline.events.rules.templates import OpenTemplates, open_templates
from tests.events.run_world import RunWorld, run_world

JULY = datetime(2024, 7, 1, tzinfo=UTC)
SETTLED_S = (JULY + timedelta(days=5)).timestamp()


@pytest.fixture(scope="module")
def world(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> RunWorld:
    return run_world(demo_world, tmp_path_factory.mktemp("settling"))


@pytest.fixture(scope="module")
def templates(world: RunWorld) -> OpenTemplates:
    return open_templates(world.config())


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with open_inbox(str(tmp_path / "inbox.sqlite")) as opened:
        yield opened


def a_month(world: RunWorld) -> list[SceneEvent]:
    """A scene a day over the same ground, told of an hour after it was taken."""
    one = next(event for event in world.scenes("s2") if "32TQQ" in event.id)
    days = [datetime(2024, 6, day, 10, tzinfo=UTC) for day in range(1, 31)]
    return [replace(one, id=f"scene-{day:%d}", time=day) for day in days]


def tell(inbox: Inbox, world: RunWorld, templates: OpenTemplates, event: SceneEvent, now_s: float) -> set[str]:
    """Through the inbox as a consumer does; the targets that it asks for."""
    inbox.put([Arrival(event, event.id, received_s=now_s)])
    (filed,) = inbox.unrouted(10)
    orders = route_event(filed.arrival.event, world.config(), templates, now_s)
    inbox.route({filed.number: orders})
    return {order.target for order in orders}


def all_of(inbox: Inbox, now_s: float, per_day: int | None = None) -> list[Taken]:
    found: list[Taken] = []
    while some := inbox.take(now_s, 60, 500, {"s2": per_day}):
        found += some
    return found


def test_a_monthly_tile_is_made_once_for_thirty_scenes(inbox: Inbox, world: RunWorld, templates: OpenTemplates) -> None:
    targets = set()
    for event in a_month(world):
        assert event.time is not None
        now_s = event.time.timestamp() + 3600
        targets |= tell(inbox, world, templates, event, now_s)
        assert not all_of(inbox, now_s)
    monthly = {target for target in targets if target.endswith("/2024-06")}
    assert {target.partition("/")[0] for target in monthly} >= {"sentinel2", "stack"}
    assert not all_of(inbox, SETTLED_S - 1)
    taken = all_of(inbox, SETTLED_S)
    assert sorted(one.order.target for one in taken) == sorted(monthly)
    for one in taken:
        assert inbox.finish(one, Ended(one.order.target, note="made"), SETTLED_S)
    assert not all_of(inbox, SETTLED_S + DAY_S)


def test_a_scene_that_comes_late_makes_its_tiles_once_more(
    inbox: Inbox, world: RunWorld, templates: OpenTemplates
) -> None:
    first, second, *_ = a_month(world)
    tell(inbox, world, templates, first, SETTLED_S - DAY_S)
    for one in all_of(inbox, SETTLED_S):
        inbox.finish(one, Ended(one.order.target), SETTLED_S)
    late_s = SETTLED_S + 90 * DAY_S
    targets = tell(inbox, world, templates, second, late_s)
    assert not all_of(inbox, late_s + LATE_S - 1)
    assert {one.order.target for one in all_of(inbox, late_s + LATE_S)} == targets


def test_scenes_that_never_end_do_not_put_off_for_ever(inbox: Inbox, world: RunWorld, templates: OpenTemplates) -> None:
    """Though one comes in every silence, its tiles are begun after four of them."""
    for number, event in enumerate(a_month(world)[:5]):
        assert not all_of(inbox, SETTLED_S + number * (LATE_S - 60) - 1)
        tell(inbox, world, templates, event, SETTLED_S + number * (LATE_S - 60))
    assert all_of(inbox, SETTLED_S + 4 * LATE_S)


def test_a_day_begins_no_more_than_its_budget(inbox: Inbox, world: RunWorld, templates: OpenTemplates) -> None:
    targets = tell(inbox, world, templates, a_month(world)[0], SETTLED_S - DAY_S)
    days: list[list[str]] = []
    while some := all_of(inbox, SETTLED_S + len(days) * DAY_S, per_day=3):
        days.append([one.order.target for one in some])
        for one in some:
            inbox.finish(one, Ended(one.order.target), SETTLED_S + len(days) * DAY_S)
    assert [len(day) for day in days[:-1]] == [3] * (len(days) - 1) and len(days) == -(-len(targets) // 3)
    assert {target for day in days for target in day} == targets
