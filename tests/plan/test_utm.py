"""Laws of the UTM grid: an area is covered, tiles do not depend on the area, and UPS goes on where UTM ends."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from affine import Affine
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.config.area import GridConfig
from pipeline.plan.areas import Area, BBox, box_region
from pipeline.plan.tiles import plan_tiles, tile_of
from pipeline.plan.utm import zone_named
from pipeline.types import Tile

SIZE_PX, RESOLUTION_M = 512, 10.0
SIZE_M = SIZE_PX * RESOLUTION_M
MARGIN_M = 1.0
"""An area's curved edge is followed to within this: far below a pixel."""


def planned(box: BBox, tile_px: int = SIZE_PX) -> tuple[Tile, ...]:
    return plan_tiles(Area((box_region(box),)), GridConfig(tile_px=tile_px, resolution_m=RESOLUTION_M))


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
    box = round(wrap[0], 6), round(lat, 6), round(wrap[1], 6), round(min(84.0, lat + high), 6)
    assume(box[0] != box[2])
    return box


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
    tiles = planned(box)
    assert tiles
    assert uncovered(box, tiles) == 0


def test_a_tall_box_is_covered_along_its_curved_southern_edge() -> None:
    """A parallel bends by kilometres within a zone; straight lines between few points would cut slivers off."""
    for south in np.linspace(30, 31, 40):
        box = (6.0, float(south), 12.0, 70.0)
        lon = np.linspace(6, 11.999, 1500)
        x, y = Transformer.from_crs(4326, 32632, always_xy=True).transform(lon, np.full_like(lon, south))
        have = {tile.id for tile in planned(box, 8192)}
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
    whole = {tile.id: tile for tile in planned(box)}
    for tile in planned(part):
        assert tile.geobox == whole[tile.id].geobox
        assert tile.identity() == whole[tile.id].identity()


@given(boxes())
@settings(max_examples=40, deadline=None)
def test_ids_are_unique_sorted_and_say_where_the_tile_lies(box: BBox) -> None:
    tiles = planned(box)
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
    assert set(by_zone(planned(box))) == zones


def test_rows_start_at_the_equator() -> None:
    rows = {tile.id[-4:] for tile in planned((9.0, 0.0, 9.05, 0.01))}
    assert rows == {"0000"}


@pytest.mark.parametrize("box", [(10.0, 83.9, 10.1, 84.0), (10.0, -80.0, 10.1, -79.9)])
def test_up_to_84_north_and_80_south_is_tiled(box: BBox) -> None:
    tiles = planned(box)
    assert uncovered(box, tiles) == 0


@pytest.mark.parametrize(
    ("box", "zone", "epsg"),
    [
        ((-180.0, 84.0, 180.0, 90.0), "00N", 32661),
        ((-180.0, -90.0, 180.0, -80.0), "00S", 32761),
        ((20.0, 84.0, 21.0, 84.2), "00N", 32661),
        ((179.0, -85.0, -179.0, -80.0), "00S", 32761),
        ((30.0, 89.5, 31.0, 90.0), "00N", 32661),
    ],
    ids=["north", "south", "edge", "antimeridian", "wedge"],
)
def test_beyond_84_north_and_80_south_tiles_are_polar(box: BBox, zone: str, epsg: int) -> None:
    """Every place lies on exactly one tile, the poles too; tiles keep clear of the UTM zones."""
    tiles = planned(box, 8192)
    assert {tile.id[:3] for tile in tiles} == {zone}
    lon, lat = places(box, 400)
    lon[-1], lat[-1] = box[0], max(box[1], box[3], key=abs)
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    size = 8192 * RESOLUTION_M
    hits = np.zeros(x.shape, int)
    for tile in tiles:
        side = tile.geobox.boundingbox
        assert tile.geobox.crs == f"EPSG:{epsg}" and (side.left % size, side.top % size) == (0, 0)
        hits += (x >= side.left) & (x < side.right) & (y >= side.bottom) & (y < side.top)
    assert (hits <= 1).all() and (hits == 1).mean() > 0.99
    for here in np.flatnonzero(hits == 0):  # on the area's own edge
        assert min(lat[here] - box[1], box[3] - lat[here]) < 1e-6 or abs(lon[here]) == 180


@pytest.mark.parametrize("latitude", [84.0, -80.0])
def test_an_area_across_the_end_of_utm_has_tiles_of_both(latitude: float) -> None:
    tiles = planned((10.0, latitude - 0.05, 10.2, latitude + 0.05))
    assert set(by_zone(tiles)) == ({"32N", "00N"} if latitude > 0 else {"32S", "00S"})
    assert (
        uncovered(
            (10.0, latitude - 0.05, 10.2, latitude) if latitude > 0 else (10.0, latitude, 10.2, latitude + 0.05), tiles
        )
        == 0
    )


@pytest.mark.parametrize("tile_px", [64, 1024, 10_000])
@pytest.mark.parametrize("resolution_m", [0.5, 10.0, 30.0])
def test_any_tile_size(tile_px: int, resolution_m: float) -> None:
    """An area inside of one tile, as plain arithmetic has it."""
    size = tile_px * resolution_m
    column, row = math.ceil(500_000 / size), math.ceil(4_950_000 / size)
    back = Transformer.from_crs(32633, 4326, always_xy=True)
    west, south = back.transform((column + 0.4) * size, (row + 0.4) * size)
    east, north = back.transform((column + 0.4) * size + 5, (row + 0.4) * size + 5)
    (tile,) = plan_tiles(
        Area((box_region((west, south, east, north)),)), GridConfig(tile_px=tile_px, resolution_m=resolution_m)
    )
    corner = Affine(resolution_m, 0, column * size, 0, -resolution_m, (row + 1) * size)
    assert tile == Tile(f"33N-{column:03d}-{row:04d}", GeoBox((tile_px, tile_px), corner, "EPSG:32633"))


@pytest.mark.parametrize(
    ("tile_id", "text"),
    [
        ("33N-24-0246", "such as 33N-024-0246"),
        ("61N-024-0246", "zones 01 to 60"),
        ("33N-0024-0246", "id is 33N-024-0246"),
        ("33N-001-1700", "outside it"),
        ("33N-024-2000", "outside it"),
        ("00N-010-0010", "outside it"),
        ("33TUL", "such as 33N-024-0246"),
        ("", "such as 33N-024-0246"),
    ],
)
def test_an_id_of_no_tile_is_refused(tile_id: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tile_of(tile_id, GridConfig(tile_px=SIZE_PX))


@pytest.mark.parametrize(
    ("text", "north", "zone"),
    [
        ("23", True, "23N"),
        ("7", False, "07S"),
        ("EPSG:32623", False, "23N"),
        ("32723", True, "23S"),
        ("22VFP,23VLJ", False, "22N"),
        (" 5kqr ", True, "05S"),
    ],
)
def test_a_zone_may_be_named_in_many_ways(text: str, north: bool, zone: str) -> None:
    assert zone_named(text, north=north) == zone


@pytest.mark.parametrize("text", ["", "0", "61", "EPSG:3413", "22N", "22V", "None", "23.5", "EPSG:32661"])
def test_what_names_no_zone_is_refused(text: str) -> None:
    """`22N` too, which may be the north, or the band N."""
    with pytest.raises(ValueError, match="allowed: a UTM zone such as 23"):
        zone_named(text, north=True)
