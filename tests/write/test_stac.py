"""Laws of the item: valid by the pinned schemas, complete, relative, deterministic; faults in it are refused."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import OutputError
from pipeline.types import Item, Job, Made, Period, Tile
from pipeline.write.files import json_bytes
from pipeline.write.stac import data_key, item_key, render_item, timestamp, used_extensions
from tests.schemas.validate import stac_errors

NOW = datetime(2024, 8, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def item(job: Job, made: Made) -> dict[str, Any]:
    return render_item(job, made, created=NOW)


def test_the_item_is_valid_and_survives_json(item: dict[str, Any]) -> None:
    """Valid against core and every extension it names, and the same after a trip through its file."""
    assert stac_errors(item) == []
    assert json.loads(json_bytes(item)) == item
    names = {re.search(r"io/([a-z]+)/", address)[1] for address in item["stac_extensions"]}  # type: ignore[index]
    assert names == {"eo", "file", "processing", "projection", "raster"}


def test_the_item_says_what_it_is_of_and_from(item: dict[str, Any], job: Job) -> None:
    properties = item["properties"]
    assert item["id"] == "s2_median_33T_0_1_2024_06"
    assert item["collection"] == "s2_median"
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2024-06-01T00:00:00Z"
    assert properties["end_datetime"] == "2024-06-30T23:59:59.999999Z", "STAC's end is inclusive, the period's is not"
    assert properties["created"] == "2024-08-01T12:00:00Z"
    assert properties["groundswell:fingerprint"] == job.fingerprint
    assert properties["groundswell:format"] == 1
    assert properties["constellation"] == "sentinel-2"
    assert properties["attribution"] == "Contains modified Copernicus Sentinel data 2024"
    assert properties["license"] == "other"
    assert properties["gsd"] == 10.0
    assert {"groundswell", "gdal", "rasterio", "numpy"} <= properties["processing:software"].keys()
    (loss,) = properties["groundswell:missing_assets"]
    assert loss == {
        "item": "scene-9", "asset": "red", "href": "/in/red.tif", "error": "PermanentAssetError", "cause": "404"
    }  # fmt: skip


def test_assets_are_named_by_content_and_relative(item: dict[str, Any], job: Job, made: Made) -> None:
    """Each href leads from the item's folder to the data key, which holds fingerprint and digest; sizes are given."""
    assert item["assets"].keys() == {"red", "ndvi", "count", "zarr", "zarr-manifest", "thumbnail", "inputs"}
    for file in made.files:
        asset = item["assets"][file.key]
        assert asset["href"] == f"../../{data_key(job, file)}"
        if not file.objects:
            assert asset["file:size"] == file.size_bytes
            assert asset["file:checksum"] == "1220" + file.sha256
        assert f"_{job.fingerprint[:12]}_{file.sha256[:12]}." in asset["href"]
    assert item["assets"]["inputs"]["roles"] == ["metadata"]
    assert item_key(job) == f"items/s2_median/33T_0_1_2024_06_{job.fingerprint}.json"


def test_a_folder_is_named_by_its_manifest(item: dict[str, Any]) -> None:
    """A folder has neither size nor checksum of a file: the manifest has, and its digest is in the folder's name."""
    folder, manifest = item["assets"]["zarr"], item["assets"]["zarr-manifest"]
    assert not {"file:size", "file:checksum"} & folder.keys()
    assert folder["type"] == "application/vnd.zarr; version=3"
    assert folder["href"].endswith(f"_{manifest['file:checksum'][4:16]}.zarr")
    assert (folder["roles"], manifest["roles"]) == (["data"], ["manifest"])
    assert [band["name"] for band in folder["bands"]] == ["red", "ndvi", "count"]
    for name in ("proj:code", "proj:shape", "proj:transform"):
        assert folder[name] == item["assets"]["red"][name]


def test_links(item: dict[str, Any], job: Job, made: Made) -> None:
    """Inputs up to a hundred are linked one by one, more only through the asset `inputs`."""

    def inputs(of: Job) -> list[str]:
        links = render_item(of, made, created=NOW)["links"]
        return [link["href"] for link in links if link["rel"] == "derived_from"]

    assert inputs(job) == ["/in/scene-0.json", "/in/scene-1.json", "/in/scene-2.json"]
    hundred = tuple(replace(job.items[0], id=str(number), href=f"/{number}") for number in range(100))
    assert len(inputs(replace(job, items=hundred))) == 100
    assert inputs(replace(job, items=(*hundred, job.items[0]))) == []
    links = {link["rel"]: link["href"] for link in item["links"]}
    assert links["collection"] == "../../collections/s2_median/collection.json"
    assert links["license"] == made.rights.license_href


def test_equal_arguments_give_equal_items(item: dict[str, Any], job: Job, make_made: Callable[..., Made]) -> None:
    """Rendering is pure: files made anew elsewhere give the same item, and only `created` follows the clock."""
    again = render_item(job, make_made(job), created=NOW)
    assert json_bytes(again) == json_bytes(item)
    later = render_item(job, make_made(job), created=NOW.replace(year=2025))
    for name in ("created", "groundswell:digest"):
        assert later["properties"].pop(name) != item["properties"].pop(name)
    assert later == item


def test_a_timeless_period_has_the_times_of_its_inputs(job: Job, made: Made) -> None:
    static = replace(job, period=Period("static", None, None))
    properties = render_item(static, made, created=NOW)["properties"]
    assert (properties["start_datetime"], properties["end_datetime"]) == (
        "2024-06-01T10:00:00Z",
        "2024-06-03T10:00:00Z",
    )
    with pytest.raises(OutputError, match="without a time"):
        render_item(replace(static, items=()), made, created=NOW)


