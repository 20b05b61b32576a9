"""Every product of the demo run says in all its outputs how good it is, and who may do what with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import rasterio
import zarr

from tests.outputs.every import SOURCES, TABLES, Run, make_every

pytestmark = pytest.mark.long

LICENSE = "CC0-1.0"


@pytest.fixture(scope="module")
def run(demo_world: Path) -> Run:
    return make_every(demo_world)


def test_the_run_has_every_product(run: Run) -> None:
    assert {*run.outcomes} == {*SOURCES, *TABLES} == {entry.name for entry in run.session.config.products}


@pytest.mark.parametrize("product", SOURCES)
def test_an_item_and_its_files_say_their_rights(run: Run, product: str) -> None:
    item = run.item(product)
    said = LICENSE, SOURCES[product]
    assert (item["properties"]["license"], item["properties"]["attribution"]) == said
    rasters = 0
    for asset in item["assets"].values():
        href = run.path(product).parent / asset["href"]
        if href.suffix == ".tif":
            with rasterio.open(href) as dataset:
                tags = dataset.tags()
            assert (tags["license"], tags["attribution"], tags["TIFFTAG_COPYRIGHT"]) == (*said, said[1])
            rasters += 1
        if href.suffix == ".zarr":
            attributes = zarr.open_group(href, mode="r").attrs
            assert (attributes["license"], attributes["attribution"]) == said
            rasters += 1
    assert rasters
    page = run.output / "collections" / product / "collection.json"
    collection = json.loads(page.read_text(encoding="utf-8"))
    assert (collection["license"], collection["attribution"]) == said


@pytest.mark.parametrize("product", TABLES)
def test_a_table_says_its_rights_as_its_item_does(run: Run, product: str) -> None:
    item, tables = run.item(product), 0
    said = item["properties"]["license"], item["properties"]["attribution"]
    assert said == ("other", TABLES[product])
    for asset in item["assets"].values():
        if asset["href"].endswith(".parquet"):
            metadata = pq.read_schema(run.path(product).parent / asset["href"]).metadata
            footer = json.loads(metadata[b"groundswell"])
            assert (footer["license"], footer["attribution"]) == said
            tables += 1
    assert tables == {"argo": 3, "matchups": 1}[product]


@pytest.mark.parametrize("product", SOURCES)
def test_an_item_says_its_quality_as_its_own_pixels_do(run: Run, product: str) -> None:
    """Valid fraction and observations by `count` read with rasterio, or of Zarr where that is all there is."""
    item = run.item(product)
    if "count" in item["assets"]:
        with rasterio.open(run.path(product).parent / item["assets"]["count"]["href"]) as dataset:
            count = dataset.read(1)
    else:
        store: Any = zarr.open_group(run.path(product).parent / item["assets"]["zarr"]["href"], mode="r")
        count = store["count"][:]
    quality = item["properties"]["groundswell:quality"]
    assert quality["valid_fraction"] == pytest.approx((count > 0).mean(), abs=1e-6)
    assert quality["observations_mean"] == pytest.approx(count.mean(), abs=1e-4)
    assert quality["observations_min"] == count.min()
    for name in ("valid_fraction", "observations_mean", "observations_min"):
        assert item["properties"][f"groundswell:{name}"] == quality[name]
    assert ("cloud_fraction" in quality) == (product in {"sentinel2", "sentinel2-c1", "landsat"})
    assert quality["status"] in {"pass", "warn"} and {"flags", "found", "missing_fraction", "ranges"} <= {*quality}
    outcome = run.outcomes[product].quality
    assert outcome is not None and (outcome.status, [*outcome.flags]) == (quality["status"], quality["flags"])


def test_the_table_says_both_of_every_item(run: Run) -> None:
    rows = {row["id"]: row for row in pq.read_table(run.output / "items.parquet").to_pylist()}
    assert {row["collection"] for row in rows.values()} == {*SOURCES, *TABLES}
    for product in run.outcomes:
        row = rows[run.item(product)["id"]]
        properties = run.item(product)["properties"]
        assert (row["license"], row["attribution"]) == (properties["license"], properties["attribution"])
        for name in ("valid_fraction", "observations_mean", "observations_min") if product in SOURCES else ():
            assert row[f"groundswell:{name}"] == properties[f"groundswell:{name}"]
        quality = properties["groundswell:quality"]
        found = {name: value for name, value in row["groundswell:quality"].items() if value is not None}
        ranges = {name: value for name, value in found.get("ranges", {}).items() if value is not None}
        assert ranges == quality.get("ranges", {})
        assert {**found, "ranges": None} == {**quality, "ranges": None}


@pytest.mark.parametrize("product", [*SOURCES, *TABLES])
def test_layers_are_those_that_were_planned(run: Run, product: str) -> None:
    """So that a limit of a band that nothing makes is known before anything is made."""
    (planned,) = [one for one in run.session.prepared.products if one.name == product]
    assert planned.layers == frozenset(run.item(product)["properties"]["groundswell:quality"].get("ranges", {}))
