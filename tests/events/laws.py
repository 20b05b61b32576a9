"""An inbox beside its model: whatever is asked of both, in whatever order, both answer the same."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline.events.event import Ended, Event, ObjectEvent, Order, SceneEvent, State, Taken
from pipeline.events.inbox.inbox import Arrival, Inbox
from tests.events.model import Model

BUCKETS = ("data", "dàta")
KEYS = ("a", "a/b", "a/b c", "a/é", "a\U0010ffff", "b")
SEQUENCERS = ("", "0", "00", "1", "10", "100", "0f", "0F0", "2", "A", "a0", "9F", "9f0000000000000001")
Name = tuple[str, str]
PerDay = dict[str, int | None]

RULES = ("tiles", "checks")
TARGETS = ("d'or", "object/data/a é")

objects = st.builds(
    ObjectEvent,
    bucket=st.sampled_from(BUCKETS),
    key=st.sampled_from(KEYS),
    created=st.booleans(),
    size_bytes=st.sampled_from([None, 0, 5]),
    etag=st.sampled_from(["", "x", "y"]),
    version=st.sampled_from(["", "", "v1"]),
    sequencer=st.sampled_from(SEQUENCERS),
)
scenes = st.builds(
    SceneEvent,
    collection=st.just("s2"),
    id=st.sampled_from(["one", "two"]),
    time=st.sampled_from([None, datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)]),
    geometry=st.sampled_from([None, {"type": "Point", "coordinates": [0.1, -7]}]),
    updated=st.sampled_from(["", "2026-03-01T00:00:00Z"]),
    removed=st.booleans(),
    item=st.sampled_from([None, {"id": "\ud800\0é"}]),
)
events: st.SearchStrategy[Event] = st.one_of(objects, objects, scenes)
seconds = st.integers(0, 40).map(float)
orders = st.builds(
    lambda rule, target, due_s, more_s: Order(rule, target, due_s, due_s + more_s),
    st.sampled_from(RULES),
    st.sampled_from(TARGETS),
    seconds,
    seconds,
)
names = st.tuples(st.sampled_from(RULES), st.sampled_from(TARGETS))
places = st.sets(st.integers(0, 3), min_size=1)
endings = st.builds(Ended, st.just("one"), st.booleans(), st.sampled_from(["", "a\0b\ud800"]), st.just("pass"))


class InboxMachine(RuleBasedStateMachine):
    """Runs of calls; time goes on by itself, and passes midnight now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now_s = 86_400.0 - 60
        self.taken: list[Taken] = []
        self.numbers: dict[int, int] = {}
        """By the place in the model."""
        self.inbox: Inbox

    @abstractmethod
    def opened(self, *, empty: bool) -> Inbox:
        """An inbox, with nothing in it or with what the former had."""

    @initialize()
    def begin(self) -> None:
        self.inbox = self.opened(empty=True)

    def teardown(self) -> None:
        """In the end all that was asked for and is not over is handed out, by and by, and nothing else is."""
        wanted = {name for name, each in self.model.orders.items() if each.ready_s is not None}
        found: list[Name] = []
        while taken := self.inbox.take(self.now_s + 10_000, 10, 3, dict.fromkeys(RULES)):
            found += [(each.order.rule, each.order.target) for each in taken]
        assert sorted(found) == sorted(wanted)
        self.inbox.close()

    @rule(some=st.lists(st.tuples(events, st.sampled_from(["m\0", "n"])), max_size=6))
    def put(self, some: list[tuple[Event, str]]) -> None:
        self.now_s += 1
        arrivals = [Arrival(event, message, "arn", "sns", self.now_s) for event, message in some]
        assert list(self.inbox.put(arrivals)) == self.model.put(arrivals)

    @rule(some=st.lists(st.lists(orders, max_size=4), max_size=3), again=st.booleans(), limit=st.integers(1, 4))
    def route(self, some: list[list[Order]], again: bool, limit: int) -> None:
        filed = self.inbox.unrouted(limit)
        expected = self.model.unrouted()[:limit]
        assert [each.arrival for each in filed] == [arrival for _, arrival in expected]
        assert [each.number for each in filed] == sorted({each.number for each in filed})
        self.numbers |= {place: each.number for (place, _), each in zip(expected, filed, strict=True)}
        known = sorted(self.numbers)
        places = [place for place, _ in expected] + (known[:1] if again else [])
        wanted = dict(zip(dict.fromkeys(places), some, strict=False))
        self.inbox.route({self.numbers[place]: asked for place, asked in wanted.items()})
        for place, asked in sorted(wanted.items()):
            # The orders of one call are independent of the order of what they are for.
            self.model.route(place, sorted(asked, key=lambda each: (each.rule, each.target)))

    @rule(some=st.lists(orders, max_size=3, unique_by=lambda each: (each.rule, each.target)))
    def order(self, some: list[Order]) -> None:
        assert self.inbox.order(some) == self.model.order(some)

    @rule(some=st.lists(orders, min_size=1, max_size=3))
    def ask(self, some: list[Order]) -> None:
        """A further event, and at once what it asks for."""
        self.now_s += 1
        arrival = Arrival(SceneEvent("s2", f"{self.now_s}"), received_s=self.now_s)
        assert self.inbox.put([arrival]) == self.model.put([arrival])
        place, _ = self.model.unrouted()[-1]
        self.numbers[place] = self.inbox.unrouted(10_000)[-1].number
        self.inbox.route({self.numbers[place]: some})
        self.model.route(place, sorted(some, key=lambda each: (each.rule, each.target)))

    @rule(pause_s=seconds)
    def wait(self, pause_s: float) -> None:
        self.now_s += pause_s

    @rule(
        lease_s=st.integers(1, 30),
        limit=st.integers(0, 4),
        per_day=st.dictionaries(st.sampled_from(RULES), st.sampled_from([None, None, 0, 1, 3]), min_size=1),
        only=st.none() | st.sets(names),
    )
    def take(self, lease_s: int, limit: int, per_day: PerDay, only: set[Name] | None) -> None:
        self._take(lease_s, limit, per_day, only)

    @rule(lease_s=st.integers(1, 30))
    def take_any(self, lease_s: int) -> None:
        self._take(lease_s, 2, dict.fromkeys(RULES), None)

    def _take(self, lease_s: int, limit: int, per_day: PerDay, only: set[Name] | None) -> None:
        taken = self.inbox.take(self.now_s, lease_s, limit, per_day, only)
        expected = self.model.take(self.now_s, lease_s, limit, per_day, only)
        assert [(each.order, each.revision, each.attempt) for each in taken] == expected
        for each in taken:
            self.model.orders[each.order.rule, each.order.target].token = each.token
        assert not {each.token for each in taken} & {each.token for each in self.taken}
        self.taken += taken

    @rule(places=places, lease_s=st.integers(1, 30))
    def renew(self, places: set[int], lease_s: int) -> None:
        taken = self._some(places)
        expected = self.model.renew(taken, self.now_s + lease_s)
        assert list(self.inbox.renew(taken, self.now_s, lease_s)) == expected

    @rule(place=st.integers(0, 3), ended=endings, again_s=st.none() | seconds)
    def finish(self, place: int, ended: Ended, again_s: float | None) -> None:
        again_s = None if again_s is None else self.now_s + again_s
        for taken in self._some({place}):
            done = self.model.finish(taken, ended, self.now_s, again_s)
            assert self.inbox.finish(taken, ended, self.now_s, again_s) == done

    @rule(places=places)
    def hand_back(self, places: set[int]) -> None:
        taken = self._some(places)
        self.model.hand_back(taken)
        self.inbox.hand_back(taken)

    def _some(self, places: set[int]) -> list[Taken]:
        """Of what was taken, by places from the last; also what is no longer the caller's."""
        return [self.taken[-1 - place] for place in sorted(places) if place < len(self.taken)]

    @rule(some=st.none() | st.sets(names))
    def reopen(self, some: set[Name] | None) -> None:
        assert self.inbox.reopen(None if some is None else sorted(some)) == self.model.reopen(some)

    @rule(age_s=seconds)
    def forget(self, age_s: float) -> None:
        assert self.inbox.forget(self.now_s - age_s) == self.model.forget(self.now_s - age_s)

    @rule()
    def close(self) -> None:
        self.inbox.close()
        self.inbox = self.opened(empty=False)

    @rule(bucket=st.sampled_from(BUCKETS), prefix=st.sampled_from(["", *KEYS, "a/", "\U0010ffff", "z"]))
    def look(self, bucket: str, prefix: str) -> None:
        mine = {key: event for (each, key), event in self.model.objects.items() if each == bucket}
        expected = [event for key, event in sorted(mine.items()) if key.startswith(prefix)]
        assert list(self.inbox.objects(bucket, prefix)) == expected
        assert all(self.inbox.object_state(bucket, key) == mine.get(key) for key in KEYS)

    @invariant()
    def stand_alike(self) -> None:
        every = [(rule, target) for rule in RULES for target in TARGETS]
        standing = self.model.orders
        assert self.inbox.states(every) == {name: each.state for name, each in standing.items()}
        failed = {name: each for name, each in standing.items() if each.state is State.FAILED}
        found = self.inbox.failed(99)
        assert {(order.rule, order.target): order for order, _ in found} == {
            name: each.order for name, each in failed.items()
        }
        ends = [failed[order.rule, order.target].ended_s for order, _ in found]
        assert ends == sorted(ends, reverse=True)
        states = Counter(each.state.value for each in standing.values())
        assert self.inbox.counts() == {
            "events": len(self.model.events),
            "unrouted": len(self.model.unrouted()),
            **{state.value: states[state.value] for state in State},
        }
        waiting = [each.order.due_s for each in standing.values() if each.state is State.WAITING]
        assert self.inbox.oldest_s() == min(waiting, default=None)
