"""Licence and attribution of each source are in every output of a run of several products."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import rasterio
import zarr

from pipeline.execute.worker.task import run_job
from pipeline.session import open_session
from pipeline.types import Outcome
from pipeline.write.catalog import write_catalog
from tests.execute.ground import TILES, ground
from tests.outputs.runs import two_products

SENTINEL = "Contains modified Copernicus Sentinel data 2024"
OTHER = ("CC-BY-4.0", "Made up by the tests")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    """One tile of two products: of a source that says nothing of its rights, and of one that does; COG and Zarr."""
    world = ground(tmp_path_factory.mktemp("rights")).halves()
    session = open_session(two_products(world, *OTHER))
    assignments = session.assignments()
    jobs = [job for job in session.plan.jobs if job.tile.id == TILES["nw"]]
    outcomes = {job.product: run_job(job, assignments[job.product], 1) for job in jobs}
    current = {name: [str(outcome.item_key)] for name, outcome in outcomes.items()}
    write_catalog(session.prepared.store, "rights", current)
    return world.output, outcomes


EXPECTED = {"plain": ("other", SENTINEL), "stated": OTHER}


def item_of(made: tuple[Path, dict[str, Outcome]], product: str) -> tuple[Path, Any]:
    output, outcomes = made
    path = output / str(outcomes[product].item_key)
    return path, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("product", EXPECTED)
def test_items_files_and_stores(made: tuple[Path, dict[str, Outcome]], product: str) -> None:
    path, item = item_of(made, product)
    said = EXPECTED[product]
    assert (item["properties"]["license"], item["properties"]["attribution"]) == said
    for asset in item["assets"].values():
        href = path.parent / asset["href"]
        if href.suffix == ".tif":
            with rasterio.open(href) as dataset:
                tags = dataset.tags()
            assert (tags["license"], tags["attribution"], tags["TIFFTAG_COPYRIGHT"]) == (*said, said[1])
        if href.suffix == ".zarr":
            attributes = zarr.open_group(href, mode="r").attrs
            assert (attributes["license"], attributes["attribution"]) == said
    assert sum(asset["href"].endswith((".tif", ".zarr")) for asset in item["assets"].values()) == 4


@pytest.mark.parametrize("product", EXPECTED)
def test_pages_of_collections(made: tuple[Path, dict[str, Outcome]], product: str) -> None:
    page = json.loads((made[0] / "collections" / product / "collection.json").read_text(encoding="utf-8"))
    assert (page["license"], page["attribution"]) == EXPECTED[product]
    links = [link["href"] for link in page["links"] if link["rel"] == "license"]
    providers = [one["name"] for one in page["providers"]]
    assert (len(links), len(providers)) == ((1, 1) if product == "plain" else (0, 0))


def test_the_table_of_all(made: tuple[Path, dict[str, Outcome]]) -> None:
    """And nothing of the edges, which are columns by the thousand; but every figure of quality."""
    rows = pq.read_table(made[0] / "items.parquet").to_pylist()
    assert {row["collection"]: (row["license"], row["attribution"]) for row in rows} == EXPECTED
    assert "groundswell:edges" not in json.dumps(rows, default=str)
    assert "groundswell:edges" in json.dumps(item_of(made, "plain")[1])
    for row in rows:
        said = item_of(made, row["collection"])[1]["properties"]["groundswell:quality"]
        assert {name: row["groundswell:quality"][name] for name in said if name != "edges"} == said
