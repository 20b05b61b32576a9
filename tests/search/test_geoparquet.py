"""Laws of stac-geoparquet: read wherever it lies, whoever wrote it; other programs read a snapshot plainly."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import stac_geoparquet.arrow
from shapely import from_wkb
from shapely.geometry import shape

from pipeline.config import SourceConfig, StorageConfig
from pipeline.errors import CatalogError, PermanentAssetError
from pipeline.search.canonical import canonical
from pipeline.search.catalog import Query
from pipeline.search.snapshot import Snapshot, search, select_items, write_snapshot
from pipeline.types import Asset, Grid
from tests.search.makers import raw_item, raw_with
from tests.servers.faulty import run_faulty
from tests.servers.weed import S3Server

WORLD = (-180.0, -90.0, 180.0, 90.0)
JUNE = Query((WORLD,), datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
EVER = Query((WORLD,), datetime(1980, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


def no_header(_source: str, asset: Asset) -> Grid:
    raise PermanentAssetError(asset.href, "no header here")


def written(folder: Path, *items: dict[str, Any]) -> Path:
    """A file of stac-geoparquet's own."""
    path = folder / "items.parquet"
    stac_geoparquet.arrow.to_parquet(stac_geoparquet.arrow.parse_stac_items_to_arrow(list(items)), path)
    return path


def found(location: str, within: Query = JUNE, /, **keys: Any) -> Snapshot:
    return search({"s": SourceConfig(items=location, **keys)}, within, no_header, {})


def test_a_file_of_another_program_is_a_source(shared_data: Path) -> None:
    """A hundred Sentinel-2 items that rustac wrote: ids, times, footprints and red bands as pyarrow reads them."""
    path = shared_data / "raster/stac/earth-search/rustac_100-sentinel-2-items.parquet"
    rows = {row["id"]: row for row in pq.read_table(path).to_pylist()}
    snapshot = found(str(path), EVER)
    assert {item["id"] for item in snapshot.items} == set(rows)
    assert len(snapshot.items) == 100
    items = select_items(snapshot, {"s": {"red": ("B04",)}})
    for item in items:
        row = rows[item.id]
        assert shape(item.geometry).equals(from_wkb(row["geometry"]))
        assert item.time == row["datetime"]
        assert item.assets["red"].href == row["assets"]["B04"]["href"].partition("?")[0]
        assert item.properties["s2:processing_baseline"] == row["s2:processing_baseline"]


def test_what_lies_outside_the_time_is_left_out(tmp_path: Path) -> None:
    """Or misses the source's query, or is of another collection."""
    times = {"may": "2024-05-31T23:59:59.999999Z", "june": "2024-06-01T00:00:00Z", "july": "2024-07-01T00:00:00Z"}
    items = [raw_item(id=name, properties={"datetime": time, "gsd": 10}) for name, time in times.items()]
    path = str(written(tmp_path, *items))
    assert [item["id"] for item in found(path).items] == ["june"]
    for keys in ({"collection": ("other",)}, {"query": {"gsd": {"gt": 10}}}, {"query": {"gsd": {"lt": 10}}}):
        assert found(path, JUNE, **keys).items == ()
    assert len(found(path, JUNE, query={"gsd": {"gte": 10}}, collection=("other", "s2")).items) == 1


def test_relative_addresses_count_from_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, raw_with({}, {"href": "./red.tif"}))
    (item,) = found(str(path)).items
    assert item["assets"]["red"]["href"] == str(tmp_path / "red.tif")


def test_a_file_over_http_is_a_source(tmp_path: Path) -> None:
    content = written(tmp_path, raw_with({}, {"href": "./red.tif"})).read_bytes()
    with run_faulty({"/a/items.parquet": content}) as server:
        (item,) = found(f"{server.address}/a/items.parquet").items
        assert item["assets"]["red"]["href"] == f"{server.address}/a/red.tif"
        with pytest.raises(CatalogError, match=r"/b\.parquet: HTTP 404"):
            found(f"{server.address}/b.parquet")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["items.parquet", "catalog.json"])
def test_a_catalogue_on_s3_is_reached_by_the_sources_own_storage(
    tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Endpoint and profile of the source, nothing of the environment."""
    bucket = s3_server.make_bucket(f"catalogue-{kind.partition('.')[2]}")
    client = s3_server.client()
    client.pipe_file(f"{bucket}/a/items.parquet", written(tmp_path, raw_with({}, {"href": "./red.tif"})).read_bytes())
    links = [{"rel": "item", "href": "./item.json"}]
    client.pipe_file(f"{bucket}/a/catalog.json", json.dumps({"type": "Catalog", "links": links}).encode())
    client.pipe_file(f"{bucket}/a/item.json", json.dumps(raw_with({}, {"href": "./red.tif"})).encode())
    for name in s3_server.environment:
        monkeypatch.delenv(name, raising=False)
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[lab]\naws_access_key_id = {s3_server.key}\naws_secret_access_key = {s3_server.secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    storage = StorageConfig(endpoint=s3_server.endpoint, profile="lab")
    (item,) = found(f"s3://{bucket}/a/{kind}", storage=storage).items
    assert item["assets"]["red"]["href"] == f"s3://{bucket}/a/red.tif"
    refused = pytest.raises(CatalogError, match=r"cannot be read: PermissionError|cannot be read: .*Forbidden")
    with refused:
        found(f"s3://{bucket}/a/{kind}", storage=StorageConfig(endpoint=s3_server.endpoint, anonymous=True))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a stac-geoparquet file"),
        (b"PAR1", "not a stac-geoparquet file"),
        (b"no parquet at all, but longer than a footer", "not a stac-geoparquet file"),
    ],
)
def test_what_is_no_parquet_is_refused_with_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "items.parquet"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=rf"items\.parquet: {said}"):
        found(str(path))


def test_a_table_of_something_else_is_refused_with_its_name(shared_data: Path) -> None:
    path = shared_data / "raster/vectors/ttc_tiledb_subset_rwanda_burundi.parquet"
    with pytest.raises(CatalogError, match=r"burundi\.parquet: no stac-geoparquet: expected columns id, geometry"):
        found(str(path))


def test_other_programs_read_a_snapshot_plainly(tmp_path: Path) -> None:
    """Geopandas sees points in time and footprints in degrees, stac-geoparquet valid items with their alternates."""
    alternates = {"alternate": {"s3": {"href": "s3://bucket/red.tif"}}}
    items = [canonical(raw, "s")[0] for raw in (raw_with({}, alternates), raw_item(id="scene-2"))]
    path = tmp_path / "items.parquet"
    write_snapshot(Snapshot(tuple(items)), path)
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    assert (geo["primary_column"], geo["columns"]["geometry"]["encoding"]) == ("geometry", "WKB")
    assert geo["columns"]["geometry"]["crs"]["id"] == {"authority": "EPSG", "code": 4326}
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == ["scene-1", "scene-2"]
    assert from_wkb(rows[0]["geometry"]).equals(shape(items[0]["geometry"]))
    assert rows[0]["datetime"] == datetime(2024, 6, 10, 10, tzinfo=UTC)
    plain = list(stac_geoparquet.arrow.stac_table_to_items(table))
    assert [one["assets"]["red"]["href"] for one in plain] == ["/data/red.tif"] * 2
    assert plain[0]["assets"]["red"]["alternate"]["s3"]["href"] == "s3://bucket/red.tif"
