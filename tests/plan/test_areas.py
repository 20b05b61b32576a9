"""Laws of areas: within the map, cut at the antimeridian, nothing lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely

from pipeline.plan.areas import BBox, box_region, cut_at_antimeridian, polygons, possible_footprint, split


@pytest.mark.parametrize(
    ("bbox", "parts"),
    [
        ((10, 40, 12, 41), [(10, 40, 12, 41)]),
        ((179, -17, -178, -16), [(-180, -17, -178, -16), (179, -17, 180, -16)]),
        ((170, 0, 180, 1), [(170, 0, 180, 1)]),
        ((180, 0, -170, 1), [(-180, 0, -170, 1)]),
        ((170, 0, -180, 1), [(170, 0, 180, 1)]),
        ((-180, -90, 180, 90), [(-180, -90, 180, 90)]),
    ],
)
def test_a_box_is_cut_at_the_antimeridian(bbox: BBox, parts: list[BBox]) -> None:
    assert sorted(part.bounds for part in shapely.get_parts(box_region(bbox).geometry)) == parts


@pytest.mark.parametrize(("west", "east"), [(170, 190), (-190, -170), (-20, 20), (170, 540), (-200, 200)])
def test_longitudes_beyond_180_are_turned_into_the_map(west: float, east: float) -> None:
    shape = cut_at_antimeridian(shapely.box(west, 0, east, 10))
    assert shape.is_valid and shape.bounds[0] >= -180 and shape.bounds[2] <= 180
    assert math.isclose(shape.area, min(360, east - west) * 10)
    for lon in np.linspace(west + 0.1, east - 0.1, 50):
        assert shapely.contains_xy(shape, (lon + 180) % 360 - 180, 5)


def test_crossed_rings_are_repaired() -> None:
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    assert polygons(bow).is_valid
    assert math.isclose(polygons(bow).area, 2)


def test_lines_and_points_of_a_collection_go() -> None:
    mixed = shapely.GeometryCollection(
        [shapely.Point(0, 0), shapely.box(0, 0, 1, 1), shapely.LineString([(0, 0), (5, 5)])]
    )
    assert polygons(mixed).equals(shapely.box(0, 0, 1, 1))


def test_split_gives_each_box_its_part_and_nothing_for_a_shared_edge() -> None:
    boxes = [(0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 2.0, 1.0), (2.0, 0.0, 3.0, 1.0)]
    shapes = np.array([shapely.box(0.5, 0.2, 2.0, 0.8), shapely.box(0.1, 0.1, 0.2, 0.2)], dtype=object)
    found = {number: float(shapely.area(parts).sum()) for number, parts in split(shapes, boxes)}
    assert found == pytest.approx({0: 0.31, 1: 0.6})


@pytest.mark.parametrize(
    ("ring", "within", "beyond"),
    [
        ([(179, 0), (-179, 0), (-179, 1), (179, 1)], [179.5, 180, -180, -179.5], []),
        ([(179, 0), (181, 0), (181, 1), (179, 1)], [179.5, 180, -180, -179.5], [0, 170, -170]),
        ([(-180, 0), (180, 0), (180, 1), (-180, 1)], [-180, -90, 0, 90, 180], []),
        ([(0, 0), (359.75, 0), (359.75, 1), (0, 1)], [-180, -90, -1, 0, 90, 180], []),
        ([(12, 0), (13, 0), (13, 1), (12, 1)], [12.5], [-180, 180, 11, 14]),
    ],
    ids=["around the other way", "beyond 180", "the globe", "the globe from 0 to 360", "plain"],
)
def test_a_scene_may_lie_wherever_its_footprint_can_be_read_to_say(
    ring: list[tuple[float, float]], within: list[float], beyond: list[float]
) -> None:
    shape = possible_footprint({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
    assert all(shape.intersects(shapely.Point(lon, 0.5)) for lon in within)
    assert not any(shape.intersects(shapely.Point(lon, 0.5)) for lon in beyond)
