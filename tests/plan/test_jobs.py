"""Laws of the plan: every tile gets exactly the scenes that touch it, and only what changed is made again."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.errors import PlanRefusedError
from pipeline.plan.fingerprint import fingerprint
from pipeline.plan.jobs import Targets, job_document, plan_jobs
from pipeline.plan.memory import BASE_BYTES
from pipeline.types import Asset, Grid, Item, Plan
from tests.plan.makers import EPSG, JULY, JUNE, NORTH, make_item, make_product, make_tile

TILES = tuple(make_tile(column) for column in range(4))
PRODUCT = make_product()
GIB = 2**30


def plan(
    items: Sequence[Item],
    committed: Mapping[str, Collection[str]] | None = None,
    targets: Targets | None = None,
) -> Plan:
    """One product over four tiles in June, unless told otherwise."""
    where = {PRODUCT.name: targets or Targets(TILES, (JUNE,))}
    return plan_jobs([PRODUCT], where, items, committed or {}, {"us-west-2": 8 * GIB})


def chosen(found: Plan) -> dict[str, list[str]]:
    return {job.tile.id: [item.id for item in job.items] for job in found.jobs}


def overlap_px(item: Item, column: int) -> float:
    """Width in pixels that a scene of `make_item` and a tile of its row share."""
    grid = next(iter(item.assets.values())).grid
    assert grid is not None
    left, west = grid.transform[2], 500_000 + column * 2560
    return (min(left + grid.shape[1] * 10, west + 2560) - max(left, west)) / 10


@given(st.lists(st.tuples(st.integers(-300, 1300), st.integers(1, 900)), min_size=1, max_size=6))
@settings(deadline=None)
def test_a_tile_has_exactly_the_scenes_whose_declared_grid_overlaps_it(ends: list[tuple[int, int]]) -> None:
    """Scenes from pixel `first` of the row, `size` pixels wide: a shared edge is no overlap, one pixel is."""
    items = [make_item(number, (first / 256, (first + size) / 256)) for number, (first, size) in enumerate(ends)]
    found = chosen(plan(items))
    for column, tile in enumerate(TILES):
        expected = {item.id for item in items if overlap_px(item, column) > 0.5}
        assert set(found.get(tile.id, [])) == expected


@given(st.floats(-3, 6), st.floats(0.05, 3))
@settings(deadline=None)
def test_without_declared_grids_the_footprint_decides_with_a_small_margin(first: float, size: float) -> None:
    """A scene that touches a tile by shapely is never left out; one that is a few kilometres away never comes in."""
    item = make_item(1, (first, first + size), declared=False)
    footprint = shapely.geometry.shape(item.geometry)
    scene = shapely.box(500_000 + first * 2560, NORTH - 2560, 500_000 + (first + size) * 2560, NORTH)
    found = chosen(plan([item]))
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    for column, tile in enumerate(TILES):
        box = shapely.segmentize(
            shapely.box(500_000 + column * 2560, NORTH - 2560, 500_000 + (column + 1) * 2560, NORTH), 50
        )
        outline = shapely.transform(box, lambda xy: np.column_stack(to_lonlat.transform(*xy.T)))
        if outline.intersects(footprint):
            assert tile.id in found
        elif box.distance(scene) > 1100:
            assert tile.id not in found


@given(st.floats(-40_000, 40_000), st.floats(-40_000, 40_000))
@settings(deadline=None)
def test_a_scene_of_the_neighbouring_zone_is_taken_where_its_pixels_lie_on_the_tile(east: float, north: float) -> None:
    """Judged by every pixel centre of the tile, carried to the scene's zone by pyproj."""
    tile = make_tile()
    to_scene = Transformer.from_crs(EPSG, 32632, always_xy=True)
    middle = to_scene.transform(500_000 + 1280, NORTH - 1280)
    side = 2000
    left, top = middle[0] + east - side * 5, middle[1] + north + side * 5
    grid = Grid("EPSG:32632", (10, 0, left, 0, -10, top), (side, side))
    item = make_item(1, (-30, 30))
    item = replace(item, assets={key: replace(asset, grid=grid) for key, asset in item.assets.items()})
    centres = np.arange(256) * 10 + 5.0
    x, y = to_scene.transform(*np.meshgrid(500_000 + centres, NORTH - centres))
    inside = (x >= left) & (x < left + side * 10) & (y > top - side * 10) & (y <= top)
    found = plan([item], targets=Targets((tile,), (JUNE,))).jobs
    if inside.any():
        assert len(found) == 1
    elif max(abs(east), abs(north)) > side * 5 + 5000:
        assert not found


def test_items_of_other_sources_are_no_input() -> None:
    items = [make_item(1), make_item(2, source="other")]
    assert chosen(plan(items)) == {"tile-0": ["scene-1"]}


