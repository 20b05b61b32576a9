"""`configs/events.yaml` does offline what it says, over the demo world."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.config.load import load_events
from pipeline.events.buckets.buckets import LOCAL_ROOT
from tests.servers.messages import s3_message

ROOT = Path(__file__).parents[2]


def test_the_example_is_sound() -> None:
    config = load_events(ROOT / "configs" / "events.yaml")
    assert {name: bool(rule.check) for name, rule in config.rules.items()} == {
        "scenes": False,
        "floats": False,
        "rasters": True,
        "stations": True,
    }


@pytest.fixture
def folder(demo_world: Path, tmp_path: Path) -> Path:
    """Where somebody stands who has made the demo world."""
    (tmp_path / "demo-world").symlink_to(demo_world)
    (tmp_path / "configs").mkdir()
    for name in ("demo.yaml", "events.yaml"):
        (tmp_path / "configs" / name).write_text((ROOT / "configs" / name).read_text())
    return tmp_path


def run(folder: Path, command: list[str]) -> str:
    """What a command prints that somebody gives there."""
    done = subprocess.run(  # noqa: PLW1510 (its errors are shown below)
        command,
        cwd=folder,
        env={**os.environ, LOCAL_ROOT: ".", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def results(folder: Path) -> dict[str, str]:
    """By key, what checks said."""
    found = [json.loads(path.read_text()) for path in (folder / "demo-events" / "checks").rglob("*.json")]
    return {f"{one['bucket']}/{one['key']}": one["verdict"] for one in found}


def readme() -> str:
    """The chapter about events, which begins with these commands."""
    return (ROOT / "pipeline" / "events" / "README.md").read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """Without what is said of them."""
    return [" ".join(line.partition("  #")[0].split()) for line in text.strip().splitlines()]


def test_the_file_and_the_readme_have_the_same_commands() -> None:
    lines = (ROOT / "configs" / "events.yaml").read_text(encoding="utf-8").splitlines()
    said = "\n".join(line.removeprefix("#") for line in lines if line.startswith("#   "))
    assert commands(said) == commands(readme().split("```")[1])


def test_the_checks_of_the_readme_are_sound(tmp_path: Path) -> None:
    (rules,) = (block for block in re.findall(r"```yaml\n(.*?)```", readme(), re.DOTALL) if block.startswith("rules:"))
    path = tmp_path / "events.yaml"
    path.write_text(f"name: readme\ninbox: i.sqlite\noutput: out\nbuckets: {{arrivals: {{}}}}\n{rules}")
    assert set(load_events(path).rules) == {"buoys", "scenes", "cubes"}


@pytest.mark.long
def test_the_commands_of_the_readme_do_what_it_says(folder: Path) -> None:
    """The month of a scene is made; all rasters pass but the one that is cut; a row that cannot be is named."""
    shrink(folder / "configs" / "demo.yaml")
    stations = folder / "arrivals" / "stations"
    stations.mkdir(parents=True)
    (stations / "june.csv").write_text(
        "station,time,temp\nABC01,2024-06-01T00:00:00Z,19.5\nABC01,2024-06-02T00:00:00Z,99\n"
    )
    demo, *rest = commands(readme().split("```")[1])
    assert demo == "python -m pipeline.demo"
    function = f'groundswell() {{ "{sys.executable}" -m pipeline.cli "$@"; }}'
    told = run(folder, ["bash", "-ec", "\n".join([function, *rest])])
    jobs = re.findall(r"^rule scenes: sentinel2/(\S+)/2024-06: done: made$", told, re.MULTILINE)
    assert f"\n{len(jobs)} jobs: {len(jobs)} done\n" in told
    made = {path.stem for path in (folder / "demo-output" / "items" / "sentinel2").rglob("*.json")}
    assert jobs and {name.rpartition("_")[0] for name in made} == {f"{job}_2024-06" for job in jobs}
    assert " missed; a consumer does them\n" in told
    found = results(folder)
    failed = [key for key, verdict in found.items() if verdict == "fail"]
    assert sorted(failed) == ["arrivals/stations/june.csv", "demo-world/s2/S2A_33TTK_20240706_0_L2A/red.tif"]
    assert len(found) == 66 and set(found.values()) == {"pass", "fail"}
    assert "0 running" in told and "0 failed" in told and "the next is due in " in told


@pytest.mark.long
def test_a_file_of_a_float_starts_its_float(folder: Path) -> None:
    """And nothing else of the same run."""
    shrink(folder / "configs" / "demo.yaml")
    message = s3_message("demo-world", "argo/dac/incois/9900101/profiles/D9900101_002.nc")
    told = run(folder, [sys.executable, "-m", "pipeline.cli", "event", "configs/events.yaml", "--event-json", message])
    assert "\nrule floats: float/9900101: done" in told and told.endswith("\n1 job: 1 done\n")
    assert list((folder / "demo-output" / "data" / "argo").rglob("*.parquet"))
    assert not (folder / "demo-output" / "items" / "sentinel2").exists()


def shrink(path: Path) -> None:
    """Two products of the demo run, of one band and for one worker."""
    run = yaml.safe_load(path.read_text())
    run["sources"] = {name: run["sources"][name] for name in ("s2", "argo")}
    run["products"] = [one for one in run["products"] if one.get("name", one["product"]) in {"sentinel2", "argo"}]
    run["products"][0] |= {"bands": ["red"], "indices": []}
    run["clusters"] = {"default": {"backend": "local", "workers": 1}}
    path.write_text(json.dumps(run, default=str))
