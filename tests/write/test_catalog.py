"""Laws of the derived pages: valid, relative, small, complete; and a written output opens in the readers people use."""

from __future__ import annotations

import json
import re
import uuid
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import stac_geoparquet.arrow
import stackstac

from pipeline.errors import StoreError
from pipeline.types import Job, Made
from pipeline.write import catalog
from pipeline.write.catalog import Collected, catalog_is_current, outdate_catalog, render_pages, write_catalog
from pipeline.write.commit import commit, list_committed
from pipeline.write.stac import item_key
from pipeline.write.store import FolderStore, Store, open_store
from tests.schemas.validate import stac_errors

NOW = datetime(2024, 8, 1, tzinfo=UTC)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "out"))
    request.getfixturevalue("s3_environment")
    return open_store(f"s3://{request.getfixturevalue('s3_bucket')}/{uuid.uuid4().hex}")


@pytest.fixture
def output(tmp_path: Path, job: Job, other_job: Job, make_made: Callable[..., Made]) -> Path:
    """A folder with two neighbouring tiles of one product and one tile of another, and its catalogue."""
    folder = FolderStore(str(tmp_path / "out"))
    jobs = [job, other_job, replace(job, product="s2_mean")]
    for each in jobs:
        commit(folder, each, make_made(each), now=NOW)
    write_catalog(folder, "demo", {each: list_committed(folder, each).values() for each in ("s2_median", "s2_mean")})
    return tmp_path / "out"


def documents(store: Store) -> dict[str, Any]:
    return {key: json.loads(store.get_bytes(key)) for key, _ in store.list_objects() if key.endswith(".json")}


def test_pages_are_valid_and_relative(store: Store, job: Job, other_job: Job, make_made: Callable[..., Made]) -> None:
    """Every page is valid STAC, every href is relative and leads to something that is there."""
    for each in (job, other_job):
        commit(store, each, make_made(each), now=NOW)
    assert write_catalog(store, "demo", {"s2_median": [item_key(job), item_key(other_job)], "empty": []}) == 2
    keys = {key for key, _ in store.list_objects()}
    assert {"catalog.json", "items.parquet", "collections/s2_median/collection.json"} <= keys
    assert not any("empty" in key for key in keys)
    for key, page in documents(store).items():
        if key.startswith("data/"):
            continue
        assert stac_errors(page) == [], key
        for link in page["links"]:
            if link["rel"] in ("license", "derived_from"):
                continue
            assert link["href"].startswith("."), link
            assert str(Path("/", key).parent.joinpath(link["href"]).resolve())[1:] in keys, (key, link)


def test_the_collection_describes_its_items(output: Path) -> None:
    """Extent, licence, providers and assets are those of the items; what differs from tile to tile is left out."""
    collection = json.loads((output / "collections/s2_median/collection.json").read_text())
    items = [json.loads(path.read_text()) for path in (output / "items/s2_median").iterdir()]
    west, south, east, north = collection["extent"]["spatial"]["bbox"][0]
    for item in items:
        assert west <= item["bbox"][0] < item["bbox"][2] <= east
        assert south <= item["bbox"][1] < item["bbox"][3] <= north
    assert collection["extent"]["temporal"]["interval"] == [["2024-06-01T00:00:00Z", "2024-06-30T23:59:59.999999Z"]]
    assert collection["license"] == "other"
    assert [link["href"] for link in collection["links"] if link["rel"] == "license"] == [
        "https://example.com/licence.pdf"
    ]
    assert [each["name"] for each in collection["providers"]] == ["ESA"]
    assert collection["summaries"] == {"gsd": [10.0], "proj:code": ["EPSG:32633"]}
    red = collection["item_assets"]["red"]
    assert red["bands"][0]["raster:scale"] == 1e-4
    assert not {"href", "file:size", "proj:transform"} & red.keys()
    assert "statistics" not in red["bands"][0]


