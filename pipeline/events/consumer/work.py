"""What is due is taken from the inbox, held while it is done, and written down: several batches side by side.

One death of a process says nothing of which of its targets was the cause. So targets that were in a batch that died
come again in smaller batches, and in the end one by one: a poisonous one fails alone.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.config.events import EventsConfig
from pipeline.config.jobs import JobsConfig
from pipeline.errors import TransientStoreError
from pipeline.events.consumer.batches import Batch, Where
from pipeline.events.consumer.children import Runner
from pipeline.events.event import Ended, Taken
from pipeline.events.inbox.inbox import Inbox

LONGEST_S = 3600.0
"""Between two attempts."""
_SPLIT, _LEAST = 16, 8
"""Into so many batches those go again that were in one that died, none smaller than this before the last attempt."""
_LAPSES = 3
"""Times `jobs.attempts`: after so many an order is given up whose consumers died each time."""
_REMEMBERED = 100_000
Key = tuple[str, str]
"""Rule and target of an order."""
_log = logging.getLogger(__name__)


def key_of(taken: Taken) -> Key:
    """What names an order."""
    return taken.order.rule, taken.order.target


def chunks(taken: Sequence[Taken], attempts: int, blameless: Collection[Key]) -> list[list[Taken]]:
    """How orders go together: the first attempts, and those that failed by themselves; the others in small batches."""
    together = [one for one in taken if one.attempt == 1 or key_of(one) in blameless]
    others = [one for one in taken if one.attempt > 1 and key_of(one) not in blameless]
    alone = [[one] for one in others if one.attempt >= attempts]
    some = [one for one in others if one.attempt < attempts]
    size = max(_LEAST, math.ceil(len(some) / _SPLIT))
    parts = [some[first : first + size] for first in range(0, len(some), size)]
    return [part for part in (together, *parts, *alone) if part]


def again_s(taken: Taken, ended: Ended, jobs: JobsConfig, now_s: float, suspects: int = 0) -> float | None:
    """Unix time of the next attempt after a failure; None where there is none, or nothing failed.

    suspects: it is one of so many of which one ended their batch; of several each has one more attempt, alone.
    """
    if not ended.failed or not ended.passing or (taken.attempt >= jobs.attempts and suspects <= 1):
        return None
    return now_s + min(LONGEST_S, jobs.back_off_s * 2.0 ** min(taken.attempt - 1, 20))


@dataclass(eq=False)
class _Running:
    """Orders in one slot; `left` are those that are still this consumer's."""

    rule: str
    left: dict[str, Taken]
    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)


