"""Laws of the UTM grid: an area is covered, tiles do not depend on the area, and nothing is tiled where UTM ends."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.errors import PlanRefusedError
from pipeline.plan.grids import BBox, covering_box, lonlat_outline, outline_in, utm_tiles
from pipeline.types import Tile

SIZE_PX, RESOLUTION_M = 512, 10.0
SIZE_M = SIZE_PX * RESOLUTION_M
MARGIN_M = 1.0
"""An area's curved edge is followed to within this: far below a pixel."""


@st.composite
def boxes(draw: st.DrawFn, widest: float = 0.6) -> BBox:
    """Boxes of any place where UTM is defined, also across zone borders, the equator and the antimeridian."""
    edge = st.sampled_from([-180.0, -6.0, 0.0, 6.0, 12.0, 174.0, 180.0])
    lon = draw(st.one_of(st.floats(-180, 180), edge, edge.map(lambda at: at - 0.2)))
    lat = draw(st.one_of(st.floats(-80, 83.9), st.just(0.0), st.just(-0.1)))
    wide, high = draw(st.floats(0.01, widest)), draw(st.floats(0.01, widest / 4))
    east = draw(st.sampled_from([lon + wide, 6.0 * math.ceil(lon / 6 + 1e-9)])) if wide > 0.3 else lon + wide
    if east - lon > 1:
        lon = east - wide
    wrap = [side + 360 if side < -180 else side - 360 if side > 180 else side for side in (lon, east)]
    # Ten centimetres: a box thinner than that has no area to cover.
    return round(wrap[0], 6), round(lat, 6), round(wrap[1], 6), round(min(84.0, lat + high), 6)


