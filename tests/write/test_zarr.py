"""Laws of the Zarr writer: the same bytes for the same input, nothing missing, and coordinates as readers want them."""

from __future__ import annotations

import json
import math
import resource
import struct
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rioxarray  # noqa: F401 (gives Datasets their `.rio`)
import xarray as xr
import zarr
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from pipeline.errors import OutputError
from pipeline.types import Band, DataFile, Period, Rights
from pipeline.write.cog import rights_tags
from pipeline.write.zarr import ZarrOptions, ZarrTile, _cut
from pipeline.write.zarr_attributes import Extent

TAGS = rights_tags(Rights("CC-BY-4.0", "© Somebody, 2024", "https://example.com/l"))
JUNE = Period("2024-06", datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
DAYS = (date(2024, 6, 1), date(2024, 6, 4))
RED = Band("red", "uint16", 0, 1e-4, description="Reflectance", role="reflectance")
QA = Band("qa", "uint8", None, description="Bits", flags=((1, "no_observation"), (2, "input_lost")))
ALBERS = "+proj=aea +lat_1=-5 +lat_2=-42 +lat_0=-32 +lon_0=-60 +units=m"
GRIDS = {
    "UTM": GeoBox((130, 200), Affine(10, 0, 600_000, 0, -10, 9_300_000), "EPSG:32733"),
    "degrees": GeoBox((130, 200), Affine(1 / 3600, 0, 6.5, 0, -1 / 3600, 0.25), "EPSG:4326"),
    "polar": GeoBox((130, 200), Affine(0.3, 0, -100.1, 0, -0.7, 2.3), "EPSG:3413"),
    "without a code": GeoBox((130, 200), Affine(30, 0, 15, 0, -30, 45), ALBERS),
    "south up": GeoBox((130, 200), Affine(10, 0, 600_000, 0, 10, 9_300_000), "EPSG:32733"),
}
SMALL = GRIDS["UTM"]


def texture(shape: tuple[int, int], dtype: str = "uint16") -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(1, 200, shape).astype(dtype)


def write(folder: Path, extent: Extent, *bands: Band, options: ZarrOptions | None = None) -> DataFile:
    """A store of some bands, each a layer or, where the extent has days, a series."""
    tile = ZarrTile(extent, folder / "tile.zarr", options or ZarrOptions(chunk_px=64), TAGS)
    for band in bands:
        for day in extent.days or (None,):
            tile.add(texture(extent.geobox.shape.yx, band.dtype), band, day)
    return tile.finish()[0]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_readers_find_the_grid(tmp_path: Path, grid: GeoBox) -> None:
    """Coordinates are the exact pixel centres; rioxarray and the GeoZarr attributes give CRS and transform."""
    store = write(tmp_path, Extent(grid, JUNE), RED)
    with xr.open_zarr(store.path) as found:
        rows, columns = grid.shape
        a, _, left, _, e, top = grid.transform[:6]
        assert found["x"].dtype == found["y"].dtype == np.float64
        assert [float(x) for x in found["x"]] == [left + (column + 0.5) * a for column in range(columns)]
        assert [float(y) for y in found["y"]] == [top + (row + 0.5) * e for row in range(rows)]
        assert set(found.data_vars) == {"red"}
        assert found["red"].rio.crs == found.rio.crs
        assert pyproj.CRS.from_user_input(found.rio.crs).equals(pyproj.CRS.from_user_input(str(grid.crs)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)  # of rioxarray's own use of affine
            assert list(found["red"].rio.transform())[:6] == pytest.approx(list(grid.transform[:6]), rel=1e-12)
        assert found["red"].rio.encoded_nodata == 0
        assert found["red"].rio.shape == grid.shape.yx
        assert found.attrs["spatial:transform"] == list(grid.transform[:6])
        assert found.attrs["spatial:shape"] == [rows, columns]
        assert found.attrs["spatial:dimensions"] == ["y", "x"]
        place = found.attrs.get("proj:code") or found.attrs["proj:wkt2"]
        assert pyproj.CRS.from_user_input(place).equals(pyproj.CRS.from_user_input(str(grid.crs)))
        assert {each["name"] for each in found.attrs["zarr_conventions"]} == {"proj", "spatial"}
        assert found["x"].attrs["axis"] == "X" and found["y"].attrs["axis"] == "Y"


def test_a_period_is_a_time_with_bounds(tmp_path: Path) -> None:
    """The start, and half-open bounds; a period that begins at another hour keeps it."""
    period = Period("p", datetime(2024, 6, 1, 3, 30, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
    with xr.open_zarr(write(tmp_path, Extent(SMALL, period), RED).path) as found:
        assert found["time"].values == np.datetime64("2024-06-01T03:30")
        assert list(found["time_bnds"].values) == [np.datetime64("2024-06-01T03:30"), np.datetime64("2024-07-01")]
        assert "time" in found["red"].coords
        assert found["time"].attrs["bounds"] == "time_bnds"


@pytest.mark.parametrize("period", [None, Period("static", None, None)], ids=["none", "static"])
def test_a_timeless_product_has_no_time(tmp_path: Path, period: Period | None) -> None:
    with xr.open_zarr(write(tmp_path, Extent(SMALL, period), RED).path) as found:
        assert set(found.coords) == {"x", "y", "spatial_ref"}


def test_it_says_what_its_numbers_are_and_whose(tmp_path: Path) -> None:
    """CF attributes of the numbers, flags of bits, licence and attribution of the whole."""
    store = write(tmp_path, Extent(SMALL, JUNE), RED, QA)
    with xr.open_zarr(store.path, mask_and_scale=False) as found:
        assert found.attrs["license"] == "CC-BY-4.0"
        assert found.attrs["attribution"] == "© Somebody, 2024"
        assert found.attrs["license_href"] == "https://example.com/l"
        assert found.attrs["Conventions"] == "CF-1.11"
        red = found["red"].attrs
        assert {name: red[name] for name in ("scale_factor", "add_offset", "_FillValue", "units", "long_name")} == {
            "scale_factor": 1e-4, "add_offset": 0.0, "_FillValue": 0, "units": "1", "long_name": "Reflectance"
        }  # fmt: skip
        assert red["standard_name"] == "surface_bidirectional_reflectance"
        assert found["qa"].attrs["flag_masks"] == [1, 2]
        assert found["qa"].attrs["flag_meanings"] == "no_observation input_lost"
        assert not {"_FillValue", "scale_factor"} & found["qa"].attrs.keys()


@pytest.mark.parametrize("sharded", [True, False])
def test_a_tile_without_data_has_every_chunk(tmp_path: Path, *, sharded: bool) -> None:
    """All nodata is written out: otherwise a lost chunk could not be told from an empty one."""
    options = ZarrOptions(chunk_px=64, sharded=sharded)
    tile = ZarrTile(Extent(SMALL, JUNE), tmp_path / "tile.zarr", options, TAGS)
    tile.add(np.zeros(SMALL.shape, np.uint16), RED)
    tile.add(np.full(SMALL.shape, np.nan, np.float32), Band("vv", "float32", math.nan))
    keys = {one.key for one in tile.finish()[0].objects}
    for name in ("red", "vv"):
        if not sharded:
            assert {f"{name}/c/{row}/{column}" for row in range(3) for column in range(4)} <= keys
            continue
        # The index ends a shard: offset and size of each chunk, 2**64 - 1 where there is none, and a checksum.
        data = (tmp_path / f"tile.zarr/{name}/c/0/0").read_bytes()
        index = struct.unpack("<24Q", data[-4 - 24 * 8 : -4])
        assert 2**64 - 1 not in index
        assert all(size > 0 for size in index[1::2])


def test_a_lost_object_is_seen_before_anything_is_published(tmp_path: Path) -> None:
    tile = ZarrTile(Extent(SMALL), tmp_path / "tile.zarr", ZarrOptions(chunk_px=64), TAGS)
    tile.add(texture(SMALL.shape.yx), RED)
    (tmp_path / "tile.zarr/red/c/0/0").unlink()
    with pytest.raises(OutputError, match=r"tile\.zarr: missing, or not expected: red/c/0/0"):
        tile.finish()


def test_same_input_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the folder, the order of the tags, the layout in memory nor the number of threads shows in the store."""
    for number, (tags, order) in enumerate(((TAGS, "C"), (dict(reversed(TAGS.items())), "F"))):
        folder = tmp_path / str(number)
        tile = ZarrTile(Extent(SMALL, JUNE), folder / f"{number}.zarr", ZarrOptions(chunk_px=64), tags)
        with zarr.config.set({"threading.max_workers": 1 + 3 * number, "async.concurrency": 1 + 9 * number}):
            tile.add(np.asarray(texture(SMALL.shape.yx), order="F" if order == "F" else "C"), RED)
            tile.add(texture(SMALL.shape.yx, "uint8"), QA)
        tile.finish()
    first, second = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in (tmp_path / "0/0.zarr", tmp_path / "1/1.zarr")
    )
    assert first == second
    assert (tmp_path / "0/zarr-manifest.json").read_bytes() == (tmp_path / "1/zarr-manifest.json").read_bytes()


def test_one_request_opens_it(tmp_path: Path) -> None:
    """The root's metadata holds all others, so that readers need no listing; xarray opens it without a word."""
    folder = write(tmp_path, Extent(SMALL, JUNE), RED, QA).path
    root = json.loads((folder / "zarr.json").read_bytes())
    each = {path.parent.name: json.loads(path.read_bytes()) for path in folder.glob("*/zarr.json")}
    assert root["consolidated_metadata"]["metadata"] == each
    assert root["consolidated_metadata"]["must_understand"] is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for consolidated in (None, True, False):
            xr.open_zarr(folder, consolidated=consolidated).close()


@given(st.integers(1, 12_000), st.integers(1, 12_000), st.sampled_from([64, 128, 256, 512, 1024, 2048]), st.booleans())
def test_a_tile_is_a_whole_number_of_equal_shards(rows: int, columns: int, chunk_px: int, sharded: bool) -> None:
    """Each axis: shards of whole chunks, at most 2048 px, as few as can be, and none beyond the edge."""
    chunks, objects = _cut((rows, columns), ZarrOptions(chunk_px=chunk_px, sharded=sharded))
    for size, chunk, side in zip((rows, columns), chunks, objects, strict=True):
        assert chunk == min(size, chunk_px)
        assert side % chunk == 0
        number = math.ceil(size / side)
        assert (number - 1) * side < size <= number * side
        if sharded:
            assert side <= 2048
            assert number == 1 if size <= 2048 else number <= math.ceil(math.ceil(size / chunk) * chunk / 2048)
        else:
            assert side == chunk


ROTATED = GeoBox((8, 8), Affine.rotation(10), "EPSG:32633")
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a rotated grid": (lambda folder: write(folder, Extent(ROTATED)), "found a rotated one, expected rows along x"),
    "a grid without a CRS": (
        lambda folder: write(folder, Extent(GeoBox((8, 8), Affine.identity(), None))), "found no CRS, expected"
    ),
    "days out of order": (
        lambda folder: write(folder, Extent(SMALL, JUNE, DAYS[::-1])), "found 2024-06-04, 2024-06-01, expected"
    ),
    "a layer twice": (lambda folder: write(folder, Extent(SMALL), RED, RED), "found a layer of no day; expected each"),
    "a day twice": (lambda folder: write(folder, Extent(SMALL, JUNE, DAYS), RED, RED), "found a layer of 2024-06-01"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    with pytest.raises(OutputError, match=message):
        make(tmp_path)


def test_a_series_wants_every_day_and_no_other(tmp_path: Path) -> None:
    """A day that was never added would read as no data; a day of no series, or beside a plain layer, has no place."""
    tile = ZarrTile(Extent(SMALL, JUNE, DAYS), tmp_path / "tile.zarr", ZarrOptions(chunk_px=64), TAGS)
    data = texture(SMALL.shape.yx)
    tile.add(data, RED, DAYS[0])
    with pytest.raises(OutputError, match="band red: found a layer of 2024-07-01"):
        tile.add(data, RED, date(2024, 7, 1))
    with pytest.raises(OutputError, match="band red: found a layer of no day"):
        tile.add(data, RED)
    tile.add(texture(SMALL.shape.yx, "uint8"), QA)
    with pytest.raises(OutputError, match="band qa: found a layer of 2024-06-04"):
        tile.add(texture(SMALL.shape.yx, "uint8"), QA, DAYS[1])
    with pytest.raises(OutputError, match="band red: found no layer of 2024-06-04; expected every day"):
        tile.finish()
    tile.add(data, RED, DAYS[1])
    assert tile.finish()[0].objects


def test_a_pixel_that_reads_back_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished array is compared with what was to be written, to the last pixel."""
    plain = zarr.Array.__setitem__

    def spoiled(self: Any, at: Any, data: Any) -> None:
        data = data.copy()
        data.flat[-1] += 1
        plain(self, at, data)

    tile = ZarrTile(Extent(SMALL), tmp_path / "tile.zarr", ZarrOptions(chunk_px=64), TAGS)
    monkeypatch.setattr(zarr.Array, "__setitem__", spoiled)
    with pytest.raises(OutputError, match=r"tile\.zarr, band red: rows from 0 read back other than written"):
        tile.add(texture(SMALL.shape.yx), RED)


def test_negative_zero_and_infinities_survive(tmp_path: Path) -> None:
    data = np.zeros(SMALL.shape, np.float32)
    data[0, :4] = -0.0, np.inf, -np.inf, np.nan
    tile = ZarrTile(Extent(SMALL), tmp_path / "tile.zarr", ZarrOptions(chunk_px=64), TAGS)
    tile.add(data, Band("vv", "float32", math.nan))
    with xr.open_zarr(tile.finish()[0].path) as found:
        assert found["vv"].values.tobytes() == data.tobytes()


@pytest.mark.parametrize(
    ("step", "name"),
    [("begin", "tile.zarr"), ("add", "tile.zarr, band red"), ("finish", "tile.zarr"), ("list", "zarr-manifest.json")],
)
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, name: str) -> None:
    """Whichever file does not fit any more: of the store, of a band, of all metadata, of the manifest."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def room(at: str) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 if at == step else limits[0], limits[1]))

    def rendered(objects: object) -> dict[str, object]:
        room("list")
        return {"objects": str(objects)}

    monkeypatch.setattr("pipeline.write.zarr.render_manifest", rendered)

    def store() -> None:
        room("begin")
        tile = ZarrTile(Extent(SMALL), tmp_path / "tile.zarr", ZarrOptions(chunk_px=64), TAGS)
        room("add")
        tile.add(texture(SMALL.shape.yx), RED)
        room("finish")
        tile.finish()

    try:
        with pytest.raises(OutputError, match=f"^{name}: could not be written: .*too large"):
            store()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_options_show_in_the_store(tmp_path: Path) -> None:
    """The level and the size of chunks that were asked for are those that readers find."""
    folder = write(tmp_path, Extent(SMALL), RED, options=ZarrOptions(level=7, chunk_px=128)).path
    array = zarr.open_array(folder / "red", mode="r")
    assert (array.chunks, array.shards) == ((128, 128), (256, 256))
    text = (folder / "red/zarr.json").read_text()
    (inner,) = json.loads(text)["codecs"]
    compressor = inner["configuration"]["codecs"][-1]
    assert compressor["name"] == "blosc"
    assert compressor["configuration"] == {
        "cname": "zstd", "clevel": 7, "shuffle": "shuffle", "typesize": 2, "blocksize": 0
    }  # fmt: skip
