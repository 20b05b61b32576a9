"""Keeps every region's clusters fed: a bounded number of groups in flight, refilled as they end; a record a job.

What is made from other jobs waits for them here: a cluster sees only tasks that can begin. What waits is numbers of
groups: their jobs are made when they are sent, so a hundred thousand of them weigh as little as a few.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from uuid import uuid4

from pipeline.errors import ClusterLostError
from pipeline.execute.driver.deadlines import Deadlines
from pipeline.execute.driver.fleet import Fleet, Opening
from pipeline.execute.driver.flights import Ended, Flight
from pipeline.execute.driver.found import committed, record_of
from pipeline.execute.driver.presence import Presence
from pipeline.execute.driver.regions import Post, Region
from pipeline.execute.driver.retry import Task, judge, lost_connection
from pipeline.execute.driver.shards import Shard
from pipeline.execute.driver.waiting import Waiting
from pipeline.execute.listen import Listener
from pipeline.execute.worker.onworker import Bench
from pipeline.execute.worker.task import Assignment, run_group
from pipeline.plan.groups import Work
from pipeline.types import Outcome, Status

_SHORTEST_S, _LONGEST_S = 0.004, 0.1
"""Between two looks at what is in flight: twice as long each time that nothing has ended."""


@dataclass(frozen=True)
class Rules:
    """How long things may take."""

    job_timeout_s: float = 3600.0
    """One attempt at one job; then its worker is ended."""
    worker_timeout_s: float = 1800.0
    """A cluster with work may be without any worker, or its scheduler may not answer."""


def drive(
    work: Work,
    assignments: Mapping[str, Assignment],
    fleet: Fleet,
    listener: Listener,
    stop: threading.Event,
    rules: Rules = Rules(),
) -> None:
    """Run every group on its region's clusters and tell what became of each job; returns when nothing is in flight.

    A group begins when all jobs of this run that it is made from are done; where one is not, its jobs are told of as
    blocked. What an earlier run committed is there already. A region begins as soon as one of its clusters is up,
    whatever the others do; one that is lost is replaced as `fleet` allows, and what was in flight there is done again
    unless it is committed. The jobs of a region without any cluster fail. What another run is making is looked at again
    after everything else, and left to it when nothing else is left.

    assignments: by product name. When `stop` is set no group is started any more, those in flight end and are told of,
    the jobs of the rest are told of as cancelled. Whatever is tried again is tried job by job, after everything else.
    """
    run = _Run(work, assignments, fleet, listener, rules)
    pause_s = _SHORTEST_S
    try:
        while run.unfinished(stopped=stop.is_set()):
            progress = run.step(stopped=stop.is_set())
            pause_s = _SHORTEST_S if progress else min(_LONGEST_S, 2 * pause_s)
            time.sleep(pause_s)
    finally:
        run.leave()
    run.cancel()


class _Run:
    """Where every group stands: waiting for others, in its region's queue, in flight, or ended."""

    def __init__(
        self, work: Work, assignments: Mapping[str, Assignment], fleet: Fleet, listener: Listener, rules: Rules
    ) -> None:
        self._work, self._assignments, self._fleet, self._listener = work, assignments, fleet, listener
        self._rules = rules
        token = uuid4().hex[:8]
        self._token, self._serial = token, count(1)
        self._bench = Bench(run_group, assignments)
        self._waiting = Waiting(work)
        self._regions: dict[str, Region] = {}
        for head in work.heads():
            region = self._region(head.region)
            if head.needs:
                self._waiting.add(head)
            else:
                region.fresh.append(head.number)

    def unfinished(self, *, stopped: bool) -> bool:
        """Whether anything is in flight, or may still begin."""
        return any(region.active or (region.queued and not stopped) for region in self._regions.values())

    def step(self, *, stopped: bool) -> bool:
        """Look at everything once; True when something ended or began. New tasks go out before records come in."""
        landed = []
        for region in self._regions.values():
            for place, post in enumerate(region.posts):
                self._tend(region, place, post, stopped=stopped)
                landed.append((region, post.shard.landed()))
        sent = 0 if stopped else sum(self._refill(region) for region in self._regions.values())
        for region, ended in landed:
            self._land(region, ended)
        if not stopped:
            self._give_up()
            if not self._otherwise_busy() and not any(region.active for region in self._regions.values()):
                for region in self._regions.values():
                    region.look_once_more()
        return bool(sent or any(ended for _, ended in landed))

    def leave(self) -> None:
        """Leave every cluster as it was."""
        for region in self._regions.values():
            for post in region.posts:
                post.shard.detach()

    def cancel(self) -> None:
        """Tell of everything that was not begun, or not begun again."""
        tasks = [Task(number) for number in self._waiting.numbers()]
        for task in (*tasks, *(task for region in self._regions.values() for task in region.emptied())):
            for job in task.group(self._work).jobs:
                self._listener.ended(
                    Outcome(job.id, job.region, job.fingerprint, Status.CANCELLED, attempts=task.begun - 1)
                )

    def _region(self, name: str) -> Region:
        if name not in self._regions:
            openings = self._fleet.openings[name]
            posts = [self._post(name, shard, opening) for shard, opening in enumerate(openings)]
            self._regions[name] = Region(name, posts)
        return self._regions[name]

    def _post(self, region: str, number: int, opening: Opening) -> Post:
        shard = Shard(region, number, opening, f"groundswell-{self._token}")
        return Post(shard, Deadlines(shard, self._rules.job_timeout_s), Presence(shard, self._rules.worker_timeout_s))

    def _otherwise_busy(self) -> bool:
        """Whether anything is queued but what other runs are making."""
        return any(region.fresh or region.again for region in self._regions.values())

    def _ended(self, outcome: Outcome) -> None:
        """Tell the last word on a job, and what that means for those that are made from it."""
        self._listener.ended(outcome)
        if outcome.status is Status.DONE:
            for name, number in self._waiting.made(outcome.job_id):
                self._regions[name].fresh.append(number)
        else:
            for left in self._waiting.lost(outcome):
                self._listener.ended(left)

    def _tend(self, region: Region, place: int, post: Post, *, stopped: bool) -> None:
        """Look after one cluster: told what to do once it is up, replaced once it is lost."""
        shard = post.shard
        if shard.client is None or shard.failure is not None:
            return
        cause = shard.broken
        if cause is None and shard.client.status == "running":
            try:
                attached = shard.attach(self._bench)
            except OSError as error:
                cause = str(error)
            else:
                cause = self._look(region, post) if attached else None
        deserted = None
        if cause is None and shard.attached:
            deserted = post.presence.deserted(busy=shard.busy or region.queued)
        if cause is not None or deserted is not None:
            self._lose(region, place, cause or str(deserted), replaced=deserted is None and not stopped)

    def _look(self, region: Region, post: Post) -> str | None:
        """Hear what a cluster has to say; returns why it counts as lost, where it does."""
        for begun in post.shard.heard():
            self._listener.began(begun)
        for event in post.presence.changed():
            self._listener.cluster(event)
        for flight, late in post.deadlines.overdue():
            self._unrecorded(region, [flight], late)
        return post.presence.silent()

    def _lose(self, region: Region, place: int, cause: str, *, replaced: bool) -> None:
        """Do without a cluster, or with another one in its place."""
        shard = region.posts[place].shard
        self._listener.cluster(shard.event("lost", cause))
        self._unrecorded(region, shard.drop(), lost_connection(region.name, cause))
        opening = self._fleet.again(region.name, shard.number) if replaced else None
        if opening is not None:
            region.posts[place] = self._post(region.name, shard.number, opening)
            return
        where = "" if cause.startswith("region ") else f"region {region.name}: its cluster was lost: "
        shard.failure = (ClusterLostError.__name__, where + cause)

    def _refill(self, region: Region) -> int:
        """Start what there is room for; a task's name says what it is, and is never used twice."""
        sent = 0
        for post, tasks in region.orders(time.monotonic()):
            flights = [self._flight(task) for task in tasks]
            back = post.shard.send(flights)
            region.again.extendleft(one.task for one in reversed(back))
            sent += len(flights) - len(back)
        return sent

    def _flight(self, task: Task) -> Flight:
        group = task.group(self._work)
        product, _, rest = group.id.partition("/")
        # Dask's pages sum up tasks by what stands before the first hyphen, as long as no further word is letters only.
        name = f"{product.replace('-', '_')}-{rest}-{self._token}-{next(self._serial)}"
        return Flight(task, group, name)

    def _land(self, region: Region, ended: Sequence[Ended]) -> None:
        """Tell what has ended, and put to the end of the queue what is tried again."""
        cut_off = []
        for flight, left in ended:
            if isinstance(left, ConnectionAbortedError):
                cut_off.append(flight)
            elif isinstance(left, BaseException):
                self._unrecorded(region, [flight], left)
            else:
                for place, outcome in enumerate(left):
                    self._take(region, flight.task.single(place, len(left)), outcome)
        if cut_off:
            self._unrecorded(region, cut_off, lost_connection(region.name, "the connection to its scheduler broke"))

    def _take(self, region: Region, task: Task, outcome: Outcome) -> None:
        """A job's own record."""
        outcome = replace(outcome, attempts=outcome.attempts + task.begun - task.attempt)
        if outcome.status is Status.RETRY:
            region.again.append(replace(task, attempt=task.attempt + 1))
            self._listener.ended(outcome)
        elif outcome.status is Status.CLAIMED and not (task.last and not self._otherwise_busy()):
            region.put_off(task, time.monotonic())
            self._listener.ended(outcome)
        else:
            self._ended(outcome)

    def _unrecorded(self, region: Region, flights: Sequence[Flight], error: BaseException) -> None:
        """Of what left no record some may be committed: that is done; an error says what becomes of the rest."""
        done = committed([job for flight in flights for job in flight.group.jobs], self._assignments)
        for flight in flights:
            task, jobs = flight.task, flight.group.jobs
            verdict = judge(task, flight.group, error, self._assignments[jobs[0].product].retries)
            for place, job in enumerate(jobs):
                if job.id in done:
                    self._ended(record_of(job, task.begun))
                elif verdict.status is Status.RETRY:
                    region.again.append(verdict.again.single(place, len(jobs)))
                    self._listener.ended(verdict.outcome(job, task.begun))
                else:
                    self._ended(verdict.outcome(job, task.begun))

    def _give_up(self) -> None:
        """Fail what was to run in regions that have no cluster, or none any more; it may be waited for elsewhere."""
        for region in self._regions.values():
            while region.queued and (failure := region.failure) is not None:
                for task in list(region.emptied()):
                    for job in task.group(self._work).jobs:
                        failed = Outcome(job.id, job.region, job.fingerprint, Status.FAILED, attempts=task.begun - 1)
                        self._ended(replace(failed, error=failure[0], cause=failure[1]))
