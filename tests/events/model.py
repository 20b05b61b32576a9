"""What an inbox must do, in a few dictionaries: slow, without a database, and short enough to be seen to be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.events.event import Ended, Event, ObjectEvent, Order, State, Taken, Verdict
from pipeline.events.inbox.inbox import Arrival

Key = tuple[str, str]


def value(sequencer: str) -> int:
    """A sequencer as a number that grows with it: the digits after a point."""
    return int(sequencer.ljust(64, "0"), 16) if sequencer else -1


def leaves_the_same(one: ObjectEvent, other: ObjectEvent) -> bool:
    """Whether an object is the same after either."""
    if not one.created or not other.created:
        return one.created == other.created
    return one.version == other.version if one.version and other.version else one.etag == other.etag != ""


@dataclass
class Standing:
    """An order."""

    order: Order
    state: State = State.WAITING
    revision: int = 1
    running: int = 0
    attempts: int = 0
    token: str = ""
    lease_s: float = 0.0
    ended_s: float = 0.0
    cause: str = ""
    day: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done for the last event that asked for it."""
        return self.state is State.WAITING or (self.state is State.RUNNING and self.revision > self.running)

    @property
    def ready_s(self) -> float | None:
        if self.state is State.WAITING:
            return self.order.due_s
        return max(self.lease_s, self.order.due_s) if self.state is State.RUNNING else None

    def wait(self, due_s: float, latest_s: float, *, anew: bool) -> None:
        self.order = replace(self.order, due_s=due_s, latest_s=latest_s)
        self.state, self.token, self.running = State.WAITING, "", 0
        self.attempts = 0 if anew else self.attempts


