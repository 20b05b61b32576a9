"""Every product of the demo run says in all its outputs how good it is, and who may do what with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import rasterio
import zarr

from pipeline.execute.task import run_job
from pipeline.session import Options, Session, open_session
from pipeline.types import Outcome, Status
from pipeline.write.catalog import write_catalog

LICENSE = "CC0-1.0"
SAYS = "Invented by Groundswell's demo world; contains no {}"
SENTINEL, LANDSAT, DEM = map(SAYS.format, ("Copernicus data", "Landsat data", "data of the Copernicus DEM"))
SOURCES = {
    "dem": DEM,
    "landsat": LANDSAT,
    "sentinel1": SENTINEL,
    "sentinel2": SENTINEL,
    "sentinel2-c1": SENTINEL,
    "stack": f"{SENTINEL} | {LANDSAT} | {DEM}",
}
"""By product of layers, its attribution."""
FLOATS = "Profiles of the project INVENTED, which are not Argo's"
TABLES = {"argo": FLOATS, "matchups": f"{SENTINEL} | {FLOATS}"}
"""By product of tables."""


@dataclass(frozen=True)
class Run:
    """The demo's own config on its small world, one tile and month of every product."""

    session: Session
    outcomes: dict[str, Outcome]

    def path(self, product: str) -> Path:
        """Of the product's only item."""
        return Path(self.session.config.output) / str(self.outcomes[product].item_key)

    def item(self, product: str) -> Any:
        return json.loads(self.path(product).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    output = tmp_path_factory.mktemp("every") / "output"
    sets = [
        f"output={output}",
        "grid.tile_px=256",
        "period.end=2024-07-01",
        "write={cog: {}, zarr: {}}",
        *(
            f"sources.{name}.items={demo_world}/{name}/collection.json"
            for name in ("s2", "s1", "dem", "landsat", "s2_c1")
        ),
        f"sources.argo.gdac={demo_world}/argo",
    ]
    config = Path(__file__).parents[2] / "configs" / "demo.yaml"
    outcomes = {}
    # The small scenes do not reach the lake, where the floats are.
    for area, wanted in (("[12.011, 44.885, 12.0145, 44.892]", TABLES), ("[12.005, 44.870, 12.010, 44.875]", SOURCES)):
        session = open_session(Options(config, sets=[*sets, f"area.bbox={area}"]))
        assignments = session.assignments()
        for job in (job for job in session.plan.jobs if job.product in wanted):
            outcomes[job.product] = run_job(job, assignments[job.product], 1)
    assert [one.cause for one in outcomes.values() if one.status is not Status.DONE] == []
    current = {name: [str(outcome.item_key)] for name, outcome in outcomes.items()}
    write_catalog(session.prepared.store, "every", current)
    return Run(session, outcomes)


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
    page = Path(run.session.config.output) / "collections" / product / "collection.json"
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
    rows = {
        row["collection"]: row for row in pq.read_table(Path(run.session.config.output) / "items.parquet").to_pylist()
    }
    assert {*rows} == {*SOURCES, *TABLES}
    for product, row in rows.items():
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
