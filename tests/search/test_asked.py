"""What a catalogue is asked for some jobs: around their tiles and periods, and never beyond what the whole run asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import shapely

from pipeline.config import RunConfig
from pipeline.config.area import GridConfig
from pipeline.plan.areas import Area, BBox, box_region
from pipeline.plan.entries import ProductPlan, Targets
from pipeline.plan.narrow import narrow
from pipeline.plan.outlines import lonlat_outline
from pipeline.plan.periods import plan_periods
from pipeline.plan.tiles import plan_tiles
from pipeline.prepare import plan_products, plan_targets
from pipeline.products import product_models
from pipeline.search.asked import _within, queries
from pipeline.search.query import Query, meets
from pipeline.types import Json

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
SENTINEL2: Mapping[str, object] = {"product": "sentinel2", "source": "s2", "bands": ["red"]}


def run(bbox: BBox, *products: Mapping[str, object]) -> RunConfig:
    document = {
        "name": "r",
        "output": "out",
        "area": {"bbox": list(bbox)},
        "period": {"start": "2024-01-01", "end": "2025-01-01", "every": "month"},
        "sources": {"s2": {"items": "s2.json"}, "dem": {"items": "dem.json"}},
        "products": [dict(one) for one in products],
    }
    return RunConfig.model_validate(document, context={"products": product_models(), "folder": "/"})


def both(config: RunConfig, bbox: BBox, ids: Sequence[str] = ()) -> tuple[Query, Query, Targets]:
    """What is asked of the first product's source for some of its jobs, and for all; and the targets of these jobs."""
    plans = {one.name: one for one in plan_products(config)}
    tiles = plan_tiles(Area((box_region(bbox),)), GridConfig())
    name, plan = next(iter(plans.items()))
    whole = {name: Targets(tiles, plan_periods(START, END, "month"))}
    asked = ids or (f"{name}/{tiles[len(tiles) // 2].id}/2024-06",)
    some = narrow([plan], whole, asked)
    only: dict[str, ProductPlan] = {name: plan}
    source = plan.source or ""
    return queries(config, only, some, whole)[source], queries(config, only, whole, whole)[source], some[name]


def scene(west: float, south: float, east: float, north: float) -> Json:
    geometry = shapely.geometry.mapping(shapely.box(west, south, east, north))
    return {"geometry": geometry, "properties": {"datetime": "2024-06-15T10:00:00Z"}}


def test_some_jobs_ask_little_and_enough() -> None:
    bbox = (10.0, 44.0, 14.0, 47.0)
    some, everything, target = both(run(bbox, SENTINEL2), bbox)
    assert everything.start <= some.start < some.end <= everything.end
    area = shapely.union_all([shapely.box(*box) for box in some.boxes])
    assert all(area.covers(lonlat_outline(tile.geobox)) for tile in target.tiles)
    assert area.area < 0.2 * sum(shapely.box(*box).area for box in everything.boxes)
    hour = timedelta(hours=1)
    june, july = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
    assert (some.start, some.end) == (june - hour, july + hour)


@pytest.mark.parametrize("bbox", [(179.0, -17.5, -179.0, -16.5), (170.0, 60.0, 175.0, 62.0), (10.0, 81.0, 14.0, 83.0)])
def test_where_footprints_are_wrong_the_whole_area_is_searched(bbox: BBox) -> None:
    """At 180 catalogues hold scenes as polygons right around the other way, which only a wide search meets."""
    some, everything, _ = both(run(bbox, SENTINEL2), bbox)
    assert some.bboxes == everything.bboxes and some.end - some.start < timedelta(days=31)


def test_a_dem_is_searched_everywhere() -> None:
    """Whether a tile without any file is open sea depends on what kind of files there are elsewhere."""
    bbox = (10.0, 44.0, 14.0, 47.0)
    some, everything, _ = both(run(bbox, {"product": "dem", "source": "dem"}), bbox)
    assert some.bboxes == everything.bboxes and some.ever


def test_what_some_jobs_find_is_what_all_find_there() -> None:
    """A scene may be in reach of a tile's margin and lie beside all boxes there, but meet some far away."""
    west, east = ((10.0 + lon, 44.0, 10.1 + lon, 44.1) for lon in (0.0, 2.0))
    query, everything = (Query(boxes, START, END) for boxes in ((west,), (west, east)))
    some = _within(query, everything, wide=False)
    beside, alone = scene(10.105, 44.0, 12.05, 44.1), scene(10.105, 44.0, 11.9, 44.1)
    assert meets(beside, everything) and meets(beside, some) and not meets(beside, query)
    assert not meets(alone, everything) and not meets(alone, some)
    assert not meets(scene(11.9, 44.0, 12.05, 44.1), some)


def test_a_dem_is_searched_where_any_product_reads_it() -> None:
    """Though only one of them is asked for: its open sea is told by what the whole run finds."""
    bbox = (10.0, 44.0, 10.1, 44.1)
    coarse = {"product": "dem", "source": "dem", "name": "coarse", "grid": {"kind": "utm", "tile_px": 9600}}
    config = run(bbox, {"product": "dem", "source": "dem"}, coarse)
    products = plan_products(config)
    plans, whole = {one.name: one for one in products}, plan_targets(config, products)
    some = narrow(products, whole, {f"dem/{whole['dem'].tiles[0].id}/static"})
    assert set(some) == {"dem"}
    assert queries(config, plans, some, whole) == queries(config, plans, whole, whole)


def test_nothing_is_asked_for_jobs_that_are_not_there() -> None:
    bbox = (10.0, 44.0, 14.0, 47.0)
    config = run(bbox, SENTINEL2)
    plans = {one.name: one for one in plan_products(config)}
    whole = {
        "sentinel2": Targets(plan_tiles(Area((box_region(bbox),)), GridConfig()), plan_periods(START, END, "month"))
    }
    some = narrow(list(plans.values()), whole, {"sentinel2/32N-0-0/2024-06"})
    assert queries(config, plans, some, whole) == {}