def test_a_period_has_the_items_of_its_half_open_span() -> None:
    assert JULY.start is not None
    edge = JULY.start
    items = [make_item(1, time=edge - timedelta(microseconds=1)), make_item(2, time=edge)]
    found = plan(items, targets=Targets(TILES[:1], (JUNE, JULY)))
    assert {(job.period.id, item.id) for job in found.jobs for item in job.items} == {
        ("2024-06", "scene-1"),
        ("2024-07", "scene-2"),
    }


def test_a_job_says_all_that_a_worker_needs() -> None:
    """Items sorted by day and id with the product's bands only; region, fingerprint, memory and bytes set."""
    items = [make_item(number) for number in (5, 3, 30)]
    (job,) = plan([*items, replace(items[1], id="another-3")]).jobs
    assert [item.id for item in job.items] == ["scene-30", "another-3", "scene-3", "scene-5"]
    assert all(set(item.assets) == {"red", "scl"} for item in job.items)
    assert (job.id, job.product, job.kind, job.region) == ("median/tile-0/2024-06", "median", "sentinel2", "us-west-2")
    assert job.fingerprint == fingerprint(job_document(PRODUCT, job.tile, job.period, job.items))
    assert job.memory.strip_rows == 256
    # Two bands of four scenes, two bytes a pixel, stored at two thirds.
    assert job.read_bytes == pytest.approx(4 * 2 * 256 * 256 * 2 * 0.65, rel=0.02)


def test_read_bytes_count_only_the_part_on_the_tile() -> None:
    whole, half = (plan([make_item(1, ends)]).jobs[0].read_bytes for ends in ((0, 1), (-5, 0.5)))
    assert half == pytest.approx(whole / 2, rel=0.02)


def test_a_tile_coarser_than_its_sources_is_planned_with_windows_in_their_pixels() -> None:
    """A quarter of the pixels a side, and sixteen whole windows of uint16 on their way as before."""
    fine = TILES[0].geobox
    coarse = replace(TILES[0], geobox=GeoBox((64, 64), fine.transform @ Affine.scale(4), fine.crs))
    items = [make_item(number) for number in range(20)]
    (job,) = plan(items, targets=Targets((coarse,), (JUNE,))).jobs
    assert job.tile.geobox.shape == (64, 64)
    assert job.memory.peak_bytes >= BASE_BYTES + 16 * 2 * 256 * 256


def test_what_is_committed_is_skipped_and_the_rest_is_not() -> None:
    items = [make_item(number, (0, 4)) for number in range(3)]
    first = plan(items)
    assert len(first.jobs) == 4 and not first.skipped
    done = [job.fingerprint for job in first.jobs[:3]]
    again = plan(items, {"median": done})
    assert [job.id for job in again.jobs] == [first.jobs[3].id]
    assert [(skip.job_id, skip.fingerprint) for skip in again.skipped] == [
        (job.id, job.fingerprint) for job in first.jobs[:3]
    ]


def test_what_another_product_committed_is_not_skipped() -> None:
    items = [make_item(1)]
    (job,) = plan(items).jobs
    assert plan(items, {"other": [job.fingerprint]}).jobs == (job,)


def test_exactly_the_tiles_an_updated_item_touches_are_made_again() -> None:
    items = [make_item(0, (0, 4)), make_item(1, (1.2, 2.8)), make_item(2, (0, 1))]
    done = {"median": {job.fingerprint for job in plan(items).jobs}}
    assert plan(items, done).jobs == ()
    items[1] = replace(items[1], updated="2024-12-24T00:00:00+00:00")
    assert [job.tile.id for job in plan(items, done).jobs] == ["tile-1", "tile-2"]


def test_a_band_that_is_not_read_may_change() -> None:
    item = make_item(1)
    other = {**item.assets, "nir": replace(item.assets["nir"], checksum="12", key="B8A")}
    assert plan([item]).jobs[0].fingerprint == plan([replace(item, assets=other)]).jobs[0].fingerprint


def test_tiles_without_a_scene_are_counted_in_a_note() -> None:
    found = plan([make_item(1)])
    assert len(found.jobs) == 1
    assert found.notes == ("median: 3 of 4 tile-periods have no scene in the catalogue",)
    assert plan([]).jobs == () and plan([]).notes == ("median: 4 of 4 tile-periods have no scene in the catalogue",)


@pytest.mark.parametrize(
    "epsg", [*range(32601, 32661, 6), *range(32701, 32761, 6), 3031, 3413, 3857, 4326, 3577, 27700, 2154]
)
def test_a_grid_declared_in_any_crs_costs_at_most_its_own_item(epsg: int) -> None:
    """Also where the tile lies beyond what the CRS can express."""
    item = make_item(1)
    grid = Grid(f"EPSG:{epsg}", (10, 0, 500_000, 0, -10, NORTH), (256, 256))
    far = replace(item, id="far", assets={key: replace(asset, grid=grid) for key, asset in item.assets.items()})
    assert "scene-1" in chosen(plan([item, far]))["tile-0"]


