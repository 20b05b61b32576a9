"""A job whose item stands already, with other files, is done when that item is sound, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.types import Outcome, Status
from tests.faults._worlds import World, read_band, read_item, run_world, write_tif


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two scenes of one month; the second one's file is not there yet."""
    made = World(tmp_path)
    made.add("2024-06-01")
    made.add("2024-06-09", {"red": str(tmp_path / "late.tif")})
    return made


def run_twice(world: World) -> tuple[Outcome, Outcome]:
    """Without the second scene; and with it, though the catalogue, so the fingerprint, is the same."""
    config = world.config()
    first = run_world(config)
    write_tif(world.folder / "late.tif", world.pixels(1), world.grid)
    return first, run_world(config)


def test_the_item_that_stands_is_kept_with_a_warning(world: World) -> None:
    first, second = run_twice(world)
    assert (first.status, second.status) == (Status.DONE, Status.DONE)
    assert (first.item_key, len(first.losses), len(second.losses)) == (second.item_key, 1, 0)
    (warning,) = [text for text in second.warnings if "is kept" in text]
    assert f"key {first.item_key}" in warning and "with other files for" in warning and "--overwrite" in warning
    assert (read_band(world, second, "red") == world.median(0)).all(), "what readers may have read"
    assert len(read_item(world, second)["properties"]["groundswell:missing_assets"]) == 1


def test_an_item_that_stands_but_lost_a_file_is_not_taken_for_done(world: World) -> None:
    config = world.config()
    assert run_world(config).status is Status.DONE
    (red,) = world.output.glob("data/*/*/*/red_*")
    red.unlink()
    write_tif(world.folder / "late.tif", world.pixels(1), world.grid)
    second = run_world(config)
    assert (second.status, second.error) == (Status.FAILED, "StoreError")
    assert f"asset red: {red.relative_to(world.output)}: found nothing" in str(second.cause)
