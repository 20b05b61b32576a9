"""A region's clusters share its jobs; one that is lost is replaced, and what stands already is not made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from distributed import Client, LocalCluster

from pipeline.execute.driver import drive as module
from pipeline.execute.driver.drive import Rules, drive
from pipeline.execute.driver.fleet import Opening
from pipeline.plan.groups import Group, Work, listed
from pipeline.types import Outcome, Status
from tests.execute import tasks
from tests.execute.driver.test_drive import alone, job
from tests.execute.driver.test_drive_lost import cluster_and_client
from tests.execute.tasks import Retries, Told

Pair = tuple[LocalCluster, Client]


@dataclass
class Fleet:
    """Clusters of one region, and those that take the place of what is lost."""

    first: Sequence[Opening]
    further: list[Opening] = field(default_factory=list)

    @property
    def openings(self) -> Mapping[str, Sequence[Opening]]:
        return {"a": self.first}

    def again(self, region: str, shard: int) -> Opening | None:
        assert region == "a" and shard in (0, 1)
        return self.further.pop(0) if self.further else None


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    with ExitStack() as stack:
        yield [stack.enter_context(cluster_and_client()) for _ in range(2)]


def run(
    monkeypatch: pytest.MonkeyPatch, work: Work, fleet: Fleet, told: Told, rules: Rules | None = None
) -> dict[str, Outcome]:
    """The last word on each job."""
    tasks.reset()
    monkeypatch.setattr(module, "run_group", tasks.succeed)
    seen: list[Outcome] = []
    tell = told.tell

    def both(outcome: Outcome) -> None:
        seen.append(outcome)
        tell(outcome)

    told.tell = both
    drive(work, {"p": Retries()}, fleet, told, tasks.stop, rules or Rules())  # type: ignore[dict-item]
    final = [one for one in seen if one.status is not Status.RETRY]
    assert len(final) == len({one.job_id for one in final}), "each is told of once"
    return {one.job_id: one for one in final}


def closing(pair: Pair, after: int) -> Callable[[Outcome], None]:
    """Has a cluster end once so many outcomes were told."""
    told = [0]

    def tell(_: Outcome) -> None:
        told[0] += 1
        if told[0] == after:
            pair[0].close()

    return tell


def test_shards_share_a_queue_and_each_begins_its_part(monkeypatch: pytest.MonkeyPatch, pairs: list[Pair]) -> None:
    told = Told(lambda _: None)
    fleet = Fleet([tasks.opened(client, 3) for _, client in pairs])
    last = run(monkeypatch, listed(alone([job(number) for number in range(30)])), fleet, told)
    assert len(last) == 30 and {one.status for one in last.values()} == {Status.DONE}
    begun = [one.shard for one in told.begun]
    assert min(begun.count(0), begun.count(1)) >= 8, begun
    assert {one.job_ids[0] for one in told.begun} <= last.keys()
    assert {(one.state, one.workers, one.threads) for one in told.events} == {("workers", 1, 2)}


def test_a_lost_shard_costs_nothing_while_another_stands(monkeypatch: pytest.MonkeyPatch, pairs: list[Pair]) -> None:
    told = Told(closing(pairs[1], 4))
    fleet = Fleet([tasks.opened(client, 3) for _, client in pairs])
    last = run(monkeypatch, listed(alone([job(number) for number in range(60)])), fleet, told)
    assert len(last) == 60 and {one.status for one in last.values()} == {Status.DONE}
    assert {one.attempts for one in last.values()} == {1}, "a lost cluster costs no attempt"
    assert {one.shard for one in told.begun} == {0, 1}, "both had some of them"


def test_a_lost_cluster_is_replaced_and_what_it_committed_is_not_made_again(
    monkeypatch: pytest.MonkeyPatch, pairs: list[Pair]
) -> None:
    class Full:
        """Whatever was in flight stands."""

        asked = 0

        def exists(self, key: str) -> bool:
            assert key.startswith("items/p/t")
            Full.asked += 1
            return True

    monkeypatch.setattr(Retries, "store", Full())
    told = Told(closing(pairs[0], 4))
    fleet = Fleet([tasks.opened(pairs[0][1], 3)], [tasks.opened(pairs[1][1], 3)])
    last = run(monkeypatch, listed(alone([job(number) for number in range(40)])), fleet, told)
    assert len(last) == 40 and {one.status for one in last.values()} == {Status.DONE}
    found = [one for one in last.values() if one.warnings]
    assert 1 <= len(found) == Full.asked <= 3, "those in flight were looked for, and no others"
    assert all(one.item_key and "was lost after it was committed" in one.warnings[0] for one in found)


def test_jobs_that_no_worker_takes_fail_by_name(monkeypatch: pytest.MonkeyPatch, pairs: list[Pair]) -> None:
    cluster, client = pairs[0]
    cluster.scale(0)
    client.sync(client.scheduler.retire_workers, n=1, close_workers=True)  # type: ignore[union-attr]
    fleet = Fleet([tasks.opened(client, 3)])
    rules = Rules(worker_timeout_s=0.6)
    last = run(monkeypatch, listed(alone([job(number) for number in range(5)])), fleet, Told(lambda _: None), rules)
    assert {(one.status, one.error) for one in last.values()} == {(Status.FAILED, "ClusterLostError")}
    assert all("region a" in str(one.cause) and "no worker for 0.6 s" in str(one.cause) for one in last.values())


class Made(Work):
    """Groups that are made when they are asked for; counts how many."""

    def __init__(self, groups: list[Group]) -> None:
        self._work = listed(groups)
        self.made = 0

    def __len__(self) -> int:
        return len(self._work)

    def __getitem__(self, number: int) -> Group:  # type: ignore[override]
        self.made += 1
        return self._work[number]

    def heads(self) -> Iterator[object]:  # type: ignore[override]
        return self._work.heads()


def test_a_group_is_made_when_it_is_sent_and_no_earlier(monkeypatch: pytest.MonkeyPatch, pairs: list[Pair]) -> None:
    work, ahead = Made(alone([job(number) for number in range(30)])), list[int]()
    done = [0]

    def tell(_: Outcome) -> None:
        done[0] += 1
        ahead.append(work.made - done[0])

    run(monkeypatch, work, Fleet([tasks.opened(pairs[0][1], 3)]), Told(tell))
    assert work.made == 30 and max(ahead) <= 6, "those in flight, and those that were just sent in their place"


def test_tasks_are_summed_up_by_product_on_dasks_pages(monkeypatch: pytest.MonkeyPatch, pairs: list[Pair]) -> None:
    cluster, client = pairs[0]
    prefixes, scheduler = set[str](), cluster.scheduler
    assert scheduler is not None

    def tell(_: Outcome) -> None:
        prefixes.update(scheduler.task_prefixes)

    last = run(
        monkeypatch, listed(alone([job(number) for number in range(4)])), Fleet([tasks.opened(client, 3)]), Told(tell)
    )
    assert len(last) == 4 and prefixes == {"p"}
