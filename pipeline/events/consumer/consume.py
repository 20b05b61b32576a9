"""Does what events start: polls the queue, asks the rules, works, and keeps messages until their work is done.

`python -m pipeline.events.consumer CONFIG`. Any number of consumers may share an inbox and a queue; each may be killed
at any moment.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import load_events
from pipeline.config.events import EventsConfig
from pipeline.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_JOBS_FAILED,
    EXIT_PREFLIGHT,
    GroundswellError,
    StoreError,
    TransientStoreError,
)
from pipeline.events.consumer.batches import Batch, Where
from pipeline.events.consumer.children import Processes, Runner
from pipeline.events.consumer.hand import Hand
from pipeline.events.consumer.polling import Poll
from pipeline.events.consumer.queue import Queue
from pipeline.events.consumer.routing import Router
from pipeline.events.consumer.work import Key, Work
from pipeline.events.environ import settings, start_log
from pipeline.events.event import Ended
from pipeline.events.inbox.inbox import Inbox, open_inbox
from pipeline.execute.driver.interrupt import interruptible

_IDLE_S = 1.0
"""Between two looks into an inbox where nothing was due."""
_HOUR_S, _KEPT_S = 3600.0, 60 * 86_400.0
"""Events and done orders stay in the inbox for so long: SQS keeps messages for 14 days, dead letters for as many."""
_GATHER_S = 0.2
"""In which more messages may come to be ready, so that they are deleted together."""
_LONGEST_S = 30.0
"""Between two attempts at an inbox that is away."""
_log = logging.getLogger("pipeline.events.consumer")


@dataclass(frozen=True)
class Worked:
    """What was done by one look at all that was due."""

    done: int
    failed: int
    """For good; what is tried again later is in neither."""


def runner_of(config: EventsConfig) -> Runner:
    """How batches are done: as processes of this machine, or as Jobs of Kubernetes."""
    if config.jobs.pod is not None:
        from pipeline.events.consumer.pods import Pods  # noqa: PLC0415 (an extra)

        return Pods(config, config.jobs.pod)

    def kept(batch: Batch) -> bool:
        return config.rules[batch.rule].check is not None

    return Processes(keep=kept)


def work_through(
    config: EventsConfig,
    where: Where,
    inbox: Inbox,
    *,
    now: Callable[[], float] = time.time,
    only: Collection[Key] | None = None,
    told: Callable[[Key, Ended], None] | None = None,
) -> Worked:
    """Ask the rules about all events, and do all that is due; the same batches, leases and attempts as a consumer's.

    only: nothing but these orders; None: all. told: called from any thread with what became of each; one that failed
    may be tried again later. Ctrl-C ends what is going on and hands it back. Raises as an inbox and `open_templates`.
    """
    router, work = Router(config, inbox, now), Work(config, where, inbox, runner_of(config), now)
    work.only = only
    if told is not None:
        work.told = told
    grace_s = 0.0
    try:
        router.run()
        while work.begin() or work.busy:
            work.renew()
            work.changed.wait(_IDLE_S if work.busy else 0.0)
        grace_s = config.jobs.grace_s
    finally:
        work.stop(grace_s)
    return Worked(work.done, work.failed)


class Consumer:
    """The loops of one consumer."""

    def __init__(self, config: EventsConfig, where: Where, inbox: Inbox, queue: Queue | None) -> None:
        self._config, self._inbox, self._queue = config, inbox, queue
        self._stop = threading.Event()
        self._forgot_s = time.monotonic()
        self._tick_s = min(_IDLE_S, queue.visibility_s / 8) if queue is not None else _IDLE_S
        self._router = Router(config, inbox)
        self._work = Work(config, where, inbox, runner_of(config))
        self._hand = Hand(config, queue, inbox, self._router) if queue is not None else None
        self._poll = Poll(config, queue, inbox, self._router, self._hand) if queue and self._hand is not None else None
        if self._hand is not None:
            hand = self._hand
            self._work.told = lambda key, ended: hand.told(key, failed=ended.failed)

    def run(self, stop: threading.Event, leave: Callable[[], bool]) -> Worked:
        """Until `stop` is set, or `leave` says so when there is nothing to do; then end well.

        Raises what ended one of its loops.
        """
        pool = ThreadPoolExecutor(3, thread_name_prefix="consumer")
        loops = [pool.submit(self._loop, "route", self._route, self._stop)]
        if self._poll is not None and self._hand is not None:
            poll, hand = self._poll, self._hand
            loops.append(pool.submit(self._loop, "poll", lambda: poll.step(self._stop), self._stop))
            loops.append(pool.submit(self._loop, "keep", lambda: self._keep(hand), self._stop, self._tick_s))
        grace_s = 0.0
        try:
            # SIGTERM is heard while the inbox is away, too; and leases are renewed as soon as it is back.
            self._loop("work", lambda: self._step(stop, loops, leave), stop, self._config.jobs.lease_s / 4)
            grace_s = self._config.jobs.grace_s
        finally:
            self._end(pool, grace_s)
        for one in loops:
            one.result()
        return Worked(self._work.done, self._work.failed)

    def check(self) -> None:
        """Raises ConfigError where the config of a rule's run cannot be read."""
        self._router.check()

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way, as far as one can see."""
        waiting = self._inbox.counts().get("unrouted", 0)
        polled = self._poll is None or self._poll.empty
        return polled and not waiting and not self._work.busy and not (self._hand is not None and len(self._hand))

    def _step(self, stop: threading.Event, loops: Sequence[Future[None]], leave: Callable[[], bool]) -> None:
        if stop.is_set() or any(one.done() for one in loops):
            self._stop.set()
            return
        self._work.renew()
        last = not self._work.busy and leave()  # asked first: what is routed in between is begun
        if self._work.begin():
            return
        if last:
            self._stop.set()
            return
        self._work.tidy()
        self._forget()
        self._work.changed.wait(min(_IDLE_S, self._config.jobs.lease_s / 4))

    def _forget(self) -> None:
        """Once an hour, what is so old that nobody delivers it again."""
        if time.monotonic() > self._forgot_s + _HOUR_S:
            self._forgot_s = time.monotonic()
            self._inbox.forget(time.time() - _KEPT_S)

    def _route(self) -> None:
        if self._router.run(self._stop):
            self._work.changed.set()
        self._router.wake.wait(_IDLE_S)

    def _keep(self, hand: Hand) -> None:
        if len(hand):
            hand.look()
        hand.wait(self._tick_s)
        self._stop.wait(_GATHER_S)

    def _loop(self, name: str, step: Callable[[], None], stop: threading.Event, longest_s: float = _LONGEST_S) -> None:
        """One step after the other; an inbox that is away for a while ends nothing. stop: ends a pause."""
        longest_s = min(_LONGEST_S, longest_s)
        pause_s = first_s = min(_IDLE_S, longest_s)
        while not self._stop.is_set():
            try:
                step()
                pause_s = first_s
            except TransientStoreError as error:
                _log.warning("%s: %s; again in %g s", name, error, pause_s)
                stop.wait(pause_s)
                pause_s = min(longest_s, 2 * pause_s)

    def _end(self, pool: ThreadPoolExecutor, grace_s: float) -> None:
        self._stop.set()
        self._router.wake.set()
        if self._hand is not None:
            self._hand.notify()
        try:
            self._work.stop(grace_s)
        finally:
            pool.shutdown()
            if self._hand is not None:
                self._last(self._hand)

    def _last(self, hand: Hand) -> None:
        """Messages whose work was done in the last moments are deleted; the others go back."""
        try:
            hand.look()
        except StoreError as error:
            _log.warning("at the end: %s", error)
        hand.give_back()


def consume(config: EventsConfig, where: Where, stop: threading.Event, *, once: bool = False) -> int:
    """Until `stop` is set; `once`: until nothing is due and the queue is empty. Returns the exit code.

    Raises PreflightError and QueueError where inbox or queue cannot be used, ConfigError where a run's config is wrong.
    """
    with open_inbox(config.inbox.get_secret_value()) as inbox:
        queue = Queue(config.queue) if config.queue is not None else None
        if queue is not None:
            check_queue(queue)
        consumer = Consumer(config, where, inbox, queue)
        consumer.check()
        sys.stdout.write("consuming\n")
        sys.stdout.flush()
        try:
            worked = consumer.run(stop, lambda: once and consumer.idle)
        finally:
            if queue is not None:
                queue.close()
    _log.info("ended: %d done, %d failed", worked.done, worked.failed)
    return EXIT_JOBS_FAILED if once and worked.failed else EXIT_DONE


def check_queue(queue: Queue) -> None:
    """Say what a queue lacks. Raises QueueError where it is not there, or not ours to read."""
    if "RedrivePolicy" not in queue.attributes("RedrivePolicy"):
        _log.warning(
            "queue %s has no redrive policy: a message that cannot be read comes again until it is too old; "
            "give it a queue of dead letters",
            queue.url,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.events.consumer", description="Do what events start.")
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="default: GROUNDSWELL_EVENTS")
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
    parser.add_argument("--once", action="store_true", help="until nothing is due and the queue is empty")
    parser.add_argument(
        "--with-parent",
        type=int,
        nargs="?",
        const=os.getppid(),
        metavar="PID",
        help="end when the process that started it is gone; PID: of that, where it may be gone already",
    )
    options = parser.parse_args(arguments)
    try:
        start_log()
        path, sets = settings(options.config, options.sets)
        where = Where(path.absolute(), sets)
        with interruptible(_log.warning) as interrupt:
            if options.with_parent is not None:
                followed = (options.with_parent, interrupt.stop)
                threading.Thread(target=_follow, args=followed, name="parent", daemon=True).start()
            return consume(load_events(path, sets), where, interrupt.stop, once=options.once)
    except KeyboardInterrupt:
        code, message = EXIT_INTERRUPTED, "interrupted: what was not done is done by the next consumer"
    except StoreError as error:
        code, message = EXIT_PREFLIGHT, f"inbox: {error}"
    except GroundswellError as error:
        code, message = error.exit_code, str(error)
    sys.stderr.write(f"error: {message}\n")
    return code


def _follow(parent: int, stop: threading.Event) -> None:
    """Set `stop` when the process that started this one is gone."""
    while os.getppid() == parent:
        if stop.wait(_IDLE_S):
            return
    _log.warning("the process that started this one is gone: ending")
    stop.set()
