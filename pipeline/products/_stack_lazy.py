"""A stack without making it: the committed numbers as a lazy Dataset, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from pipeline.products._layers import QA_EMPTY, QA_LOST
from pipeline.products._stack_inputs import InputLayer, absent, read_rows
from pipeline.products._stack_planes import Cube, Plane
from pipeline.read.access import Access
from pipeline.types import Band, Job


def lazy_cube(job: Job, cube: Cube, access: Access, count: Band) -> xr.Dataset:
    """Every layer of a stack: lazy (y, x), or (time, y, x) where it has steps; one block a layer. Nothing is lost."""
    geobox = job.tile.geobox
    shape = geobox.shape.yx
    made = [
        da.from_delayed(delayed(partial(_plane, plane, job, access))(), shape, plane.band.dtype)
        for plane in cube.planes
    ]
    variables: dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]] = {}
    for name in dict.fromkeys(plane.band.name for plane in cube.planes):
        mine = [(plane, data) for plane, data in zip(cube.planes, made, strict=True) if plane.band.name == name]
        band, timed = mine[0][0].band, mine[0][0].step is not None
        data = da.stack([each for _, each in mine]) if timed else mine[0][1]
        known = {} if band.nodata is None else {"nodata": band.nodata}
        attributes = {"scale_factor": band.scale, "add_offset": band.offset, "units": band.unit, **known}
        variables[name] = (("time", "y", "x") if timed else ("y", "x"), data, attributes)
    counted = da.from_delayed(delayed(partial(_count, cube.planes, shape))(made), shape, count.dtype)
    lost = QA_LOST if cube.missing else 0
    variables[count.name] = (("y", "x"), counted, {})
    variables["qa"] = (("y", "x"), ((counted == 0) * np.uint8(QA_EMPTY) | np.uint8(lost)).astype(np.uint8), {})
    y, x = (geobox.coordinates[name].values for name in geobox.dimensions)
    time = {"time": np.array(cube.steps, "datetime64[ns]")} if cube.steps else {}
    return xr.Dataset(variables, coords={**time, "y": y, "x": x}, attrs={"crs": str(geobox.crs), "job": job.id})


def _plane(plane: Plane, job: Job, access: Access) -> NDArray[Any]:
    geobox = job.tile.geobox
    out = np.empty(geobox.shape.yx, plane.band.dtype)

    def read(layer: InputLayer, rows: tuple[int, int]) -> NDArray[Any]:
        return read_rows(layer, access, geobox, rows)

    plane.fill(out, (0, len(out)), read)
    return out


def _count(planes: Sequence[Plane], shape: tuple[int, int], made: Sequence[NDArray[Any]]) -> NDArray[np.uint16]:
    count = np.zeros(shape, np.uint16)
    for plane, values in zip(planes, made, strict=True):
        if plane.measures:
            count += ~absent(values, plane.band.nodata)
    return count
