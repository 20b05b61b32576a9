"""Laws of curves: a shape and its projection hold the same places, to a millimetre; what cannot be drawn is refused."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer

from pipeline.errors import PlanRefusedError
from pipeline.plan.curves import poles, to_crs, to_lonlat


def array(*shapes: shapely.Geometry) -> np.ndarray:
    return np.array(shapes, dtype=object)


@pytest.mark.parametrize("epsg", [32633, 3035, 3857, 6933, 3413])
def test_a_side_in_degrees_is_followed_to_a_millimetre(epsg: int) -> None:
    """Places along the parallels and meridians of a box lie on the outline of its projection."""
    (shape,) = to_crs(array(shapely.box(6, 45, 20, 60)), f"EPSG:{epsg}")
    t = np.linspace(0, 1, 149)
    lon, lat = (
        np.concatenate([6 + 14 * t, 6 + 14 * t, 6 + 0 * t]),
        np.concatenate([45 + 0 * t, 60 + 0 * t, 45 + 15 * t]),
    )
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    assert shapely.distance(shape.exterior, shapely.points(x, y)).max() < 0.0015


@pytest.mark.parametrize("epsg", [32633, 3413, 3031, 3857, 2154])
def test_a_straight_side_is_followed_in_degrees(epsg: int) -> None:
    corner = {32633: (4e5, 5e6), 3413: (-5e5, -2e6), 3031: (1e6, 1e6), 3857: (1e6, 6e6), 2154: (6e5, 6.5e6)}[epsg]
    box = shapely.box(*corner, corner[0] + 3e5, corner[1] + 2e5)
    (shape,) = to_lonlat(array(box), epsg)
    dense = shapely.get_coordinates(shapely.segmentize(box, 5777))
    lon, lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(*dense.T)
    assert shapely.distance(shape.boundary, shapely.points(lon, lat)).max() * 111_195 < 0.004


def test_holes_stay_holes_also_around_a_pole() -> None:
    """A ring of ocean between 1000 km and 500 km from the pole, and a lake in it."""
    pole, lake = shapely.Point(0, 0), shapely.box(-7e5, -1e4, -6.8e5, 1e4)
    ring = pole.buffer(1e6, quad_segs=64).difference(pole.buffer(5e5, quad_segs=64)).difference(lake)
    (shape,) = to_lonlat(array(ring), 3413)
    assert shape.is_valid
    random = np.random.default_rng(2)
    x, y = random.uniform(-1.1e6, 1.1e6, (2, 4000))
    lon, lat = Transformer.from_crs(3413, 4326, always_xy=True).transform(x, y)
    clear = shapely.distance(ring.boundary, shapely.points(x, y)) > 1
    assert (shapely.contains_xy(shape, lon, lat) == shapely.contains_xy(ring, x, y))[clear].all()
    assert not shapely.contains_xy(shape, 10, 89.9)


def test_an_area_is_kept_across_the_antimeridian() -> None:
    (shape,) = to_lonlat(array(shapely.box(7e5, 8e6, 9.5e5, 8.1e6)), 32760)
    parts = shapely.get_parts(shape)
    assert sorted((part.bounds[0] == -180, part.bounds[2] == 180) for part in parts) == [(False, True), (True, False)]
    area = sum(abs(Geod(ellps="WGS84").geometry_area_perimeter(part)[0]) for part in parts)
    scale = 1 + np.array([0.0, 0.0022])  # of areas in the outer part of a zone
    assert (2.5e10 / area / scale).min() < 1.003 and (2.5e10 / area / scale).max() > 0.999


@pytest.mark.parametrize(
    ("shape", "crs", "text"),
    [
        (shapely.box(170, 80, 171, 90), "EPSG:3857", "is torn apart at"),
        (shapely.box(-31, 0, -29, 10), "+proj=merc +lon_0=150", "is torn apart at"),
    ],
    ids=["pole", "seam"],
)
def test_where_a_crs_ends_the_area_is_refused(shape: shapely.Geometry, crs: str, text: str) -> None:
    with pytest.raises(PlanRefusedError, match=text):
        to_crs(array(shape), crs)


@pytest.mark.parametrize(
    ("crs", "expected"),
    [("EPSG:3413", [90]), ("EPSG:3031", [-90]), ("EPSG:32633", [90, -90]), ("EPSG:3857", []), ("EPSG:6933", [])],
)
def test_poles_that_are_points(crs: str, expected: list[float]) -> None:
    assert [sign for sign, _ in poles(crs)] == expected
