"""What becomes of orders, one case at a time; `test_inbox_laws.py` has all at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.events.event import Ended, ObjectEvent, Order, SceneEvent, State, Taken, Verdict
from pipeline.events.inbox import stored_events
from pipeline.events.inbox.inbox import Arrival, Inbox, open_inbox


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """With one order that runs from 1 s, with a lease to 11 s."""
    with open_inbox(str(tmp_path / "inbox.db")) as opened:
        ask(opened, 0.0)
        yield opened


def ask(inbox: Inbox, due_s: float) -> None:
    inbox.put([Arrival(SceneEvent("s2", f"{inbox.counts()['events']}"))])
    [filed] = inbox.unrouted(2)
    inbox.route({filed.number: [Order("rule", "t", due_s, due_s + 5)]})


def take(inbox: Inbox, now_s: float, most: int | None = None) -> Taken | None:
    return next(iter(inbox.take(now_s, 10, 1, {"rule": most})), None)


def begun(inbox: Inbox) -> Taken:
    taken = take(inbox, 1)
    assert taken is not None
    return taken


def test_one_whose_lease_ends_waits_for_the_newer_event_to_settle(inbox: Inbox) -> None:
    held = begun(inbox)
    ask(inbox, 50)
    assert take(inbox, 49) is None
    assert inbox.renew([held], 5, 10) == [held]
    assert take(inbox, 49) is None
    again = take(inbox, 50)
    assert again is not None
    assert (again.revision, again.attempt) == (2, 2)


def test_one_that_is_handed_back_for_a_newer_event_begins_with_its_first_attempt(inbox: Inbox) -> None:
    inbox.finish(begun(inbox), Ended("t", failed=True), 2, again_s=3)
    held = take(inbox, 3)
    assert held is not None
    assert held.attempt == 2
    ask(inbox, 20)
    inbox.hand_back([held])
    again = take(inbox, 20)
    assert again is not None
    assert again.attempt == 1


def test_a_second_attempt_that_is_handed_back_gives_nothing_back_to_the_day(inbox: Inbox) -> None:
    inbox.finish(begun(inbox), Ended("t", failed=True), 2, again_s=3)
    held = take(inbox, 3, 1)
    assert held is not None
    inbox.hand_back([held])
    inbox.order([Order("rule", "u", 0.0, 0.0)])
    assert [each.order.target for each in inbox.take(4, 10, 5, {"rule": 1})] == ["t"]


def test_a_failure_with_a_newer_event_waits_for_the_later_of_the_two(inbox: Inbox) -> None:
    held = begun(inbox)
    ask(inbox, 50)
    inbox.finish(held, Ended("t", failed=True), 2, again_s=3)
    assert take(inbox, 49) is None
    newer = take(inbox, 50)
    assert newer is not None
    ask(inbox, 52)
    inbox.finish(newer, Ended("t", failed=True), 51, again_s=60)
    assert take(inbox, 59) is None
    assert take(inbox, 60) is not None


def test_an_attempt_is_due_at_its_second_and_its_order_is_never_due_after_its_latest(inbox: Inbox) -> None:
    inbox.finish(begun(inbox), Ended("t", failed=True), 2, again_s=30)
    again = take(inbox, 30)
    assert again is not None
    assert again.order.latest_s >= again.order.due_s == 30


def test_what_a_sweep_saw_first_is_a_duplicate_and_what_it_outran_is_stale(inbox: Inbox) -> None:
    put, lost = (ObjectEvent("data", "a", etag=each, sequencer=f"0{each}") for each in "12")
    seen = ObjectEvent("data", "a", etag="2")
    verdicts = [
        inbox.put([Arrival(event)])[0] for event in (put, seen, ObjectEvent("data", "a", etag="0", sequencer="00"))
    ]
    assert verdicts == [Verdict.NEW, Verdict.NEW, Verdict.STALE]
    assert [inbox.put([Arrival(lost)])[0] for _ in range(2)] == [Verdict.DUPLICATE] * 2
    assert inbox.put([Arrival(ObjectEvent("data", "a", etag="2", sequencer="015"))]) == [Verdict.STALE]


DAY_S = 86_400.0
T = ("rule", "t")


def targets(inbox: Inbox, now_s: float, limit: int = 9, most: int | None = None) -> list[str]:
    return [each.order.target for each in inbox.take(now_s, 10, limit, {"rule": most})]


def make(inbox: Inbox, **due: float) -> int:
    return inbox.order([Order("rule", target, due_s, due_s + 5) for target, due_s in due.items()])


def test_the_oldest_are_taken_first_of_one_rule_and_none_before_its_time(inbox: Inbox) -> None:
    make(inbox, c=2, b=2, a=3.5)
    inbox.order([Order("other", "o", -1.0, 0.0), Order("unnamed", "n", -2.0, 0.0)])
    rules = {"rule": None, "other": None}
    assert [each.order.target for each in inbox.take(3.25, 10, 9, rules)] == ["o"]
    assert not inbox.take(3.25, 10, 0, rules)
    assert targets(inbox, 3.25, 2) == ["t", "b"]
    assert targets(inbox, 3.25) == ["c"]
    assert targets(inbox, 3.25) == []
    assert targets(inbox, 3.5) == ["a"]


def test_only_what_is_named_is_taken_and_no_more_of_it_than_the_day_allows(inbox: Inbox) -> None:
    make(inbox, a=-1, b=2)
    some = {("rule", "t"), ("rule", "b"), ("other", "a")}
    assert [each.order.target for each in inbox.take(2, 10, 9, {"rule": 1}, some)] == ["t"]
    assert not inbox.take(2, 10, 9, {"rule": 1}, some)
    assert [each.order.target for each in inbox.take(2, 10, 9, {"rule": 2}, some)] == ["b"]
    assert targets(inbox, 2, most=2) == []
    assert targets(inbox, 2, most=3) == ["a"]


def test_a_rule_whose_day_is_over_holds_back_no_other(inbox: Inbox) -> None:
    inbox.order([Order("other", "o", 1.0, 1.0)])
    assert [each.order.target for each in inbox.take(1, 10, 9, {"rule": 0, "other": None})] == ["o"]


def test_a_day_s_budget_ends_with_its_day_and_holds_back_no_second_attempt(inbox: Inbox) -> None:
    make(inbox, u=0, v=0)
    [held] = inbox.take(DAY_S - 1, 10, 9, {"rule": 1})
    assert targets(inbox, DAY_S - 0.5, most=1) == []
    inbox.finish(held, Ended("t", failed=True), DAY_S - 0.5, again_s=DAY_S - 0.25)
    assert targets(inbox, DAY_S - 0.25, most=1) == ["t"]
    assert targets(inbox, DAY_S - 0.25, most=2) == ["u"]
    assert targets(inbox, DAY_S, most=0) == []
    assert targets(inbox, DAY_S, most=1) == ["v"]


def test_what_is_handed_back_after_midnight_is_given_back_to_the_day_in_which_it_was_begun(inbox: Inbox) -> None:
    make(inbox, u=0, v=1)
    [held] = inbox.take(DAY_S - 1, 10, 1, {"rule": 1})
    assert targets(inbox, DAY_S, 1, most=1) == ["u"]
    inbox.hand_back([held])
    assert targets(inbox, DAY_S, most=1) == []
    assert targets(inbox, DAY_S - 1, most=1) == ["t"]


def test_what_is_begun_anew_counts_for_the_day_in_which_it_is(inbox: Inbox) -> None:
    inbox.finish(begun(inbox), Ended("t"), 2)
    ask(inbox, 3)
    [held] = inbox.take(DAY_S, 10, 1, {"rule": 1})
    assert held.attempt == 1
    inbox.hand_back([held])
    assert targets(inbox, DAY_S, most=1) == ["t"]


def test_a_lease_ends_at_its_second_and_who_lost_it_ends_nothing(inbox: Inbox) -> None:
    held = begun(inbox)
    assert inbox.renew([held], 2, 10) == [held]
    ask(inbox, 5)
    assert take(inbox, 11.75) is None
    again = take(inbox, 12)
    assert again is not None
    assert again.attempt == 2
    assert again.token != held.token
    assert inbox.renew([held, again], 13, 10) == [again]
    assert not inbox.finish(held, Ended("t"), 13)
    inbox.hand_back([held])
    assert inbox.states([T, ("rule", "none")]) == {T: State.RUNNING}
    assert inbox.finish(again, Ended("t"), 13)
    assert inbox.states([T]) == {T: State.DONE}


def test_a_retry_is_not_due_before_its_second_and_needs_no_budget_of_the_day(inbox: Inbox) -> None:
    inbox.finish(begun(inbox), Ended("t", failed=True), 2, again_s=30)
    assert inbox.oldest_s() == 30
    assert targets(inbox, 29.75, most=0) == []
    assert targets(inbox, 30, most=0) == ["t"]


def test_a_success_of_what_is_no_longer_the_newest_waits_for_the_newer_event(inbox: Inbox) -> None:
    held = begun(inbox)
    ask(inbox, 20)
    ask(inbox, 50)
    assert inbox.finish(held, Ended("t"), 2)
    assert inbox.states([T]) == {T: State.WAITING}
    assert take(inbox, 24.75) is None
    again = take(inbox, 25)
    assert again is not None
    assert (again.attempt, again.revision, again.order.latest_s) == (1, 3, 25)
    assert inbox.finish(again, Ended("t"), 26)
    assert inbox.counts()["done"] == 1


def test_an_order_that_waits_is_put_off_but_never_beyond_its_latest_nor_to_an_earlier_time(inbox: Inbox) -> None:
    ask(inbox, 3)
    ask(inbox, 1)
    assert inbox.oldest_s() == 3
    ask(inbox, 50)
    assert take(inbox, 4.75) is None
    held = take(inbox, 5)
    assert held is not None
    assert (held.order.due_s, held.order.latest_s, held.revision) == (5, 5, 4)


def test_an_event_that_was_routed_before_asks_for_nothing(inbox: Inbox) -> None:
    inbox.put([Arrival(SceneEvent("s2", "twice"))])
    [filed] = inbox.unrouted(2)
    for _ in range(2):
        inbox.route({filed.number: [Order("rule", "u", 1.0, 9.0)]})
    assert {each.order.target: each.revision for each in inbox.take(5, 10, 9, {"rule": None})} == {"t": 1, "u": 1}


def test_a_sweep_makes_what_is_missing_or_over_and_hastens_what_waits(inbox: Inbox) -> None:
    assert make(inbox, t=0, u=7) == 1
    assert inbox.oldest_s() == 0
    assert make(inbox, u=7) == 0
    assert make(inbox, u=6) == 1
    held = begun(inbox)
    assert make(inbox, t=0) == 0
    assert inbox.renew([held], 1, 10) == [held]
    inbox.finish(held, Ended("t"), 2)
    assert make(inbox, t=3) == 1
    assert targets(inbox, 2.75) == []
    [again] = inbox.take(3, 10, 9, {"rule": None})
    assert (again.order, again.attempt, again.revision) == (Order("rule", "t", 3, 8), 1, 2)
    inbox.finish(again, Ended("t", failed=True), 3)
    assert make(inbox, t=4) == 1
    assert targets(inbox, 4) == ["t"]


def test_what_failed_is_told_newest_first_and_begins_anew_where_it_is_reopened(inbox: Inbox) -> None:
    make(inbox, u=0)
    for number, held in enumerate(inbox.take(1, 10, 9, {"rule": None})):
        inbox.finish(held, Ended(held.order.target, failed=True, cause=f"a\0b {number}"), 2 + number)
    assert [(order.target, cause) for order, cause in inbox.failed(9)] == [("u", "a b 1"), ("t", "a b 0")]
    assert len(inbox.failed(1)) == 1
    assert targets(inbox, 99) == []
    assert inbox.reopen([("rule", "u"), ("rule", "u"), ("rule", "none")]) == 1
    assert inbox.oldest_s() == 3
    assert inbox.reopen() == 1
    assert [(each.order.target, each.attempt) for each in inbox.take(3, 10, 9, {"rule": None})] == [("t", 1), ("u", 1)]


def test_what_is_older_goes_where_it_is_over(inbox: Inbox) -> None:
    make(inbox, u=0)
    for held in inbox.take(1, 10, 9, {"rule": None}):
        inbox.finish(held, Ended(held.order.target, failed=held.order.target == "u"), 2)
    inbox.put([Arrival(ObjectEvent("data", "a", sequencer="1"), received_s=1.0)])
    assert inbox.forget(0) == 0
    assert inbox.forget(2) == 1  # the event that was routed
    assert inbox.forget(2.5) == 1
    assert inbox.counts() == {"events": 1, "unrouted": 1, "waiting": 0, "running": 0, "done": 0, "failed": 1}


@pytest.mark.parametrize("prefix", ["", "a", "a\ud7ff", "a\U0010ffff"])
def test_the_objects_of_a_prefix_come_page_by_page(inbox: Inbox, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setattr(stored_events, "_PAGE_SIZE", 2)
    ends = ["", "\x01", "\ud7ff", "\ud7ff\ud7ff", "\ue000", "\U0010ffff", "\U0010ffff\x01"]
    keys = [*(f"a{end}" for end in ends), "A", "b"]
    inbox.put([Arrival(ObjectEvent("data", key, sequencer="1")) for key in keys])
    assert [each.key for each in inbox.objects("data", prefix)] == sorted(key for key in keys if key.startswith(prefix))