def test_no_page_has_more_than_a_thousand_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many items, each node stays small, links each item once and leads up to the collection."""
    assert catalog.PAGE_LINKS + 10 <= 1000
    monkeypatch.setattr(catalog, "PAGE_LINKS", 4)
    collected = Collected("p", bboxes=[[0, 0, 1, 1]], times=["2024-06-01T00:00:00Z", "2024-06-02T00:00:00Z"])
    collected.licenses.add("CC-BY-4.0")
    collected.links = [{"rel": "item", "href": f"../../items/p/{number}.json"} for number in range(37)]
    pages = render_pages(collected)
    found: list[str] = []

    def visit(key: str, parent: str) -> None:
        page = pages[key]
        assert stac_errors(page) == []
        down = [link for link in page["links"] if link["rel"] in ("item", "child")]
        assert len(down) <= 4
        assert [link["href"] for link in page["links"] if link["rel"] == "parent"] == [parent]
        for link in down:
            if link["rel"] == "item":
                found.append(link["href"])
            else:
                visit(f"collections/p/{link['href'][2:]}", f"./{Path(key).name}")

    visit("collections/p/collection.json", "../../catalog.json")
    assert found == [link["href"] for link in collected.links]
    assert len(pages) == 1 + 10 + 3


def test_rebuilding_removes_what_no_longer_belongs(
    tmp_path: Path, job: Job, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old pages go, after the new root is there; without items only an empty root remains."""
    store = FolderStore(str(tmp_path / "out"))
    commit(store, job, made, now=NOW)
    store.put_bytes(b"{}", "collections/s2_median/page-1-0001.json")
    store.put_bytes(b"{}", "collections/gone/collection.json")
    write_catalog(store, "demo", {"s2_median": [item_key(job)]})
    assert [key for key, _ in store.list_objects("collections/")] == ["collections/s2_median/collection.json"]
    assert write_catalog(store, "demo", {"s2_median": []}) == 0
    assert list(store.list_objects("collections/")) == []
    assert not store.exists("items.parquet")
    assert stac_errors(documents(store)["catalog.json"]) == []


def test_rebuilding_gives_the_same_bytes(output: Path) -> None:
    store = FolderStore(str(output))
    before = {key: store.get_bytes(key) for key, _ in store.list_objects()}
    write_catalog(store, "demo", {each: list_committed(store, each).values() for each in ("s2_mean", "s2_median")})
    assert {key: store.get_bytes(key) for key, _ in store.list_objects()} == before


def test_pages_say_which_items_they_were_written_for(output: Path, tmp_path: Path) -> None:
    """A run that made nothing asks this instead of reading every item again."""
    store = FolderStore(str(output))
    current = {each: list(list_committed(store, each).values()) for each in ("s2_mean", "s2_median")}
    assert catalog_is_current(store, current)
    assert not catalog_is_current(store, {**current, "s2_median": current["s2_median"][1:]})
    assert not catalog_is_current(FolderStore(str(tmp_path / "empty")), {})


@pytest.mark.parametrize(
    ("key", "data"), [("catalog.json", b"{"), ("catalog.json", b"[1]"), ("items.parquet", b"of another run")]
)
def test_pages_that_are_damaged_or_half_of_another_run_are_not_current(output: Path, key: str, data: bytes) -> None:
    store = FolderStore(str(output))
    current = {each: list(list_committed(store, each).values()) for each in ("s2_mean", "s2_median")}
    store.put_bytes(data, key)
    assert not catalog_is_current(store, current)
    outdate_catalog(store)
    write_catalog(store, "demo", current)
    assert catalog_is_current(store, current)


def test_a_damaged_item_is_named(output: Path) -> None:
    store = FolderStore(str(output))
    key = next(iter(list_committed(store, "s2_mean").values()))
    store.put_bytes(b"{", key)
    with pytest.raises(StoreError, match=re.escape(key)):
        write_catalog(store, "demo", {"s2_mean": [key]})


def test_a_missing_item_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"items/p/t_2024_ab\.json"):
        write_catalog(FolderStore(str(tmp_path)), "demo", {"p": ["items/p/t_2024_ab.json"]})


def test_pystac_reads_the_whole_tree(output: Path) -> None:
    """From the root page to every asset: all items are found and every asset is there."""
    root = pystac.Catalog.from_file(str(output / "catalog.json"))
    items = list(root.get_items(recursive=True))
    assert sorted(item.id for item in items) == [
        "s2_mean_33T_0_1_2024_06", "s2_median_33T_0_1_2024_06", "s2_median_33T_1_1_2024_06"
    ]  # fmt: skip
    for item in items:
        assert item.get_collection() is not None
        for asset in item.assets.values():
            assert Path(asset.get_absolute_href() or "/none").exists()


def test_the_table_is_the_items(output: Path) -> None:
    """items.parquet gives back every item, with hrefs that lead from the root of the output to the files."""
    reader = stac_geoparquet.arrow.stac_table_to_items(pq.read_table(output / "items.parquet"))
    rows = {(row["collection"], row["id"]): row for row in reader}
    assert len(rows) == 3
    for path in output.glob("items/*/*.json"):
        item = json.loads(path.read_text())
        row = rows[item["collection"], item["id"]]
        assert row["properties"]["groundswell:fingerprint"] == item["properties"]["groundswell:fingerprint"]
        assert row["bbox"] == pytest.approx(item["bbox"])
        for name, asset in item["assets"].items():
            found = row["assets"][name]
            assert (output / found["href"]).samefile(path.parent / asset["href"])
            assert found.get("file:checksum") == asset.get("file:checksum")
        assert np.isnan(row["assets"]["ndvi"]["bands"][0]["nodata"])
        assert row["assets"]["red"]["bands"][0]["nodata"] == 0


