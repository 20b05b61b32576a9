"""COGs of every product open in rasterio, rioxarray, GDAL's own tools and rio-tiler: right numbers, no notes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from numpy.typing import NDArray
from rasterio.warp import transform
from rio_tiler.io import Reader

from pipeline.cli import main
from tests.interfaces.committed import Asset, Committed
from tests.servers.faulty import run_faulty

pytestmark = [
    pytest.mark.long,
    # Of these libraries' own use of affine.
    pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning:(rioxarray|rasterio)"),
]
ALL = {
    *("argo", "argo_grid", "dem", "glaciers", "landsat", "matchups", "predict", "sentinel1", "sentinel2", "stack"),
    *("ttc_ard", "series", "sentinel2-c1"),
}
"""Products; the last two are further entries."""
NO_COGS = {"argo", "argo_grid", "matchups", "stack"}


@pytest.fixture(scope="module")
def cogs(committed: Committed) -> list[Asset]:
    return committed.assets(".tif")


def stored(cog: Asset) -> NDArray[Any]:
    """(band, y, x), missing pixels masked, as rasterio reads it."""
    with rasterio.open(cog.path) as source:
        return np.ma.asarray(source.read(masked=True))


def physical(cog: Asset) -> NDArray[np.float64]:
    """(band, y, x) by what the item says of scale and offset; NaN where there is no number."""
    scale, offset = (
        np.array([band[f"raster:{name}"] for band in cog.fields["bands"]])[:, None, None]
        for name in ("scale", "offset")
    )
    return np.ma.filled(stored(cog).astype(np.float64) * scale + offset, np.nan)


def test_every_product_is_here(committed: Committed, cogs: list[Asset]) -> None:
    assert {item["collection"] for item in committed.items.values()} == ALL
    assert {cog.product for cog in cogs} == ALL - NO_COGS


def test_rasterio_says_of_each_what_its_item_says(cogs: list[Asset]) -> None:
    """CRS, grid, dtype, nodata, names, units, scale and offset; and numbers of the item's statistics."""
    for cog in cogs:
        bands = cog.fields["bands"]
        with rasterio.open(cog.path) as source:
            assert source.crs.to_string() == cog.fields["proj:code"], cog
            assert [*source.transform[:6]] == cog.fields["proj:transform"]
            assert [*source.shape] == cog.fields["proj:shape"]
            assert [*source.descriptions] == [band["name"] for band in bands]
            assert [*source.units] == [band["unit"] for band in bands]
            assert [*source.scales] == [band["raster:scale"] for band in bands]
            assert [*source.offsets] == [band["raster:offset"] for band in bands]
            assert [*source.dtypes] == [band["data_type"] for band in bands]
            nodata = bands[0].get("nodata")
            assert str(source.nodata) == str(None if nodata is None else float(nodata)), cog
            assert source.tags()["license"] and source.tags()["attribution"]
            assert all(source.tags(number)["description"] for number in source.indexes)
            assert source.block_shapes[0] == (512, 512) and source.files == [str(cog.path)]
        for values, band in zip(stored(cog), bands, strict=True):
            said = band["statistics"]
            assert said["valid_percent"] == pytest.approx(100 * np.ma.count(values) / values.size, abs=1e-4)
            if np.ma.count(values):
                assert (float(values.min()), float(values.max())) == (said["minimum"], said["maximum"]), cog
                assert values.mean(dtype=np.float64) == pytest.approx(said["mean"], rel=1e-6)


def test_rioxarray_gives_numbers_in_their_units(cogs: list[Asset]) -> None:
    """`mask_and_scale` alone makes reflectance, metres, degrees of what is stored, NaN where there is no number."""
    for cog in cogs:
        found = rioxarray.open_rasterio(cog.path, mask_and_scale=True, band_as_variable=True)
        assert isinstance(found, xr.Dataset)
        assert found.rio.crs.to_string() == cog.fields["proj:code"]
        for values, band, variable in zip(physical(cog), cog.fields["bands"], found.data_vars.values(), strict=True):
            np.testing.assert_allclose(variable.values, values, rtol=1e-6, err_msg=str(cog.path))
            assert (variable.attrs["long_name"], variable.attrs["units"]) == (band["name"], band["unit"])
            if "nodata" in band:
                assert variable.rio.encoded_nodata == pytest.approx(float(band["nodata"]), nan_ok=True)
            assert "description" in variable.attrs


def gdalinfo(program: str, name: str, *arguments: str) -> Any:
    """What Debian's own GDAL says, which shares nothing with rasterio's; fails where it warns."""
    done = subprocess.run(
        [program, "-json", *arguments, name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "GDAL_PAM_ENABLED": "NO"},
    )
    assert (done.returncode, done.stderr) == (0, ""), name
    return json.loads(done.stdout)


