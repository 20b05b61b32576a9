"""Zarr stores of every product open in xarray and zarr-python, as CF says, from a folder and from S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import rioxarray  # noqa: F401 (gives Datasets their `.rio`)
import xarray as xr
import zarr

from tests.interfaces.committed import Asset, Committed
from tests.plain_xarray import fingerprint, read_zarr
from tests.servers.weed import S3Server

pytestmark = [
    pytest.mark.long,
    # Of its own use of affine.
    pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning:rioxarray"),
]
GRIDDED = {"argo_grid"}
"""On latitude and longitude, without pixels."""


@pytest.fixture(scope="module")
def stores(committed: Committed) -> list[Asset]:
    found = committed.assets(".zarr")
    assert {one.product for one in found} == {one["collection"] for one in committed.items.values()} - {
        "argo",
        "matchups",
    }
    return found


def pixels(stores: list[Asset]) -> Iterator[tuple[Asset, xr.Dataset]]:
    """Every store but the grids of floats, as xarray opens it."""
    for store in stores:
        if store.product not in GRIDDED:
            with xr.open_zarr(store.path, decode_coords="all", chunks=None) as found:
                yield store, found


def test_xarray_knows_crs_grid_and_time(stores: list[Asset]) -> None:
    """By CF's grid mapping, of the Dataset and of each variable; time is the period's start, with its bounds."""
    for store, found in pixels(stores):
        assert found.rio.crs.to_string() == store.fields["proj:code"]
        assert [*found.rio.transform()[:6]] == pytest.approx(store.fields["proj:transform"], rel=1e-12)
        assert found.rio.shape == tuple(store.fields["proj:shape"])
        for name, variable in found.data_vars.items():
            assert variable.rio.crs == found.rio.crs, (store, name)
            assert variable.attrs["long_name"] and variable.attrs["units"]
        assert found.attrs["license"] and found.attrs["attribution"] and found.attrs["Conventions"] == "CF-1.11"
        if "time_bnds" in found:
            assert found.time == found.time_bnds[0] < found.time_bnds[1]
        elif "time" in found:
            assert found.time.dtype.kind == "M" and found.indexes["time"].is_monotonic_increasing
        else:
            assert "dem" in store.product


def test_xarray_scales_and_masks_what_is_stored(stores: list[Asset]) -> None:
    """Numbers in their units by the store's own words are those that the item's words make of the stored ones."""
    for store, found in pixels(stores):
        raw: Any = zarr.open_group(store.path, mode="r")
        assert {band["name"] for band in store.fields["bands"]} == {*found.data_vars}
        for band in store.fields["bands"]:
            stored = raw[band["name"]][:]
            assert str(stored.dtype) == band["data_type"]
            values = stored.astype(np.float64) * band["raster:scale"] + band["raster:offset"]
            if "nodata" in band:
                values[stored == float(band["nodata"])] = np.nan
            np.testing.assert_allclose(found[band["name"]].values, values, rtol=1e-6, err_msg=f"{store} {band}")


def test_flags_have_meanings(stores: list[Asset]) -> None:
    for store, found in pixels(stores):
        attributes = found["qa"].attrs
        assert len(attributes["flag_masks"]) == len(attributes["flag_meanings"].split()) >= 2, store


def test_a_store_holds_the_numbers_of_its_cogs(committed: Committed, stores: list[Asset]) -> None:
    """To the bit, of every product that has both."""
    compared = set()
    for path, item in committed.items.items():
        here = [store for store in stores if store.item == item["id"] and (path.parent / store.fields["href"]).exists()]
        for store in here:
            raw: Any = zarr.open_group(store.path, mode="r")
            for key, asset in item["assets"].items():
                if asset["href"].endswith(".tif") and key in raw:
                    with rasterio.open(path.parent / asset["href"]) as source:
                        np.testing.assert_array_equal(source.read(1), raw[key][:])
                    compared.add((item["collection"], key))
    assert {product for product, _ in compared} == {
        *("dem", "glaciers", "landsat", "predict", "sentinel1", "sentinel2", "sentinel2-c1", "series", "ttc_ard")
    }


def test_zarr_python_opens_them_by_one_object(stores: list[Asset]) -> None:
    """Version 3, all metadata in `zarr.json` of the group; dimensions have names and shards hold chunks."""
    for store in stores:
        group: Any = zarr.open_consolidated(store.path)
        assert group.metadata.zarr_format == 3 and group.read_only is False
        for name, array in group.arrays():
            assert array.metadata.dimension_names is not None or array.ndim == 0, (store, name)
            assert array[...].shape == array.shape


def test_grids_of_floats_are_cf(stores: list[Asset]) -> None:
    (store,) = [one for one in stores if one.product in GRIDDED]
    with xr.open_zarr(store.path, decode_coords="all", chunks=None) as found:
        axes = {name: found[name].attrs for name in ("latitude", "longitude", "pressure")}
        assert {name: said["standard_name"] for name, said in axes.items()} == {
            "latitude": "latitude",
            "longitude": "longitude",
            "pressure": "sea_water_pressure",
        }
        assert (axes["latitude"]["units"], axes["longitude"]["units"]) == ("degrees_north", "degrees_east")
        assert {"latitude_bnds", "longitude_bnds", "time_bnds"} <= {*found.coords}
        for name, variable in found.data_vars.items():
            assert variable.attrs["units"] and variable.attrs["long_name"], name
        assert np.isfinite(found.ct).any() and found.time.dtype.kind == "M"


def test_xarray_opens_stores_on_s3(stores: list[Asset], s3_server: S3Server) -> None:
    """By `xr.open_zarr("s3://…")` and the environment alone, in a process without this project."""
    bucket = s3_server.make_bucket("interfaces")
    for store in (one for one in stores if one.product in {"stack", "series"}):
        place = f"{bucket}/{store.path.name}"
        s3_server.client().put(str(store.path), place, recursive=True)
        found = read_zarr(f"s3://{place}", s3_server.environment)
        raw: Any = zarr.open_group(store.path, mode="r")
        for band in store.fields["bands"]:
            assert found[band["name"]] == fingerprint(raw[band["name"]][:])


def test_items_name_the_store(committed: Committed) -> None:
    """From a catalogue to a Dataset: the address of the asset is what xarray takes."""
    catalog = pystac.Catalog.from_file(str(committed.outputs[0] / "catalog.json"))
    item = next(item for item in catalog.get_items(recursive=True) if item.collection_id == "stack")
    asset = item.assets["zarr"]
    assert asset.media_type == "application/vnd.zarr; version=3"
    with xr.open_zarr(str(asset.get_absolute_href()), chunks=None) as found:
        assert {"sentinel2_red", "dem_slope"} <= {*found.data_vars}
    assert Path(str(asset.get_absolute_href())).is_dir()
