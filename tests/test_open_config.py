"""Laws of `open_config` and its session: a plan to look at, to change without searching again, and to run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipeline
from pipeline.demo import build_world
from pipeline.errors import CatalogError, ConfigError
from tests.demo_runs import digests_of
from tests.worlds import CONFIG, SmallWorld

DEMO = Path(__file__).parents[1] / "configs" / "demo.yaml"


@pytest.fixture
def config(world: SmallWorld, tmp_path: Path) -> dict[str, Any]:
    """The keys of a small config whose catalogue may be taken away."""
    shutil.copytree(world.world / "s2", tmp_path / "own" / "s2")
    keys: dict[str, Any] = yaml.safe_load(CONFIG.format(output=tmp_path / "output", world=tmp_path / "own"))
    return keys


def test_a_key_is_changed_without_searching_again(config: dict[str, Any], tmp_path: Path) -> None:
    """The catalogue is gone meanwhile; the plan is that of a config which had the key from the start."""
    key = {"products.sentinel2.mask.dilate_px": 5}
    first = pipeline.open_config(config)
    expected = pipeline.open_config(config, sets=key)
    (tmp_path / "own" / "s2").rename(tmp_path / "away")
    changed = first.with_sets(key)
    assert changed.plan == expected.plan and changed.plan.notes == expected.plan.notes
    assert {job.fingerprint for job in changed.jobs()}.isdisjoint({job.fingerprint for job in first.jobs()})
    assert changed.with_sets({"products.sentinel2.mask.dilate_px": 3}).with_sets(key).plan == expected.plan
    for wider in ({"area.bbox": [11.93, 44.85, 12.06, 44.91]}, {"products.0.bands": ["red", "nir", "green"]}):
        with pytest.raises(CatalogError, match=r"s2/collection\.json"):
            first.with_sets(wider)
    with pytest.raises(ConfigError, match="allowed: 0 to 0, or by name sentinel2"):
        first.with_sets({"products.sentinel.composite": "mean"})


def test_a_session_shows_what_it_would_do(world: SmallWorld) -> None:
    run = pipeline.open_config(world.config)
    jobs = run.plan.jobs
    assert repr(run) == f"<Session small: {len(jobs)} jobs to run, 0 committed, output {world.output}>"
    assert str(run) == run.told() and f"plan: {len(jobs)} jobs to run" in str(run)
    assert f"{len(jobs)} to run" in run._repr_html_()
    table = run.table()
    assert table["job"].to_pylist() == [job.id for job in jobs]
    assert {*table["state"].to_pylist()} == {"to run"} and table["read_bytes"].to_pylist() == [
        job.read_bytes for job in jobs
    ]
    assert repr(jobs[0]).startswith(f"<Job {jobs[0].id}: of {len(jobs[0].items)} items, region default")


def test_the_output_that_is_said_last_counts(config: dict[str, Any], tmp_path: Path) -> None:
    first = pipeline.open_config(config, output=tmp_path / "one")
    second = first.with_sets({"output": str(tmp_path / "two")})
    for run, name in ((first, "one"), (second, "two"), (second.with_sets({"run.retries": 5}), "two")):
        assert run.prepared.store.uri == str(tmp_path / name)


def test_jobs_to_run_are_one_or_some_by_id_or_as_they_are(world: SmallWorld) -> None:
    run = pipeline.open_config(world.config)
    first, second, *_ = run.jobs()
    assert run._chosen(first) == run._chosen(first.id) == run._chosen([first, first.id]) == (first,)
    assert run._chosen([second.id, first]) == (second, first)
    with pytest.raises(ConfigError, match="no job has the product 'sentinel3'"):
        run.run("sentinel3")


def test_a_committed_job_is_opened_as_well_and_its_pixels_are_read_back(world: SmallWorld) -> None:
    """By its id; the composite is what was committed."""
    first = pipeline.open_config(world.config)
    job = first.jobs()[0]
    assert world.run(first, job).item_key
    run = pipeline.open_config(str(world.config))
    assert run.open(job.id).sizes["time"] == len({item.solar_day for item in job.items})
    run.run(())
    found = run.results(tiles=job.tile.id, periods=[job.period.id], bands="red")
    assert found["red"].isel(time=0).values.tolist() == run.composite(job.id)["red"].values.tolist()
    states = dict(zip(run.table()["job"].to_pylist(), run.table()["state"].to_pylist(), strict=True))
    assert {name for name, state in states.items() if state == "committed"} == {job.id}


def five_lines() -> str:
    """The lines that `help(pipeline)` shows."""
    text = pipeline.__doc__ or ""
    return "\n".join(line.strip() for line in text.splitlines() if line.startswith("    "))


@pytest.mark.long
def test_the_five_lines_make_the_data_of_the_command_byte_for_byte(tmp_path: Path) -> None:
    """In a fresh folder, from the documentation as it stands, on the demo's tiles with a part of its products."""
    build_world(tmp_path / "demo-world", px=256)
    keys = yaml.safe_load(DEMO.read_text())
    keys["products"] = [one for one in keys["products"] if one.get("name", one["product"]) in {"sentinel2", "dem"}]
    keys["sources"] = {name: keys["sources"][name] for name in ("s2", "dem")}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.yaml").write_text(yaml.safe_dump(keys))
    python = [sys.executable, "-m", "pipeline.run", "configs/demo.yaml", "--output", "yaml"]
    environment = {**os.environ, "PYTHONPATH": str(DEMO.parents[1])}
    lines = five_lines()
    assert len(lines.splitlines()) == 5 + (not all(lines.splitlines()))
    checked = f"{lines}\nassert result.code == 0 and cube.sizes['time'] == 2 and tile.chunks\nprint(result)"
    for command in (python, [sys.executable, "-c", checked]):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        assert "6 done, 0 skipped" in done.stdout
    ours, theirs = digests_of(tmp_path / "out" / "demo"), digests_of(tmp_path / "yaml")
    assert len(ours) > 20 and ours == theirs
    assert _items(tmp_path / "out" / "demo") == _items(tmp_path / "yaml")


def _items(output: Path) -> dict[str, Any]:
    """Items by their keys, without the moment they were made at."""
    found = {}
    for path in sorted((output / "items").rglob("*.json")):
        item = json.loads(path.read_text())
        for moment in ("created", "updated", "groundswell:digest"):
            item["properties"].pop(moment, None)
        found[str(path.relative_to(output))] = item
    return found
