"""Laws of areas from files: what is asked is read, whatever its CRS; what cannot be is refused by name."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import Transformer

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.errors import ConfigError
from pipeline.plan.areas import Area
from pipeline.plan.tiles import plan_tiles
from pipeline.search.area import read_area

UTM = GridConfig()
NAMES = ["Nakuru", "Kisumu", "São Tomé", "Kisumu", None]


def write(path: Path, shapes: list[Any], crs: str | None = "EPSG:4326", **columns: list[Any]) -> str:
    """A vector file by pyogrio, its format by its name."""
    fields = columns or {"name": [f"r{number}" for number in range(len(shapes))]}
    wkb = np.array([None if shape is None else shapely.to_wkb(shape) for shape in shapes], dtype=object)
    values = [np.array(column, dtype=object if None in column else None) for column in fields.values()]
    kind = "Unknown" if len({shape.geom_type for shape in shapes if shape}) != 1 else shapes[0].geom_type
    pyogrio.raw.write(path, wkb, values, list(fields), geometry_type=kind, crs=crs)
    return str(path)


@pytest.fixture
def kenya(tmp_path: Path) -> str:
    """Five boxes of a degree in a row."""
    boxes = [shapely.box(35 + number, 0, 36 + number, 1) for number in range(5)]
    return write(tmp_path / "kenya.gpkg", boxes, name=NAMES, rank=[1, 2, 3, 4, 5])


def read(grid: GridConfig = UTM, **config: Any) -> Area:
    return read_area(AreaConfig(**config), grid)


def refused(**config: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        read(**config)
    return str(raised.value)


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        ({}, ["Nakuru", "Kisumu-row-0001", "Sao-Tome", "Kisumu-row-0003", "row-0004"]),
        ({"select": {"name": ("Nakuru", "Kisumu")}}, ["Nakuru", "Kisumu-row-0001", "Kisumu-row-0003"]),
        ({"select": {"name": ("Kisumu",), "rank": (4,)}}, ["Kisumu-row-0003"]),
        ({"select": {"rank": (2.0,)}}, ["Kisumu-row-0001"]),
        ({"index": "0:2"}, ["Nakuru", "Kisumu-row-0001"]),
        ({"index": "3:"}, ["Kisumu-row-0003", "row-0004"]),
        ({"index": ":1"}, ["Nakuru"]),
        ({"index": "2:5", "select": {"name": ("Kisumu",)}}, ["Kisumu-row-0003"]),
        ({"id": "rank", "index": "1:3"}, ["2", "3"]),
    ],
)
def test_regions_are_chosen_by_attribute_and_row_and_keep_their_ids(kenya: str, config: Any, ids: list[str]) -> None:
    """An id is the same whatever else is chosen: twins carry their row even when they come alone."""
    assert [region.id for region in read(vector=kenya, **config).regions] == ids


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp", "fgb"])
@pytest.mark.parametrize("epsg", [4326, 32736, 3857, 6933])
def test_every_format_and_crs_gives_the_same_place(tmp_path: Path, suffix: str, epsg: int) -> None:
    there = Transformer.from_crs(4326, epsg, always_xy=True)
    ring = shapely.segmentize(shapely.box(36, -1, 36.5, -0.5), 0.01)
    shape = shapely.transform(ring, lambda xy: np.column_stack(there.transform(*xy.T)))
    (region,) = read(vector=write(tmp_path / f"a.{suffix}", [shape], f"EPSG:{epsg}")).regions
    assert region.id == "r0"
    assert region.geometry.symmetric_difference(ring).area < 1e-7


def test_a_crs_of_its_own_is_read(tmp_path: Path) -> None:
    """A shapefile's WKT without any code."""
    proj = "+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84"
    path = write(tmp_path / "a.shp", [shapely.box(-1000, -1000, 1000, 1000)], proj)
    (region,) = read(vector=path).regions
    assert region.geometry.centroid.distance(shapely.Point(20, 10)) < 1e-4


@pytest.mark.parametrize("index", ["0:23", "169:192"])
def test_greenland_by_index(shared_data: Path, index: str) -> None:
    path = shared_data / "raster" / "vectors" / "greenland_glaciers_roi_proj_v3_300m.gpkg"
    _, table = pyogrio.read_arrow(path, columns=["region"])
    first, last = (int(value) for value in index.split(":"))
    found = read(vector=str(path), index=index).regions
    assert [region.id for region in found] == table["region"].to_pylist()[first:last]


@pytest.mark.parametrize("name", ["134_Arsuk", "001_alison"])
def test_greenland_by_name_is_where_the_same_box_in_degrees_is(shared_data: Path, name: str) -> None:
    folder = shared_data / "raster" / "vectors"
    (polar,) = read(vector=str(folder / "greenland_glaciers_roi_proj_v3_300m.gpkg"), select={"region": (name,)}).regions
    (degrees,) = read(vector=str(folder / "greenland_glaciers_192_wgs84.geojson"), select={"region": (name,)}).regions
    assert polar.id == degrees.id == name
    union = polar.geometry.union(degrees.geometry).area
    assert polar.geometry.intersection(degrees.geometry).area / union > 0.99


