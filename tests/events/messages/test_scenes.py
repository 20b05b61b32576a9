"""New scenes as public topics and catalogues tell of them, from real messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyproj import Transformer
from shapely import get_parts
from shapely.geometry import Point, shape

from pipeline.events.event import SceneEvent
from pipeline.events.messages.envelopes import MessageError, read_message
from pipeline.events.messages.scenes import (
    LANDSAT_L1,
    LANDSAT_L2,
    NAMES,
    SENTINEL1_GRD,
    SENTINEL2_L1C,
    SENTINEL2_L2A,
    collections_of,
)

ITEM: dict[str, Any] = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "scene",
    "collection": "mine",
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
    "bbox": [0, 0, 1, 1],
    "properties": {"datetime": "2024-05-06T07:08:09.5Z", "updated": "2024-05-07T00:00:00Z"},
}


def scene(document: object) -> SceneEvent:
    (event,) = read_message(json.dumps(document).encode(), via="sqs").events
    assert isinstance(event, SceneEvent)
    return event


def read(path: Path) -> SceneEvent:
    return scene(json.loads(path.read_bytes()))


def test_the_topic_of_new_sentinel_2_products(shared_data: Path) -> None:
    event = read(shared_data / "raster/events/s2_l1c_new_scene/lambda_event_sns_NewSentinel2Product_20190115.json")
    assert event.collection == SENTINEL2_L1C
    assert event.id == "S2A_MSIL1C_20190115T145721_N0207_R039_T19MBP_20190115T164135"
    assert event.time == datetime(2019, 1, 15, 14, 57, 21, 24_000, UTC)
    assert event.updated == "20190115T164135"
    middle = Transformer.from_crs(32719, 4326, always_xy=True).transform(254_900, 9_345_100)
    assert shape(event.geometry).centroid.distance(Point(middle)) < 0.01
    assert (event.removed, event.item) == (False, None)


def test_an_old_product_of_several_tiles_touches_all_of_them() -> None:
    tiles = [
        {"utmZone": 1, "latitudeBand": "W", "gridSquare": "CP"},
        {"utmZone": 60, "latitudeBand": "V", "gridSquare": "XH"},
        {"utmZone": 33, "latitudeBand": "T", "gridSquare": "WL"},
    ]
    name = "S2A_OPER_PRD_MSIL1C_PDMC_20160101T000000_R001_V20151231T000000_20151231T000000"
    event = scene({"name": name, "timestamp": "2015-12-31T00:00:00.000Z", "tiles": tiles, "s3Ingestion": "t"})
    assert len(get_parts(shape(event.geometry))) == 5, "two squares lie across 180"
    assert event.updated == "t"
    with pytest.raises(MessageError, match="found no tiles"):
        scene({"name": name, "timestamp": "2015-12-31T00:00:00.000Z", "tiles": []})


def test_the_topic_of_landsat(shared_data: Path) -> None:
    event = read(shared_data / "raster/events/landsat_public-c2-notify_minimal.json")
    assert event.collection == LANDSAT_L1
    assert event.id == "LC08_L1GT_197119_20210201_20210302_02_RT"
    assert event.time == datetime(2021, 2, 1, 12, tzinfo=UTC)
    assert event.updated == "20210302"
    assert shape(event.geometry).centroid.y < -79


@pytest.mark.parametrize(
    ("name", "collection"),
    [
        ("LC09_L2SP_010065_20220129_20220131_02_T1", LANDSAT_L2),
        ("LE07_L2SR_021030_20100109_20200911_02_T2", LANDSAT_L2),
        ("LT05_L1TP_010067_19860424_20200918_02_T2", LANDSAT_L1),
    ],
)
def test_levels_of_landsat(name: str, collection: str) -> None:
    assert scene({"landsat_product_id": name, "s3_location": "s3://usgs-landsat/x/"}).collection == collection


def test_a_push_of_copernicus(shared_data: Path) -> None:
    document = json.loads((shared_data / "raster/events/cdse_push_granule-created-s2-n1.json").read_bytes())
    event = scene(document)
    assert event.collection == SENTINEL2_L1C
    assert event.id == "S2A_MSIL1C_20240912T112541_N0511_R137_T28PHQ_20240912T133420"
    assert event.time == datetime(2024, 9, 12, 11, 25, 41, 24_000, UTC)
    assert event.geometry == document["value"]["GeoFootprint"]
    assert event.updated == "2024-09-12T14:52:51.828Z"
    gone = scene({**document, "SubscriptionEvent": "deleted", "value": None})
    assert gone.removed
    assert gone.time == datetime(2024, 9, 12, 11, 25, 41, tzinfo=UTC)
    assert shape(gone.geometry).contains(shape(event.geometry)), "by its square, where nothing else is told"


def test_a_push_of_copernicus_of_sentinel_1() -> None:
    name = "S1A_IW_GRDH_1SDV_20240912T004042_20240912T004107_055612_06C9FA_FD5B.SAFE"
    document = {"SubscriptionEvent": "created", "ProductName": name, "NotificationDate": "2024-09-12T01:00:00Z"}
    event = scene({**document, "value": {"GeoFootprint": ITEM["geometry"]}})
    assert (event.collection, event.id) == (SENTINEL1_GRD, name.removesuffix(".SAFE"))
    assert event.time == datetime(2024, 9, 12, 0, 40, 42, tzinfo=UTC)
    assert event.updated == "2024-09-12T01:00:00Z"
    with pytest.raises(MessageError, match="found no GeoFootprint"):
        scene(document)


def test_a_stac_item_in_an_sns_message(shared_data: Path) -> None:
    path = shared_data / "raster/events/sns_notification_with_stac_item_ga_ls8c.json"
    event = read(path)
    item = json.loads(json.loads(path.read_bytes())["Message"])
    assert event.collection == "ga_ls8c_ard_3", "by the product of Open Data Cube, for it has no collection"
    assert event.id == item["id"]
    assert event.time == datetime(2020, 5, 25, 23, 35, 47, 745_731, UTC)
    assert event.geometry == item["geometry"]
    assert event.updated == item["properties"]["odc:processing_datetime"]
    assert event.item == item


def test_real_items_of_every_catalogue_are_events(shared_data: Path) -> None:
    count = 0
    for path in sorted((shared_data / "raster/stac/recorded").glob("*.json")):
        document = json.loads(path.read_bytes())
        if isinstance(document, dict) and document.get("type") == "FeatureCollection" and document["features"]:
            events = read_message(json.dumps(document).encode(), via="hand", max_bytes=10**7).events
            assert [event.id for event in events if isinstance(event, SceneEvent)] == [
                item["id"] for item in document["features"]
            ]
            count += len(events)
    assert count > 30


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ""}, "id of a STAC item"),
        ({"id": 5}, "id of a STAC item"),
        ({"id": "x" * 300}, "up to 256"),
        ({"collection": None}, "found no collection"),
        ({"collection": ["a"]}, "found no collection"),
        ({"properties": None}, "found no properties"),
        ({"properties": {}}, "found no time"),
        ({"properties": {"datetime": "yesterday"}}, "found no time"),
        ({"properties": {"datetime": 1_700_000_000}}, "found no time"),
        ({"geometry": None, "bbox": None}, "neither a geometry nor a bbox"),
        ({"geometry": {"type": "Point", "coordinates": [0, 0]}, "bbox": [0, 0]}, "neither a geometry nor a bbox"),
        ({"geometry": {}, "bbox": [0, 0, "1", 1]}, "neither a geometry nor a bbox"),
        ({"geometry": {}, "bbox": [0, -91, 1, 1]}, "neither a geometry nor a bbox"),
        ({"geometry": {}, "bbox": [0, 2, 1, 1]}, "neither a geometry nor a bbox"),
    ],
)
def test_an_item_that_no_tile_could_use_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        scene({**ITEM, **changes})
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {"type": "Point", "coordinates": [0.5, 0.5]},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, None], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, True], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1e6, 0], [1, 1e6], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0, 5], [1, 0], [1, 1], [0, 0, 5]]]},
        {"type": "MultiPolygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
        {"type": "Circle", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
        "POLYGON((0 0, 1 0, 1 1, 0 0))",
    ],
    ids=repr,
)
def test_a_geometry_that_is_no_footprint_gives_way_to_the_bbox(geometry: Any) -> None:
    event = scene({**ITEM, "geometry": geometry, "bbox": [0, 0, -10, 2, 3, 900]})
    assert shape(event.geometry).bounds == (0, 0, 2, 3)


def test_a_bbox_across_180_is_in_two_parts() -> None:
    event = scene({**ITEM, "geometry": None, "bbox": [179, 0, -178, 2]})
    assert [part.bounds for part in get_parts(shape(event.geometry))] == [(179, 0, 180, 2), (-180, 0, -178, 2)]


@pytest.mark.parametrize(
    ("properties", "time"),
    [
        ({"datetime": "2024-05-06"}, datetime(2024, 5, 6, 12, tzinfo=UTC)),
        ({"datetime": "2024-05-06T01:00:00"}, datetime(2024, 5, 6, 1, tzinfo=UTC)),
        ({"datetime": "2024-05-06T01:00:00+02:00"}, datetime(2024, 5, 5, 23, tzinfo=UTC)),
        ({"datetime": None, "start_datetime": "2024-01-01T00:00:00Z"}, datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_of_items(properties: dict[str, Any], time: datetime) -> None:
    event = scene({**ITEM, "properties": properties})
    assert event.time == time
    assert event.updated == ""


def test_an_item_made_anew_is_another_event_and_a_second_delivery_is_not() -> None:
    anew = {**ITEM, "properties": {**ITEM["properties"], "updated": "2025-01-01T00:00:00Z"}}
    assert scene(ITEM).identity == scene(ITEM).identity != scene(anew).identity


def test_a_topic_s_scene_goes_by_the_names_of_all_catalogues_and_an_item_by_its_own() -> None:
    landsat = scene({"landsat_product_id": "LC09_L2SP_010065_20220129_20220131_02_T1"})
    assert collections_of(landsat) == {"landsat-c2-l2", "landsat-c2l2-sr", "landsat-c2l2-st"}
    assert collections_of(scene({**ITEM, "collection": SENTINEL2_L2A})) == {SENTINEL2_L2A}
    assert all(name in names for name, names in NAMES.items())
