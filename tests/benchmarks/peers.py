"""The same tile by stackstac and by odc-stac, each as it documents itself and with the settings that suit it best."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import bottleneck  # type: ignore[import-untyped]
import dask.base
import dask.config
import numpy as np
import odc.stac
import pystac
import stackstac
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from tests.benchmarks.jobs import BANDS, CLEAR, EPSG, MASK, PIXEL_M, Square

Image = NDArray[np.uint16]
ALL = [*BANDS, MASK]


class Peers:
    """Lazy cubes of one item list, on two threads. 16-bit numbers as they are stored: what neither of them corrects."""

    def __init__(self, items: Path, *, remote: bool) -> None:
        self._items = [pystac.Item.from_dict(item) for item in json.loads(items.read_text())["features"]]
        self._items.sort(key=lambda item: (item.datetime, item.id))
        dask.config.set(scheduler="threads", num_workers=2)
        # Where numbagg is installed, xarray would compile a median for half a minute.
        xr.set_options(use_numbagg=False)  # type: ignore[no-untyped-call]
        if remote:
            odc.stac.configure_rio(cloud_defaults=True)

    def make(self, name: str, tile: Square) -> tuple[Image, int]:
        """(band, y, x), and the tasks of the graph once Dask has optimised it."""
        (graph,) = dask.base.optimize(_MAKERS[name](self, tile).data)
        median = np.asarray(graph.compute(optimize_graph=False))
        return np.nan_to_num(np.rint(median), nan=0).astype(np.uint16), len(graph.__dask_graph__())

    def stackstac(self, tile: Square) -> xr.DataArray:
        """Layer by layer, chunks of 1024 (its default), the median by xarray."""
        cube = stackstac.stack(
            self._items,
            assets=ALL,
            epsg=EPSG,
            resolution=PIXEL_M,
            bounds=tile.bounds,
            dtype="uint16",
            fill_value=np.uint16(0),
            rescale=False,
            chunksize=min(1024, tile.px),
            xy_coords="topleft",
        )
        mask = cube.sel(band=MASK).reset_coords(drop=True)
        return _median(cube.sel(band=list(BANDS)).reset_coords(drop=True), mask)

    def odc_xarray(self, tile: Square) -> xr.DataArray:
        """One layer a solar day, one chunk a tile, the median by xarray."""
        return _median(*self._odc(tile))

    def odc_bottleneck(self, tile: Square) -> xr.DataArray:
        """The same with bottleneck's median over the whole of time."""
        clear = _clear(*self._odc(tile)).chunk({"time": -1})

        def reduce(values: NDArray[np.float32]) -> NDArray[np.float32]:
            found: NDArray[np.float32] = bottleneck.nanmedian(values, axis=-1)
            return found

        median: xr.DataArray = xr.apply_ufunc(
            reduce, clear, input_core_dims=[["time"]], dask="parallelized", output_dtypes=["float32"]
        )
        return median

    def _odc(self, tile: Square) -> tuple[xr.DataArray, xr.DataArray]:
        grid = GeoBox.from_bbox(tile.bounds, crs=f"EPSG:{EPSG}", resolution=PIXEL_M)
        chunks: dict[str, Any] = {"x": tile.px, "y": tile.px}
        loaded = odc.stac.load(self._items, bands=ALL, geobox=grid, groupby="solar_day", chunks=chunks)
        return loaded[list(BANDS)].to_array("band"), loaded[MASK]


def _clear(values: xr.DataArray, mask: xr.DataArray) -> xr.DataArray:
    """Float32, NaN where there is no observation."""
    return values.where(mask.isin(CLEAR) & (values != 0)).astype("float32")


def _median(values: xr.DataArray, mask: xr.DataArray) -> xr.DataArray:
    return _clear(values, mask).median("time", skipna=True)


_MAKERS: Mapping[str, Callable[[Peers, Square], xr.DataArray]] = {
    "stackstac": Peers.stackstac,
    "odc-xarray": Peers.odc_xarray,
    "odc-bottleneck": Peers.odc_bottleneck,
}