def test_all_real_files_become_valid_regions(shared_data: Path) -> None:
    folder = shared_data / "raster" / "vectors"
    paths = [*folder.glob("*.g*"), *folder.glob("ocean/*"), *folder.glob("shp/*.shp")]
    assert len(paths) > 15
    for path in paths:
        area = read(vector=str(path))
        assert len({region.id.casefold() for region in area.regions}) == len(area.regions)
        for region in area.regions:
            west, south, east, north = region.geometry.bounds
            assert region.geometry.is_valid and region.geometry.area > 0, (path, region.id)
            assert -180 <= west < east <= 180 and -90 <= south < north <= 90


def test_a_bow_tie_is_repaired_and_z_is_dropped(tmp_path: Path) -> None:
    bow = shapely.force_3d(shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]), 7)
    (region,) = read(vector=write(tmp_path / "a.geojson", [bow])).regions
    assert region.geometry.is_valid and not region.geometry.has_z
    assert region.geometry.area == pytest.approx(2)


def test_a_shape_beyond_180_is_cut_there(tmp_path: Path) -> None:
    (region,) = read(vector=write(tmp_path / "a.gpkg", [shapely.box(178, -18, 182, -16)])).regions
    assert sorted(part.bounds for part in shapely.get_parts(region.geometry)) == [
        (-180, -18, -178, -16),
        (178, -18, 180, -16),
    ]


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (shapely.Point(1, 1), "row 1 (bad): found Point; allowed: polygons"),
        (shapely.LineString([(0, 0), (1, 1)]), "row 1 (bad): found LineString; allowed: polygons"),
        (None, "row 1 (bad): found no shape; allowed: polygons"),
        (shapely.Polygon(), "row 1 (bad): found a shape without area"),
        (shapely.Polygon([(0, 0), (1, 1), (2, 2)]), "row 1 (bad): found a shape without area"),
        (
            shapely.box(0, 80, 1, 95),
            "row 1 (bad): does not lie on the earth: latitudes 80..95; is it really EPSG",
        ),
        (shapely.box(3e5, 4e6, 4e5, 5e6), "row 1 (bad): does not lie on the earth"),
    ],
    ids=["point", "line", "none", "empty", "flat", "beyond the pole", "metres as degrees"],
)
def test_a_feature_that_is_no_area_is_refused_by_name(tmp_path: Path, shape: Any, text: str) -> None:
    path = write(tmp_path / "a.gpkg", [shapely.box(0, 0, 1, 1), shape], name=["good", "bad"])
    assert text in refused(vector=path)
    assert [region.id for region in read(vector=path, select={"name": ("good",)}).regions] == ["good"]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"select": {"nam": ("x",)}},
            "area.select.nam: {}: found no such attribute (did you mean name?); allowed: name, ",
        ),
        (
            {"select": {"name": ("Nakru",)}},
            "area.select.name: {}: no feature has the value 'Nakru' (did you mean Nakuru",
        ),
        ({"select": {"rank": ("1",)}}, "area.select.rank: {}: no feature has the value '1' (did you mean 1?)"),
        ({"select": {"rank": (1,), "name": ("Kisumu",)}}, "no feature has all of what is asked"),
        ({"index": "0:6"}, "area.index: {}: found 0:6, but the file has 5 rows, from 0"),
        ({"index": "5:"}, "area.index: {}: found 5:, but the file has 5 rows"),
        ({"id": "code"}, "area.id: {}: found no attribute code; allowed: name, rank"),
        ({"layer": "roads"}, "area.layer: {}: found roads; allowed: a layer of the file, of kenya"),
    ],
)
def test_what_the_file_does_not_have_is_named(kenya: str, config: Any, text: str) -> None:
    assert text.format(kenya) in refused(vector=kenya, **config)


def test_a_file_of_several_layers_needs_a_choice(kenya: str) -> None:
    pyogrio.raw.write(
        kenya, np.array([shapely.to_wkb(shapely.box(1, 1, 2, 2))]), [], [], layer="lakes", geometry_type="Polygon",
        crs="EPSG:4326", append=False,
    )  # fmt: skip
    assert "found no layer; allowed: a layer of the file, of kenya, lakes" in refused(vector=kenya)
    assert [region.id for region in read(vector=kenya, layer="lakes").regions] == ["row-0000"]


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    missing, text, table = tmp_path / "no.gpkg", tmp_path / "text.geojson", tmp_path / "t.gpkg"
    text.write_text("{nothing")
    sqlite3.connect(table).close()
    assert "there is no such file" in refused(vector=str(missing))
    assert f"area.vector: {text}: " in refused(vector=str(text))
    assert f"area.vector: {table}: " in refused(vector=str(table))