@dataclass
class Model:
    """An inbox that forgets everything when the test ends."""

    events: dict[int, Arrival] = field(default_factory=dict)
    """By their place among all that were ever stored."""
    stored: int = 0
    routed: set[int] = field(default_factory=set)
    objects: dict[Key, ObjectEvent] = field(default_factory=dict)
    greatest: dict[Key, str] = field(default_factory=dict)
    orders: dict[Key, Standing] = field(default_factory=dict)
    begun: dict[tuple[str, int], int] = field(default_factory=dict)

    def put(self, arrivals: Sequence[Arrival]) -> list[Verdict]:
        return [self._put(each) for each in arrivals]

    def _put(self, arrival: Arrival) -> Verdict:
        event = arrival.event
        verdict = self._judge(event) if isinstance(event, ObjectEvent) else self._first_time(event)
        if verdict is Verdict.NEW:
            self.events[self.stored] = arrival
            self.stored += 1
        return verdict

    def _first_time(self, event: Event) -> Verdict:
        known = {each.event.identity for each in self.events.values()}
        return Verdict.DUPLICATE if event.identity in known else Verdict.NEW

    def _judge(self, event: ObjectEvent) -> Verdict:
        name = event.bucket, event.key
        state, greatest = self.objects.get(name), self.greatest.get(name, "")
        same = state is not None and leaves_the_same(state, event)
        if not event.sequencer:
            if not same:
                self.objects[name] = event
            return Verdict.DUPLICATE if same else Verdict.NEW
        if self._first_time(event) is Verdict.DUPLICATE:
            return Verdict.DUPLICATE
        ahead = value(event.sequencer) - value(greatest)
        if state is not None and ahead <= 0:
            if ahead == 0 and same:
                return Verdict.DUPLICATE
            if ahead < 0 or not state.sequencer:
                return Verdict.STALE
        self.greatest[name], self.objects[name] = event.sequencer, event
        # Where a sweep saw it first, here is no news.
        return Verdict.DUPLICATE if state is not None and same and not state.sequencer else Verdict.NEW

    def unrouted(self) -> list[tuple[int, Arrival]]:
        return [(place, arrival) for place, arrival in self.events.items() if place not in self.routed]

    def route(self, place: int, orders: Sequence[Order]) -> None:
        """Of an event by its place among all."""
        if place in self.routed:
            return
        self.routed.add(place)
        for order in orders:
            self._ask(order)

    def _ask(self, order: Order) -> None:
        name = order.rule, order.target
        known = self.orders.get(name)
        if known is None:
            self.orders[name] = Standing(order)
            return
        due_s, latest_s = order.due_s, order.latest_s
        if known.is_open:
            latest_s = known.order.latest_s
            due_s = max(known.order.due_s, min(due_s, latest_s))
        known.revision += 1
        if known.state is State.RUNNING:
            known.order = replace(known.order, due_s=due_s, latest_s=latest_s)
        else:
            known.wait(due_s, latest_s, anew=True)

    def order(self, orders: Sequence[Order]) -> int:
        made = 0
        for order in orders:
            known = self.orders.get((order.rule, order.target))
            later = known is not None and known.state is State.WAITING and known.order.due_s > order.due_s
            if known is not None and later:
                known.revision += 1
                known.wait(order.due_s, order.latest_s, anew=True)
            elif known is None or known.state in (State.DONE, State.FAILED):
                self._ask(order)
            else:
                continue
            made += 1
        return made

    def take(
        self, now_s: float, lease_s: float, limit: int, per_day: Mapping[str, int | None], only: Collection[Key] | None
    ) -> list[tuple[Order, int, int]]:
        """Order, revision and attempt of what is handed out."""
        day = int(now_s // 86_400)
        left = {
            rule: 10**9 if most is None else max(0, most - self.begun.get((rule, day), 0))
            for rule, most in per_day.items()
        }
        ready = sorted(
            (each.ready_s, each.order.target, each.attempts == 0, each.order.rule)
            for name, each in self.orders.items()
            if each.ready_s is not None and each.ready_s <= now_s and each.order.rule in per_day
            if only is None or name in only
            if each.attempts > 0 or left[each.order.rule] > 0
        )
        chosen: list[tuple[Order, int, int]] = []
        for _, target, first, rule in ready:
            if rule != ready[0][3] or len(chosen) == limit or (first and not left[rule]):
                continue
            known = self.orders[rule, target]
            if first:
                left[rule] -= 1
                self.begun[rule, day] = self.begun.get((rule, day), 0) + 1
                known.day = day
            known.state, known.running, known.lease_s = State.RUNNING, known.revision, now_s + lease_s
            known.attempts += 1
            chosen.append((known.order, known.revision, known.attempts))
        return chosen

    def _held(self, taken: Taken) -> Standing | None:
        known = self.orders.get((taken.order.rule, taken.order.target))
        return known if known and known.state is State.RUNNING and known.token == taken.token else None

    def renew(self, taken: Sequence[Taken], until_s: float) -> list[Taken]:
        held = [(each, self._held(each)) for each in taken]
        for _, known in held:
            if known:
                known.lease_s = until_s
        return [each for each, known in held if known]

    def finish(self, taken: Taken, ended: Ended, now_s: float, again_s: float | None) -> bool:
        known = self._held(taken)
        if known is None:
            return False
        known.ended_s, known.cause = now_s, ended.cause
        newer, order = known.revision > known.running, known.order
        if newer or (ended.failed and again_s is not None):
            due_s = order.due_s
            if ended.failed and again_s is not None:
                due_s = max(due_s, again_s) if newer else again_s
            known.wait(due_s, max(order.latest_s, due_s), anew=newer)
        else:
            known.state = State.FAILED if ended.failed else State.DONE
        return True

    def hand_back(self, taken: Sequence[Taken]) -> None:
        for known in [each for each in map(self._held, taken) if each]:
            if known.attempts == 1:
                self.begun[known.order.rule, known.day] -= 1
            known.attempts -= 1
            known.wait(known.order.due_s, known.order.latest_s, anew=known.revision > known.running)

    def reopen(self, names: Collection[Key] | None) -> int:
        failed = [
            each
            for name, each in self.orders.items()
            if each.state is State.FAILED and (names is None or name in names)
        ]
        for each in failed:
            each.wait(each.ended_s, each.ended_s, anew=True)
        return len(failed)

    def forget(self, before_s: float) -> int:
        events = [place for place in self.routed & self.events.keys() if self.events[place].received_s < before_s]
        orders = [name for name, each in self.orders.items() if each.state is State.DONE and each.ended_s < before_s]
        for place in events:
            del self.events[place]
        for name in orders:
            del self.orders[name]
        return len(events) + len(orders)
