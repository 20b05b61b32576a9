"""The law of the stores: Zarr read by plain xarray equals the COG read by rasterio, to the bit."""

from __future__ import annotations

import tracemalloc
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from time import sleep
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import OutputError
from pipeline.types import Band, DataFile, Job, Made, Period, Rights
from pipeline.write import tile
from pipeline.write.cog import CogOptions, rights_tags
from pipeline.write.commit import commit
from pipeline.write.files import write_json_file
from pipeline.write.stac import data_key
from pipeline.write.store import open_store
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr import ZarrOptions
from pipeline.write.zarr_attributes import Extent
from tests.plain_xarray import fingerprint, read_zarr
from tests.servers.weed import S3Server

RIGHTS = Rights("CC-BY-4.0", "© Somebody")
TAGS = rights_tags(RIGHTS)
JUNE = Period("2024-06", datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
DAYS = (date(2024, 6, 1), date(2024, 6, 4), date(2024, 6, 30))
BANDS = {
    "uint16": Band("red", "uint16", 0, 1e-4, -0.1, "1", "Reflectance", "red", 0.665, role="reflectance"),
    "int16": Band("ndvi", "int16", -32768, 1 / 10000),
    "uint8": Band("qa", "uint8", None, overview="nearest", flags=((1, "no_observation"), (2, "input_lost"))),
    "uint8-nodata": Band("scl", "uint8", 255, overview="mode"),
    "float32": Band("vv", "float32", float("nan"), unit="1"),
    "float32-number": Band("elevation", "float32", -9999.0, unit="m"),
}
SHAPES = {
    "edges beyond whole chunks": (130, 200),
    "whole chunks": (128, 192),
    "one pixel": (1, 1),
    "one row": (1, 150),
    "more than one shard": (2100, 70),
}
ZARR = ZarrOptions(chunk_px=64)
BOTH = WriteOptions(cog=CogOptions(), zarr=ZARR)


def geobox(shape: tuple[int, int]) -> GeoBox:
    return GeoBox(shape, Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")


def texture(band: Band, shape: tuple[int, int], seed: int = 0) -> np.ndarray[Any, Any]:
    """Numbers over the whole range of the type, the greatest and the least included, with a hole of nodata."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(band.dtype)
    if dtype.kind == "f":
        data = rng.normal(0, 1e4, shape).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        data = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
        data.flat[-1], data.flat[0] = limits.max, limits.min
    if band.nodata is not None and data.size > 1:
        data[: shape[0] // 2 + 1, : shape[1] // 3] = band.nodata
    return data


def bits(array: np.ndarray[Any, Any]) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), array.shape, array.tobytes()


@pytest.fixture
def thread() -> Iterator[Executor]:
    with writing() as thread:
        yield thread


def read_cog(file: DataFile) -> np.ndarray[Any, Any]:
    with rasterio.open(file.path) as source:
        return np.asarray(source.read(1))


@pytest.mark.parametrize("sharded", [True, False], ids=["sharded", "one object a chunk"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("band", BANDS.values(), ids=BANDS)
def test_both_stores_hold_the_same_numbers(
    tmp_path: Path, thread: Executor, band: Band, shape: tuple[int, int], *, sharded: bool
) -> None:
    """Stored numbers bit by bit; decoded ones are stored * scale + offset, and missing exactly where COG's are."""
    options = replace(BOTH, zarr=replace(ZARR, sharded=sharded))
    writer = TileWriter(Extent(geobox(shape), JUNE), tmp_path, options, TAGS, thread)
    writer.add(texture(band, shape), band)
    cog, store, manifest = writer.finish()
    assert (cog.key, store.key, manifest.key) == (band.name, "zarr", "zarr-manifest")
    expected = read_cog(cog)
    with xr.open_zarr(store.path, mask_and_scale=False) as raw:
        assert raw[band.name].dims == ("y", "x")
        assert bits(raw[band.name].values) == bits(expected)
    with rasterio.open(cog.path) as source, xr.open_zarr(store.path) as decoded:
        found = decoded[band.name].values
        missing = source.read_masks(1) == 0
        if band.scale == 1 and band.nodata is None:
            assert bits(found) == bits(expected)
        else:
            assert np.array_equal(np.isnan(found), missing)
            numbers = expected * np.float64(source.scales[0]) + source.offsets[0]
            np.testing.assert_allclose(found[~missing], numbers[~missing], rtol=1e-6)


def test_a_time_series_has_a_cog_a_day_and_a_step_a_day(tmp_path: Path, thread: Executor) -> None:
    """Days may come in any order, band by band; layers without a day stay (y, x)."""
    shape = (130, 200)
    writer = TileWriter(Extent(geobox(shape), JUNE, DAYS), tmp_path, BOTH, TAGS, thread)
    red, vv, qa = BANDS["uint16"], BANDS["float32"], BANDS["uint8"]
    for day in (DAYS[1], DAYS[0], DAYS[2]):
        for band in (red, vv):
            writer.add(texture(band, shape, day.day), band, day)
    writer.add(texture(qa, shape), qa)
    files = {file.key: file for file in writer.finish()}
    cogs = {f"{band.name}-{day:%Y%m%d}" for band in (red, vv) for day in DAYS}
    assert files.keys() == cogs | {"qa", "zarr", "zarr-manifest"}
    with xr.open_zarr(files["zarr"].path, mask_and_scale=False) as found:
        assert found["red"].dims == found["vv"].dims == ("time", "y", "x")
        assert found["qa"].dims == ("y", "x")
        assert list(found["time"].values.astype("datetime64[D]")) == [np.datetime64(day) for day in DAYS]
        for band in (red, vv):
            for day in DAYS:
                file = files[f"{band.name}-{day:%Y%m%d}"]
                assert bits(found[band.name].sel(time=np.datetime64(day)).values) == bits(read_cog(file))
                assert bits(read_cog(file)) == bits(texture(band, shape, day.day))
                assert file.fields["groundswell:solar_day"] == str(day)
                assert file.fields["bands"][0]["name"] == band.name
    of_zarr = {each["name"]: each.get("groundswell:days") for each in files["zarr"].fields["bands"]}
    assert of_zarr == {"red": [str(day) for day in DAYS], "vv": [str(day) for day in DAYS], "qa": None}


@pytest.mark.parametrize("options", [replace(BOTH, cog=None), replace(BOTH, zarr=None)], ids=["zarr", "cog"])
def test_only_what_is_asked_for_is_written(tmp_path: Path, thread: Executor, options: WriteOptions) -> None:
    writer = TileWriter(Extent(geobox((8, 8))), tmp_path, options, TAGS, thread)
    writer.add(np.ones((8, 8), np.uint16), BANDS["uint16"])
    keys = [file.key for file in writer.finish()]
    assert keys == (["red"] if options.cog else ["zarr", "zarr-manifest"])
    assert any(tmp_path.rglob("*.tif")) == (options.cog is not None)


def test_one_layer_is_in_memory_at_a_time(tmp_path: Path, thread: Executor) -> None:
    """However long the series: the peak after many days is the peak after the first, and nothing is kept."""
    shape, band = (512, 512), BANDS["uint16"]
    days = tuple(date(2024, 6, day) for day in range(1, 25))
    writer = TileWriter(Extent(geobox(shape), days=days), tmp_path, replace(BOTH, cog=None), TAGS, thread)
    layer = texture(band, shape)
    writer.add(layer, band, days[0])
    tracemalloc.start()
    try:
        for day in days[1:]:
            writer.add(layer, band, day)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < layer.nbytes
    assert peak < 4 * layer.nbytes


def test_a_layer_that_is_not_of_its_band_is_refused_by_both(tmp_path: Path, thread: Executor) -> None:
    for number, options in enumerate((replace(BOTH, cog=None), replace(BOTH, zarr=None))):
        folder = tmp_path / str(number)
        folder.mkdir()
        writer = TileWriter(Extent(geobox((8, 8))), folder, options, TAGS, thread)
        writer.add(np.ones((8, 8), np.uint8), BANDS["uint16"])
        with pytest.raises(OutputError, match="band red: dtype: found uint8, expected uint16"):
            writer.finish()


def test_a_layer_is_written_while_the_next_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`add` returns before its layer is written, and not before the one before it is: one of a tile is on its way."""
    begun, go = Event(), Event()

    def slow(data: np.ndarray[Any, Any], band: Band, *_: object) -> DataFile:
        begun.set()
        assert go.wait(60)
        return DataFile(band.name, tmp_path, "", (), "", "", int(data[0, 0]), {})

    monkeypatch.setattr(tile, "write_cog", slow)
    with writing() as thread:
        writer = TileWriter(Extent(geobox((8, 8))), tmp_path, replace(BOTH, zarr=None), TAGS, thread)
        writer.add(np.full((8, 8), 1, np.uint16), BANDS["uint16"])
        assert begun.wait(60)
        second = Thread(target=writer.add, args=(np.full((8, 8), 2, np.uint8), BANDS["uint8"]))
        second.start()
        second.join(0.05)
        assert second.is_alive(), "a second layer was taken while the first was being written"
        go.set()
        second.join(60)
        assert [(file.key, file.size_bytes) for file in writer.finish()] == [("red", 1), ("qa", 2)]


def test_tiles_made_together_share_a_thread(tmp_path: Path, thread: Executor) -> None:
    """Layers of many tiles wait side by side, one of each, and come out each in its own tile, in order."""
    writers = []
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        writers.append(TileWriter(Extent(geobox((40, 30))), tmp_path / str(number), BOTH, TAGS, thread))
    for kind in ("uint16", "int16", "uint8"):
        for number, writer in enumerate(writers):
            writer.add(texture(BANDS[kind], (40, 30), number), BANDS[kind])
    for number, writer in enumerate(writers):
        files = writer.finish()
        assert [file.key for file in files] == ["red", "ndvi", "qa", "zarr", "zarr-manifest"]
        assert all(file.path.is_relative_to(tmp_path / str(number)) for file in files)
        for file, kind in zip(files, ("uint16", "int16", "uint8"), strict=False):
            np.testing.assert_array_equal(read_cog(file), texture(BANDS[kind], (40, 30), number))


def test_a_fault_is_told_with_the_next_layer_and_once(tmp_path: Path, thread: Executor) -> None:
    """The layer that could not be written is named, whichever call tells it; what came before it is there."""
    writer = TileWriter(Extent(geobox((8, 8))), tmp_path, replace(BOTH, zarr=None), TAGS, thread)
    writer.add(np.ones((8, 8), np.uint16), BANDS["uint16"])
    writer.add(np.ones((8, 9), np.int16), BANDS["int16"])
    with pytest.raises(OutputError, match="band ndvi: shape"):
        writer.add(np.ones((8, 8), np.uint8), BANDS["uint8"])
    assert [file.key for file in writer.finish()] == ["red"]


def test_a_layer_belongs_to_the_writer_once_it_is_added(tmp_path: Path, thread: Executor) -> None:
    """Whoever changes it afterwards is told so, instead of changing what is being written."""
    writer = TileWriter(Extent(geobox((8, 8))), tmp_path, replace(BOTH, zarr=None), TAGS, thread)
    layer = np.ones((8, 8), np.uint16)
    writer.add(layer, BANDS["uint16"])
    with pytest.raises(ValueError, match="read-only"):
        layer[0, 0] = 2
    writer.finish()


def test_nothing_is_written_when_the_job_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving by an error waits for the layer that is being written and drops those that wait; no thread is left."""
    begun, written, first = list[str](), list[str](), Event()

    def slow(data: np.ndarray[Any, Any], band: Band, *_: object) -> DataFile:
        begun.append(band.name)
        first.set()
        sleep(0.05)
        written.append(band.name)
        return DataFile(band.name, tmp_path, "", (), "", "", data.size, {})

    def fail() -> None:
        with writing() as thread:
            for number in range(200):
                writer = TileWriter(Extent(geobox((8, 8))), tmp_path, replace(BOTH, zarr=None), TAGS, thread)
                writer.add(np.ones((8, 8), np.uint8), Band(f"b{number}", "uint8", None))
            assert first.wait(60)
            raise KeyError("the job")

    monkeypatch.setattr(tile, "write_cog", slow)
    with pytest.raises(KeyError, match="the job"):
        fail()
    assert begun == written
    assert 0 < len(begun) < 200
    assert not [each for each in enumerate_threads() if each.name.startswith("write")]


@pytest.mark.long
def test_both_stores_hold_the_same_numbers_on_s3(
    tmp_path: Path, thread: Executor, job: Job, s3_bucket: str, s3_environment: S3Server
) -> None:
    """What was committed to a real S3 server is read there by xarray and by GDAL, with the same bits."""
    shape = tuple(job.tile.geobox.shape)
    writer = TileWriter(Extent(job.tile.geobox, job.period), tmp_path, BOTH, TAGS, thread)
    for band in BANDS.values():
        writer.add(texture(band, (shape[0], shape[1])), band)
    inputs = write_json_file({}, tmp_path / "inputs.json", "inputs", title="Inputs")
    made = Made((*writer.finish(), inputs), {}, RIGHTS)
    store = open_store(f"s3://{s3_bucket}/{uuid.uuid4().hex}", endpoint=s3_environment.endpoint)
    commit(store, job, made)
    keys = {file.key: f"{store.uri}/{data_key(job, file)}" for file in made.files}
    found = read_zarr(keys["zarr"], s3_environment.environment)
    for band in BANDS.values():
        key = keys[band.name].removeprefix(f"{store.uri}/")
        with rasterio.MemoryFile(store.get_bytes(key)) as memory, memory.open() as source:
            assert found[band.name] == fingerprint(source.read(1))
