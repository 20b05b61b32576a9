"""Satellite pixels at the places and times of floats: one table a region and period, one row a profile and scene.

A row stands for every scene within `tolerance_hours` of a profile on whose grid the profile lies, also where clouds
leave no pixel: `<source>_<band>_count` says how many there are. A profile belongs to the period of its own time; scenes
around it are looked for beyond that period as well, as far as they were searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from pipeline.config import ProductConfig
from pipeline.errors import JobError, StoreError
from pipeline.plan.areas import possible_footprint
from pipeline.plan.argo_schema import IDENTITY
from pipeline.plan.jobs import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.products._base import Context, stated_rights
from pipeline.products._matchups_config import SENSORS, MatchupsConfig
from pipeline.products._matchups_floats import Floats, read_floats
from pipeline.products._matchups_pixels import Meaning, Sampled, sample
from pipeline.products._matchups_table import match_table, write_matchups
from pipeline.products._quality import MISSING
from pipeline.products._rights import united_rights
from pipeline.products._work import Work, start_works
from pipeline.read.access import Access
from pipeline.types import Item, Job, Json, Made, MemoryPlan, Rights
from pipeline.write.store import Store
from pipeline.write.tile import WriteOptions

if TYPE_CHECKING:
    import xarray as xr

VERSION = 2
"""Raise it when the same inputs and parameters give other rows."""
_MARGIN_DEG = 0.01
"""Catalogue footprints are simplified; a scene that misses a profile by less than about a kilometre is asked."""
_HELD_BYTES = 512 * 2**20
"""About what a job holds: a run of levels, the windows of some scenes, the table (a million rows are some 200 MB)."""
_COPIES, _ROW_BYTES = 7, 400
"""Of the windows at most, measured: as read, in the table, sorted, and read back; and what else a row takes."""
_UNKNOWN = Rights("other", "Made of items that state no attribution")


class Matchups:
    """The product: committed profiles and a source's scenes in, one table out."""

    model = MatchupsConfig

    def plan(
        self,
        entry: ProductConfig,
        region: str,
        write: WriteOptions,  # noqa: ARG002 (the seam's; a table has one way to be written)
        upstream: Mapping[str, ProductPlan],  # noqa: ARG002 (the seam's)
    ) -> ProductPlan:
        config = _own(entry)
        told = {
            "inputs",
            "regions",
            "sensor",
            "bands",
            "clear",
            "tolerance_hours",
            "window_px",
            "surface_dbar",
            "kinds",
        }
        sensor = config.sensor and SENSORS[config.sensor]
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={
                **config.model_dump(mode="json", include=told),
                "prefix": config.prefix,
                **({"sensor_version": sensor.version} if sensor else {}),
            },
            source=config.source,
            region=region,
            bands=tuple(self.aliases(config)),
            holding=Holding(tile=0, scene_bits=False, fixed_bytes=_HELD_BYTES),
            facts=("datetime", *(sensor.facts if sensor else ())),
            inputs=config.inputs,
            alone=True,
            clips=True,
            whole=True,
            tiles=config.tiles,
            around=timedelta(hours=config.tolerance_hours),
            layers=frozenset(),
        )

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        config = _own(entry)
        if config.sensor is None:
            return {band: (band,) for band in config.bands}
        named: Mapping[str, Sequence[str]] = SENSORS[config.sensor].aliases(config.optical)
        return named

    def notes(self, entry: ProductConfig, items: Sequence[Item]) -> Sequence[str]:
        config = _own(entry)
        lacking = {band: [item.id for item in items if band not in item.assets] for band in self.aliases(config)}
        return [
            f"{config.name}: {len(ids)} of {len(items)} scenes of {config.source} have no {band}, as {ids[0]}"
            for band, ids in lacking.items()
            if ids
        ]

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        config = _own(entry)
        return [_make(job, config, context, folder, memory) for job, folder in zip(jobs, folders, strict=True)]

    def open(self, job: Job, _entry: ProductConfig, _access: Access) -> xr.Dataset:
        _refuse(job)

    def composite(self, job: Job, _entry: ProductConfig, _access: Access) -> xr.Dataset:
        _refuse(job)


PRODUCT = Matchups()


def _own(entry: ProductConfig) -> MatchupsConfig:
    if not isinstance(entry, MatchupsConfig):
        raise TypeError(f"expected a matchups entry, found {type(entry).__name__}")
    return entry


