"""A tree-cover tile without making it: the committed numbers as a lazy Dataset, for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from pipeline.products._ttc_layers import CHANNELS, Layer, Recipe
from pipeline.types import Band, Job

Layers = Mapping[tuple[str, date | None], NDArray[Any]]
"""By name and step in time."""


def lazy_year(job: Job, recipe: Recipe, year: int, beside: Sequence[Band], compute: Callable[[], Layers]) -> xr.Dataset:
    """Every layer as it is committed: lazy (y, x), or (time, y, x) where it has steps; all are made by one call."""
    geobox, steps = job.tile.geobox, recipe.steps(year)
    made, shape = delayed(compute)(), geobox.shape.yx
    layers = [layer for channel in CHANNELS[recipe.form] for layer, _ in recipe.statistics(channel, year)]
    layers += [Layer(band, None) for band in beside]
    variables = {}
    for band, first in {layer.band.name: (layer.band, layer.step) for layer in layers}.values():
        at: list[date | None] = [None] if first is None else [*steps]
        parts = [da.from_delayed(made[band.name, step], shape, np.dtype(band.dtype)) for step in at]
        attributes = {"scale_factor": band.scale, "add_offset": band.offset, "units": band.unit}
        known = {} if band.nodata is None else {"nodata": band.nodata}
        data = parts[0] if first is None else da.stack(parts)
        variables[band.name] = (("y", "x") if first is None else ("time", "y", "x"), data, {**attributes, **known})
    y, x = (geobox.coordinates[name].values for name in geobox.dimensions)
    time = {"time": np.array(steps, "datetime64[ns]")} if steps else {}
    return xr.Dataset(variables, coords={**time, "y": y, "x": x}, attrs={"crs": str(geobox.crs), "job": job.id})