def test_without_a_crs_a_file_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.shp", [shapely.box(0, 0, 1, 1)]))
    path.with_suffix(".prj").unlink()
    assert "found no CRS; save it with one" in refused(vector=str(path))


CSV_GRIDS = {
    "utm": (UTM, ["33N-024-0246", "33N-025-0246"]),
    "mgrs": (GridConfig(kind="mgrs"), ["33TUL", "37MBU"]),
    "geobox": (GridConfig(kind="geobox", crs="EPSG:3413", origin=(0.0, 0.0)), ["c0003-r-012", "c-001-r0000"]),
}


@pytest.mark.parametrize("kind", CSV_GRIDS)
def test_a_tile_list_gives_its_tiles(tmp_path: Path, kind: str) -> None:
    """Twins are merged, other columns and a byte order mark do not matter."""
    grid, ids = CSV_GRIDS[kind]
    path = tmp_path / "tiles.csv"
    rows = "".join(f'"a, b",{tile_id}\r\n' for tile_id in [*ids, ids[0]])
    path.write_text(f"\ufeffnote,tile\r\n{rows}", encoding="utf-8")
    area = read(grid, tiles=str(path))
    assert area.tiles == tuple(ids)
    assert [tile.id for tile in plan_tiles(area, grid)] == sorted(ids)


def test_every_line_that_is_no_tile_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tiles.csv"
    path.write_text("tile\n33N-024-0246\nnonsense\n33TUL\n")
    first, second = refused(tiles=str(path)).splitlines()
    assert first.startswith(f"{path}:3: found 'nonsense'; allowed: ") and first.endswith("(grid.kind utm)")
    assert second.startswith(f"{path}:4: found '33TUL'; allowed: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"id\n33N-024-0246\n", ":1: found the columns id; allowed: a column `tile`"),
        (b"", ":1: found the columns none"),
        (b"tile\n", ": found no tile"),
        (b"tile\n\xff\xfe\n", "no CSV file in UTF-8"),
    ],
)
def test_a_file_that_is_no_tile_list_is_refused(tmp_path: Path, text: bytes, expected: str) -> None:
    path = tmp_path / "tiles.csv"
    path.write_bytes(text)
    assert expected in refused(tiles=str(path))
    assert "cannot be read" in refused(tiles=str(tmp_path / "none.csv"))


def test_sentinel_2_tiles_are_the_grid_or_the_ground_they_cover() -> None:
    mgrs, parts = GridConfig(kind="mgrs"), GridConfig(kind="mgrs", tile_px=5490)
    assert read(mgrs, mgrs=("33TWL", "1WCQ")).tiles == ("33TWL", "01WCQ")
    assert read(parts, mgrs=("33TWL",)).tiles == ("33TWL-0-0", "33TWL-0-1", "33TWL-1-0", "33TWL-1-1")
    tiles = plan_tiles(read(mgrs=("33TWL",)), GridConfig(tile_px=1824))
    corners = {(tile.geobox.boundingbox.left // 18_240, tile.geobox.boundingbox.bottom // 18_240) for tile in tiles}
    assert corners == {
        (column, row)
        for column in range(499_980 // 18_240, -(-609_780 // 18_240))
        for row in range(4_990_200 // 18_240, -(-5_100_000 // 18_240))
    }
    (region,) = plan_tiles(read(mgrs=("33TWL",)), GridConfig(kind="region"))
    assert region.geobox == plan_tiles(read(mgrs, mgrs=("33TWL",)), mgrs)[0].geobox


def test_a_sentinel_2_tile_that_is_none_is_refused() -> None:
    assert "found 33TAL; allowed: a tile of the Sentinel-2 grid" in refused(mgrs=("33TWL", "33TAL"))


def test_no_area_is_nothing() -> None:
    assert read_area(None, UTM) == Area()


def test_a_box_is_a_region() -> None:
    (region,) = read(bbox=(10.0, 44.0, 11.0, 45.0)).regions
    assert region.geometry.equals(shapely.box(10, 44, 11, 45))


def test_attributes_of_any_type_name_regions(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    shape = shapely.geometry.mapping(shapely.box(0, 0, 1, 1))
    rows = [{"type": "Feature", "properties": {"when": "2024-01-01", "id": row}, "geometry": shape} for row in (7, 8)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": rows}))
    assert [region.id for region in read(vector=str(path)).regions] == ["7", "8"]
    twins = ["2024-01-01-row-0000", "2024-01-01-row-0001"]
    assert [region.id for region in read(vector=str(path), id="when").regions] == twins


def test_names_that_look_like_numbered_ones_stay_apart(tmp_path: Path) -> None:
    """Two regions of one id would be one tile: the other would be lost without a word."""
    boxes = [shapely.box(35 + number, 0, 36 + number, 1) for number in range(4)]
    path = write(tmp_path / "odd.gpkg", boxes, name=["A", "a", "A-row-0001", "row-0001"])
    ids = [region.id.casefold() for region in read(vector=path).regions]
    assert len(set(ids)) == 4
