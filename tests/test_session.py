"""Laws of a session: what a run leaves for readers is right however runs end, replace or overlap."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from pipeline import derive as module
from pipeline.placement import specs_for
from pipeline.plan.groups import Group, listed
from pipeline.plan.memory import READS_IN_FLIGHT
from pipeline.session import Session
from pipeline.types import Job
from pipeline.work import Terms, assign
from pipeline.write.catalog import ITEMS_DIGEST, write_catalog
from pipeline.write.stac import ROOT_KEY
from pipeline.write.store import Store
from tests.worlds import SmallWorld


def commit_first(world: SmallWorld, name: str) -> tuple[Session, Job]:
    """A session of a product of this name with one job done, and nothing of it recorded as a run yet."""
    session = world.session(f"products.0.name={name}")
    job = session.plan.jobs[0]
    assert world.run(session, job).item_key
    return world.session(f"products.0.name={name}"), job


def collections(world: SmallWorld) -> set[str]:
    root = json.loads((world.output / ROOT_KEY).read_text())
    return {link["href"].split("/")[-2] for link in root["links"] if link["rel"] == "child"}


def test_runs_that_end_at_once_both_are_in_the_catalogue(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that read first and writes last looks again."""
    one, _ = commit_first(world, "one")
    two, _ = commit_first(world, "two")
    calls = []

    def write(store: Store, name: str, current: Mapping[str, Collection[str]]) -> int:
        calls.append(sorted(current))
        if len(calls) == 1:
            two.run(())
        return write_catalog(store, name, current)

    monkeypatch.setattr(module, "write_catalog", write)
    one.run(())
    assert calls == [["one"], ["one", "two"], ["one", "two"]]
    assert collections(world) == {"one", "two"}


def test_a_run_that_replaces_items_outdates_the_catalogue_first(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before its end, it leaves pages that the next run writes anew, though every item's name is as before."""
    session, job = commit_first(world, "one")
    session.run(())
    assert ITEMS_DIGEST in json.loads((world.output / ROOT_KEY).read_text())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.campaign.drive", killed)
    again = world.session("products.0.name=one", overwrite=True)
    assert job.id in {planned.id for planned in again.plan.jobs}
    with pytest.raises(KeyboardInterrupt):
        again.run([job])
    assert ITEMS_DIGEST not in json.loads((world.output / ROOT_KEY).read_text())
    world.session("products.0.name=one").run(())
    assert ITEMS_DIGEST in json.loads((world.output / ROOT_KEY).read_text())


def test_a_run_of_few_tasks_gives_each_more_threads(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads and kernels of one task use the cores that have no task of their own."""
    session = world.session("run.super_tile=4", "clusters.default.threads=4", "clusters.default.workers=1")
    monkeypatch.setattr("cluster.sizing.local_cores", lambda: 8)
    groups = session.groups(session.plan.jobs)
    assert 4 <= len(groups) < len(session.plan.jobs)

    def threads(*chosen: Group) -> int:
        terms = Terms(tasks={"default": len(chosen)} if chosen else {})
        return assign(session.config, session.prepared, session.specs, terms)["sentinel2"].context.threads

    assert [threads(), threads(*groups), threads(*groups[:2]), threads(groups[0])] == [2, 2, 4, 8]


@pytest.mark.parametrize(("workers", "of_all"), [([1, 40], 1), ([40, 40], 4)])
def test_a_task_has_no_more_threads_than_its_worker_has_cores(
    world: SmallWorld, workers: list[int], of_all: int
) -> None:
    """However many workers there may be: those that a run needs, each with four tasks, or forty with one each."""
    pods = {"backend": "kubernetes", "image": "repo/groundswell:1", "workers": workers, "threads": 4}
    session = world.session(f"clusters.default={json.dumps(pods)}")
    groups = session.groups(session.plan.jobs)
    assert 4 <= len(groups) <= 40

    def threads(*chosen: Group) -> int:
        specs = specs_for("run", session.config, session.specs, listed(chosen))
        terms = Terms(tasks={"default": len(chosen)}, fitted=specs)
        return assign(session.config, session.prepared, session.specs, terms)["sentinel2"].context.threads

    assert [threads(*groups), threads(groups[0])] == [of_all, 4]


@pytest.mark.parametrize(
    ("super_tile", "slots", "together"),
    [("1", 1, False), ("2", 64, True), ("4", 64, True), ("auto", 64, False), ("auto", 1, True)],
)
def test_tiles_are_made_as_the_config_says(world: SmallWorld, super_tile: str, slots: int, *, together: bool) -> None:
    """`auto` leaves every slot two tasks: where there are more slots than that, each tile is by itself."""
    cluster = {"threads": slots, "workers": 1, "worker_memory": "1TiB"}
    sets = [f"clusters.default.{key}={value}" for key, value in cluster.items()]
    session = world.session(f"run.super_tile={super_tile}", *sets)
    sizes = [len(group.jobs) for group in session.groups(session.plan.jobs)]
    assert sum(sizes) == len(session.plan.jobs)
    assert (max(sizes) > 1) == together


def test_files_over_the_network_are_waited_for_together(world: SmallWorld) -> None:
    """Wherever their list lies: what counts is where the files are."""
    session = world.session()
    assert session.assignments()["sentinel2"].context.threads < READS_IN_FLIGHT

    def moved(job: Job) -> Job:
        items = (
            replace(item, assets={name: replace(asset, href="https://h/a.tif") for name, asset in item.assets.items()})
            for item in job.items
        )
        return replace(job, items=tuple(items))

    plan = replace(session.plan, jobs=tuple(map(moved, session.plan.jobs)))
    far = replace(session, prepared=replace(session.prepared, plan=plan))
    assert far.assignments()["sentinel2"].context.threads == READS_IN_FLIGHT
