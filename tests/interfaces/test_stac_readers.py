"""Items, pages and `items.parquet` open in pystac, odc-stac, stackstac and STAC Browser's way of walking.

A static catalogue answers no searches: pystac-client's `ItemSearch` needs an API, and is not for it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import odc.stac
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import shapely
import stac_geoparquet.arrow
import stackstac

from pipeline.results.items import read_items
from tests.interfaces.committed import Asset, Committed
from tests.interfaces.test_cog_readers import physical, stored
from tests.schemas.validate import stac_errors
from tests.servers.faulty import run_faulty

pytestmark = [
    pytest.mark.long,
    # Of these libraries' own use of affine, shapely and pandas.
    pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]
RASTERS = ["dem", "landsat", "predict", "sentinel1", "sentinel2", "ttc_ard"]
"""Products with a COG a band."""


def of_one_zone(committed: Committed, product: str, *, older: bool) -> list[Any]:
    """Items of the product on the grid of the first one, from the first output that has it."""
    output = next(one for one in committed.outputs if (one / "items" / product).exists())
    items = read_items(output, product, older=older)

    def grid(item: Mapping[str, Any]) -> Any:
        asset = item["assets"]["count"]
        return asset["proj:transform"], asset["proj:shape"]

    return [item for item in items if grid(item) == grid(items[0])]


def test_every_document_is_valid_and_leads_somewhere(committed: Committed) -> None:
    """STAC 1.1 and every extension named; each relative address is a file; titles and times as browsers show them."""
    for output in committed.outputs:
        pages = [output / "catalog.json", *(output / "collections").rglob("*.json")]
        for path in [*pages, *(output / "items").rglob("*.json")]:
            document = json.loads(path.read_text(encoding="utf-8"))
            assert stac_errors(document) == [], path
            links = {link["rel"]: link for link in document["links"]}
            assert ("root" in links) == (path in pages) and ("parent" in links) == (path != pages[0]), path
            for one in [*document["links"], *document.get("assets", {}).values()]:
                assert one["href"].startswith(("http", "/")) or (path.parent / one["href"]).exists(), one
                assert one.get("type") or one["rel"] == "license"
            assert document.get("title", document.get("properties", {}).get("title"))
            assert all(asset["title"] and asset["roles"] for asset in document.get("assets", {}).values())


def test_times_places_and_thumbnails(committed: Committed) -> None:
    for path, item in committed.items.items():
        said = item["properties"]
        start, end = (datetime.fromisoformat(said[f"{name}_datetime"]) for name in ("start", "end"))
        assert said["datetime"] is None and start <= end
        assert shapely.geometry.shape(item["geometry"]).bounds == pytest.approx(item["bbox"], abs=1e-6)
        thumbnails = [asset for asset in item["assets"].values() if "thumbnail" in asset["roles"]]
        assert len(thumbnails) == (item["collection"] not in {"argo", "matchups"}), path
        for asset in thumbnails:
            assert asset["type"] == "image/png"
            assert (path.parent / asset["href"]).read_bytes().startswith(b"\x89PNG\r\n")


def test_pystac_walks_down_and_up(committed: Committed) -> None:
    output = committed.outputs[0]
    catalog = pystac.Catalog.from_file(str(output / "catalog.json"))
    items = {str(item.get_self_href()): item for item in catalog.get_items(recursive=True)}
    assert {*items} == {str(path) for path in committed.items if output in path.parents}
    for href in items:
        alone = pystac.Item.from_file(href)
        parent, collection = alone.get_parent(), alone.get_collection()
        assert parent and collection
        root = parent.get_root()
        assert root and root.id == catalog.id == catalog.title
        assert parent.id == collection.id == alone.collection_id
        assert alone.get_stac_objects("derived_from") is not None
        for asset in alone.assets.values():
            assert Path(str(asset.get_absolute_href())).exists()


def test_a_browser_walks_over_http(committed: Committed) -> None:
    """As STAC Browser does, by addresses alone: down from the root, up from any item, to pictures and files."""
    output = committed.outputs[0]
    files = {f"/{path.relative_to(output)}": path.read_bytes() for path in output.rglob("*") if path.is_file()}
    with run_faulty(files) as server:
        io = pystac.StacIO.default()
        seen: list[str] = []

        def walk(address: str) -> None:
            seen.append(address)
            page = json.loads(io.read_text(address))
            for link in page["links"]:
                if link["rel"] in {"child", "item"}:
                    walk(urljoin(address, link["href"]))
                if link["rel"] == "root":
                    assert urljoin(address, link["href"]) == f"{server.address}/catalog.json"
            for asset in page.get("assets", {}).values():
                where = urljoin(address, asset["href"]).removeprefix(server.address)
                assert where in files or f"{where}/zarr.json" in files, asset

        walk(f"{server.address}/catalog.json")
        assert {address.removeprefix(server.address) for address in seen} == {
            key for key in files if key == "/catalog.json" or key.startswith(("/collections/", "/items/"))
        }


def cogs_of(item: Mapping[str, Any]) -> dict[str, Asset]:
    return {
        key: Asset(item["collection"], item["id"], key, Path(asset["href"]), asset)
        for key, asset in item["assets"].items()
        if asset["href"].endswith(".tif")
    }


@pytest.mark.parametrize("product", RASTERS)
def test_odc_stac_loads_what_rasterio_reads(committed: Committed, product: str) -> None:
    """Grid, dtype and nodata come from the items; stored numbers, to the bit, at the start of each period."""
    items = of_one_zone(committed, product, older=False)
    cube = odc.stac.load([pystac.Item.from_dict(item) for item in items])
    cogs = cogs_of(items[0])
    assert {*cube.data_vars} == {*cogs}
    for key, cog in cogs.items():
        band = cube[key]
        np.testing.assert_array_equal(band.values[0], stored(cog).data[0])
        assert str(band.dtype) == cog.fields["bands"][0]["data_type"]
        assert str(band.attrs.get("nodata")) == str(cog.fields["bands"][0].get("nodata")), cog
    assert [*cube.odc.geobox.transform[:6]] == items[0]["assets"]["count"]["proj:transform"]
    starts = {item["properties"]["start_datetime"][:19] for item in items}
    assert [str(one)[:19] for one in cube.time.values] == sorted(starts)


@pytest.mark.parametrize("product", RASTERS)
def test_stackstac_stacks_them_as_they_are(committed: Committed, product: str) -> None:
    """The files' own grid, numbers in their units, NaN where there is none, and times; in degrees without snapping."""
    items = of_one_zone(committed, product, older=True)
    cube = stackstac.stack(items) if product != "ttc_ard" else stackstac.stack(items, snap_bounds=False)
    cogs = cogs_of(of_one_zone(committed, product, older=False)[0])
    with rasterio.open(cogs["count"].path) as source:
        assert (cube.attrs["crs"], cube.attrs["transform"]) == (source.crs.to_string().lower(), source.transform)
    first = cube.sel(time=items[0]["properties"]["datetime"].removesuffix("Z"))
    assert [*cube.band.values] == sorted(cogs)
    for key, values in zip(cube.band.values, first.values, strict=True):
        np.testing.assert_array_equal(values, physical(cogs[key])[0])


