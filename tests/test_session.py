"""Laws of a session: what a run leaves for readers is right however runs end, replace or overlap."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

import pytest

from pipeline import derive as module
from pipeline.session import Session
from pipeline.types import Job
from pipeline.write.catalog import ITEMS_DIGEST, ROOT_KEY, write_catalog
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

    monkeypatch.setattr(Session, "_drive", killed)
    again = world.session("products.0.name=one", overwrite=True)
    assert job.id in {planned.id for planned in again.plan.jobs}
    with pytest.raises(KeyboardInterrupt):
        again.run([job])
    assert ITEMS_DIGEST not in json.loads((world.output / ROOT_KEY).read_text())
    world.session("products.0.name=one").run(())
    assert ITEMS_DIGEST in json.loads((world.output / ROOT_KEY).read_text())
