"""Laws over what real catalogues answered: each recorded page and item passes through a server, odd ones by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import SourceConfig
from pipeline.errors import PermanentAssetError
from pipeline.search.canonical import canonical
from pipeline.search.catalog import Query
from pipeline.search.links import absolute
from pipeline.search.snapshot import Snapshot, read_snapshot, search, write_snapshot
from pipeline.types import Asset, Grid
from tests.search.makers import features, real_items
from tests.search.test_canonical import REFUSED
from tests.servers.faulty import Answer, Request, run_faulty

EVER = Query(((-180, -90, 180, 90),), datetime(1980, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
PAGES = {
    "es_v0_search_s2-l2a-cogs.json": 1,
    "es_v1_search_c1_fields.json": 10,
    "es_v1_search_cop-dem_10.json": 10,
    "es_v1_search_cop-dem_fields_no-geometry-no-assets.json": 10,
    "es_v1_search_cop-dem_limit1.json": 1,
    "es_v1_search_cql2_p1_s1grd.json": 10,
    "es_v1_search_cql2_p2_s2.json": 10,
    "es_v1_search_s2-l2a+landsat-c2-l2_p1.json": 2,
    "es_v1_search_s2-l2a+landsat-c2-l2_p2_empty.json": 0,
    "pc_items_landsat-c2-l2_10.json": 10,
    "pc_search_sentinel-2-l2a_33_20190101.json": 33,
}
"""Recorded pages of items, and how many each holds."""
OTHERS = {
    "INDEX.json",
    "es_v0_root.json",
    "es_v1_root.json",
    "es_v1_collections.json",
    "es_v1_collection_404.json",
    "pc_collection_landsat-c2-l2.json",
    "pc_collection_sentinel-2-l2a.json",
}


def no_header(_source: str, asset: Asset) -> Grid:
    raise PermanentAssetError(asset.href, "no header here")


def recorded(shared_data: Path, name: str) -> Any:
    return json.loads((shared_data / "raster/stac/recorded" / name).read_text())


def test_every_recorded_answer_is_used_here(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "raster/stac/recorded").iterdir()} == OTHERS | set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_recorded_page_passes_through_a_server(shared_data: Path, tmp_path: Path, name: str) -> None:
    """The landing page of the same service, then this page, then an end: all items found, and again from the file."""
    root = "es_v0_root.json" if name.startswith("es_v0") else "es_v1_root.json"
    origin = "https://earth-search.aws.element84.com"
    page = recorded(shared_data, name)
    collections = tuple(sorted({item["collection"] for item in page["features"]})) or ("sentinel-2-l2a",)
    end = json.dumps({"type": "FeatureCollection", "features": []}).encode()

    def answer(request: Request, earlier: int) -> Answer | None:
        first = request.path.endswith("/search") and not earlier
        return Answer(body=body if first else end) if "/search" in request.path or "token" in request.query else None

    files: dict[str, bytes] = {}
    with run_faulty(files, answer) as server:
        moved = {origin: server.address, "https://planetarycomputer.microsoft.com/api/stac": server.address}
        text = json.dumps(page)
        for there, here in moved.items():
            text = text.replace(there, here)
        body = text.encode()
        version = f"/{root[3:5]}"
        files[version] = json.dumps(recorded(shared_data, root)).replace(origin, server.address).encode()
        if name.startswith("pc_items"):
            page = json.loads(text)
        source = SourceConfig(stac=f"{server.address}{version}", collection=collections)
        snapshot = search({"s": source}, EVER, no_header, {})
    assert sorted(item["id"] for item in snapshot.items) == sorted(item["id"] for item in page["features"])
    assert len(snapshot.items) == PAGES[name]
    assert not [note for note in snapshot.notes if "left out" in note]
    write_snapshot(snapshot, tmp_path / "items.parquet")
    if snapshot.items:
        assert [item["id"] for item in read_snapshot(tmp_path / "items.parquet").items] == [
            item["id"] for item in snapshot.items
        ]


def test_a_recorded_404_is_named(shared_data: Path) -> None:
    body = (shared_data / "raster/stac/recorded/es_v1_collection_404.json").read_bytes()
    with run_faulty({}, lambda _request, _earlier: Answer(404, body)) as server:
        source = SourceConfig(stac=f"{server.address}/v1", collection=("foo",))
        with pytest.raises(Exception, match=r"/v1, collection foo: the search failed: APIError"):
            search({"s": source}, EVER, no_header)


def test_every_item_file_passes_through_a_server(shared_data: Path) -> None:
    """One static catalogue of all of them over HTTP; what is refused, or older than an item's type, is named."""
    folder = shared_data / "raster/stac"
    files = {f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.json")}
    wanted = {
        name: [item for item in features(json.loads(content)) if item.get("type") == "Feature"]
        for name, content in files.items()
    }
    named = sorted(name for name, items in wanted.items() if items)
    catalog = {"type": "Catalog", "links": [{"rel": "item", "href": name} for name in named]}
    with run_faulty({**files, "/catalog.json": json.dumps(catalog).encode()}) as server:
        snapshot = search({"s": SourceConfig(items=f"{server.address}/catalog.json")}, EVER, no_header, {})
    found = {(item["collection"], item["id"]) for item in snapshot.items}
    dropped = "\n".join(snapshot.notes)
    for name in named:
        for item in wanted[name]:
            key = (str(item.get("collection") or ""), item["id"])
            assert key in found or item["id"] in dropped, f"{name}: neither found nor named"
            assert (Path(name).name in REFUSED) is (key not in found)
    assert len(found) > 130


def test_normalising_twice_changes_nothing(shared_data: Path) -> None:
    """So a snapshot is a source like any other: facts, bands, grids, addresses and alternates survive."""
    for name, raw in real_items(shared_data):
        if name not in REFUSED:
            once, _ = canonical(raw, "s")
            assert canonical(json.loads(json.dumps(once)), "s")[0] == once, name


def test_a_snapshot_of_everything_is_a_source_of_the_same(shared_data: Path, tmp_path: Path) -> None:
    once = {}
    for name, raw in real_items(shared_data):
        if name not in REFUSED:
            item, _ = canonical(absolute(raw, "/data/items.json"), "s")
            once[item["collection"], item["id"]] = item
    path = tmp_path / "items.parquet"
    write_snapshot(Snapshot(tuple(once.values())), path)
    again = search({"s": SourceConfig(items=str(path))}, EVER, no_header, {})
    kept = {(item["collection"], item["id"]): item for item in again.items}
    assert kept == once
