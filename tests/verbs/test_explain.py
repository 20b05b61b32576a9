"""Explain says why a tile's jobs would be made again: what changed since the item that readers see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verbs.making import groundswell, make_output, make_world

TILE = "33N-469-3906"


def explain(config: Path, capsys: pytest.CaptureFixture[str], tile: str, *options: str) -> list[str]:
    assert groundswell("explain", config, tile, *options) == 0
    return capsys.readouterr().out.splitlines()


def test_new_committed_and_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world, config = make_world(tmp_path)
    job = f"sentinel2/{TILE}/2024-06"
    assert explain(config, capsys, job) == [f"{job}: never committed here; it will be made from 2 scenes"]
    make_output(config)
    assert explain(config, capsys, job) == [f"{job}: committed, nothing to do"]
    (changed, *why) = explain(config, capsys, job, "--set", "products.0.composite=mean")
    assert changed.startswith(f"{job}: will be made again; changed since items/sentinel2/{TILE}_2024-06_")
    assert [line for line in why if "composite" in line] and all("inputs" not in line for line in why)
    world.items[0]["properties"]["updated"] = "2025-01-01T00:00:00Z"
    world.save()
    (_, *why) = explain(config, capsys, job)
    assert why and all("scene-0-2024-06-01" in line for line in why), "only the scene that was made again"
    assert f"sentinel2/{TILE}/2024-07: committed, nothing to do" in explain(config, capsys, TILE)


def test_an_unknown_tile_is_named_with_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, config = make_world(tmp_path)
    assert groundswell("explain", config, "33N-0-0") == 2
    assert f"its tiles: {TILE}" in capsys.readouterr().err
    assert groundswell("explain", config, TILE[:-1] + "7") == 2
    assert f"closest: {TILE};" in capsys.readouterr().err
    assert groundswell("explain", config, f"sentinel2/{TILE}/2024-16") == 2
    assert f"closest: sentinel2/{TILE}/2024-06" in capsys.readouterr().err
