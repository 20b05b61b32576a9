"""Laws of normalisation: every item of every version and habit becomes one plain item, or is refused by name."""

from __future__ import annotations

import copy
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from pipeline.errors import CatalogError
from pipeline.search.canonical import FACTS, canonical, instant
from pipeline.search.normalise import to_item
from tests.search.makers import SQUARE, Raw, raw_item, raw_with, real_items

REFUSED = {
    # Their footprints are metres of a UTM zone.
    "pctasks_S1A_IW_GRDH_1SDH_20191215T034818_20191215T034847_030353_0378EA_rtc.json",
    "pctasks_S1A_IW_GRDH_1SDV_20191215T003835_20191215T003904_030352_0378DC_rtc.json",
}
UTM33 = {"proj:shape": [480, 360], "proj:transform": [10, 0, 300_000, 0, -10, 5_000_000, 0, 0, 1]}


def grid_of(item: Raw) -> tuple[Any, Any, Any]:
    """What a normalised item says of its one asset's grid."""
    asset = item["assets"]["red"]
    return asset["proj:code"], asset["proj:shape"], asset["proj:transform"]


def test_every_real_item_is_normalised_or_refused_by_name(shared_data: Path) -> None:
    """STAC 0.7 to 1.1 of six catalogues: same fields, usable footprint, known CRS, sound grid; notes name the item."""
    versions, seen = set(), 0
    for name, raw in real_items(shared_data):
        versions.add(str(raw.get("stac_version")))
        if name in REFUSED:
            with pytest.raises(CatalogError, match=rf"item {raw['id']}: neither geometry nor bbox"):
                canonical(raw, "s")
            continue
        item, notes = canonical(raw, "s")
        seen += 1
        assert item["id"] == raw["id"] and item["stac_version"] == "1.1.0"
        footprint = shapely.geometry.shape(item["geometry"])
        assert tuple(item["bbox"]) == footprint.bounds
        assert datetime.fromisoformat(item["properties"]["datetime"]).tzinfo == UTC
        assert all(raw["id"] in note for note in notes)
        for asset in item["assets"].values():
            assert asset["href"] and asset["bands"]
            if asset["proj:shape"]:
                a, b, _, d, e, _ = asset["proj:transform"]
                assert min(asset["proj:shape"]) > 0 and a * e - b * d != 0
                assert CRS.from_user_input(asset["proj:code"])
        assert json.loads(json.dumps(item, allow_nan=False)) == item
    assert {"0.7.0", "0.9.0", "1.0.0-beta.2", "1.0.0", "1.1.0"} <= versions
    assert seen > 170


def test_what_a_real_item_declares_is_what_its_item_holds(shared_data: Path) -> None:
    """Grids, nodata, scale, offset and checksums of real items against their JSON, read here by hand."""
    base = shared_data / "raster" / "stac"
    c1 = json.loads((base / "earth-search/c1_item-collection_10_T13TDE.json").read_text())["features"][0]
    red = to_item(canonical(c1, "s")[0], {"red": ("B04",)}).assets["red"]
    raw = c1["assets"]["red"]
    band = raw["raster:bands"][0]
    assert (red.key, red.href, red.checksum) == ("red", raw["href"], raw["file:checksum"])
    assert (red.nodata, red.scale, red.offset) == (band["nodata"], band["scale"], band["offset"])
    assert red.grid is not None
    assert red.grid.crs == f"EPSG:{c1['properties']['proj:epsg']}" == "EPSG:32613"
    assert (list(red.grid.shape), list(red.grid.transform)) == (raw["proj:shape"], raw["proj:transform"][:6])


@pytest.mark.parametrize(
    "declared",
    [
        raw_with({"proj:epsg": 32633, **UTM33}),
        raw_with({"proj:code": "EPSG:32633", **UTM33}),
        raw_with({"proj:code": "epsg:32633"}, UTM33),
        raw_with(UTM33, {"proj:epsg": 32633}),
        raw_with({}, {"proj:code": "EPSG:32633", **UTM33}),
        raw_with({"proj:epsg": 32632, "proj:shape": [1, 1]}, {"proj:epsg": 32633, **UTM33}),
        raw_with({"proj:code": None, "proj:epsg": 32633}, {**UTM33, "proj:transform": UTM33["proj:transform"][:6]}),
    ],
)
def test_a_grid_is_found_wherever_it_is_declared(declared: Raw) -> None:
    """Code or EPSG number, on the item or on the asset; the asset's own fields win."""
    item, notes = canonical(declared, "s")
    assert grid_of(item) == ("EPSG:32633", [480, 360], [10, 0, 300_000, 0, -10, 5_000_000])
    assert notes == []