def test_the_antimeridian_is_no_obstacle(job: Job, made: Made) -> None:
    """A tile over 180 degrees gives a valid item with a split polygon."""
    geobox = GeoBox((600, 700), Affine(10, 0, 824_000, 0, -10, 1_000_000), "EPSG:32660")
    item = render_item(replace(job, tile=Tile("60P", geobox)), made, created=NOW)
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"][0] > item["bbox"][2]
    assert stac_errors(item) == []


def test_an_item_without_its_inputs_is_refused(job: Job, made: Made) -> None:
    files = tuple(file for file in made.files if file.key != "inputs")
    with pytest.raises(OutputError, match="expected the document of what it was made from"):
        render_item(job, replace(made, files=files), created=NOW)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "a\0"])
def test_names_that_are_no_path_are_refused(job: Job, made: Made, name: str) -> None:
    for other in (replace(job, product=name), replace(job, tile=Tile(name, job.tile.geobox))):
        with pytest.raises(OutputError, match="cannot be part of a path"):
            item_key(other)
        with pytest.raises(OutputError, match="cannot be part of a path"):
            data_key(other, made.files[0])


def test_fields_of_an_unknown_extension_are_refused(job: Job, made: Made) -> None:
    """An item claims no field that no pinned schema has checked."""
    with pytest.raises(OutputError, match="s2:tile"):
        render_item(job, replace(made, properties={"s2:tile": "33TWL"}), created=NOW)
    assert used_extensions([{"groundswell:x": 1, "plain": 2}]) == []


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([1, "a"], "groundswell:x[]: found number and text"),
        ([True, 1], "groundswell:x[]: found number and true or false"),
        ([[1], ["a"]], "groundswell:x[][]: found number and text"),
        ([{"a": 1}, {"a": {"b": 2}}, None], "groundswell:x[].a: found number and object"),
        ({"a": [1, [2]]}, "groundswell:x.a[]: found list and number"),
        (2**63, "groundswell:x: found 9223372036854775808"),
    ],
)
def test_properties_that_no_column_holds_are_refused(job: Job, made: Made, value: Any, where: str) -> None:
    """The table of all items has a type for each value: what it could not hold is never committed."""
    with pytest.raises(OutputError, match=re.escape(where)):
        render_item(job, replace(made, properties={"groundswell:x": value}), created=NOW)


@pytest.mark.parametrize("value", [[1, 2.5, None], [], [None], [{"a": 1}, {"b": "x"}], {}, [[1], []], 2**63 - 1])
def test_properties_that_a_column_holds_are_taken(job: Job, made: Made, value: Any) -> None:
    item = render_item(job, replace(made, properties={"groundswell:x": value}), created=NOW)
    assert item["properties"]["groundswell:x"] == value


def test_timestamps_are_utc() -> None:
    assert timestamp(datetime.fromisoformat("2024-06-01T02:00:00+02:00")) == "2024-06-01T00:00:00Z"


Spoil = Callable[[dict[str, Any]], object]


def _red(item: dict[str, Any]) -> dict[str, Any]:
    asset: dict[str, Any] = item["assets"]["red"]
    return asset


FAULTS: dict[str, Spoil] = {
    "proj:shape of three": lambda item: _red(item).update({"proj:shape": [1, 600, 700]}),
    "proj:shape of text": lambda item: _red(item).update({"proj:shape": ["600", "700"]}),
    "proj:transform of five": lambda item: _red(item)["proj:transform"].pop(),
    "proj:epsg, of version 1": lambda item: _red(item).update({"proj:epsg": 32633}),
    "unknown proj: field": lambda item: item["properties"].update({"proj:zone": 33}),
    "checksum that is no hexadecimal": lambda item: _red(item).update({"file:checksum": "sha256:ab"}),
    "negative size": lambda item: _red(item).update({"file:size": -1}),
    "statistics as text": lambda item: _red(item)["bands"][0]["statistics"].update({"mean": "12"}),
    "more than all pixels valid": lambda item: _red(item)["bands"][0]["statistics"].update({"valid_percent": 101}),
    "scale as text": lambda item: _red(item)["bands"][0].update({"raster:scale": "1e-4"}),
    "raster:bands, of version 1": lambda item: _red(item).update({"raster:bands": [{}]}),
    "nodata that is no number": lambda item: _red(item)["bands"][0].update({"nodata": "none"}),
    "wavelength as text": lambda item: _red(item)["bands"][0].update({"eo:center_wavelength": "0.6"}),
    "software without versions": lambda item: item["properties"].update({"processing:software": ["gdal"]}),
    "no time at all": lambda item: item["properties"].pop("start_datetime"),
    "no geometry": lambda item: item.pop("geometry"),
    "a link without rel": lambda item: item["links"].append({"href": "x"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_schemas_refuse(item: dict[str, Any], fault: str) -> None:
    """The pinned schemas are strict enough to see each of these faults: a validator that cannot fail proves nothing."""
    spoiled = copy.deepcopy(item)
    FAULTS[fault](spoiled)
    assert stac_errors(spoiled) != []


def test_inputs_without_an_address_are_not_linked(job: Job, made: Made) -> None:
    items: tuple[Item, ...] = tuple(replace(each, href=None) for each in job.items)
    links = render_item(replace(job, items=items), made, created=NOW)["links"]
    assert {link["rel"] for link in links} == {"parent", "collection", "license"}
