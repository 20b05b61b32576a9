"""`open_results` shows every committed pixel, reads nothing before it is asked, and says what is not there."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import rasterio.transform
import xarray as xr
from distributed import Client, LocalCluster

from pipeline.errors import ConfigError, NothingToDoError, PermanentAssetError
from pipeline.results.open import open_results
from pipeline.write.store import Store, open_store
from tests.results.made import BOTH_STORES, Cog, finish, make, paste, plan_of, read_cogs
from tests.servers.weed import S3Server
from tests.worlds import SmallWorld, small_world

pytestmark = pytest.mark.long

ONE = ("period.end=2024-07-01", "area.bbox=[12.006, 44.871, 12.007, 44.872]")
"""Tile and month."""
ZONES = ("EPSG:32632", "EPSG:32633")


@dataclass(frozen=True)
class Output:
    """An output in two UTM zones and two months, as COG and as Zarr."""

    uri: str
    store: Store
    options: dict[str, Any]

    def open(self, **arguments: Any) -> xr.Dataset:
        return open_results(self.uri, **self.options, **arguments)


@pytest.fixture(scope="module")
def made(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Output:
    world = small_world(demo_world, tmp_path_factory.mktemp("made"))
    return Output(str(world.output), make(world, BOTH_STORES).prepared.store, {})


@pytest.fixture(scope="module", params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def output(
    request: pytest.FixtureRequest, demo_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Output]:
    if request.param == "folder":
        yield request.getfixturevalue("made")
        return
    server: S3Server = request.getfixturevalue("s3_server")
    uri = f"s3://{server.make_bucket('results')}/small"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            if name != "AWS_ENDPOINT_URL":
                patch.setenv(name, value)
        sets = (BOTH_STORES, f"output={uri}", f"storage.endpoint={server.endpoint}")
        session = make(small_world(demo_world, tmp_path_factory.mktemp("s3")), *sets)
        yield Output(uri, session.prepared.store, {"endpoint": server.endpoint})


@pytest.fixture
def copied(made: Output, tmp_path: Path) -> Output:
    """A copy in a folder, that may be damaged."""
    folder = str(shutil.copytree(made.uri, tmp_path / "copied"))
    return Output(folder, open_store(folder), {})


def by_band(cogs: list[Cog]) -> dict[tuple[str, str], list[Cog]]:
    def key(cog: Cog) -> tuple[str, str]:
        return cog.period, cog.band

    return {place: list(group) for place, group in groupby(sorted(cogs, key=key), key)}


@pytest.mark.parametrize("store", ["cog", "zarr"])
@pytest.mark.parametrize("crs", ZONES)
def test_a_mosaic_equals_every_cog_to_the_bit(output: Output, crs: str, store: str) -> None:
    found = output.open(crs=crs, store=store).load()
    cogs = by_band([cog for cog in read_cogs(output.store) if cog.crs == crs])
    assert set(found.data_vars) == {band for _, band in cogs} >= {"red", "nir", "ndvi", "count", "qa"}
    assert {period for period, _ in cogs} == set(found["period"].values) == {"2024-06", "2024-07"}
    for (period, band), group in cogs.items():
        layer = found[band].isel(time=list(found["period"].values).index(period))
        expected = paste(group)
        assert layer.dtype == expected.dtype
        np.testing.assert_array_equal(layer.values, expected)


@pytest.mark.parametrize("store", ["cog", "zarr"])
def test_several_zones_open_as_tiles_that_equal_every_cog(output: Output, store: str) -> None:
    found = output.open(store=store).load()
    assert found["red"].dims == ("tile", "time", "y", "x")
    cogs = list(read_cogs(output.store))
    assert set(found["tile"].values) == {cog.tile for cog in cogs}
    assert set(found["crs"].values) == set(ZONES)
    for cog in cogs:
        one = found.sel(tile=cog.tile)
        layer = one[cog.band].isel(time=list(one["period"].values).index(cog.period))
        np.testing.assert_array_equal(layer.values, cog.data)
        assert one["crs"].item() == cog.crs
        assert tuple(one["transform"].values) == cog.transform
        x, y = rasterio.transform.xy(rasterio.Affine(*cog.transform), [0, 255], [0, 255])
        np.testing.assert_array_equal(one["x"].values[[0, 255]], x)
        np.testing.assert_array_equal(one["y"].values[[0, 255]], y)


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning:rioxarray")
def test_coordinates_are_those_of_periods_and_pixels(made: Output) -> None:
    found = made.open(crs=ZONES[1])
    months = np.array(["2024-06-01", "2024-07-01", "2024-08-01"], "datetime64[ns]")
    np.testing.assert_array_equal(found["time"].values, months[:2])
    np.testing.assert_array_equal(found["period_end"].values, months[1:])
    cogs = [cog for cog in read_cogs(made.store) if cog.crs == ZONES[1]]
    west, north = min(cog.transform[2] for cog in cogs), max(cog.transform[5] for cog in cogs)
    assert found.rio.crs.to_epsg() == 32633
    assert found["red"].rio.crs.to_epsg() == 32633
    assert tuple(found.rio.transform())[:6] == (10, 0, west, 0, -10, north)
    assert (found["x"].values[0], found["y"].values[0]) == (west + 5, north - 5)
    assert found["red"].rio.nodata == 0
    assert found["red"].attrs["scale_factor"] == 1e-4
    assert "no Copernicus data" in found.attrs["attribution"]


def test_decoded_numbers_are_scaled_and_missing_ones_nan(made: Output) -> None:
    stored, decoded = (made.open(crs=ZONES[1], decode=decode) for decode in (False, True))
    for band in ("red", "nir", "ndvi"):
        numbers = stored[band].values
        cog = next(cog for cog in read_cogs(made.store) if cog.band == band)
        expected = np.where(numbers == cog.nodata, np.float32("nan"), numbers.astype("f4") * np.float32(cog.scale))
        assert decoded[band].dtype == np.float32
        np.testing.assert_array_equal(decoded[band].values, expected)
        np.testing.assert_allclose(xr.decode_cf(stored)[band].values, expected, rtol=1e-6)
    for band in ("count", "qa"):
        xr.testing.assert_equal(decoded[band], stored[band])


def test_chosen_bands_alone_are_there(made: Output) -> None:
    assert list(made.open(crs=ZONES[1], bands=["ndvi", "red"]).data_vars) == ["ndvi", "red"]


def test_what_the_bits_of_a_code_mean_is_said(made: Output) -> None:
    qa = made.open(bands=["qa"])["qa"].attrs
    assert (qa["flag_masks"], qa["flag_meanings"]) == ([1, 2], "empty input_lost")


def test_without_the_table_the_finished_runs_tell_the_same(copied: Output) -> None:
    with_table = copied.open()
    copied.store.delete("items.parquet")
    xr.testing.assert_identical(copied.open().load(), with_table.load())


def test_days_open_from_cogs_where_the_table_names_zarr_alone(world: SmallWorld) -> None:
    make(world, BOTH_STORES, *ONE, "products.0.composite=none")
    found = {store: open_results(str(world.output), store=store).load() for store in ("cog", "zarr")}
    assert found["cog"].sizes["time"] > 1
    xr.testing.assert_identical(found["cog"], found["zarr"])


def test_days_and_composites_of_one_period_are_never_one_band(world: SmallWorld) -> None:
    """One tile was made again as a time series: its neighbours' medians are no observations of these days."""
    make(world, "period.end=2024-07-01")
    series = world.session("period.end=2024-07-01", "products.0.composite=none")
    one = [job for job in series.plan.jobs if job.tile.id == series.plan.jobs[0].tile.id]
    assert all(world.run(series, job).item_key for job in one)
    finish(series.prepared.store, plan_of(one))
    with pytest.raises(ConfigError, match=f"of single days in sentinel2/{one[0].tile.id}/2024-06"):
        open_results(str(world.output), bands=["red"])


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_it_computes_alike_wherever_it_is_pickled_to(made: Output, scheduler: str) -> None:
    found = made.open(bands=["red"])
    moved: xr.Dataset = pickle.loads(pickle.dumps(found))
    with dask.config.set(scheduler=scheduler):
        xr.testing.assert_identical(moved.compute(), found.compute(scheduler="sync"))