@pytest.mark.parametrize("missing", ["proj:epsg", "proj:shape", "proj:transform"])
def test_a_grid_that_is_declared_in_part_is_no_grid(missing: str) -> None:
    fields = {"proj:epsg": 32633, **UTM33}
    del fields[missing]
    item, notes = canonical(raw_with({}, fields), "s")
    assert grid_of(item) == (None, None, None)
    assert notes == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("proj:shape", [0, 10]),
        ("proj:shape", [-5, 10]),
        ("proj:shape", [10**9, 10]),
        ("proj:shape", [10]),
        ("proj:shape", [math.inf, 10]),
        ("proj:shape", [math.nan, 10]),
        ("proj:shape", "large"),
        ("proj:shape", 7),
        ("proj:transform", [0, 0, 5, 0, 0, 5]),
        ("proj:transform", [math.nan, 0, 5, 0, -10, 5]),
        ("proj:transform", [10, 0, math.inf, 0, -10, 5]),
        ("proj:transform", [10, 0, 5]),
        ("proj:transform", ["ten", 0, 5, 0, -10, 5]),
        ("proj:transform", {"a": 10}),
        ("proj:epsg", 999_999),
        ("proj:epsg", "thirty-three"),
    ],
)
def test_an_absurd_grid_is_ignored_with_a_note(field: str, value: object) -> None:
    """The item stays, its pixels are placed by the file's own header, and the note says what was found."""
    item, notes = canonical(raw_with({}, {"proj:epsg": 32633, **UTM33, field: value}), "s")
    assert grid_of(item) == (None, None, None)
    assert len(notes) == 1
    assert notes[0].startswith("item scene-1, asset red: declared grid ignored: ")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (raw_item(id=None), "without an id"),
        (raw_item(properties={}), "scene-1: no usable time"),
        (raw_item(properties={"datetime": "yesterday"}), "scene-1: no usable time: datetime is 'yesterday'"),
        (raw_item(properties=[1]), "scene-1: malformed"),
        (raw_item(assets=3), "scene-1: malformed"),
        (raw_item(links=["x"]), "scene-1: malformed"),
        (raw_item(geometry=None, bbox=None), "scene-1: neither geometry nor bbox"),
        (raw_item(geometry={"type": "Polygon", "coordinates": []}, bbox=[1, 2]), "scene-1: neither"),
        (raw_item(geometry={"type": "Round", "coordinates": [[1, 2]]}, bbox=["a"] * 4), "scene-1: neither"),
        (raw_item(geometry={"type": "Point", "coordinates": [5e5, 4e6]}, bbox=None), "scene-1: neither"),
    ],
)
def test_what_cannot_be_placed_in_space_and_time_is_refused_by_name(raw: Raw, said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        canonical(raw, "s")


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "Polygon", "coordinates": [[[12, 45], [13, 46]]]},
        {"type": "Polygon", "coordinates": [[[[12, 45], [13, 45], [13, 46], [12, 45]]]]},
        {"type": None, "coordinates": [[12, 45]]},
        {"type": "Polygon", "coordinates": [[["x", 45], [13, 45], [13, 46], ["x", 45]]]},
    ],
)
def test_a_broken_geometry_is_replaced_by_the_bbox_with_a_note(broken: Raw) -> None:
    item, notes = canonical(raw_item(geometry=broken), "s")
    assert shapely.geometry.shape(item["geometry"]).equals(shapely.box(12, 45, 13, 46))
    assert notes == ["item scene-1: geometry ignored, it is no GeoJSON footprint; its bbox is used"]


@pytest.mark.parametrize("bbox", [[12, 45, 13, 46], [12, 45, 0, 13, 46, 900]])
def test_without_a_geometry_the_bbox_is_the_footprint(bbox: list[float]) -> None:
    item, notes = canonical(raw_item(geometry=None, bbox=bbox), "s")
    assert shapely.geometry.shape(item["geometry"]).equals(shapely.geometry.shape(SQUARE)) and notes == []


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 10**30, math.inf, math.nan, "", "x", [], {}, [None], [[]], {"a": 1}, [[1, 2]], "2024-13-01"]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inside for place in places(one, (*path, key)))]