def test_stackstac_does_not_know_todays_stac(committed: Committed) -> None:
    """Why there is `older`: once this fails, stackstac reads `proj:code`, and the words about it can go."""
    with pytest.raises(ValueError, match="Cannot pick a common CRS"):
        stackstac.stack(of_one_zone(committed, "sentinel2", older=False))


def test_gdal_mosaics_older_items(committed: Committed, tmp_path: Path, need_binary: Callable[[str], str]) -> None:
    """All tiles of a zone are one layer, by the driver STACIT, which knows `proj:epsg` alone in Debian's GDAL."""
    gdalinfo = need_binary("gdalinfo")
    items = of_one_zone(committed, "sentinel2", older=True)
    file = tmp_path / "items.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    done = subprocess.run(
        [gdalinfo, "-json", f'STACIT:"{file}":asset=red'], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    red = items[0]["assets"]["red"]
    found = json.loads(done.stdout)
    assert (found["size"], found["bands"][0]["noDataValue"]) == (red["proj:shape"][::-1], 0)


def test_older_items_say_the_same(committed: Committed) -> None:
    """Nothing is lost on the way but what STAC 1.0 has no field for; addresses are whole."""
    output = str(committed.outputs[0])
    for new, old in zip(read_items(output), read_items(output, older=True), strict=True):
        assert old["stac_version"] == "1.0.0" and pystac.Item.from_dict(old).id == new["id"]
        assert {*old["assets"]} == {*new["assets"]}
        for key, asset in new["assets"].items():
            assert Path(asset["href"]).exists()
            for name, band in enumerate(asset.get("bands", ())):
                eo, raster = old["assets"][key]["eo:bands"][name], old["assets"][key]["raster:bands"][name]
                assert (eo["name"], raster["scale"], raster.get("nodata")) == (
                    band["name"],
                    band["raster:scale"],
                    band.get("nodata"),
                )
            if "proj:code" in asset:
                assert f"EPSG:{old['assets'][key]['proj:epsg']}" == asset["proj:code"]


def test_the_table_of_items_is_theirs(committed: Committed) -> None:
    """stac-geoparquet: its own library gives the items back, geopandas and shapely their places."""
    output = committed.outputs[0]
    table = pq.read_table(output / "items.parquet")
    rows = {item["id"]: item for item in stac_geoparquet.arrow.stac_table_to_items(table)}
    items = {item["id"]: item for path, item in committed.items.items() if output in path.parents}
    assert rows.keys() == items.keys()
    for name, row in rows.items():
        assert row["properties"]["title"] == items[name]["properties"]["title"]
        assert {key for key, asset in row["assets"].items() if asset} == {*items[name]["assets"]}
    geopandas = pytest.importorskip("geopandas")
    frame = geopandas.read_parquet(output / "items.parquet")
    assert frame.crs.to_epsg() == 4326 and [*frame.id] == table["id"].to_pylist()
    for name, place in zip(frame.id, frame.geometry, strict=True):
        assert shapely.equals_exact(place, shapely.geometry.shape(items[name]["geometry"]))
