"""Argo profiles in cells of longitude, latitude and month, on standard pressures: one job per region and period.

Made from every partition of an argo product that was planned in the same run. Each level gets its conservative
temperature, absolute salinity and density first; profiles are interpolated to the pressures; then cells are filled. The
result is one Zarr store of the axes (time, pressure, latitude, longitude).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ProductConfig
from pipeline.plan.entries import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.products._argo_grid_config import ArgoGridConfig, region_tile
from pipeline.products._argo_grid_fill import Grid, gather, months_of, partition_of, place_of
from pipeline.products._argo_grid_gather import BATCH_BYTES, LEFT_OUT, Chosen
from pipeline.products._argo_grid_store import begin_store, coordinates, variables
from pipeline.products._base import Context
from pipeline.products._rights import united_rights
from pipeline.products._whole import FromProducts, anything
from pipeline.products._work import Work, start_works
from pipeline.read.access import Access
from pipeline.types import Job, Json, Made, MemoryPlan, Rights
from pipeline.write.cog import grid_fields
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import WriteOptions
from pipeline.write.zarr_grid import CHUNK_NUMBERS

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PRODUCT", "VERSION", "ArgoGridConfig"]

VERSION = 1
"""Raise it when the same inputs and parameters give other numbers."""
THREADS = 2
"""Batches on their way at once, beside the one that is added."""
_HEADS_BYTES = 64 * 2**20
"""Where and when: of some hundred thousand profiles in the grid."""
_NAMED = ("product", "name", "inputs", "regions", "grid", "period", "missing_assets", "write", "quality")
"""Keys that are no parameter of the numbers: a region is its tile."""


class ArgoGrid(FromProducts):
    """The product: all partitions in, one committed grid out."""

    model = ArgoGridConfig

    def plan(
        self, entry: ProductConfig, region: str, write: WriteOptions, upstream: Mapping[str, ProductPlan]
    ) -> ProductPlan:
        del write, upstream
        config = _own(entry)
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters=config.model_dump(mode="json", exclude={*_NAMED}),
            source=None,
            region=region,
            bands=(),
            # Statistics of as many cells as a chunk of months has, and one of them while it is written and read back;
            # a chunk is a month, or no more numbers than are fixed.
            holding=Holding(
                24 * config.targets + 3 * 8 * len(config.levels_dbar) + 16,
                day=0,
                scene_bits=False,
                fixed_bytes=(THREADS + 1) * BATCH_BYTES
                + _HEADS_BYTES
                + 24 * (len(config.variables) + 2) * CHUNK_NUMBERS,
            ),
            inputs=config.inputs,
            out_bytes=16 * config.targets,
            alone=True,
            clips=True,
            whole=True,
            tiles=tuple(region_tile(name, one, config.cell_deg) for name, one in sorted(config.regions.items())),
            layers=frozenset(),
        )

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        del memory  # of several together: each has its own
        config = _own(entry)
        made = []
        for job, folder in zip(jobs, folders, strict=True):
            with start_works([job], context, 1, anything, THREADS) as (work,):
                made.append(_make(work, config, folder))
        return made

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        """The profiles that the grid is made from, (profile, level)."""
        from pipeline.products._argo_dataset import Selection, open_partitions  # noqa: PLC0415 (Dask, for notebooks)

        config = _own(entry)
        place = place_of(job, config)
        selection = Selection(
            kinds=(config.kind,),
            primary=config.profiles == "primary",
            parameters=tuple(name.upper() for name in config.columns),
            within=place.cell_of,
        )
        return open_partitions([partition_of(item.assets["levels"], access) for item in job.items], selection)

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        """The grid itself: one block a variable, made when it is computed."""
        return _lazy(job, _own(entry), access)


PRODUCT = ArgoGrid()


def _own(entry: ProductConfig) -> ArgoGridConfig:
    if not isinstance(entry, ArgoGridConfig):
        raise TypeError(f"expected an argo_grid entry, found {type(entry).__name__}")
    return entry


def _make(work: Work, config: ArgoGridConfig, folder: Path) -> Made:
    job = work.job
    grid = gather(work, config)
    rights = _rights(grid.chosen)
    store = begin_store(folder / "grid.zarr", job, config, grid.cells, rights)
    seen = np.zeros(grid.cells.shape[1:], np.int64)
    for month, name, layer in months_of(work, grid):
        store.add(name, month, layer)
        if name == "profiles":
            seen += layer.sum(axis=0)
    data, manifest = store.finish()
    data = replace(data, title="Grid (time, pressure, latitude, longitude)", fields=grid_fields(job.tile.geobox))
    picture = np.where(seen[::-1] > 0, np.log1p(seen[::-1]), np.nan)
    thumbnail = write_thumbnail([picture], None, folder / "thumbnail.png", title="Profiles in each cell")
    profiles = int(seen.sum())
    if not profiles:
        work.ledger.note(f"no {config.kind} profile lies in {job.tile.id} in {job.period.id}: the grid is empty")
    _note_absent(work, grid)
    return Made(
        files=(data, manifest, thumbnail),
        properties={**_properties(grid, profiles, int(np.count_nonzero(seen))), **_when(job)},
        rights=rights,
        losses=work.ledger.losses,
        warnings=work.ledger.notes,
        read_bytes=job.read_bytes,
    )


def _when(job: Job) -> dict[str, Json]:
    return {"processing:lineage": f"Grid of {job.tile.id}, {job.period.id}, from {len(job.items)} partitions"}


def _properties(grid: Grid, profiles: int, columns: int) -> dict[str, Json]:
    floats = {int(wmo) for one in grid.chosen for wmo in np.unique(one.wmo)}
    return {
        "groundswell:profiles_gridded": profiles,
        "groundswell:floats_gridded": len(floats),
        "groundswell:columns_with_profiles": columns,
        "groundswell:profiles_without_cell": {
            cause: sum(one.left_out[cause] for one in grid.chosen) for cause in LEFT_OUT
        },
    }


def _note_absent(work: Work, grid: Grid) -> None:
    """Say which columns no partition has: everything that needs them is empty."""
    if not grid.chosen:
        return
    there = frozenset[str]().union(*(one.columns for one in grid.chosen))
    if absent := [name for name in grid.config.columns if name not in there]:
        work.ledger.note(
            f"no partition has {', '.join(absent)}: add {', '.join(name.upper() for name in absent)} to the "
            "parameters of the argo product"
        )


def _rights(chosen: Sequence[Chosen]) -> Rights:
    """Whatever any partition demands; each says it in its footer."""
    parts = {(one.rights.license, one.rights.attribution): one.rights for one in chosen if one.rights.attribution}
    if not parts:
        return Rights("other", "Made from no Argo profile")
    return united_rights([parts[key] for key in sorted(parts)])


def _lazy(job: Job, config: ArgoGridConfig, access: Access) -> xr.Dataset:
    import dask.array as da  # noqa: PLC0415 (xarray and Dask's arrays, for notebooks)
    import xarray as xr  # noqa: PLC0415 (the same)
    from dask.delayed import delayed  # noqa: PLC0415 (the same)

    axes = coordinates(job, config, place_of(job, config).cells)
    made = delayed(_computed)(job, config, access)
    found = {}
    for one in variables(config):
        shape = tuple(len(axes[dim].values) for dim in one.dims)
        found[one.name] = (one.dims, da.from_delayed(made[one.name], shape, one.dtype), dict(one.attributes))
    beside = {name: (one.dims, one.values, dict(one.attributes)) for name, one in axes.items()}
    decoded: xr.Dataset = xr.decode_cf(xr.Dataset({**found, **beside}, attrs={"job": job.id}))
    return decoded


def _computed(job: Job, config: ArgoGridConfig, access: Access) -> dict[str, NDArray[Any]]:
    """Every variable by name, as it is committed."""
    context = Context(access, WriteOptions(None), skip_missing=True, max_missing_fraction=1.0, threads=THREADS)
    with start_works([job], context, 1, anything, THREADS) as (work,):
        grid = gather(work, config)
        steps: dict[str, list[NDArray[Any]]] = {}
        for _, name, layer in months_of(work, grid):
            steps.setdefault(name, []).append(layer)
    return {name: np.concatenate(each) for name, each in steps.items()}
