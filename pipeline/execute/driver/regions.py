"""What a region still has to do, in order, and the clusters that share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipeline.execute.driver.deadlines import Deadlines
from pipeline.execute.driver.presence import Presence
from pipeline.execute.driver.retry import Task
from pipeline.execute.driver.shards import Shard

_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 30.0
"""Between two looks at a job that another run is making: the first, and the longest."""


@dataclass
class Post:
    """A cluster, and those who watch it."""

    shard: Shard
    deadlines: Deadlines
    presence: Presence


@dataclass
class Region:
    """New groups first, as they come; then what is tried again; then what another run was making."""

    name: str
    posts: list[Post]
    fresh: deque[int] = field(default_factory=deque)
    """Numbers of groups of the work."""
    again: deque[Task] = field(default_factory=deque)
    claimed: deque[tuple[float, Task]] = field(default_factory=deque)
    """With the time from which it is looked at again."""

    @property
    def queued(self) -> bool:
        return bool(self.fresh or self.again or self.claimed)

    @property
    def active(self) -> bool:
        return any(post.shard.busy for post in self.posts)

    @property
    def failure(self) -> tuple[str, str] | None:
        """Why nothing can be done here any more, as kind and cause; None while that is open."""
        found = [_failure(post.shard) for post in self.posts]
        return found[0] if all(found) else None

    def next(self, now: float, *, idle: bool) -> Task | None:
        """The next task for a cluster; idle: nothing runs there, as what is to run alone wants it."""
        if self.fresh:
            return Task(self.fresh.popleft())
        if self.again:
            return self.again.popleft() if idle or not self.again[0].alone else None
        if self.claimed and self.claimed[0][0] <= now:
            return self.claimed.popleft()[1]
        return None

    def put_off(self, task: Task, now: float) -> None:
        """Another run is making it: it is looked at again, each time after a longer while."""
        pause_s = min(_LONGEST_PAUSE_S, max(_PAUSE_S, 2 * task.pause_s))
        self.claimed.append((now + pause_s, replace(task, pause_s=pause_s, last=False)))

    def look_once_more(self) -> None:
        """At what another run is making: nothing else is left."""
        if not self.claimed or self.claimed[-1][1].last:
            return  # as all before it
        self.claimed = deque((due_s, replace(task, last=True)) for due_s, task in self.claimed)

    def emptied(self) -> Iterator[Task]:
        """All that is queued, which is taken from the queue."""
        while self.fresh:
            yield Task(self.fresh.popleft())
        while self.again:
            yield self.again.popleft()
        while self.claimed:
            yield self.claimed.popleft()[1]

    def orders(self, now: float) -> list[tuple[Post, list[Task]]]:
        """What each cluster is given now: in turns, as far as each has room."""
        given: list[tuple[Post, list[Task]]] = [(post, []) for post in self.posts]
        rooms = {id(tasks): post.shard.room() for post, tasks in given}
        open_ = [one for one in given if rooms[id(one[1])]]
        while open_:
            for one in list(open_):
                post, tasks = one
                task = self.next(now, idle=not tasks and not post.shard.active)
                if task is not None:
                    tasks.append(task)
                if task is None or task.alone or len(tasks) >= rooms[id(tasks)]:
                    open_.remove(one)
        return [one for one in given if one[1]]


def _failure(shard: Shard) -> tuple[str, str] | None:
    if shard.failure is not None:
        return shard.failure
    error = shard.opening.exception() if shard.opening.done() else None
    return (type(error).__name__, str(error)) if error is not None else None