@pytest.mark.long
def test_it_computes_alike_on_a_cluster(output: Output) -> None:
    found = output.open(bands=["red"])
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        there: xr.Dataset = client.compute(found, sync=True)
    xr.testing.assert_identical(there, found.compute(scheduler="sync"))


@pytest.mark.parametrize(("store", "lost"), [("cog", "red*.tif"), ("zarr", "*.zarr/red")])
def test_opening_reads_no_pixel_and_a_lost_file_is_named(copied: Output, store: str, lost: str) -> None:
    """Without a band's files it opens as before; they are missed when their own pixels are asked for."""
    whole = copied.open(store=store)
    paths = list(Path(copied.uri, "data").rglob(lost))
    assert len(paths) == whole.sizes["tile"] * whole.sizes["time"]
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = copied.open(store=store)
    xr.testing.assert_identical(found["nir"].load(), whole["nir"].load())
    with pytest.raises(PermanentAssetError, match="red"):
        found["red"][0, 0, 0, 0].compute()


def test_a_missing_zarr_object_is_an_error_and_never_no_data(copied: Output) -> None:
    chunk = next(Path(copied.uri, "data").rglob("*.zarr/red/c/0/0"))
    chunk.unlink()
    with pytest.raises(PermanentAssetError, match=r"red/c/0/0 is missing"):
        copied.open(store="zarr")["red"].compute()