class Work:
    """Takes, has done and writes down. `begin`, `renew` and `stop` are for one thread."""

    def __init__(
        self, config: EventsConfig, where: Where, inbox: Inbox, runner: Runner, now: Callable[[], float] = time.time
    ) -> None:
        self.done = self.failed = 0
        """Orders, so far; those that failed for good."""
        self.changed = threading.Event()
        """Set when a slot is free again."""
        self.told: Callable[[Key, Ended], None] = lambda _key, _ended: None
        """Called from any thread with each order that was done, or that failed, also if it is tried again."""
        self.only: Collection[Key] | None = None
        """Nothing but these orders is begun; None: whatever is due."""
        self._config, self._where, self._inbox, self._runner, self._now = config, where, inbox, runner, now
        self._pool = ThreadPoolExecutor(config.jobs.parallel, thread_name_prefix="batch")
        self._running: dict[Future[None], _Running] = {}
        self._blameless = OrderedDict[Key, None]()
        self._lock = threading.Lock()
        self._renewed = (0.0, 0.0)
        self._stopping = False

    @property
    def busy(self) -> int:
        """Batches that are being done. Raises what ended one of them that is over."""
        for future in [one for one in self._running if one.done()]:
            del self._running[future]
            future.result()
        return len(self._running)

    def begin(self) -> bool:
        """Begin a batch where there is room, and something is due; whether one was. Raises as an inbox does."""
        jobs = self._config.jobs
        self.changed.clear()
        if self.busy >= jobs.parallel:
            return False
        taken = self._inbox.take(self._now(), jobs.lease_s, jobs.batch, self._open(), self.only)
        if not taken:
            return False
        rule = taken[0].order.rule
        running = _Running(rule, {one.order.target: one for one in taken})
        _log.info("rule %s: %d begun, such as %s", rule, len(taken), taken[0].order.target)
        self._running[self._pool.submit(self._slot, running, taken)] = running
        return True

    def renew(self) -> None:
        """Hold what is being done for longer, where it is time; give up what another consumer has by now."""
        after_s, now = self._config.jobs.lease_s / 3, (time.monotonic(), self._now())
        # By both clocks: leases end by the one that jumps, and stands still for no sleeping machine.
        if all(at_s < renewed_s + after_s for at_s, renewed_s in zip(now, self._renewed, strict=True)):
            return
        for running in list(self._running.values()):
            with self._lock:
                held = list(running.left.values())
            kept = {one.token for one in self._inbox.renew(held, self._now(), self._config.jobs.lease_s)}
            with self._lock:
                lost = [one for one in held if one.token not in kept and one.order.target in running.left]
                for one in lost:
                    del running.left[one.order.target]
            if lost:
                _log.warning("rule %s: %d are another consumer's by now", running.rule, len(lost))
            if lost and not running.left:
                running.stop.set()
        self._renewed = now

    def tidy(self) -> None:
        """End processes that have had nothing to do for some time."""
        self._runner.tidy()

    def stop(self, grace_s: float) -> None:
        """Let batches end within a time; then end them, and let others have what was not done. Raises as `busy`."""
        end_s = time.monotonic() + grace_s
        try:
            self._let_end(end_s)
        finally:
            self._stopping = True
            for running in self._running.values():
                running.stop.set()
            self._pool.shutdown()
            self._runner.close()
        for future in self._running:
            future.result()

    def _let_end(self, end_s: float) -> None:
        while not all(future.done() for future in self._running) and (left_s := end_s - time.monotonic()) > 0:
            self.changed.wait(min(1.0, left_s))
            self.changed.clear()
            try:
                self.renew()
            except TransientStoreError as error:
                _log.warning("leases: %s", error)  # what is committed meanwhile counts all the same

    def _open(self) -> Mapping[str, int | None]:
        """Rules that may begin a batch, and how many a day: of two that share a run's config only one at a time."""
        rules = self._config.rules
        runs = {rules[one.rule].run for one in self._running.values()} - {None}
        return {name: rule.per_day for name, rule in rules.items() if rule.run not in runs}

    def _slot(self, running: _Running, taken: Sequence[Taken]) -> None:
        attempts = self._config.jobs.attempts
        try:
            for one in taken:
                if one.attempt > _LAPSES * attempts:
                    gone = f"{one.attempt - 1} consumers lost it before it was done"
                    self._ended(running, Ended(one.order.target, failed=True, cause=gone, passing=False))
            with self._lock:
                blameless = set(self._blameless)
            for chunk in chunks([one for one in taken if one.order.target in running.left], attempts, blameless):
                if running.stop.is_set():
                    break
                self._chunk(running, chunk)
            with self._lock:
                back = list(running.left.values())
            self._patiently(lambda: self._inbox.hand_back(back))
            _log.info("rule %s: %d of %d done, %d handed back", running.rule, running.done, len(taken), len(back))
        finally:
            self.changed.set()

    def _chunk(self, running: _Running, chunk: Sequence[Taken]) -> None:
        """Have one batch done, and write down what it left."""
        with self._lock:
            targets = tuple(one.order.target for one in chunk if one.order.target in running.left)
        if not targets:
            return
        batch = Batch(self._where, running.rule, targets)
        over = self._runner.run(
            batch, lambda ended: self._ended(running, ended), running.stop, self._config.jobs.timeout_s
        )
        if running.stop.is_set():
            return
        with self._lock:
            left = [target for target in targets if target in running.left]
        suspects = len(left) if over.died else 0
        for target in left:
            self._ended(running, Ended(target, failed=True, cause=over.cause, passing=over.passing), suspects)

    def _ended(self, running: _Running, ended: Ended, suspects: int = 0) -> None:
        """Write down what became of one order. suspects: see `again_s`."""
        with self._lock:
            if ended.failed and running.stop.is_set():
                return
            taken = running.left.pop(ended.target, None)
        if taken is None:
            return
        again = again_s(taken, ended, self._config.jobs, self._now(), suspects)
        kept = self._patiently(lambda: self._inbox.finish(taken, ended, self._now(), again))
        with self._lock:
            self._remember(key_of(taken), blameless=ended.failed and not suspects)
            self.done += bool(kept and not ended.failed)
            running.done += not ended.failed
            self.failed += bool(kept and ended.failed and again is None)
        if ended.failed:
            then = "it is set aside" if again is None else f"again in {again - self._now():.0f} s"
            told = f"{ended.target}: attempt {taken.attempt}: {ended.cause}; {then}"
            _log.warning("rule %s: %s", running.rule, told)
        self.told(key_of(taken), ended)

    def _remember(self, key: Key, *, blameless: bool) -> None:
        self._blameless.pop(key, None)
        if blameless:
            self._blameless[key] = None
            if len(self._blameless) > _REMEMBERED:
                self._blameless.popitem(last=False)

    def _patiently(self, ask: Callable[[], bool | None]) -> bool | None:
        """Ask an inbox that may be away for a moment; None where it is for longer than the lease: it is done again."""
        end_s = time.monotonic() + self._config.jobs.lease_s
        pause_s = 0.2
        while True:
            try:
                return ask()
            except TransientStoreError as error:
                if self._stopping or time.monotonic() > end_s:
                    _log.warning("what was done could not be written down, so it is done again: %s", error)
                    return None
            time.sleep(pause_s)
            pause_s = min(5.0, 2 * pause_s)
