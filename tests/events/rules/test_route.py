"""What an event starts, and when: by the rules alone, with plain templates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.events import EventsConfig, MatchConfig, RuleConfig
from pipeline.config.settle import LATE_S, SettleConfig
from pipeline.events.event import Event, ObjectEvent, Order, SceneEvent
from pipeline.events.rules.route import Touched, is_for, object_of, route_event, settled

DAY_S = 86_400.0
NOW_S = datetime(2024, 6, 10, tzinfo=UTC).timestamp()
JULY_S = datetime(2024, 7, 1, tzinfo=UTC).timestamp()
SCENE = SceneEvent("sentinel-2-l2a", "S2A_33TTK", datetime(2024, 6, 9, tzinfo=UTC), item={"id": "S2A_33TTK"})


class Plain:
    """One tile in June, for every scene; a float for every object."""

    def targets(self, rule_name: str, rule: RuleConfig, event: Event) -> Sequence[Touched]:
        del rule_name, rule
        return (Touched("float/9900101") if isinstance(event, ObjectEvent) else Touched("p/t/2024-06", JULY_S),)


def config(**rules: object) -> EventsConfig:
    buckets: dict[str, object] = {"data": {}, "results": {}, "argo": {}}
    document = {"name": "e", "inbox": "inbox.db", "buckets": buckets, "output": "s3://data/out", "rules": rules}
    return EventsConfig.model_validate(document)


CHECK = {"match": {"bucket": "data", "prefix": "in/", "suffix": [".csv", ".zarr"]}, "check": {}}


def orders(event: Event, now_s: float = NOW_S, **rules: object) -> list[Order]:
    return route_event(event, config(**rules), Plain(), now_s)


def test_an_object_is_its_own_target_and_at_once_without_settle() -> None:
    (order,) = orders(ObjectEvent("data", "in/a.csv"), tables=CHECK)
    assert order == Order("tables", "object/data/in/a.csv", NOW_S, NOW_S)


@pytest.mark.parametrize("key", ["in/a.csv", "in/b/c.csv", "in/s.zarr/zarr.json", "in/s.zarr/t.zarr/0.0", "in/s.zarr"])
def test_prefix_and_suffix_choose(key: str) -> None:
    assert is_for(config(tables=CHECK).rules["tables"].match, ObjectEvent("data", key))


@pytest.mark.parametrize(
    ("bucket", "key"),
    [("data", "a.csv"), ("data", "in/a.CSV"), ("results", "in/a.csv"), ("data", "in/a.csv/"), ("data", "in/.zarr/x")],
)
def test_others_are_left_alone(bucket: str, key: str) -> None:
    assert orders(ObjectEvent(bucket, key), tables=CHECK) == []


def test_a_removed_object_starts_the_same() -> None:
    """Its result has to be withdrawn."""
    (order,) = orders(ObjectEvent("data", "in/a.csv", created=False), tables=CHECK)
    assert order.target == "object/data/in/a.csv"


def test_the_objects_of_a_store_are_one_target() -> None:
    keys = ("in/s.zarr/zarr.json", "in/s.zarr/t/c/0/0", "in/s.zarr/u.zarr/c/0")
    targets = {order.target for key in keys for order in orders(ObjectEvent("data", key), tables=CHECK)}
    assert targets == {"object/data/in/s.zarr"}


@settings(max_examples=40)
@given(st.text(alphabet="az./", max_size=30))
def test_what_an_object_is_a_part_of_holds_it(key: str) -> None:
    whole = object_of(key)
    assert whole == key or (key.startswith(f"{whole}/") and whole.endswith(".zarr") and not whole.endswith("/.zarr"))
    assert object_of(whole) == whole


def test_results_of_checks_are_not_checked_again() -> None:
    """Else each would start the next, for ever."""
    everything = {"match": {"bucket": "data"}, "check": {}}
    assert orders(ObjectEvent("data", "out/checks/all/data/in/a.csv.json"), all=everything) == []
    assert len(orders(ObjectEvent("data", "outer/checks/a.json"), all=everything)) == 1


def test_every_rule_that_is_for_it_orders() -> None:
    rule = {"match": {"collection": "sentinel-2-l2a"}, "run": "/r.yaml"}
    other = {"match": {"collection": ["landsat-c2-l2"]}, "run": "/r.yaml"}
    assert [order.rule for order in orders(SCENE, a=rule, b=rule, c=other, d=CHECK)] == ["a", "b"]


def test_a_public_topic_goes_by_the_names_of_catalogues() -> None:
    """A STAC item is of its own collection alone."""
    match = MatchConfig(collection=("sentinel-2-c1-l2a",))
    assert is_for(match, SceneEvent("sentinel-2-l2a", "x"))
    assert not is_for(match, SCENE)


def test_a_scene_waits_for_the_end_of_its_period() -> None:
    rule = {"match": {"collection": "sentinel-2-l2a"}, "run": "/r.yaml", "settle": "period_end+5d"}
    (order,) = orders(SCENE, s2=rule)
    assert (order.due_s, order.latest_s) == (JULY_S + 5 * DAY_S, JULY_S + 5 * DAY_S + 4 * LATE_S)
    late_s = JULY_S + 90 * DAY_S
    (order,) = orders(SCENE, late_s, s2=rule)
    assert (order.due_s, order.latest_s) == (late_s + LATE_S, late_s + 4 * LATE_S)


def test_silence_is_waited_for() -> None:
    rule = {"match": {"bucket": "argo"}, "run": "/r.yaml", "settle": "6h"}
    (order,) = orders(ObjectEvent("argo", "dac/x"), floats=rule)
    assert order == Order("floats", "float/9900101", NOW_S + 6 * 3600, NOW_S + 24 * 3600)


TIMES = st.floats(0, 4e9)


@settings(max_examples=40)
@given(TIMES, st.floats(0, 1e6), st.none() | st.floats(0, 1e7), st.none() | TIMES)
def test_what_settles_is_never_begun_too_early(
    now_s: float, after_s: float, end_s: float | None, ends: float | None
) -> None:
    due_s, latest_s = settled(SettleConfig(after_s=after_s, period_end_s=end_s), now_s, ends)
    assert now_s + after_s <= due_s <= latest_s
    if end_s is not None and ends is not None:
        assert due_s >= ends + end_s


@settings(max_examples=40)
@given(TIMES, st.floats(60, 1e6), st.none() | TIMES)
def test_what_settles_within_a_twelfth_of_a_silence_is_due_together(
    now_s: float, after_s: float, ends_s: float | None
) -> None:
    settle = SettleConfig(after_s=after_s, period_end_s=3600)
    due_s, latest_s = settled(settle, now_s, ends_s)
    exact_s = max(now_s + after_s, now_s if ends_s is None else ends_s + 3600)
    assert exact_s <= due_s <= exact_s + after_s / 12 + 1e-3
    assert abs(due_s / (after_s / 12) - round(due_s / (after_s / 12))) < 1e-3
    assert latest_s >= due_s


@settings(max_examples=40)
@given(TIMES, TIMES)
def test_later_events_of_one_period_never_ask_for_less(one: float, other: float) -> None:
    """So the last event's word is enough, whatever their order."""
    settle = SettleConfig(after_s=60, period_end_s=3600)
    first, second = sorted((one, other))
    assert settled(settle, first, JULY_S)[0] <= settled(settle, second, JULY_S)[0]
