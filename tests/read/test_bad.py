"""Laws of damaged and odd files: what the data's own table says of each, as right pixels or as an error by name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.types import Asset, Grid

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
ROW = re.compile(r"^    (\S+) (\d+) \| .*?(OPEN FAILS|READ FAILS|READ OK)", re.MULTILINE)
UNPLACED = GeoBox((8, 8), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")
NAMED = {
    "derived/jp2_named_tif_no_sidecar_no_crs.tif": "no usable CRS: the file has none, the catalogue none",
    "derived/truncated_half.jp2": "damaged or not readable",
    "derived/truncated_header_300B.tif": "no usable CRS",
    "derived/empty.tif": "the file is empty",
    "derived/s3_access_denied.tif": "not a TIFF or JPEG 2000 (starts with '<?xm')",
    "libtiff/test_ifd_loop_subifd.tif": "no usable CRS",
    "libtiff/test_ifd_loop_to_first.tif": "no usable CRS",
    "libtiff/test_ifd_loop_to_self.tif": "no usable CRS",
    "libtiff/testfax3_bug_513.tiff": "no usable CRS",
    "odd-but-valid/au-gcp.tif": "only ground control points",
    "odd-but-valid/au-3577-rotated.tif": "pixels are float32",
}
"""Causes of files that are refused although their bytes can be read, or before they are."""
GRIDS = {
    "odd-but-valid/au-3577-rotated.tif": GeoBox((64, 64), Affine(5000, 0, -5e5, 0, -5000, -3e6), "EPSG:3577"),
}
"""Targets inside files whose own grid is turned."""


def rows(shared_data: Path) -> dict[str, str]:
    """File → verdict, from the table in the data's README."""
    text = (shared_data / "raster/README.md").read_text()
    return {name: verdict for name, _, verdict in ROW.findall(text)}


def own_grid(path: Path) -> GeoBox:
    try:
        with rasterio.open(path) as source:
            turned = source.transform.b or source.transform.d
            return UNPLACED if turned or not source.crs else GeoBox(source.shape, source.transform, source.crs)
    except RasterioIOError:
        return UNPLACED


def test_every_file_of_the_folder_is_in_the_table(shared_data: Path) -> None:
    folder = shared_data / "raster/bad"
    assert set(rows(shared_data)) == {str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.is_file()}


def read_or_refuse(path: Path, geobox: GeoBox) -> NDArray[np.uint16] | PermanentAssetError:
    try:
        return read_layer(Asset("red", str(path)), Access(), "scene", Target.rows_of(geobox))
    except PermanentAssetError as error:
        return error


def test_every_file_behaves_as_its_row_says(shared_data: Path) -> None:
    """What fails is refused once, naming item, asset, file, cause; what reads has rasterio's pixels or is named."""
    right = set()
    for name, verdict in rows(shared_data).items():
        path = shared_data / "raster/bad" / name
        found = read_or_refuse(path, GRIDS.get(name) or own_grid(path))
        if isinstance(found, PermanentAssetError):
            assert verdict != "READ OK" or name in NAMED, f"{name} reads, but was refused: {found}"
            assert str(found) == f"item scene, asset red: {path}: {found.cause}"
            assert NAMED.get(name, "damaged or not readable: ") in found.cause
            assert found.attempts == 1
            continue
        assert verdict == "READ OK", f"{name}: pixels of a file that cannot be read"
        with rasterio.open(path) as source:
            np.testing.assert_array_equal(found, source.read(1), err_msg=name)
        right.add(name)
    assert right == {
        "derived/ok_reference_B11.tif",
        "libtiff/deflate-last-strip-extra-data.tiff",
        "rasterio/all-nodata.tif",
    }


def test_a_file_without_a_crs_is_placed_by_the_catalogue_and_says_so(shared_data: Path) -> None:
    """Only where the declared shape is the file's own: otherwise somebody is wrong about more than the CRS."""
    path = shared_data / "raster/bad/derived/jp2_named_tif_no_sidecar_no_crs.tif"
    transform = (120.0, 0.0, 499_980.0, 0.0, -120.0, 5_100_000.0)
    geobox = GeoBox((915, 915), Affine(*transform), "EPSG:32633")
    declared = Asset("scl", str(path), grid=Grid("EPSG:32633", transform, (915, 915)))
    found = read_layer(declared, Access(), "scene", Target.rows_of(geobox))
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(found, source.read(1))
    other = Asset("scl", str(path), grid=Grid("EPSG:32633", transform, (10_980, 10_980)))
    with pytest.raises(PermanentAssetError, match=r"a grid of \(10980, 10980\), the file has \(915, 915\)"):
        read_layer(other, Access(), "scene", Target.rows_of(geobox))


def test_ground_control_points_are_no_grid_whatever_the_catalogue_says(shared_data: Path) -> None:
    """Sentinel-1 GRD: items claim a transform that the file does not have."""
    path = shared_data / "raster/bad/odd-but-valid/au-gcp.tif"
    declared = Grid("EPSG:4326", (0.1, 0.0, 110.0, 0.0, -0.1, -10.0), (124, 133))
    with pytest.raises(PermanentAssetError, match="only ground control points"):
        read_layer(Asset("vv", str(path), grid=declared), Access(), "scene", Target.rows_of(UNPLACED))


def test_real_grd_scenes_are_refused_by_name(shared_data: Path) -> None:
    paths = sorted((shared_data / "raster/s1").glob("S1A_IW_GRDH*/**/*.tiff"))
    assert paths
    for path in paths:
        with pytest.raises(PermanentAssetError, match="only ground control points"):
            read_layer(Asset("vv", str(path)), Access(), "scene", Target.rows_of(UNPLACED))


@pytest.mark.parametrize("path", ["/nowhere/x.tif", "."])
def test_what_is_no_file_is_named(path: str) -> None:
    with pytest.raises(PermanentAssetError, match="no such file"):
        read_layer(Asset("red", path), Access(), "scene", Target.rows_of(UNPLACED))


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the diagnosis itself is refused."""
    path = tmp_path / "x.tif"
    path.write_bytes(b"II*\0")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermanentAssetError, match=r"item scene, asset red: .*x\.tif: .*Permission denied"):
        read_layer(Asset("red", str(path)), Access(), "scene", Target.rows_of(UNPLACED))


def test_a_plane_of_somebodys_own_is_no_crs(tmp_path: Path) -> None:
    """LOCAL_CS cannot be placed on the earth: refused by name, or placed by the catalogue."""
    path = tmp_path / "site.tif"
    local = 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint16", "crs": local}
    with rasterio.open(path, "w", transform=UNPLACED.transform, **profile) as file:
        file.write(np.full((1, 8, 8), 7, np.uint16))
    with pytest.raises(PermanentAssetError, match=r"no usable CRS: the file has a local one, LOCAL_CS.*site grid"):
        read_layer(Asset("red", str(path)), Access(), "scene", Target.rows_of(UNPLACED))
    declared = Asset("red", str(path), grid=Grid("EPSG:32633", tuple(UNPLACED.transform[:6]), (8, 8)))
    assert (read_layer(declared, Access(), "scene", Target.rows_of(UNPLACED)) == 7).all()