def test_gdalinfo_knows_it_for_what_it_is(cogs: list[Asset], need_binary: Callable[[str], str]) -> None:
    program = need_binary("gdalinfo")
    kinds = {}
    for cog in cogs:
        first = cog.fields["bands"][0]
        kinds[cog.fields["proj:code"], len(cog.fields["bands"]), first["data_type"], first.get("nodata")] = cog
    assert len(kinds) >= 8
    for cog in kinds.values():
        found = gdalinfo(program, str(cog.path), "-stats")
        assert found["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
        assert found["stac"]["proj:epsg"] == int(cog.fields["proj:code"].removeprefix("EPSG:"))
        told = [cog.fields["proj:transform"][place] for place in (2, 0, 1, 5, 3, 4)]
        assert found["geoTransform"] == pytest.approx(told, rel=1e-12)
        for band, said in zip(found["bands"], cog.fields["bands"], strict=True):
            assert (band["description"], band["unit"]) == (said["name"], said["unit"])
            assert (band.get("scale", 1), band.get("offset", 0)) == (said["raster:scale"], said["raster:offset"])
            assert str(band.get("noDataValue")).lower().removesuffix(".0") == str(said.get("nodata")).lower()
            assert band["colorInterpretation"] == ("Gray" if band["band"] == 1 else "Undefined")
            if said["statistics"]["valid_percent"]:
                counted = [float(band["metadata"][""][f"STATISTICS_{name.upper()}"]) for name in ("minimum", "maximum")]
                assert counted == pytest.approx([said["statistics"][name] for name in ("minimum", "maximum")])


def test_gdal_reads_over_http_what_qgis_is_given(cogs: list[Asset], need_binary: Callable[[str], str]) -> None:
    """By its address, as QGIS adds a layer: headers in one range, a pixel in few more, the whole file never."""
    program, locate = need_binary("gdalinfo"), need_binary("gdallocationinfo")
    cog = max((one for one in cogs if "nodata" in one.fields["bands"][0]), key=lambda one: one.path.stat().st_size)
    with run_faulty({f"/{cog.path.name}": cog.path.read_bytes()}) as server:
        name = f"/vsicurl/{server.address}/{cog.path.name}"
        local = gdalinfo(program, str(cog.path))
        assert gdalinfo(program, name) | {"description": "", "files": []} == local | {"description": "", "files": []}
        asked = [one for one in server.requests if one.path == f"/{cog.path.name}" and one.method == "GET"]
        assert [one.headers["Range"] for one in asked] == ["bytes=0-16383"]
        done = subprocess.run(
            [locate, "-valonly", name, "9", "7"], capture_output=True, text=True, timeout=60, check=True
        )
        assert float(done.stdout) == pytest.approx(float(stored(cog).data[0, 7, 9]), rel=1e-12)
        assert all("Range" in one.headers for one in server.requests if one.method == "GET" and ".tif" in one.path)


def test_rio_tiler_gives_tiles_and_points(cogs: list[Asset]) -> None:
    for cog in (one for one in cogs if one.layer in {"red", "elevation", "slope", "vv", "index"}):
        values = physical(cog)[0]
        row, column = np.argwhere(np.isfinite(values)).tolist()[len(values) // 2]
        with Reader(str(cog.path)) as reader:
            (longitude,), (latitude,) = transform(
                reader.dataset.crs, "EPSG:4326", *([one] for one in reader.dataset.xy(row, column))
            )
            point = reader.point(longitude, latitude, unscale=True)
            assert point.array.tolist() == pytest.approx([values[row, column]], rel=1e-6)
            assert point.band_descriptions == [cog.fields["bands"][0]["name"]]
            zoom = reader.maxzoom
            place = reader.tms.tile(longitude, latitude, zoom)
            tile = reader.tile(place.x, place.y, zoom, unscale=True).array
            assert tile.shape == (1, 256, 256) and tile.count() > 0
            assert np.nanmin(values) * 0.999 <= tile.min() <= tile.max() <= np.nanmax(values) * 1.001


def test_a_note_that_somebody_leaves_is_no_fault(
    committed: Committed, cogs: list[Asset], tmp_path: Path, need_binary: Callable[[str], str]
) -> None:
    """QGIS and `gdalinfo -stats` write .aux.xml beside a file that they may write to: what is committed stays sound."""
    whole = committed.outputs[1]
    copy = tmp_path / "output"
    shutil.copytree(whole, copy)
    cog = next(one for one in cogs if whole in one.path.parents)
    place = copy / cog.path.relative_to(whole)
    subprocess.run([need_binary("gdalinfo"), "-stats", str(place)], capture_output=True, timeout=60, check=True)
    assert place.with_name(f"{place.name}.aux.xml").exists()
    assert main(["verify", str(copy)]) == 0