@given(st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_wrong_inside_an_item_costs_that_item_only(shared_data: Path, data: st.DataObject) -> None:
    """One value of a real item replaced by junk: a sound item or a CatalogError, never another error."""
    path = shared_data / "raster/s2/e84v1_33TWL_cog/S2B_33TWL_20230820_0_L2A/S2B_33TWL_20230820_0_L2A.json"
    broken = copy.deepcopy(json.loads(path.read_text()))
    *parents, last = data.draw(st.sampled_from(places(broken)[1:]))
    holder = broken
    for key in parents:
        holder = holder[key]
    holder[last] = data.draw(JUNK)
    try:
        item, _ = canonical(broken, "s")
    except CatalogError:
        return
    found = to_item(item, {"red": ("B04",), "scl": ("SCL",)})
    assert not shapely.geometry.shape(found.geometry).is_empty
    assert all(CRS.from_user_input(asset.grid.crs) for asset in found.assets.values() if asset.grid)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-06-10T10:00:00Z", datetime(2024, 6, 10, 10, tzinfo=UTC)),
        ("2024-06-10T10:00:00.123456789Z", datetime(2024, 6, 10, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2024-06-10T12:00:00+02:00", datetime(2024, 6, 10, 10, tzinfo=UTC)),
        ("2024-06-10T10:00:00", datetime(2024, 6, 10, 10, tzinfo=UTC)),
        ("0001-01-01T00:00:00+05:00", None),
        ("", None),
        (None, None),
        (5.5, None),
    ],
)
def test_an_instant_is_utc_or_nothing(text: object, expected: datetime | None) -> None:
    assert instant(text) == expected


def test_facts_keep_what_products_decide_by() -> None:
    item, _ = canonical(raw_with({"s2:processing_baseline": "05.10", "eo:cloud_cover": 3, "title": "x"}), "s")
    assert json.loads(item["properties"][FACTS]) == {"s2:processing_baseline": "05.10", "eo:cloud_cover": 3}


@pytest.mark.parametrize(
    ("href", "kept"),
    [
        ("https://h/a.tif?st=2024&se=2025&sp=rl&sv=2&sr=c&sig=SECRET%3D", "https://h/a.tif"),
        ("https://h/a.tif?X-Amz-Signature=SECRET&X-Amz-Date=1&version=3", "https://h/a.tif?version=3"),
        ("https://h/a.tif?version=3", "https://h/a.tif?version=3"),
        ("/data/red.tif", "/data/red.tif"),
    ],
)
def test_signatures_of_items_saved_signed_are_dropped(href: str, kept: str) -> None:
    item, _ = canonical(raw_with({}, {"href": href}), "s")
    assert item["assets"]["red"]["href"] == kept


def test_pictures_are_no_measurements() -> None:
    raw = raw_item()
    raw["assets"]["visual"] = {"href": "/v.tif", "roles": ["visual"], "eo:bands": [{"name": "red"}]}
    assert set(canonical(raw, "s")[0]["assets"]) == {"red"}


@pytest.mark.parametrize(("epsg", "told"), [(32633, False), (32632, True), (32733, True), (4326, True)])
def test_a_grid_far_from_the_footprint_is_ignored_with_a_note(epsg: int, told: bool) -> None:
    """The neighbouring zone's code, the other hemisphere's, metres taken for degrees: the file's header knows."""
    item, notes = canonical(raw_with({}, {"proj:epsg": epsg, **UTM33}), "s")
    assert bool(notes) is told
    assert (grid_of(item)[0] is None) is told


def test_a_crs_told_as_wkt_is_the_one_of_its_code() -> None:
    """Whoever compares two CRSs by their text finds them equal."""
    for wkt in (CRS.from_epsg(32633).to_wkt(), CRS.from_epsg(32633).to_wkt("WKT1_GDAL")):
        item, _ = canonical(raw_with({"proj:wkt2": wkt, **UTM33}), "s")
        assert grid_of(item)[0] == "EPSG:32633"


def test_a_fact_that_is_no_number_is_none() -> None:
    """Tables hold NaN where an item says nothing; JSON has no such number, and nor have documents made of it."""
    raw = raw_with({"eo:cloud_cover": math.nan, "s2:snow_ice_percentage": math.inf, "s2:odd": {"deep": [math.nan]}})
    item, _ = canonical(raw, "s")
    facts = json.loads(item["properties"][FACTS])
    assert "eo:cloud_cover" not in facts and "s2:snow_ice_percentage" not in facts
    assert facts["s2:odd"] == {"deep": [None]}


def test_an_item_is_linked_without_its_signature() -> None:
    """The link stands in what is published; nobody reads by it."""
    raw = {**raw_item(), "links": [{"rel": "self", "href": "https://a.example/i.json?v=1&sig=secret"}]}
    item, _ = canonical(raw, "s")
    assert item["links"][0]["href"] == "https://a.example/i.json?v=1"
