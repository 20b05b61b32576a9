"""Every region's clusters live and die by themselves; one that is lost is replaced, as often as a run allows."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client

from cluster import performance
from cluster.backend import ClusterError
from cluster.spec import ClusterSpec, LocalSpec
from pipeline import opening as module
from pipeline.errors import PreflightError
from pipeline.opening import Opening, Watch, open_clusters
from pipeline.types import ClusterEvent

GIB = 2**30


class Clusters:
    """Stands in for all backends: regions come up when they are told to."""

    def __init__(self, failing: str = "") -> None:
        self.failing, self.closed, self.names = failing, list[str](), list[str]()
        self.may_open = threading.Event()
        self.ending: Callable[[str], None] = lambda _: None

    def info(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1, "all of them"
        return {"workers": {}}

    @contextmanager
    def open(self, spec: ClusterSpec, stop: threading.Event) -> Iterator[Client]:
        while not self.may_open.wait(0.01):
            if stop.is_set():
                raise ClusterError(f"region {spec.region}: not started")
        if spec.region in self.failing.split():
            raise ClusterError(f"region {spec.region}: no quota")
        try:
            yield SimpleNamespace(dashboard_link="none", scheduler_info=self.info)  # type: ignore[misc]
        finally:
            self.ending(spec.region)
            time.sleep(0.05)
            self.closed.append(spec.region)
            self.names.append(spec.name)


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch, clusters: Clusters, **given: Any) -> Iterator[dict[str, Opening]]:
    """By region, its only cluster."""
    monkeypatch.setattr(module, "open_cluster", clusters.open)
    both = {region: LocalSpec(region, "local", region, 2, 1, GIB) for region in "ab"}
    with open_clusters(both, given.pop("say", print), given.pop("stop", threading.Event()), **given) as made:
        yield {region: openings[0] for region, openings in made.openings.items()}


def test_clusters_are_given_before_they_are_up(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Clusters()
    with opened(monkeypatch, made) as openings:
        assert not any(opening.done() for opening in openings.values())
        made.may_open.set()
        assert {opening.result(10)[1] for opening in openings.values()} == {4}, "two for each slot"
    assert sorted(made.closed) == ["a", "b"]


def test_a_region_whose_cluster_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    made, said = Clusters(failing="b"), list[str]()
    made.may_open.set()
    with opened(monkeypatch, made, say=said.append) as openings:
        assert openings["a"].result(10)
        assert str(openings["b"].exception(10)) == "region b: no quota"
    assert "warning: region b: no quota" in said
    assert made.closed == ["a"]


def test_a_cluster_that_is_lost_as_soon_as_it_is_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network's own words know no region."""
    made, said = Clusters(), list[str]()
    made.may_open.set()

    def reset(region: str, _: Client) -> None:
        if region == "b":
            raise ConnectionResetError("reset by peer")

    with opened(monkeypatch, made, say=said.append, check=reset) as openings:
        assert openings["a"].result(10)
        assert str(openings["b"].exception(10)) == "region b: local cluster b: ConnectionResetError: reset by peer"
    assert "warning: region b: local cluster b: ConnectionResetError: reset by peer" in said


def test_no_cluster_at_all_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Clusters(failing="a b")
    made.may_open.set()
    with (
        pytest.raises(PreflightError, match=r"no cluster came up: region a: no quota; region b: no quota"),
        opened(monkeypatch, made),
    ):
        pass


def test_a_cluster_that_does_not_pass_its_check_is_closed_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Clusters()
    made.may_open.set()

    def check(region: str, _: Client) -> None:
        if region == "a":
            raise PreflightError("region a: cannot write")

    with opened(monkeypatch, made, check=check) as openings:
        assert str(openings["a"].exception(10)) == "region a: cannot write"
        assert openings["b"].result(10)
    assert sorted(made.closed) == ["a", "b"]


def test_a_run_that_is_stopped_waits_for_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    with opened(monkeypatch, Clusters(), stop=stop) as openings:
        stop.set()
        assert {str(opening.exception(10)) for opening in openings.values()} == {
            "region a: not started",
            "region b: not started",
        }


def test_a_run_that_ends_first_waits_for_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one whose jobs were all to be made from what failed elsewhere, or whose journal cannot be written."""
    made, stop = Clusters(), threading.Event()

    def run() -> None:
        with suppress(PreflightError), opened(monkeypatch, made, stop=stop):
            pass

    driver = threading.Thread(target=run)
    driver.start()
    driver.join(30)
    waited = driver.is_alive()
    stop.set()
    driver.join(30)
    assert not waited


def test_a_second_interrupt_while_clusters_end_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter on its way out cannot end them: they would stay, and cost."""
    made, said = Clusters(), list[str]()
    made.may_open.set()

    def press(region: str) -> None:
        if region == "a":
            os.kill(os.getpid(), signal.SIGINT)

    made.ending = press
    with pytest.raises(KeyboardInterrupt), opened(monkeypatch, made, say=said.append) as openings:
        assert all(opening.result(10) for opening in openings.values())
    assert sorted(made.closed) == ["a", "b"]
    assert any("clusters are being ended first" in text for text in said)


def several(monkeypatch: pytest.MonkeyPatch, clusters: Clusters, shards: int, watch: Watch) -> Any:
    monkeypatch.setattr(module, "open_cluster", clusters.open)
    clusters.may_open.set()
    spec = replace(LocalSpec("run", "local", "a", 2, 1, GIB), shards=shards)
    return open_clusters({"a": spec}, lambda _: None, threading.Event(), None, watch)


def test_a_region_has_as_many_clusters_as_it_has_shards_each_with_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Clusters()
    with several(monkeypatch, made, 3, Watch()) as clusters:
        assert [opening.result(10)[1] for opening in clusters.openings["a"]] == [4, 4, 4]
    assert sorted(made.names) == ["run-0", "run-1", "run-2"]


def test_a_lost_cluster_is_ended_before_another_takes_its_place_so_often_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, events = Clusters(), list[ClusterEvent]()
    with several(monkeypatch, made, 2, Watch(events.append, restarts=1)) as clusters:
        first = [opening.result(10) for opening in clusters.openings["a"]]
        second = clusters.again("a", 1)
        assert second.result(10)[0] is not first[1][0]
        assert made.names == ["run-1"], "what is lost is ended first, and nothing else"
        assert clusters.again("a", 0) is None, "the region's restarts are used up"
    assert sorted(made.names) == ["run-0", "run-1", "run-1-again1"]
    assert [event.state for event in events if event.shard == 1] == [
        "opening",
        "up",
        "closed",
        "opening",
        "up",
        "closed",
    ]


def test_what_a_cluster_did_is_kept_before_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made, kept = Clusters(), list[tuple[str, int, bytes, int]]()
    watched = SimpleNamespace(page=lambda: b"page")
    monkeypatch.setattr(performance, "watch", lambda _: watched)

    def keep(region: str, shard: int, page: bytes) -> None:
        kept.append((region, shard, page, len(made.closed)))

    with several(monkeypatch, made, 1, Watch(keep=keep)) as clusters:
        clusters.openings["a"][0].result(10)
    assert kept == [("a", 0, b"page", 0)]


def test_a_cluster_that_never_comes_up_is_told_of_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    made, events = Clusters(failing="a"), list[ClusterEvent]()
    with pytest.raises(PreflightError), several(monkeypatch, made, 1, Watch(events.append)):
        pass
    assert [(event.state, event.note) for event in events] == [("opening", None), ("failed", "region a: no quota")]
