"""Where Landsat's pixels lie: half a pixel beside a tile's, in polar scenes, at zone edges; where there are none."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from tests.products.landsat_scenes import (
    FILL,
    TILE_PX,
    LandsatScenes,
    near_edge,
    on_grid,
    plain_days,
    plain_scene,
    striped,
)
from tests.products.test_groups import described
from tests.products.test_groups import make as make_together
from tests.products.test_landsat import DROP, GRID, make, median, planned
from tests.products.test_sentinel2 import written


@pytest.mark.parametrize(
    ("metres", "resampling", "told"),
    [(30, "nearest", True), (30, "bilinear", False), (10, "nearest", False), (60, "nearest", False)],
)
def test_the_plan_tells_where_the_nearest_pixel_is_none(
    tmp_path: Path, metres: int, resampling: str, *, told: bool
) -> None:
    """Landsat's corners are the centres of a grid of 30 m: all four neighbours are equally far, and one is taken."""
    scenes = LandsatScenes(tmp_path)
    scenes.add(date(2003, 6, 2))
    session, _ = planned(scenes.world(metres=metres), "bands=[red]", f"resampling={resampling}")
    notes = [note for note in session.plan.notes if "half a pixel" in note]
    assert len(notes) == told
    assert all("landsat: in EPSG:32633 the scenes' pixels lie half a pixel beside the grid's" in note for note in notes)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_a_gap_stays_a_gap_however_scenes_are_resampled(tmp_path: Path, resampling: str) -> None:
    """Missing scan lines are filled by another day or not at all, and cost no input."""
    scenes = LandsatScenes(tmp_path)
    qa = striped(np.random.default_rng(3), "LE07")
    item = scenes.add(date(2003, 6, 2), "LE07", qa)
    made, outcome = make(
        scenes.world(), "bands=[red]", "mask.drop=[]", "mask.saturated=keep", f"resampling={resampling}"
    )
    gap = on_grid(item["assets"]["qa_pixel"]["href"], GRID, FILL) == FILL
    assert 0.2 < gap.mean() < 0.8
    assert not made["red"][gap].any()
    assert (made["red"][~gap] > 0).mean() > 0.9
    assert (made["qa"][gap] == 1).all()
    assert not outcome.losses


def test_a_tile_of_10_m_repeats_the_pixels_of_30_m_where_they_lie(tmp_path: Path) -> None:
    """So that a cube may hold both sensors: no pixel moves by more than a half."""
    scenes = LandsatScenes(tmp_path)
    item = scenes.add(date(2003, 6, 2))
    session, job = planned(scenes.world(metres=10), "bands=[red,lwir]", "mask.saturated=keep")
    made = written(scenes.world(metres=10), scenes.world(metres=10).run(session, job))
    grid = (str(job.tile.geobox.crs), job.tile.geobox.transform, (TILE_PX, TILE_PX))
    assert grid[1].a == 10
    plain = plain_scene(item, ["red", "lwir"], grid, DROP, 0)
    for band in ("red", "lwir"):
        np.testing.assert_array_equal(made[band], median(plain_days([plain], band)))


def test_polar_stereographic_scenes_have_the_pixels_that_pyproj_puts_there(tmp_path: Path) -> None:
    """Antarctic scenes are in EPSG:3031, a tile may be in UTM."""
    lon, lat = 166.5, -77.5
    x, y = Transformer.from_crs(4326, 3031, always_xy=True).transform(lon, lat)
    corner = Affine(30, 0, round(x / 30) * 30 - 960, 0, -30, round(y / 30) * 30 + 960)
    scenes = LandsatScenes(tmp_path, "EPSG:3031", corner)
    for day in (2, 9, 16):
        scenes.add(date(2003, 6, day), "LC08")
    world = scenes.world((lon, lat))
    session, job = planned(world, "bands=[red]", "mask.saturated=keep")
    made = written(world, world.run(session, job))
    grid = (str(job.tile.geobox.crs), job.tile.geobox.transform, (TILE_PX, TILE_PX))
    assert grid[0] == "EPSG:32758"
    plain = [plain_scene(item, ["red"], grid, DROP, 0) for item in scenes.items]
    expected = median(plain_days(plain, "red"))
    assert (expected > 0).mean() > 0.3
    doubtful = np.logical_or.reduce([near_edge(item["assets"]["red"]["href"], grid) for item in scenes.items])
    assert doubtful.mean() < 0.4
    np.testing.assert_array_equal(made["red"][~doubtful], expected[~doubtful])


def test_a_tile_at_a_zone_edge_takes_the_scenes_of_both_zones(tmp_path: Path) -> None:
    """At 18 E, in zone 33: a scene of zone 34 is warped, one of zone 33 is not."""
    lon, lat = 17.99, 45.0
    for crs in ("EPSG:32633", "EPSG:32634"):
        x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
        corner = Affine(30, 0, round(x / 30) * 30 - 960, 0, -30, round(y / 30) * 30 + 960)
        folder = tmp_path / crs[-2:]
        folder.mkdir()
        scenes = LandsatScenes(folder, crs, corner)
        scenes.add(date(2003, 6, 2), "LT05", striped(np.random.default_rng(1), "LT05"))
        world = scenes.world((lon, lat))
        session, job = planned(world, "bands=[red]", "mask.saturated=keep")
        made = written(world, world.run(session, job))
        grid = (str(job.tile.geobox.crs), job.tile.geobox.transform, (TILE_PX, TILE_PX))
        assert grid[0] == "EPSG:32633"
        expected = median(plain_days([plain_scene(scenes.items[0], ["red"], grid, DROP, 0)], "red"))
        assert (expected > 0).any()
        sure = ~near_edge(scenes.items[0]["assets"]["red"]["href"], grid) if crs.endswith("34") else np.True_
        np.testing.assert_array_equal(np.where(sure, made["red"], 0), np.where(sure, expected, 0))


@pytest.mark.parametrize(
    "sets", [("composite=median", "resampling=bilinear"), ("composite=best_pixel", "mask.dilate_px=2")]
)
def test_neighbours_made_together_are_what_they_are_alone(tmp_path: Path, sets: tuple[str, ...]) -> None:
    """Bytes, properties and losses, with a scene whose flags of saturation are lost."""
    scenes = LandsatScenes(tmp_path).mixed()
    Path(scenes.items[2]["assets"]["qa_radsat"]["href"]).unlink()
    to_degrees = Transformer.from_crs(GRID[0], 4326, always_xy=True)
    corners = [to_degrees.transform(*(GRID[1] @ corner)) for corner in ((2, 38), (38, 2))]
    box = ", ".join(f"{value:.6f}" for corner in corners for value in corner)
    session = scenes.world().session(
        f"area.bbox=[{box}]", "grid.resolution_m=10", *(f"products.landsat.{one}" for one in sets)
    )
    jobs = list(session.plan.jobs)
    assert len(jobs) == 4
    together = [described(made) for made in make_together(session, jobs, tmp_path / "together", strip_rows=40)]
    alone = [described(make_together(session, [job], tmp_path / "alone")[0]) for job in jobs]
    assert together == alone
    assert all(losses for *_, losses in together)
