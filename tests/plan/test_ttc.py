"""Laws of the tree-cover tiles: the shipped rule gives the tiles in use, and one place has one tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.errors import ConfigError
from pipeline.plan.areas import Area, box_region
from pipeline.plan.tiles import plan_tiles, tile_of
from pipeline.plan.ttc import cells_at, centres_of, place_tile, ttc_numbers
from pipeline.search.area import read_area

GRID = GridConfig(kind="ttc")
COARSE = GridConfig(kind="ttc", resolution_m=60)


@pytest.fixture(scope="module")
def table(shared_data: Path) -> dict[str, NDArray[np.float64]]:
    path = shared_data / "raster/vectors/ttc_tiledb.parquet"
    if not path.exists():
        pytest.skip(f"needs {path}")
    rows = pq.read_table(path)
    return {name: rows[name].to_numpy() for name in rows.column_names}


def edges_by_hand(lon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Western edge of the step that a centre lies in, without the project's code."""
    step = 128.9 / 2320
    return np.where(lon < 51.1, np.floor(lon * 18) / 18, 51.1 + np.floor((lon - 51.1) / step) * step)


def test_every_tile_in_use_is_one_of_the_rule(table: dict[str, NDArray[np.float64]]) -> None:
    """All 2,943,795 rows: a centre is the rule's to four decimals, and no two rows are one tile."""
    lon, lat = table["X"], table["Y"]
    assert len(lon) == 2_943_795
    column, row = cells_at(lon, lat)
    x, y = centres_of(column, row)
    assert np.abs(x - lon).max() <= 5e-5 and np.abs(y - lat).max() <= 5e-5
    key = np.sort(column * 10_000 + row)
    assert (np.diff(key) > 0).all()
    west = edges_by_hand(lon)
    step = np.where(lon < 51.1, 1 / 18, 128.9 / 2320)
    assert np.abs(west + step / 2 - x).max() < 1e-9
    assert np.abs((np.floor(lat * 18) + 0.5) / 18 - y).max() < 1e-9


def test_tiles_are_the_boxes_around_the_tables_centres(table: dict[str, NDArray[np.float64]]) -> None:
    """Centre +/- 10/360 degrees, 618 pixels a side, in EPSG:4326; rounding moves a box by up to 5e-5 degrees."""
    some = np.random.default_rng(5).choice(len(table["X"]), 300, replace=False)
    for number in some.tolist():
        lon, lat = float(table["X"][number]), float(table["Y"][number])
        tile_id = f"{int(table['X_tile'][number])}X{int(table['Y_tile'][number])}Y"
        tile = place_tile(tile_id, lon, lat, GRID)
        box = tile.geobox.boundingbox
        assert (tile.id, str(tile.geobox.crs), tile.geobox.shape.yx) == (tile_id, "EPSG:4326", (618, 618))
        expected = (lon - 10 / 360, lat - 10 / 360, lon + 10 / 360, lat + 10 / 360)
        assert np.allclose(box.bbox, expected, rtol=0, atol=5e-5)


def test_the_tables_numbers_are_not_the_rules(table: dict[str, NDArray[np.float64]]) -> None:
    """Why a table is needed: in each half the offset between number and step changes; and none is one of ours."""
    column, row = cells_at(table["X"], table["Y"])
    assert len(np.unique(column - table["X_tile"])) > 20 and len(np.unique(row - table["Y_tile"])) > 5
    assert table["X_tile"].max() < 10_000 and table["Y_tile"].max() < 10_000


@given(st.floats(-180, 179.99), st.floats(-89.9, 89.9))
@settings(max_examples=60, deadline=None)
def test_every_place_is_on_a_tile_that_knows_its_own_id(lon: float, lat: float) -> None:
    wide = 1e-5
    tiles = plan_tiles(Area((box_region((lon, lat, min(lon + wide, 180.0), lat + wide)),)), GRID)
    holding = []
    for tile in tiles:
        assert tile_of(tile.id, GRID) == tile
        box = tile.geobox.boundingbox
        x, y = lon + wide / 2, lat + wide / 2
        holding.append(box.left - 3e-6 <= x <= box.right + 3e-6 and box.bottom - 1e-9 <= y <= box.top + 1e-9)
    assert any(holding) and len(tiles) <= 4


def test_neighbours_share_their_edge_and_their_lattice_of_pixels() -> None:
    """West of 51.1 E and everywhere from south to north; at 71 N and across the equator as well."""
    for lat in (71.0, 0.0, -40.0):
        tiles = plan_tiles(Area((box_region((11.01, lat - 0.06, 11.2, lat + 0.06)),)), GRID)
        lefts = sorted({tile.geobox.boundingbox.left for tile in tiles})
        tops = sorted({tile.geobox.boundingbox.top for tile in tiles})
        assert len(tiles) == len(lefts) * len(tops) and len(lefts) == 4
        assert np.allclose(np.array(lefts) * 18, np.round(np.array(lefts) * 18), rtol=0, atol=1e-9)
        assert np.allclose(np.diff(tops), 618 / 11_124, rtol=0, atol=1e-12)