def _refuse(job: Job) -> NoReturn:
    raise JobError(f"{job.id}: found a table of match-ups, expected layers; read it with read_matchups")


def _make(job: Job, config: MatchupsConfig, context: Context, folder: Path, memory: MemoryPlan) -> Made:
    """One region and period. Raises AssetError, StoreError, MissingAssetsError, OutputError, JobError."""
    if context.store is None or job.tile.outline is None:
        raise StoreError(f"{job.id}: found no output to read the profiles from; expected to be made by a run")
    mine = [item for item in job.items if item.source == config.source]
    inputs = [item for item in job.items if item.source in config.inputs]
    access = output_access(context.store)
    floats = read_floats(inputs, config, access, job.tile.outline, job.period)
    near = {item.key: numbers for item in mine if len(numbers := _near(item, floats, config))}
    _check_size(job, config, sum(map(len, near.values())), memory)
    scenes = tuple(item for item in mine if item.key in near)
    meaning = Meaning(config, scenes)
    asked = replace(job, items=scenes)
    with start_works([asked], context, meaning.assets, meaning.accept, memory.reads) as (work,):

        def look(item: Item) -> Sampled | None:
            return sample(work, meaning, item, floats.places[near[item.key]])

        found = [sampled for sampled in work.pool.map(look, scenes) if sampled is not None]
        work.ledger.check()
    table = match_table(floats, [(one, near[one.scene.key][one.places]) for one in found], config)
    rights = _rights(config, scenes, floats)
    return Made(
        files=(write_matchups(table, job, config, rights, folder),),
        properties=_properties(work, floats, table),
        rights=rights,
        losses=work.ledger.losses,
        warnings=work.ledger.notes,
    )


def _check_size(job: Job, config: MatchupsConfig, rows: int, memory: MemoryPlan) -> None:
    """Raise JobError where so many windows are more than the job was planned to hold."""
    needed = rows * (_ROW_BYTES + len(config.bands) * config.window_px**2 * 4 * _COPIES)
    if needed > memory.peak_bytes:
        raise JobError(
            f"{job.id}: found up to {rows} match-ups that take some {needed / 2**20:.0f} MiB, expected "
            f"{memory.peak_bytes / 2**20:.0f} MiB at most; make regions or periods smaller, or window_px"
        )


def output_access(store: Store) -> Access:
    """How the partitions are opened, which lie in the output and not where the scenes are."""
    if "://" in store.uri:
        from pipeline.write.s3 import S3Store  # noqa: PLC0415 (s3fs is slow to import, and a folder does not need it)

        assert isinstance(store, S3Store)  # noqa: S101 (the only store with an address)
        return Access(endpoint=store.endpoint, profile=store.profile, anonymous=store.anonymous, local=False)
    return Access()


def _near(item: Item, floats: Floats, config: MatchupsConfig) -> NDArray[np.int64]:
    """Numbers of the profiles within reach of a scene: by its time and its footprint."""
    moment = np.datetime64(item.time.replace(tzinfo=None), "us")
    apart = np.abs(floats.times - moment) / np.timedelta64(1, "h")
    number = np.flatnonzero(apart <= config.tolerance_hours)
    if not len(number):
        return number
    around = shapely.buffer(possible_footprint(item.geometry), _MARGIN_DEG)
    longitude, latitude = floats.places[number].T
    inside: NDArray[np.bool_] = shapely.intersects_xy(around, longitude, latitude)
    return np.asarray(number[inside])


def _rights(config: MatchupsConfig, scenes: Sequence[Item], floats: Floats) -> Rights:
    """Of everything that a table is made from."""
    parts = list(floats.rights)
    if scenes:
        parts.append(SENSORS[config.sensor].rights(scenes) if config.sensor else stated_rights(scenes, _UNKNOWN))
    return united_rights(parts) if parts else _UNKNOWN


def _properties(work: Work, floats: Floats, table: pa.Table) -> dict[str, Json]:
    profiles, scenes = len(floats.table), len(work.job.items)
    return {
        "processing:lineage": f"{table.num_rows} match-ups of {profiles} profiles and {scenes} scenes",
        "groundswell:rows": table.num_rows,
        "groundswell:profiles": profiles,
        "groundswell:profiles_matched": table.group_by(list(IDENTITY)).aggregate([]).num_rows,
        "groundswell:scenes": scenes,
        "groundswell:left_out": [f"{cause}: {count}" for cause, count in sorted(floats.left_out.items()) if count],
        MISSING: round(work.ledger.fraction, 6),
    }
