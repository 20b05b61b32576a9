"""What lies beside an item says how it was made, and holds no secret: variables stand as they were written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import redacted
from pipeline.errors import ConfigError, StoreError
from pipeline.execute.records.recipe import read_inputs, read_recipe, write_inputs, write_recipe
from pipeline.session import Options, Session, open_session
from pipeline.types import Json
from tests.faults._worlds import World

SECRET = "c0ffee5ecret"  # noqa: S105 (searched for)


def session(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A config whose source is reached with values from the environment, one with a password in it."""
    world = World(folder)
    world.add("2024-06-01")
    monkeypatch.setenv("ENDPOINT", f"http://user:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("PROFILE", SECRET)
    monkeypatch.setenv("COMPOSITE", "mean")
    storage = {"endpoint": "${ENDPOINT}", "profile": "${PROFILE}"}
    sources = {"s2": {"items": str(folder / "items.json"), "storage": storage}}
    return open_session(Options(world.config({"composite": "${COMPOSITE}"}, sources=sources)))


def recipe_of(made: Session) -> Json:
    return made.assignments()["sentinel2"].recipe


def test_it_holds_no_secret_and_gives_the_same_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(tmp_path, monkeypatch)
    recipe = json.loads(json.dumps(recipe_of(made)))
    assert SECRET not in json.dumps(recipe)
    assert recipe["context"]["access"]["endpoint"] == "${ENDPOINT}"
    assert recipe["entry"]["composite"] == "${COMPOSITE}"
    assignment = made.assignments()["sentinel2"]
    entry, context = read_recipe(recipe, assignment.context.threads)
    assert entry == assignment.entry
    assert context == replace(assignment.context, skip_missing=True, max_missing_fraction=1.0, store=None)


def test_it_depends_on_neither_machine_nor_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs write equal documents, whatever cores and memory they have, and however much they may lose."""
    made = session(tmp_path, monkeypatch)
    assignment, (job,) = made.assignments()["sentinel2"], made.plan.jobs
    entry, source = (redacted(made.config)[key] for key in ("products", "sources"))
    elsewhere = replace(assignment.context, threads=99, skip_missing=False, max_missing_fraction=0.1)
    other = write_recipe({**entry[0], "missing_assets": {"policy": "fail"}}, source["s2"], elsewhere)
    assert other == assignment.recipe
    bigger = replace(job, memory=replace(job.memory, strip_rows=1, peak_bytes=1))
    assert write_inputs(bigger, assignment.plan, other) == write_inputs(job, assignment.plan, assignment.recipe)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(session(tmp_path, monkeypatch))
    monkeypatch.delenv("PROFILE")
    with pytest.raises(ConfigError, match=r"context.access.profile: found \$\{PROFILE\}, but .* is not set"):
        read_recipe(recipe, 1)


def test_a_recipe_of_another_version_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(session(tmp_path, monkeypatch))
    with pytest.raises(StoreError, match="does not fit this version"):
        read_recipe({**recipe, "entry": {**recipe["entry"], "later": 1}}, 1)


def test_the_document_gives_tile_period_and_scenes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = session(tmp_path, monkeypatch)
    (job,), assignment = made.plan.jobs, made.assignments()["sentinel2"]
    found = read_inputs(json.loads(json.dumps(write_inputs(job, assignment.plan, assignment.recipe))))
    assert (found.tile, found.period, found.items) == (job.tile, job.period, job.items)
    assert (found.fingerprint, found.region, found.recipe) == (job.fingerprint, job.region, assignment.recipe)


@pytest.mark.parametrize("document", [{}, [], {"format": 99}, {"format": "1"}, {"format": 1}])
def test_what_is_no_such_document_is_refused(document: Json) -> None:
    with pytest.raises(StoreError, match=r"format|found nothing"):
        read_inputs(document)
