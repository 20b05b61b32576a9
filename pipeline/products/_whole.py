"""What products have in common that make a tile's layers without an optical recipe: job by job, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ProductConfig
from pipeline.products._base import Context
from pipeline.products._work import Work, start_works
from pipeline.types import Band, Item, Job, Made, Rights
from pipeline.write.cog import rights_tags
from pipeline.write.tile import TileWriter, writing
from pipeline.write.zarr_attributes import Extent

if TYPE_CHECKING:
    import xarray as xr

Maker = Callable[[Work, TileWriter, Path], Made]
"""(a job that runs, where its layers go, its scratch folder) -> what is committed."""


class FromProducts:
    """What every product of products answers alike: it reads no source, so it has no names and no remarks for one."""

    def aliases(self, _entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        return {}

    def notes(self, _entry: ProductConfig, _items: Sequence[Item]) -> Sequence[str]:
        return ()


def make_alone(
    jobs: Sequence[Job],
    context: Context,
    folders: Sequence[Path],
    inputs: tuple[int, Callable[[Item, str], None]],
    rights: Callable[[Job], Rights],
    make: Maker,
) -> list[Made]:
    """Jobs one after the other, each with threads, ledger and files of its own.

    inputs: assets that are read of each item, and what refuses one that is not what it is taken for (`Work.accept`).
    """
    assets, accept = inputs
    made = []
    for job, folder in zip(jobs, folders, strict=True):
        with start_works([job], context, assets, accept, job.memory.reads) as (work,), writing() as thread:
            extent = Extent(job.tile.geobox, job.period, ())
            writer = TileWriter(extent, folder, context.write, rights_tags(rights(job)), thread)
            made.append(make(work, writer, folder))
    return made


def anything(_item: Item, _band: str) -> None:
    """Accept whatever a band declares of its numbers: the reader itself says what it needs."""


def lazy_whole(job: Job, bands: Sequence[Band], compute: Callable[[], Mapping[str, NDArray[Any]]]) -> xr.Dataset:
    """Layers (y, x) that are made all at once, as a lazy Dataset: one block a layer, nothing is read before computed.

    compute: gives a layer of stored numbers for every band, by name.
    """
    import dask.array as da  # noqa: PLC0415 (xarray and Dask's arrays, for notebooks)
    import xarray as xr  # noqa: PLC0415 (the same)
    from dask.delayed import delayed  # noqa: PLC0415 (the same)

    geobox = job.tile.geobox
    made = delayed(compute)()
    shape = geobox.shape.yx
    variables = {}
    for band in bands:
        layer = da.from_delayed(made[band.name], shape, np.dtype(band.dtype))
        attributes = {"scale_factor": band.scale, "add_offset": band.offset, "units": band.unit}
        known = {} if band.nodata is None else {"nodata": band.nodata}
        variables[band.name] = (("y", "x"), layer, {**attributes, **known})
    coordinates = {name: axis.values for name, axis in geobox.coordinates.items()}
    y, x = geobox.dimensions
    attributes = {"crs": str(geobox.crs), "job": job.id}
    return xr.Dataset(variables, coords={"y": coordinates[y], "x": coordinates[x]}, attrs=attributes)