def test_the_antimeridian_is_an_edge_of_tiles() -> None:
    tiles = plan_tiles(Area((box_region((179.99, -17.01, -179.99, -17.0)),)), GRID)
    east, west = sorted(tiles, key=lambda tile: -tile.geobox.boundingbox.left)
    assert abs(east.geobox.boundingbox.right - 180) < 3e-6 and west.geobox.boundingbox.left == -180


def test_a_coarser_grid_is_the_same_tiles() -> None:
    one, other = tile_of("13762X11584Y", GRID), tile_of("13762X11584Y", COARSE)
    assert other.geobox.shape.yx == (103, 103)
    assert np.allclose(one.geobox.boundingbox.bbox, other.geobox.boundingbox.bbox, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="10, 20, 30, 60"):
        GridConfig(kind="ttc", resolution_m=7.0)


@pytest.mark.parametrize("text", ["", "1035X727", "1035x727Y", "01X1Y", "1.0X1Y", "-0X1Y", "1X2Y3", "1234567X1Y"])
def test_what_is_no_id_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="1035X727Y"):
        ttc_numbers(text)


@pytest.mark.parametrize(("text", "numbers"), [("1035X727Y", (1035, 727)), ("-3X0Y", (-3, 0)), ("0X-12Y", (0, -12))])
def test_numbers_may_be_below_zero(text: str, numbers: tuple[int, int]) -> None:
    assert ttc_numbers(text) == numbers


def test_a_tables_number_alone_has_no_place() -> None:
    with pytest.raises(ValueError, match="groundswell request --tiles"):
        tile_of("1035X727Y", GRID)
    with pytest.raises(ValueError, match=r"the nearest one is 6\.5278, 0\.3056"):
        place_tile("1035X727Y", 6.53, 0.3, GRID)


CSV = "Year,X,Y,Y_tile,X_tile\n2021,6.5278,0.3056,727,1035\n2022,6.5278,0.3056,727,1035\n2021,-0.0278,0.0278,-5,-3\n"


def test_a_csv_of_centres_is_an_area_with_years(tmp_path: Path) -> None:
    """The numbers are the table's, the pixels the rule's, and a tile is asked for in its own years only."""
    path = tmp_path / "tiles.csv"
    path.write_text(CSV)
    area = read_area(AreaConfig(tiles=str(path)), GRID)
    assert area.years == {"1035X727Y": frozenset({2021, 2022}), "-3X-5Y": frozenset({2021})}
    tiles = {tile.id: tile.geobox for tile in plan_tiles(area, GRID)}
    pixel = 1 / 11_124
    assert tiles["1035X727Y"].transform[:6] == pytest.approx((pixel, 0, 117 / 18, 0, -pixel, 6 / 18), abs=1e-15)
    assert isinstance(tiles["-3X-5Y"], GeoBox) and tiles["-3X-5Y"].boundingbox.right == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2021,6.53,0.3056,727,1035", "the nearest one is 6.5278"),
        ("2021,6.5278,0.3056,727,1.5", "whole ones"),
        ("2021,x,0.3056,727,1035", "allowed: numbers"),
        ("2021,nan,0.3056,727,1035", "allowed: a centre"),
        ("2021,6.5278,inf,727,1035", "allowed: a centre"),
        ("2021,1e300,0.3056,727,1035", "allowed: a centre"),
        ("21,6.5278,0.3056,727,1035", "Year '21' is none"),
        ("2021,6.5833,0.3056,727,1035", "one centre for every tile"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "tiles.csv"
    path.write_text(f"{CSV}{line}\n")
    with pytest.raises(ConfigError, match=said) as raised:
        read_area(AreaConfig(tiles=str(path)), GRID)
    assert f"{path}:5: found" in str(raised.value)


def test_other_grids_do_not_take_centres(tmp_path: Path) -> None:
    path = tmp_path / "tiles.csv"
    path.write_text(CSV)
    with pytest.raises(ConfigError, match=r"grid\.kind ttc"):
        read_area(AreaConfig(tiles=str(path)), GridConfig())


def test_ids_of_any_grid_may_have_years(tmp_path: Path) -> None:
    path = tmp_path / "tiles.csv"
    path.write_text("tile,Year\n33N-024-0246,2021\n33N-024-0247,2020\n33N-024-0246,2019\n")
    area = read_area(AreaConfig(tiles=str(path)), GridConfig())
    assert area.years == {"33N-024-0246": frozenset({2019, 2021}), "33N-024-0247": frozenset({2020})}
    assert [tile.id for tile in plan_tiles(area, GridConfig())] == ["33N-024-0246", "33N-024-0247"]
