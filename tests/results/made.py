"""Small outputs made in this process by the pipeline itself, and their COGs read by rasterio alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray

from pipeline.execute.records.runs import begin_run, current_items, finish_run, new_run_id
from pipeline.session import Session
from pipeline.types import Job, Plan, Status
from pipeline.write.catalog import write_catalog
from pipeline.write.mosaic import Mosaic
from pipeline.write.repository import open_repository
from pipeline.write.store import Store
from tests.worlds import SmallWorld

BOTH_STORES = "write={cog: {}, zarr: {}}"


def make(world: SmallWorld, *sets: str) -> Session:
    """Every job of the small world committed, the run finished and the pages written."""
    session = world.session(*sets)
    for job in session.plan.jobs:
        outcome = world.run(session, job)
        assert outcome.status is Status.DONE, outcome.cause
    finish(session.prepared.store, session.plan)
    return session


def finish(store: Store, plan: Plan, *, pages: bool = True) -> None:
    """What a run leaves at its end: its records, and the pages."""
    run_id = new_run_id(datetime.now(UTC))
    begin_run(store, run_id, {}, plan, ())
    finish_run(store, run_id, {"run": run_id})
    keys: dict[str, list[str]] = {}
    for job_id, key in current_items(store).items():
        keys.setdefault(job_id.partition("/")[0], []).append(key)
    if pages:
        write_catalog(store, "made", keys)


def plan_of(jobs: Sequence[Job]) -> Plan:
    return Plan(tuple(jobs), ())


@dataclass(frozen=True)
class Cog:
    """One COG as rasterio reads it."""

    tile: str
    period: str
    band: str
    crs: str
    transform: tuple[float, ...]
    data: NDArray[Any]
    nodata: float | None
    scale: float


def read_cogs(store: Store, keys: Sequence[str] | None = None) -> Iterator[Cog]:
    """Every COG of every item, or of the given items."""
    for key in sorted(key for key, _ in store.list_objects("items/")) if keys is None else keys:
        for name, asset in json.loads(store.get_bytes(key))["assets"].items():
            if "profile=cloud-optimized" in asset["type"]:
                path = asset["href"].removeprefix("../../")
                with rasterio.MemoryFile(store.get_bytes(path)) as memory, memory.open() as source:
                    _, _, tile, period, _ = path.split("/")
                    yield Cog(
                        tile,
                        period,
                        name,
                        f"EPSG:{source.crs.to_epsg()}",
                        tuple(source.transform[:6]),
                        source.read(1),
                        source.nodata,
                        source.scales[0],
                    )


def paste(cogs: Sequence[Cog]) -> NDArray[Any]:
    """COGs of one band, period and CRS side by side, by their own transforms."""
    a, e = cogs[0].transform[0], cogs[0].transform[4]
    west, north = min(cog.transform[2] for cog in cogs), max(cog.transform[5] for cog in cogs)
    corners = [(round((cog.transform[5] - north) / e), round((cog.transform[2] - west) / a)) for cog in cogs]
    height = max(row + cog.data.shape[0] for (row, _), cog in zip(corners, cogs, strict=True))
    width = max(column + cog.data.shape[1] for (_, column), cog in zip(corners, cogs, strict=True))
    whole = np.full((height, width), cogs[0].nodata or 0, cogs[0].data.dtype)
    for (row, column), cog in zip(corners, cogs, strict=True):
        whole[row : row + cog.data.shape[0], column : column + cog.data.shape[1]] = cog.data
    return whole


def open_mosaic(store: Store, written: Mosaic) -> xr.Dataset:
    """As a user would, without masking; by the id of its snapshot, or as plain Zarr."""
    if written.snapshot is None:
        plain: xr.Dataset = xr.open_zarr(f"{store.uri}/{written.key}", mask_and_scale=False)
        return plain
    session = open_repository(store, written.key).readonly_session(snapshot_id=written.snapshot)
    found: xr.Dataset = xr.open_zarr(session.store, consolidated=False, mask_and_scale=False)
    return found
