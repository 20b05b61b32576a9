"""`open_results`: the current items of an output as one lazy Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import dask.array as da
import numpy as np
import rioxarray  # noqa: F401 (gives Datasets their `.rio`)
import xarray as xr
from affine import Affine

from pipeline.errors import ConfigError
from pipeline.read.access import Access
from pipeline.results.find import find_outputs
from pipeline.results.window import WindowReader
from pipeline.types import Band
from pipeline.write.layout import Board, lay_out, plan_board, select_crs
from pipeline.write.outputs import Output, common_bands, joint_rights
from pipeline.write.patchwork import Patchwork
from pipeline.write.store import open_store
from pipeline.write.zarr_attributes import flag_attributes


def open_results(  # noqa: PLR0913 (the front door of notebooks: all but the first have a default)
    uri: str,
    product: str | None = None,
    *,
    crs: str | None = None,
    layout: Literal["mosaic", "tiles"] | None = None,
    bands: Sequence[str] | None = None,
    store: Literal["zarr", "cog"] | None = None,
    decode: bool = False,
    endpoint: str | None = None,
    profile: str | None = None,
    anonymous: bool = False,
) -> xr.Dataset:
    """Everything current of one product as one lazy Dataset: a variable a band, stored numbers, no pixel read.

    uri: the `output` of runs, a folder or s3://. product: needed where there are several.
    layout: `mosaic` is (time, y, x) on one pixel grid, nodata where no tile is; `tiles` is (tile, time, y, x), where
    `x`, `y`, `crs` and `transform` belong to each tile. Default: mosaic where all tiles share one pixel grid.
    crs: only the tiles in this one. bands: only these variables. store: which files; default zarr where there is.
    decode: missing numbers become NaN, scale and offset are applied, in float32 (float64 for 4-byte integers).

    `time` is the period's start (the day, in a time series), with `period` (its id) and `period_end` (excluded);
    timeless products have no `time`. The attributes `scale_factor`, `add_offset` and `_FillValue` are CF's, so
    `xr.decode_cf` understands them. A chunk lies within one block of one file; where tiles overlap, the first by id
    that has a number gives it. Picklable: works on any cluster whose workers reach the files.

    Raises NothingToDoError where there are no results, ConfigError naming what there is for what there is not; when
    computed, AssetError naming the file that cannot be read.
    """
    keeper = open_store(uri, endpoint=endpoint, profile=profile, anonymous=anonymous)
    outputs = select_crs(find_outputs(keeper, product, day_files=store == "cog"), crs)
    board = plan_board(outputs, layout)
    reader = WindowReader(Access(endpoint=endpoint, profile=profile, anonymous=anonymous))
    variables = {
        band.name: (board.dims, _lazy(lay_out(outputs, band, board, reader, store), board), _attributes(band))
        for band in _chosen(outputs, bands)
    }
    dataset = xr.Dataset(variables, board.coords, {"product": outputs[0].product, **joint_rights(outputs)})
    if board.grid is not None:
        dataset = dataset.rio.write_crs(board.grid.crs).rio.write_transform(Affine(*board.grid.transform))
    return _decoded(dataset) if decode else dataset


def _chosen(outputs: Sequence[Output], names: Sequence[str] | None) -> list[Band]:
    by_name = {band.name: band for band in common_bands(outputs, names)}
    if names is None:
        return list(by_name.values())
    if missing := [name for name in names if name not in by_name]:
        there = sorted({layer.band.name for output in outputs for layer in output.layers})
        raise ConfigError(f"bands={list(names)}: no {', '.join(missing)}; found {', '.join(there)}")
    return [by_name[name] for name in names]


def _lazy(patchwork: Patchwork, board: Board) -> da.Array:
    empty = np.empty((0,) * patchwork.ndim, patchwork.dtype)
    lazy: da.Array = da.from_array(patchwork, chunks=board.chunks, meta=empty, name=f"results-{patchwork.token}")
    return lazy


def _attributes(band: Band) -> dict[str, Any]:
    """CF's words for what the numbers mean; what changes nothing is left out, so that codes stay integers."""
    dtype = np.dtype(band.dtype).type
    return {
        "long_name": band.description or band.name,
        "units": band.unit,
        **({"common_name": band.common_name} if band.common_name else {}),
        **({"scale_factor": band.scale} if band.scale != 1 else {}),
        **({"add_offset": band.offset} if band.offset != 0 else {}),
        **({"_FillValue": dtype(band.nodata)} if band.nodata is not None else {}),
        **flag_attributes(band),
    }


def _decoded(dataset: xr.Dataset) -> xr.Dataset:
    """Masked and scaled by xarray itself, which goes by the type of scale and offset: float32, both or none."""
    for variable in dataset.data_vars.values():
        scaling = {
            key: np.float32(variable.attrs[key]) for key in ("scale_factor", "add_offset") if key in variable.attrs
        }
        if scaling:
            variable.attrs |= {"scale_factor": np.float32(1), "add_offset": np.float32(0)} | scaling
    decoded: xr.Dataset = xr.decode_cf(dataset, decode_times=False, decode_coords=False)
    return decoded
