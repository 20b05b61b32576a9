"""Laws of the frozen item: bands by any of their names, and the local day of the pass."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.canonical import canonical
from pipeline.search.normalise import solar_time, to_item
from pipeline.types import Asset, Item
from tests.search.makers import raw_item, raw_with

ALIASES = {
    "red": ("B04", "B04_10m"),
    "green": ("B03", "B03_10m"),
    "blue": ("B02", "B02_10m"),
    "scl": ("SCL", "SCL_20m"),
}


def item_of(raw: dict[str, Any], source: str = "s") -> Item:
    return to_item(canonical(raw, source)[0], ALIASES)


def load(path: Path, number: int | None = None) -> Item:
    document = json.loads(path.read_text())
    return item_of(document if number is None else document[number])


@pytest.mark.parametrize(
    ("path", "number", "red", "scl"),
    [
        ("s2/e84v1_33TWL_cog/S2B_33TWL_20230820_0_L2A/S2B_33TWL_20230820_0_L2A.json", None, "red", "scl"),
        ("stac/planetary-computer/items_sentinel-2-l2a-pc.json", 0, "B04", "SCL"),
        ("stac/earthsearch_v0_S2A_31NBJ_20190524_0_L2A.json", None, "B04", "SCL"),
        ("stac/odc/S2B_T37MGP_20240710T073012_L2A_C1.json", None, "red", "scl"),
        ("stac/odc/S2B_42TUM_20220107_0_L2A.json", None, "B04", "SCL"),
        ("stac/stactools/s2_S2A_T60CWS_20240109T203651_L2A.json", None, "red", "scl"),
    ],
)
def test_bands_of_real_catalogues_are_found(
    shared_data: Path, path: str, number: int | None, red: str, scl: str
) -> None:
    """By the asset's key or by the band's name in its file, never the preview or the true-colour image."""
    item = load(shared_data / "raster" / path, number)
    assert (item.assets["red"].key, item.assets["scl"].key) == (red, scl)
    assert item.assets["red"].grid is not None and item.assets["red"].grid.transform[0] in {10, 120}


def test_bands_inside_one_file_have_their_numbers(shared_data: Path) -> None:
    """OpenEO writes one file a date, and names its bands in eo:bands."""
    item = load(shared_data / "raster/s2/openeo_10m_3dates/openEO_2023-06-01Z.tif.json")
    assert {band: (asset.key, asset.band) for band, asset in item.assets.items()} == {
        "red": ("openEO_2023-06-01Z.tif", 1),
        "green": ("openEO_2023-06-01Z.tif", 2),
        "blue": ("openEO_2023-06-01Z.tif", 3),
    }


def one_band(**fields: Any) -> dict[str, Any]:
    return {"href": "/data/x.tif", "type": "image/tiff", **fields}


PREVIEW = one_band(**{"eo:bands": [{"name": "B04", "common_name": "red"}, {"name": "B03"}, {"name": "B02"}]})


@given(st.permutations(["overview", "visual", "one", "another"]))
def test_the_order_of_the_assets_decides_nothing(order: list[str]) -> None:
    """Files with fewer bands come before previews, then the better name, then the key."""
    assets = {
        "overview": PREVIEW,
        "visual": PREVIEW,
        "one": one_band(**{"eo:bands": [{"name": "B04", "common_name": "red"}]}),
        "another": one_band(**{"eo:bands": [{"name": "B04_10m"}]}),
    }
    assert item_of(raw_item(assets={key: assets[key] for key in order})).assets["red"].key == "one"
    del assets["one"], assets["another"]
    found = item_of(raw_item(assets={key: assets[key] for key in order if key in assets})).assets
    assert (found["red"].key, found["red"].band, found["green"].band) == ("overview", 1, 2)


def test_an_asset_key_comes_before_a_band_name() -> None:
    named = one_band(bands=[{"name": "red"}])
    assert item_of(raw_item(assets={"a": named, "B04_10m": one_band()})).assets["red"].key == "B04_10m"


@pytest.mark.parametrize(
    "asset",
    [
        one_band(**{"eo:bands": [{"name": "B04"}]}),
        one_band(**{"eo:bands": [{"name": "x", "common_name": "red"}]}),
        one_band(bands=[{"name": "x", "eo:common_name": "red"}]),
        one_band(bands=[{"name": "B04_10m"}]),
    ],
)
def test_a_band_goes_by_its_name_or_its_common_name(asset: dict[str, Any]) -> None:
    assert item_of(raw_item(assets={"any": asset})).assets["red"] == Asset("any", "/data/x.tif")


def test_bands_that_old_items_name_by_their_number_are_found() -> None:
    """Before STAC 0.9 bands stand in the item, `eo:epsg` beside them, and assets hold their numbers."""
    bands = [{"name": "B02", "common_name": "blue"}, {"name": "B04", "common_name": "red"}]
    grid = {"eo:epsg": 32633, "proj:shape": [5, 5], "proj:transform": [10, 0, 300_000, 0, -10, 5_000_000]}
    raw = raw_with({"eo:bands": bands, "eo:platform": "landsat-8", **grid})
    raw["stac_version"] = "0.8.1"
    raw["assets"] = {"one": one_band(**{"eo:bands": [1]}), "two": one_band(**{"eo:bands": [0, 7, -1, "x"]})}
    item = item_of(raw)
    assert {band: (asset.key, asset.band) for band, asset in item.assets.items()} == {
        "red": ("one", 1),
        "blue": ("two", 1),
    }
    assert item.assets["red"].grid is not None and item.assets["red"].grid.crs == "EPSG:32633"
    assert item.properties["platform"] == "landsat-8"


def test_a_band_that_the_item_has_not_is_left_out() -> None:
    assert set(item_of(raw_item()).assets) == {"red"}


@pytest.mark.parametrize(
    "asset",
    [
        {"raster:bands": [{"nodata": 0, "scale": 1e-4, "offset": -0.1}]},
        {"bands": [{"nodata": 0, "raster:scale": 1e-4, "raster:offset": -0.1}]},
        {"nodata": 0, "raster:scale": 1e-4, "raster:offset": -0.1},
        {"nodata": "0", "bands": [{"raster:scale": 1e-4, "raster:offset": -0.1}]},
    ],
)
def test_nodata_scale_and_offset_are_read_wherever_they_stand(asset: dict[str, Any]) -> None:
    red = item_of(raw_with({}, asset)).assets["red"]
    assert (red.nodata, red.scale, red.offset) == (0.0, 1e-4, -0.1)


def test_checksum_size_and_the_items_own_address_are_kept() -> None:
    raw = raw_with({}, {"file:checksum": "1220ab", "file:size": 12})
    raw["links"] = [{"rel": "root", "href": "x"}, {"rel": "self", "href": "https://host/scene-1.json"}]
    item = item_of(raw, "name")
    assert (item.assets["red"].checksum, item.assets["red"].size_bytes) == ("1220ab", 12)
    assert (item.href, item.source, item.key) == ("https://host/scene-1.json", "name", "s2/scene-1")
    assert item.updated == "2024-06-11T00:00:00+00:00"


def square(west: float, east: float) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[[west, 0], [east, 0], [east, 1], [west, 1], [west, 0]]]}


@pytest.mark.parametrize(
    ("utc", "west", "east", "day"),
    [
        # Two granules of one pass over Alaska, a minute before and after midnight UTC: 14 h local on the 10th.
        ("2024-06-10T23:59:30Z", -151, -149, date(2024, 6, 10)),
        ("2024-06-11T00:00:30Z", -151, -149, date(2024, 6, 10)),
        # New Zealand, 22:30 UTC: the next morning.
        ("2024-06-10T22:30:00Z", 170, 172, date(2024, 6, 11)),
        ("2024-06-10T10:00:00Z", 12, 13, date(2024, 6, 10)),
        # Across the antimeridian: the middle is 179.9, not 0.
        ("2024-06-10T22:30:00Z", 179.4, -179.6, date(2024, 6, 11)),
        # The middle is -179.9.
        ("2024-06-10T22:30:00Z", 179.6, -179.4, date(2024, 6, 10)),
    ],
)
def test_the_solar_day_is_the_local_day_of_the_pass(utc: str, west: float, east: float, day: date) -> None:
    assert item_of(raw_item(properties={"datetime": utc}, geometry=square(west, east))).solar_day == day


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2024-06-10T22:59:59.999999Z", date(2024, 6, 10)),
        ("2024-06-10T23:00:00Z", date(2024, 6, 11)),
        ("2024-06-11T22:59:59.999999Z", date(2024, 6, 11)),
        ("2024-06-11T23:00:00Z", date(2024, 6, 12)),
    ],
)
def test_a_solar_day_is_half_open(utc: str, day: date) -> None:
    """At 15 degrees east, midnight is 23:00 UTC to the microsecond."""
    assert item_of(raw_item(properties={"datetime": utc}, geometry=square(14.5, 15.5))).solar_day == day


@given(st.datetimes(datetime(2015, 1, 2), datetime(2030, 1, 1), timezones=st.just(UTC)), st.floats(-179, 179))  # noqa: DTZ001
def test_solar_time_is_fifteen_degrees_an_hour(time: datetime, lon: float) -> None:
    found = solar_time(time, square(lon - 0.5, lon + 0.5))
    assert abs(found - (time + timedelta(hours=lon / 15))) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("west", "east"), [(-179.9, -178.0), (-43.0, -35.0), (0.0, 1.0), (178.0, 179.8), (179.0, -179.5)]
)
def test_a_date_without_a_time_is_that_day_everywhere(west: float, east: float) -> None:
    """STAC 0.7 of USGS says no more; midnight would be the day before, west of Greenwich."""
    raw = raw_item(properties={"datetime": "2015-07-10"}, geometry=square(west, east))
    assert item_of(raw).solar_day == date(2015, 7, 10)
    assert canonical(canonical(raw, "s")[0], "s")[0]["properties"]["datetime"] == "2015-07-10T12:00:00+00:00"


def test_real_items_at_the_antimeridian_have_their_local_day(shared_data: Path) -> None:
    """Sentinel-2 items whose polygon wrongly spans the globe: about noon, not about midnight."""
    for path in sorted((shared_data / "raster/stac/odd").glob("antimeridian_*.json")):
        item = load(path)
        hour = solar_time(item.time, item.geometry).hour
        lons = [lon for lon, *_ in shapely.get_coordinates(shapely.geometry.shape(item.geometry))]
        assert max(lons) - min(lons) > 180
        assert 8 <= hour <= 16, f"{item.id}: {hour} h"