def places(box: BBox, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes all over a box and along its southern and northern edges."""
    west, south, east, north = box
    width = (east - west) % 360 or 360.0
    random = np.random.default_rng(7)
    across, up = random.uniform(0, 1, (2, count))
    up[: count // 4], up[count // 4 : count // 2] = 0.0, 1 - 1e-9
    lon = west + across * width
    return np.where(lon > 180, lon - 360, lon), south + up * (north - south)


def by_zone(tiles: tuple[Tile, ...]) -> dict[str, list[Tile]]:
    zones: dict[str, list[Tile]] = {}
    for tile in tiles:
        zones.setdefault(tile.id[:3], []).append(tile)
    return zones


def uncovered(box: BBox, tiles: tuple[Tile, ...], count: int = 400) -> int:
    """How many places of a box lie on no tile of the zone that their longitude names, by pyproj alone."""
    lon, lat = places(box, count)
    zone = np.minimum(60, np.floor((lon + 180) / 6).astype(int) + 1)
    missing = 0
    for number in np.unique(zone):
        for north in (True, False):
            here = (zone == number) & ((lat >= 0) == north)
            if not here.any():
                continue
            epsg = (32600 if north else 32700) + int(number)
            x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon[here], lat[here])
            found = np.zeros(x.shape, bool)
            for tile in tiles:
                if tile.geobox.crs == f"EPSG:{epsg}":
                    side = tile.geobox.boundingbox
                    found |= (
                        (x >= side.left - MARGIN_M)
                        & (x <= side.right + MARGIN_M)
                        & (y >= side.bottom - MARGIN_M)
                        & (y <= side.top + MARGIN_M)
                    )
            missing += int(np.count_nonzero(~found))
    return missing


@given(boxes())
@example((11.9, 44.0, 12.0, 44.1))
@example((11.9, 44.0, 12.1, 44.1))
@example((9.0, -0.1, 9.1, 0.1))
@example((179.9, -17.0, -179.9, -16.9))
@example((179.9, -17.0, 180.0, -16.9))
@settings(max_examples=60, deadline=None)
def test_tiles_cover_the_box(box: BBox) -> None:
    tiles = utm_tiles(box, SIZE_PX, RESOLUTION_M)
    assert tiles
    assert uncovered(box, tiles) == 0


def test_a_tall_box_is_covered_along_its_curved_southern_edge() -> None:
    """A parallel bends by kilometres within a zone; straight lines between few points would cut slivers off."""
    for south in np.linspace(30, 31, 40):
        box = (6.0, float(south), 12.0, 70.0)
        lon = np.linspace(6, 11.999, 1500)
        x, y = Transformer.from_crs(4326, 32632, always_xy=True).transform(lon, np.full_like(lon, south))
        have = {tile.id for tile in utm_tiles(box, 8192, RESOLUTION_M)}
        need = {
            f"32N-{int(col):03d}-{int(row):04d}" for col, row in zip(x // 81920, (y + MARGIN_M) // 81920, strict=True)
        }
        assert need <= have


@given(boxes(0.3), st.floats(0.1, 0.9), st.floats(0.1, 0.9))
@settings(max_examples=40, deadline=None)
def test_a_tile_is_the_same_from_every_area_that_contains_it(box: BBox, across: float, up: float) -> None:
    """A box and a part of it: the part's tiles are tiles of the box, pixel for pixel."""
    west, south, east, north = box
    width = (east - west) % 360
    turned = west + across * width
    part = (turned - 360 if turned > 180 else turned, south + up * (north - south), east, north)
    whole = {tile.id: tile for tile in utm_tiles(box, SIZE_PX, RESOLUTION_M)}
    for tile in utm_tiles(part, SIZE_PX, RESOLUTION_M):
        assert tile.geobox == whole[tile.id].geobox
        assert tile.identity() == whole[tile.id].identity()


@given(boxes())
@settings(max_examples=40, deadline=None)
def test_ids_are_unique_sorted_and_say_where_the_tile_lies(box: BBox) -> None:
    tiles = utm_tiles(box, SIZE_PX, RESOLUTION_M)
    ids = [tile.id for tile in tiles]
    assert ids == sorted(set(ids))
    for tile in tiles:
        found = re.fullmatch(r"(\d\d)([NS])-(\d{3,})-(\d{4,})", tile.id)
        assert found is not None
        epsg = (32600 if found[2] == "N" else 32700) + int(found[1])
        col, row = int(found[3]), int(found[4])
        corner = Affine(RESOLUTION_M, 0, col * SIZE_M, 0, -RESOLUTION_M, (row + 1) * SIZE_M)
        assert tile.geobox == GeoBox((SIZE_PX, SIZE_PX), corner, f"EPSG:{epsg}")


@pytest.mark.parametrize(
    ("box", "zones"),
    [
        ((11.9, 44.0, 12.0, 44.1), {"32N"}),
        ((12.0, 44.0, 12.1, 44.1), {"33N"}),
        ((11.9, 44.0, 12.1, 44.1), {"32N", "33N"}),
        ((9.0, -0.1, 9.1, 0.0), {"32S"}),
        ((9.0, 0.0, 9.1, 0.1), {"32N"}),
        ((9.0, -0.1, 9.1, 0.1), {"32N", "32S"}),
        ((179.9, 65.0, -179.9, 65.1), {"60N", "01N"}),
        ((179.9, 65.0, 180.0, 65.1), {"60N"}),
        ((-180.0, 65.0, -179.9, 65.1), {"01N"}),
    ],
)
def test_zone_borders_and_the_equator_cut_exactly(box: BBox, zones: set[str]) -> None:
    """A box that ends on a border has no tile of the zone beyond it."""
    assert set(by_zone(utm_tiles(box, SIZE_PX, RESOLUTION_M))) == zones


def test_rows_start_at_the_equator() -> None:
    rows = {tile.id[-4:] for tile in utm_tiles((9.0, 0.0, 9.05, 0.01), SIZE_PX, RESOLUTION_M)}
    assert rows == {"0000"}


@pytest.mark.parametrize("box", [(10.0, 83.9, 11.0, 84.1), (10.0, -80.1, 11.0, -79.0), (0.0, -90.0, 1.0, 90.0)])
def test_beyond_84_north_and_80_south_is_refused(box: BBox) -> None:
    with pytest.raises(PlanRefusedError, match=r"area\.bbox.*80 S and 84 N"):
        utm_tiles(box, SIZE_PX, RESOLUTION_M)


@pytest.mark.parametrize("box", [(10.0, 83.9, 10.1, 84.0), (10.0, -80.0, 10.1, -79.9)])
def test_up_to_84_north_and_80_south_is_tiled(box: BBox) -> None:
    tiles = utm_tiles(box, SIZE_PX, RESOLUTION_M)
    assert uncovered(box, tiles) == 0


def plain_outline(geobox: GeoBox) -> NDArray[np.float64]:
    """(n, 2) longitudes and latitudes of a tile's edge, from its affine and pyproj."""
    rows, cols = geobox.shape
    along = np.linspace(0, 1, 200)
    edge = np.concatenate(
        [
            np.column_stack(side)
            for side in ((along, 0 * along), (0 * along + 1, along), (along, 0 * along + 1), (0 * along, along))
        ]
    )
    a, _, c, _, e, f = geobox.transform[:6]
    x, y = a * edge[:, 0] * cols + c, e * edge[:, 1] * rows + f
    return np.column_stack(Transformer.from_crs(str(geobox.crs), 4326, always_xy=True).transform(x, y))


def test_lonlat_outline_has_two_parts_at_the_antimeridian() -> None:
    """Every point of the tile's edge is in the outline; no part of it spans the globe."""
    tiles = utm_tiles((179.9, -17.0, -179.9, -16.9), 2048, 10.0)
    split = 0
    for tile in tiles:
        outline = lonlat_outline(tile.geobox)
        parts = list(shapely.get_parts(outline))
        split += len(parts) == 2
        assert all(part.bounds[2] - part.bounds[0] < 1 for part in parts)
        assert outline.bounds[0] >= -180 and outline.bounds[2] <= 180
        near = outline.buffer(1e-5)
        assert shapely.contains_xy(near, plain_outline(tile.geobox)).all()
    assert split, "no tile of this area crosses the antimeridian"


@given(boxes(0.05))
@settings(max_examples=30, deadline=None)
def test_lonlat_outline_and_outline_in_hold_the_tiles_edge(box: BBox) -> None:
    for tile in utm_tiles(box, SIZE_PX, RESOLUTION_M)[:4]:
        points = plain_outline(tile.geobox)
        assert shapely.contains_xy(lonlat_outline(tile.geobox).buffer(1e-5), points).all()
        left, bottom, right, top = outline_in(tile.geobox, "EPSG:3857")
        x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(points[:, 0], points[:, 1])
        if np.ptp(points[:, 0]) < 180:
            assert left - 1 <= x.min() and x.max() <= right + 1
            assert bottom - 1 <= y.min() and y.max() <= top + 1


@given(boxes())
@example((179.9, -17.0, -179.9, -16.9))
@example((179.99, 65.0, 180.0, 65.01))
@example((-180.0, 65.0, -179.99, 65.01))
@settings(max_examples=40, deadline=None)
def test_the_covering_box_holds_the_area_and_every_tile(box: BBox) -> None:
    """Tiles reach beyond the area; what is searched must reach as far, also across the antimeridian."""
    tiles = utm_tiles(box, SIZE_PX, RESOLUTION_M)
    west, south, east, north = covering_box(tiles, box)
    assert -180 <= west <= 180 and -180 <= east <= 180
    width = (east - west) % 360
    corners = [np.array([[box[0], box[1]], [box[2], box[3]]])]
    for lon, lat in (points.T for points in [*corners, *(plain_outline(tile.geobox) for tile in tiles)]):
        across = (lon - west + 1e-5) % 360
        assert (across <= width + 2e-5).all(), f"{lon[across > width + 2e-5]} outside {west}..{east}"
        assert (lat >= south - 1e-5).all() and (lat <= north + 1e-5).all()
    assert width < 3, "a box of degrees must not become the whole globe"


def test_outline_in_its_own_crs_is_its_bounding_box() -> None:
    geobox = GeoBox((100, 200), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")
    assert outline_in(geobox, "EPSG:32633") == (500_000, 4_999_000, 502_000, 5_000_000)


@given(st.floats(-179.9, 179.9), st.floats(-70, 70), st.floats(0.01, 0.6), st.floats(0.01, 0.6))
def test_the_covering_box_holds_every_tile_and_the_area(west: float, south: float, wide: float, high: float) -> None:
    """What is searched covers whole tiles: a tile's inputs do not depend on the area it was chosen by."""
    east = west + wide if west + wide <= 180 else west + wide - 360
    area = (west, south, east, south + high)
    tiles = utm_tiles(area, 1024, 10)
    left, bottom, right, top = covering_box(tiles, area)
    width = (right - left) % 360
    for tile in tiles:
        lon, lat = shapely.get_coordinates(lonlat_outline(tile.geobox)).T
        assert (((lon - left + 1e-9) % 360) <= width + 2e-9).all()
        assert (lat >= bottom).all() and (lat <= top).all()
    assert ((west - left + 1e-9) % 360) <= width and ((east - left + 1e-9) % 360) <= width + 2e-9