def test_items_that_share_no_column_are_an_error_that_says_so(tmp_path: Path, job: Job, made: Made) -> None:
    """A property that is a number in one product and text in another: pages are not rebuilt, and it is told why."""
    store = FolderStore(str(tmp_path / "out"))
    for name, value in (("one", 1), ("two", "a")):
        commit(store, replace(job, product=name), replace(made, properties={"groundswell:x": value}), now=NOW)
    with pytest.raises(StoreError, match=r"items\.parquet: .*'a'.*; expected one type a property, in all products"):
        write_catalog(store, "demo", {name: list_committed(store, name).values() for name in ("one", "two")})


def test_the_table_takes_items_that_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Job, made: Made
) -> None:
    """Losses or none, nodata a number or NaN, other assets and properties: one column each, over many batches."""
    monkeypatch.setattr(catalog, "BATCH_ITEMS", 2)
    store = FolderStore(str(tmp_path / "out"))
    calm = replace(made, losses=(), warnings=("a",), properties={"platform": "sentinel-2a"})
    ndvi = next(file for file in made.files if file.key == "ndvi")
    renamed = tuple(replace(file, key="red") if file is ndvi else file for file in made.files if file.key != "red")
    keys = []
    for number, each in enumerate((calm, calm, calm, made, replace(calm, files=renamed), made)):
        keys.append(commit(store, replace(job, fingerprint=f"{number:064x}"), each, now=NOW).item_key)
    assert write_catalog(store, "demo", {"s2_median": keys[:3]}) == 3
    assert pq.read_table(tmp_path / "out" / "items.parquet").num_rows == 3
    assert write_catalog(store, "demo", {"s2_median": keys}) == 6
    rows = list(stac_geoparquet.arrow.stac_table_to_items(pq.read_table(tmp_path / "out" / "items.parquet")))
    nodata = [row["assets"]["red"]["bands"][0]["nodata"] for row in rows]
    assert [str(value) for value in nodata] == ["0.0", "0.0", "0.0", "0.0", "nan", "0.0"]
    assert [bool(row["properties"].get("groundswell:missing_assets")) for row in rows] == [False] * 3 + [
        True,
        False,
        True,
    ]


@pytest.fixture
def items(output: Path) -> list[pystac.Item]:
    found = [pystac.Item.from_file(str(path)) for path in sorted(output.glob("items/s2_median/*.json"))]
    for item in found:
        item.make_asset_hrefs_absolute()
    return found


def pixels(item: pystac.Item, name: str) -> Any:
    with rasterio.open(item.assets[name].href) as source:
        return source.read(1)


def test_odc_stac_opens_the_output(items: list[pystac.Item]) -> None:
    """odc.stac.load finds grid, dtype and nodata by itself and gives the pixels of both tiles, side by side."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odc's own use of shapely and affine
        cube = odc.stac.load(items, bands=["red", "ndvi"])
        grid = cube.odc.geobox
    assert (cube.red.dtype, cube.red.nodata) == (np.uint16, 0)
    assert cube.ndvi.dtype == np.float32
    assert grid.crs.epsg == 32633
    assert grid.transform[:6] == (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)
    assert cube.red.shape == (1, 600, 1400)
    np.testing.assert_array_equal(cube.red.values[0], np.hstack([pixels(item, "red") for item in items]))


def test_stackstac_opens_the_output(items: list[pystac.Item]) -> None:
    """stackstac.stack gives the stored pixels of each item on the joint grid.

    It is told zone and bounds because 0.5.1 reads `proj:epsg` alone, which projection 2.0 has replaced by `proj:code`;
    with pystac items and with plain dictionaries.
    """
    bounds = (500_000, 4_994_000, 514_000, 5_000_000)
    options = {"epsg": 32633, "resolution": 10, "bounds": bounds, "dtype": "uint16", "fill_value": np.uint16(0)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of stackstac's own use of pandas and affine
        cube = stackstac.stack(items, assets=["red"], rescale=False, **options)
        plain = stackstac.stack([item.to_dict() for item in items], assets=["red"], rescale=False, **options)
        values = cube.squeeze("band").values
        np.testing.assert_array_equal(plain.squeeze("band").values, values)
    assert values.shape == (2, 600, 1400)
    by_id = dict(zip(cube.id.values, values, strict=True))
    np.testing.assert_array_equal(by_id[items[0].id][:, :700], pixels(items[0], "red"))
    np.testing.assert_array_equal(by_id[items[1].id][:, 700:], pixels(items[1], "red"))
    assert not by_id[items[0].id][:, 700:].any()
