"""An optical job as a lazy cube: the same scenes, masks and offsets as the production path, and the same pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from pipeline.ops.composite import median
from pipeline.ops.mask import ClassMask
from pipeline.products._optical import clear_window
from pipeline.read.access import Access
from pipeline.read.gather import LARGEST, gather
from pipeline.read.layer import Target
from pipeline.read.lazy import LayerFunction, open_layers
from pipeline.types import Asset, Item, Job


def open_observations(
    job: Job,
    bands: Mapping[str, LayerFunction],
    mask: tuple[str, ClassMask] | None,
    shift_of: Callable[[Item], int],
    access: Access,
) -> xr.Dataset:
    """A job's observations, one per solar day: lazy uint16 (time, y, x) per band, 0 = none, offset removed.

    bands: how each band is read. mask: (band of the classification, what is masked). shift_of: called per scene when
    the cube is computed, since it may read pixels. Nothing is read before; what cannot be read raises AssetError when
    computed.
    """
    layers = dict(bands)
    if mask is not None:
        layers[mask[0]] = partial(_read_clear, mask[1])
    cube = open_layers(job.items, layers, job.tile.geobox, access)
    shifts = [da.from_delayed(delayed(shift_of)(item), (), np.int64) for item in job.items]
    days = [list(scenes) for _, scenes in groupby(range(len(job.items)), key=lambda n: job.items[n].solar_day)]
    clear = [cube.sel(band=mask[0]).isel(time=n).data > 0 for n in range(len(job.items))] if mask is not None else None
    arrays = {
        band: da.stack([_merge_day(cube.sel(band=band), day, shifts, clear) for day in days]).rechunk({0: -1})
        for band in bands
    }
    time = np.array([np.datetime64(job.items[day[0]].solar_day, "ns") for day in days])
    return xr.Dataset(
        {band: (("time", "y", "x"), data, {"scale_factor": 1e-4, "nodata": 0}) for band, data in arrays.items()},
        coords={"time": time, "y": cube["y"].values, "x": cube["x"].values},
        attrs={"crs": str(job.tile.geobox.crs), "job": job.id},
    )


def lazy_median(observations: xr.DataArray) -> xr.DataArray:
    """Median over `time` of lazy uint16 observations (0 = none): lazy (y, x), equal to the committed composite."""
    data = observations.data.map_blocks(_median_block, dtype=np.uint16, drop_axis=0)
    return xr.DataArray(
        data, dims=("y", "x"), coords={"y": observations["y"], "x": observations["x"]}, attrs=observations.attrs
    )


def _median_block(block: NDArray[np.uint16]) -> NDArray[np.uint16]:
    out, count = np.empty(block.shape[1:], np.uint16), np.empty(block.shape[1:], np.uint16)
    median(block, out, count)
    return out


def _merge_day(
    layer: xr.DataArray, day: Sequence[int], shifts: Sequence[da.Array], clear: Sequence[da.Array] | None
) -> da.Array:
    """One day's scenes as one layer: the first that is clear there gives the pixel, in every band the same."""
    merged: da.Array = da.zeros(layer.shape[1:], chunks=layer.data.chunks[1:], dtype=np.uint16)
    taken = da.zeros_like(merged, dtype=bool)
    for scene in day:
        stored = layer.isel(time=scene).data.astype(np.int64)
        value = da.where(stored == 0, 0, da.clip(stored + shifts[scene], 1, LARGEST)).astype(np.uint16)
        if clear is not None:
            value = da.where(clear[scene] & ~taken, value, 0)
            taken = taken | clear[scene]
        merged = da.where(merged == 0, value, merged)
    return merged


def _read_clear(mask: ClassMask, asset: Asset, access: Access, item: str, target: Target) -> NDArray[np.uint16]:
    """1 where a scene is clear, 0 elsewhere, on the cube's grid; masked on the classification's own pixels."""
    out = np.zeros(target.shape, np.uint16)
    found = clear_window(asset, access, item, target, mask)
    if found is not None:
        gather(found[0].astype(np.uint16), found[1].corner, found[1].pixels, target.corner, out)
    return out