def test_a_pixel_is_read_from_its_own_block(world: SmallWorld) -> None:
    """With every other block of the file destroyed, one block's pixels are still read; a pixel elsewhere is not."""
    session = make(world, "grid.tile_px=1024", *ONE)
    path = next(Path(world.output, "data").rglob("red*.tif"))
    with rasterio.open(path) as source:
        expected = source.read(1)
        places = {
            (row, column): [int(source.get_tag_item(f"BLOCK_{word}_{column}_{row}", "TIFF", bidx=1)) for word in words]
            for row in (0, 1)
            for column in (0, 1)
            for words in [("OFFSET", "SIZE")]
        }
    data = bytearray(path.read_bytes())
    for place, (offset, size) in places.items():
        if place != (1, 0):
            data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    tile = path.parts[-3]
    found = open_results(session.prepared.store.uri, layout="tiles").sel(tile=tile)["red"][0]
    assert found.chunks == ((512, 512), (512, 512))
    np.testing.assert_array_equal(found[512:, :512].values, expected[512:, :512])
    assert found[700, 3].values == expected[700, 3]
    with pytest.raises(PermanentAssetError):
        found[700, 600].compute()


def test_only_current_items_are_shown(world: SmallWorld) -> None:
    first = make(world, *ONE)
    before = {key for key, _ in first.prepared.store.list_objects("items/")}
    make(world, *ONE, "products.0.bands=[red]", "products.0.indices=[]")
    after = {key for key, _ in first.prepared.store.list_objects("items/")}
    assert before < after
    found = open_results(str(world.output), layout="tiles").load()
    assert "nir" not in found
    assert found.sizes["time"] == 1
    for cog in read_cogs(first.prepared.store, sorted(after - before)):
        np.testing.assert_array_equal(found[cog.band].sel(tile=cog.tile)[0].values, cog.data)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "product": ({"product": "sentinel1"}, "'sentinel1'; found sentinel2"),
    "crs": ({"crs": "EPSG:3857"}, "no tile is in it; found tiles in EPSG:32632, EPSG:32633"),
    "no crs": ({"crs": "EPSG:nonsense"}, "nonsense"),
    "layout": ({"layout": "cube"}, "allowed: mosaic, tiles"),
    "mosaic of two zones": ({"layout": "mosaic"}, "do not share one pixel grid.*EPSG:32632.*EPSG:32633"),
    "bands": ({"bands": ["red", "swir"]}, "no swir; found count, ndvi, nir, qa, red"),
    "store": ({"store": "netcdf"}, "'netcdf'.*is in cog, zarr only"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_there_is_named_with_what_is(made: Output, case: str) -> None:
    arguments, message = WRONG[case]
    with pytest.raises(ConfigError, match=message):
        made.open(**arguments)


def test_no_results_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(NothingToDoError, match="no results"):
        open_results(str(tmp_path))


def test_one_of_several_products_must_be_named(world: SmallWorld) -> None:
    for name in ("one", "two"):
        make(world, *ONE, f"products.0.name={name}")
    with pytest.raises(ConfigError, match="one, two; choose one with product="):
        open_results(str(world.output))
    assert open_results(str(world.output), "two").attrs["product"] == "two"
