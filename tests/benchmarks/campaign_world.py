"""A campaign of any size without a pixel: its scenes, its config, and an output in which all of it is committed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import s3fs
from fsspec.asyn import sync
from pyproj import Transformer
from yarl import URL

from pipeline.config import redacted
from pipeline.execute.records.runs import begin_run, finish_run
from pipeline.plan.outlines import lonlat_boxes
from pipeline.search.canonical import canonical
from pipeline.search.snapshot import Snapshot, write_snapshot
from pipeline.session import Session
from pipeline.types import Job, Json
from pipeline.write.catalog import write_catalog
from pipeline.write.files import document_digest, json_bytes
from pipeline.write.s3 import S3Store
from pipeline.write.stac import ITEM_DIGEST, item_key
from tests.servers.weed import S3Server

EPSG = 32633
SCENE_PX, PX_M = 10980, 10
BANDS = {"B02": "blue", "B04": "red", "B08": "nir", "SCL": "scl"}
PER_MONTH = 4
DEGREES = 17.6
"""North of 40 N, a zone of such a height has 100,000 tile-periods: 8,333 tiles of 10 km in twelve months."""
PUTS_AT_ONCE = 64
CONFIG = """\
name: campaign
output: {output}
area: {{bbox: [12.05, 40.0, 17.95, {north:.3f}]}}
grid: {{kind: utm, tile_px: 1024, resolution_m: 10}}
period: {{start: 2024-01-01, end: 2025-01-01, every: month}}
sources:
  s2: {{items: {items}, collection: [sentinel-2-c1-l2a]}}
products:
  - {{product: sentinel2, source: s2, bands: [red, nir], indices: [ndvi]}}
run: {{super_tile: 1, missing_assets: {{max_fraction: 0.5}}}}
"""


@dataclass(frozen=True)
class World:
    """A config, and the snapshot of what it reads."""

    config: Path
    snapshot: Path


def make_world(folder: Path, jobs: int, output: str) -> World:
    """Scenes of 110 km, four a month, in one zone from 40 N northwards; about so many tile-periods of 10 km."""
    north = 40.0 + DEGREES * jobs / 100_000
    rows = range(44, 46 + round((north - 40.0) * 1.112))
    snapshot, config = folder / "scenes.parquet", folder / "campaign.yaml"
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    items = [
        canonical(_scene((column, row), month, number, to_lonlat), "s2")[0]
        for month in range(1, 13)
        for number in range(PER_MONTH)
        for column in range(2, 8)
        for row in rows
    ]
    write_snapshot(Snapshot(tuple(items)), snapshot)
    config.write_text(CONFIG.format(output=output, north=north, items=snapshot))
    return World(config, snapshot)


def _scene(place: tuple[int, int], month: int, number: int, to_lonlat: Transformer) -> Json:
    column, row = place
    side = SCENE_PX * PX_M
    left, top = column * 100_000 - 20, (row + 1) * 100_000 + 20
    ring = [(left, top - side), (left + side, top - side), (left + side, top), (left, top), (left, top - side)]
    name = f"S2_33_{column}_{row}_{month:02d}_{number}"
    asset = {
        "type": "image/tiff; application=geotiff",
        "roles": ["data"],
        "proj:shape": [SCENE_PX, SCENE_PX],
        "proj:transform": [PX_M, 0, left, 0, -PX_M, top],
        "file:checksum": "1220" + "ab" * 32,
        "file:size": 10**8,
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": "sentinel-2-c1-l2a",
        "geometry": {"type": "Polygon", "coordinates": [[list(to_lonlat.transform(*corner)) for corner in ring]]},
        "properties": {
            "datetime": f"2024-{month:02d}-{number * 7 + 1 + column % 3:02d}T10:00:00Z",
            "updated": f"2024-{month:02d}-28T10:00:00Z",
            "platform": "sentinel-2a",
            "proj:code": f"EPSG:{EPSG}",
            "eo:cloud_cover": 10.0,
            "s2:processing_baseline": "05.10",
        },
        "links": [],
        "assets": {
            key: {
                **asset,
                "href": f"https://scenes.example/{name}/{key}.tif",
                "bands": [{"name": key, "eo:common_name": common}],
            }
            for key, common in BANDS.items()
        },
    }


def commit_all(session: Session, server: S3Server, run_id: str) -> None:
    """Leave in an S3 output what a finished run leaves: an item a job, its records, pages and table; no data files."""
    store, plan = session.prepared.store, session.plan
    assert isinstance(store, S3Store)
    with tempfile.TemporaryDirectory() as folder:
        snapshot = Path(folder, "items.parquet")
        write_snapshot(session.prepared.snapshot, snapshot)
        begin_run(store, run_id, redacted(session.config), plan, [snapshot])
    jobs = iter(plan.jobs)
    current: dict[str, list[str]] = {}
    items: dict[str, bytes] = {}
    while some := list(islice(jobs, 1024)):
        made = {item_key(job): data for job, data in zip(some, _items(some), strict=True)}
        sync(server.client().loop, _put_all, server.client(), store, made)
        items |= made
        current.setdefault(some[0].product, []).extend(made)
    finish_run(store, run_id, {"run": run_id, "outcomes": {"done": len(plan.jobs)}, "skipped": 0, "quality": {}})
    write_catalog(_Known(store, items), session.config.name, current)


class _Known:
    """A store whose items are known without asking for each."""

    def __init__(self, store: S3Store, items: Mapping[str, bytes]) -> None:
        self._store, self._items = store, items

    def get_bytes(self, key: str) -> bytes:
        return self._items[key] if key in self._items else self._store.get_bytes(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _items(jobs: list[Job]) -> Iterator[bytes]:
    boxes = lonlat_boxes([job.tile.geobox for job in jobs], str(jobs[0].tile.geobox.crs))
    for job, (west, south, east, north) in zip(jobs, boxes, strict=True):
        start, end = (time.isoformat() if time else None for time in (job.period.start, job.period.end))
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        item: Json = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "stac_extensions": [],
            "id": f"{job.tile.id}_{job.period.id}_{job.fingerprint}",
            "collection": job.product,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": [west, south, east, north],
            "properties": {
                "datetime": start,
                "start_datetime": start,
                "end_datetime": end,
                "license": "other",
                "attribution": "nobody",
                "groundswell:format": 1,
                "groundswell:fingerprint": job.fingerprint,
                "groundswell:quality": {"status": "pass", "flags": [], "found": [], "valid_fraction": 0.99},
            },
            "links": [],
            "assets": {},
        }
        item["properties"][ITEM_DIGEST] = document_digest(item)
        yield json_bytes(item)


async def _put_all(fs: s3fs.S3FileSystem, store: S3Store, objects: Mapping[str, bytes]) -> None:
    """By signed addresses: a client of S3 takes several milliseconds for each put."""
    await fs.set_session()
    connector = aiohttp.TCPConnector(limit=PUTS_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as http:

        async def put(key: str, data: bytes) -> None:
            where = {"Bucket": store.bucket, "Key": f"{store.prefix}/{key}" if store.prefix else key}
            url = await fs.s3.generate_presigned_url("put_object", where, 3600)
            async with http.put(URL(url, encoded=True), headers={"Content-Type": ""}, data=data) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"{key}: HTTP {answer.status}: {await answer.text()}")

        await asyncio.gather(*(put(key, data) for key, data in objects.items()))
