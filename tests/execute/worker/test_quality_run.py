"""The command itself: a tile that fails its limits ends the run with exit 1, and a lower limit makes just that one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED
from tests.execute.ground import SIDE, TILES, Ground, ground, texture
from tests.faults._worlds import run_command

pytestmark = pytest.mark.long


@pytest.fixture
def world(tmp_path: Path) -> Ground:
    """The north-west tile lacks three quarters of its pixels, the east is brighter."""
    pixels = texture()
    pixels[:SIDE, : SIDE * 3 // 4] = 0
    return ground(tmp_path).halves(east_by=1500, ground=pixels)


def test_limits_decide_what_a_run_commits(
    world: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fail, make with a lower limit, and be told of it under the higher one again: nothing is made a second time."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    bad = f"sentinel2/{TILES['nw']}/2024-06"

    def run(*limits: str) -> tuple[int, str]:
        world.session({"min_observations": {}})
        sets = [part for limit in limits for part in ("--set", f"run.quality.{limit}")]
        done = run_command(world.folder / "run.yaml", tmp_path / "state", "--yes", *sets)
        return done.returncode, done.stdout + done.stderr

    code, text = run("min_valid_fraction={fail: 0.3}")
    assert code == EXIT_JOBS_FAILED
    assert f"failed: {bad}: QualityError: {bad}: low_valid_fraction: valid_fraction 0.25" in text
    assert "quality: warn: edge_step:" in text and "3 done, 0 skipped, 1 failed" in text
    assert "product                    jobs     median      total" in text
    assert len(list((world.output / "items").rglob("*.json"))) == 3
    assert not (world.output / "data" / bad).exists()
    (finished,) = world.output.glob("runs/*/finished.json")
    told = json.loads(finished.read_text(encoding="utf-8"))["quality"]
    assert told["fail"] == 1 and sum(told.values()) == 4

    code, text = run("min_valid_fraction={warn: 0.3}")
    assert code == EXIT_DONE
    assert f"quality: warn: low_valid_fraction: 1 tiles: {bad}" in text and "1 done, 3 skipped" in text
    capsys.readouterr()
    assert main(["status", str(world.output)]) == EXIT_DONE
    assert f"quality: warn: {bad}: low_valid_fraction: valid_fraction 0.25" in capsys.readouterr().out

    code, text = run("min_valid_fraction={fail: 0.3}")
    assert code == EXIT_DONE and "0 done, 4 skipped" in text
    assert f"quality of what was committed before: fail: low_valid_fraction: 1 tiles: {bad}" in text
    capsys.readouterr()
    assert main(["status", str(world.output)]) == EXIT_DONE
    told = f"quality of what was committed before: fail: {bad}: low_valid_fraction: valid_fraction 0.25"
    assert told in capsys.readouterr().out