def test_an_item_without_a_single_asset_of_the_product_is_kept_for_the_ledger() -> None:
    """It touches the tile by its footprint; the job must say that its bands are missing."""
    item = replace(make_item(1), assets={})
    assert "scene-1" in chosen(plan([item]))["tile-0"]


def test_an_asset_without_a_grid_keeps_its_item() -> None:
    item = make_item(1)
    item = replace(item, assets={**item.assets, "scl": Asset("SCL", "https://host/scl.tif")})
    (job,) = plan([item], targets=Targets(TILES[:1], (JUNE,))).jobs
    assert job.read_bytes > 0


def test_a_tile_that_cannot_fit_is_refused_in_bytes() -> None:
    """By the job's name, and the keys of its own region."""
    told = (
        r"^median/tile-0/2024-06 in region us-west-2: .* needs [\d,]+ bytes; a task may use 1,000,000.*s\.us-west-2\."
    )
    with pytest.raises(PlanRefusedError, match=told):
        plan_jobs([PRODUCT], {PRODUCT.name: Targets(TILES, (JUNE,))}, [make_item(1)], {}, {"us-west-2": 10**6})


def test_each_product_is_planned_with_its_own_source_and_region() -> None:
    products = [PRODUCT, replace(make_product("second", "other"), region="eu-central-1")]
    items = [make_item(1), make_item(2, source="other")]
    budgets = {"us-west-2": 8 * GIB, "eu-central-1": 8 * GIB}
    found = plan_jobs(products, {one.name: Targets(TILES[:1], (JUNE,)) for one in products}, items, {}, budgets)
    assert [(job.region, job.product, [item.id for item in job.items]) for job in found.jobs] == [
        ("us-west-2", "median", ["scene-1"]),
        ("eu-central-1", "second", ["scene-2"]),
    ]


def test_the_plan_is_the_same_whatever_the_order_of_the_items() -> None:
    items = [make_item(number, (0, 4)) for number in range(5)]
    assert plan(items).jobs == plan(items[::-1]).jobs


def test_what_a_job_was_planned_from_is_json() -> None:
    """The document and the item's plain fields survive JSON, so that an item or a journal can hold them."""
    (job,) = plan([make_item(1)]).jobs
    document = job_document(PRODUCT, job.tile, job.period, job.items)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    plain = asdict(job.memory) | {"id": job.id, "fingerprint": job.fingerprint, "read_bytes": job.read_bytes}
    assert json.loads(json.dumps(plain)) == plain


def test_a_period_without_ends_takes_every_item() -> None:
    static = replace(JUNE, id="static", start=None, end=None)
    items = [make_item(1, time=datetime(year, 1, 1, tzinfo=UTC)) for year in (1990, 2030)]
    (job,) = plan(items, targets=Targets(TILES[:1], (static,))).jobs
    assert len(job.items) == 2


@pytest.mark.parametrize("ring", [(179, -179), (179, 181)], ids=["around the other way", "beyond 180"])
def test_a_scene_across_the_antimeridian_is_on_the_tile_beside_it(ring: tuple[float, float]) -> None:
    """A polygon from 179 to -179 leaves out on paper what the scene covers."""
    tile = replace(make_tile(), geobox=GeoBox((64, 64), Affine(10, 0, 277_500, 0, -10, 9_000_000), "EPSG:32701"))
    lon, lat = Transformer.from_crs(32701, 4326, always_xy=True).transform(277_820, 8_999_680)
    assert -180 < lon < -179
    west, east = ring
    corners = [[west, lat - 1], [east, lat - 1], [east, lat + 1], [west, lat + 1], [west, lat - 1]]
    footprint = {"type": "Polygon", "coordinates": [corners]}
    (job,) = plan([replace(make_item(1, declared=False), geometry=footprint)], targets=Targets((tile,), (JUNE,))).jobs
    assert len(job.items) == 1


def test_scenes_of_one_pass_share_a_day_across_the_antimeridian() -> None:
    """By its own longitude each of them is almost a day from the other; the tile between them sees one pass."""
    tile = replace(make_tile(), geobox=GeoBox((256, 256), Affine(10, 0, 300_000, 0, -10, 9_000_000), "EPSG:32701"))
    lon, lat = Transformer.from_crs(32701, 4326, always_xy=True).transform(301_280, 8_998_720)
    assert -180 < lon < -178
    ring = [[-179.9, lat - 1], [-178, lat - 1], [-178, lat + 1], [-179.9, lat + 1], [-179.9, lat - 1]]
    pass_time = datetime(2024, 6, 10, 22, 30, tzinfo=UTC)
    dates = (date(2024, 6, 11), date(2024, 6, 10))
    items = [
        replace(
            make_item(number, declared=False, time=pass_time + timedelta(seconds=14 * number)),
            geometry={"type": "Polygon", "coordinates": [ring]},
            solar_day=day,
        )
        for number, day in enumerate(dates)
    ]
    (job,) = plan(items, targets=Targets((tile,), (JUNE,))).jobs
    assert {item.solar_day for item in job.items} == {date(2024, 6, 10)}
