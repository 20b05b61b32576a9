"""Plan tells what a run would do, as text and as JSON, and starts nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import run
from tests.verbs.making import groundswell, make_output, make_world


def test_a_plan_as_json_has_every_job_with_its_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world, config = make_world(tmp_path)
    assert groundswell("plan", config, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {job["id"].rpartition("/")[2]: job["scenes"] for job in found["jobs"]} == {
        "2024-06": ["tests/scene-0-2024-06-01", "tests/scene-1-2024-06-09"],
        "2024-07": ["tests/scene-2-2024-07-03", "tests/scene-3-2024-07-09"],
    }
    for job in found["jobs"]:
        assert len(job["fingerprint"]) == 32 and job["read_bytes"] > 0
        assert job["memory"]["peak_bytes"] > job["memory"]["strip_rows"] > 0
    assert (found["skipped"], world.output.exists()) == ([], False)


def test_what_is_committed_is_skipped_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, config = make_world(tmp_path)
    made = {outcome.job_id: outcome.fingerprint for outcome in make_output(config)}
    assert groundswell("plan", config, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["jobs"] == []
    assert {one["id"]: one["fingerprint"] for one in found["skipped"]} == made
    assert {one["reason"] for one in found["skipped"]} == {"already committed"}


def test_the_plan_is_the_runs_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ids and fingerprints that a run of the same options then records; `--set` counts for both."""
    _, config = make_world(tmp_path)
    assert groundswell("plan", config, "--json", "--set", "products.0.composite=mean") == 0
    planned = {job["id"]: job["fingerprint"] for job in json.loads(capsys.readouterr().out)["jobs"]}
    made = make_output(config, "products.0.composite=mean")
    assert {outcome.job_id: outcome.fingerprint for outcome in made} == planned


def test_as_text_it_is_the_dry_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, config = make_world(tmp_path)
    assert groundswell("plan", config) == 0
    text = capsys.readouterr().out
    assert run.main([str(config), "--dry-run"]) == 0
    assert capsys.readouterr().out == text
    assert "plan: 2 jobs to run, 0 skipped" in text


def test_nothing_to_do_is_an_exit_code_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, config = make_world(tmp_path, period={"start": "2020-01-01", "end": "2020-02-01", "every": "month"})
    assert groundswell("plan", config) == 5
    assert "no scene" in capsys.readouterr().err
