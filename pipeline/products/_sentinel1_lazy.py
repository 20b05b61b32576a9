"""A radar job as lazy arrays: its observations, and its layers as they are committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from pipeline.products._sentinel1_config import Sentinel1Config
from pipeline.products._sentinel1_layers import layer_bands
from pipeline.products._sentinel1_orbits import groups_of, never_measured, passes_of
from pipeline.products._sentinel1_read import How, PowerReader, accept_numbers
from pipeline.read.access import Access
from pipeline.read.layer import Target
from pipeline.types import Band, Item, Job

Layers = Mapping[str, Mapping[date | None, NDArray[Any]]]
"""By name and day; None where a layer has none."""


def lazy_passes(job: Job, config: Sentinel1Config, read: PowerReader, access: Access) -> xr.Dataset:
    """Every observation in linear power: lazy float32 (time, y, x) a polarisation, NaN where there is none.

    What cannot be read raises AssetError when it is computed.
    """
    passes = passes_of(job.items, config)
    shape = job.tile.geobox.shape.yx
    target, how = Target.rows_of(job.tile.geobox), How.of(config)

    def observe(items: list[Item], polarisation: str) -> NDArray[np.float32]:
        merged = np.full(shape, np.nan, np.float32)
        for item in items:
            if not never_measured(item, polarisation):
                accept_numbers(item, polarisation)
                np.copyto(merged, read(item, polarisation, access, target, how), where=np.isnan(merged))
        return merged

    variables: dict[str, Any] = {}
    for polarisation in config.polarisations:
        layers = [
            da.from_delayed(
                delayed(observe)([job.items[scene] for scene in one.scenes], polarisation), shape, np.float32
            )
            for one in passes
        ]
        stack = da.stack(layers) if layers else da.zeros((0, *shape), np.float32)
        variables[polarisation] = (("time", "y", "x"), stack, {"units": "1", "radar_scale": "power"})
    times = [np.datetime64(job.items[one.scenes[0]].time.replace(tzinfo=None), "ns") for one in passes]
    further = {
        "time": np.array(times, "datetime64[ns]"),
        "direction": ("time", [one.orbit.direction for one in passes]),
        "relative_orbit": ("time", [one.orbit.number for one in passes]),
    }
    return _dataset(job, variables, further)


def lazy_layers(job: Job, config: Sentinel1Config, quantity: str, compute: Callable[[], Layers]) -> xr.Dataset:
    """Every layer that is committed, with the same pixels: lazy (y, x), or (time, y, x) of a time series."""
    shape = job.tile.geobox.shape.yx
    made = delayed(compute)()
    days = sorted({one.day for one in passes_of(job.items, config)}) if config.composite == "none" else []
    variables = {}
    for band in layer_bands(groups_of(job.items, config), config, quantity):
        series = bool(days) and band.dtype == "float32"
        parts = [_layer(made, band, day, shape) for day in (days if series else [None])]
        attributes = {"units": band.unit} | ({} if band.nodata is None else {"nodata": band.nodata})
        data = da.stack(parts) if series else parts[0]
        variables[band.name] = (("time", "y", "x")[3 - data.ndim :], data, attributes)
    further = {"time": np.array(days, "datetime64[ns]")} if days else {}
    return _dataset(job, variables, further)


def _layer(made: Any, band: Band, day: date | None, shape: tuple[int, int]) -> da.Array:
    layer: da.Array = da.from_delayed(made[band.name][day], shape, np.dtype(band.dtype))
    return layer


def _dataset(job: Job, variables: Mapping[str, Any], further: Mapping[str, Any]) -> xr.Dataset:
    geobox = job.tile.geobox
    y, x = geobox.dimensions
    coordinates = {"y": geobox.coordinates[y].values, "x": geobox.coordinates[x].values, **further}
    attributes = {"crs": str(geobox.crs), "job": job.id}
    return xr.Dataset({name: variables[name] for name in variables}, coords=coordinates, attrs=attributes)
