"""Laws of what a file is compared with: its own checksums, and what its product promises; every fault in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import ConfigError
from pipeline.types import Band
from pipeline.verbs._adopt_checksums import Checksums, fetch, is_checksum
from pipeline.verbs._adopt_files import look_at
from pipeline.write.folder import FolderStore
from pipeline.write.outputs import GEOTIFF
from tests.faults._worlds import write_tif

GRID = GeoBox((128, 128), Affine(10, 0, 600_000, 0, -10, 5_000_000), "EPSG:32633")
RED = Band("red", "uint16", 0, 0.0001, description="Red")
NIR = Band("nir", "uint16", 0, 0.0001)
PIXELS = np.random.default_rng(1).integers(1, 9000, (128, 128)).astype(np.uint16)


def tif(folder: Path, **options: object) -> Path:
    return write_tif(folder / "a.tif", PIXELS, GRID, **options)


def tagged(path: Path, **tags: object) -> Path:
    with rasterio.open(path, "r+") as target:
        for name, value in tags.items():
            setattr(target, name, value)
    return path


def masked(path: Path) -> Path:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+", nodata=None) as target:
        target.nodata = None
        target.write_mask(PIXELS > 500)
    return path


def shortened(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-3000])
    return path


def page(path: Path) -> Path:
    path.write_text("<!DOCTYPE html>")
    return path


SPOILED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "dtype": (
        lambda at: write_tif(at / "a.tif", PIXELS.astype("float32"), GRID),
        "red: dtype: found float32, expected",
    ),
    "grid": (lambda at: tif(at, transform=GRID.transform @ Affine.translation(1, 0)), "grid: found the transform"),
    "half a pixel": (lambda at: tif(at, transform=GRID.transform @ Affine.translation(0.5, 0)), "grid: found"),
    "crs": (lambda at: tif(at, crs="EPSG:32634"), "CRS: found EPSG:32634, expected EPSG:32633"),
    "no crs": (lambda at: tif(at, crs=None), "CRS: found none"),
    "size": (lambda at: write_tif(at / "a.tif", PIXELS[:64], GRID), "size: found 64 x 128 pixels, expected 128 x 128"),
    "bands": (lambda at: tif(at, count=2), "bands: found 2, expected 1 (red)"),
    "nodata": (lambda at: tif(at, nodata=9), "red: nodata: found 9, expected 0"),
    "scale": (lambda at: tagged(tif(at), scales=(0.5,)), "red: scale, offset: found 0.5, 0, expected 0.0001, 0"),
    "another band": (lambda at: tagged(tif(at), descriptions=("nir",)), "bands: found nir, expected red"),
    "mask": (lambda at: masked(tif(at)), "mask: found one beside the numbers, expected a nodata among them"),
    "cut": (lambda at: shortened(tif(at)), "that can be read to its end"),
    "html": (lambda at: page(at / "a.tif"), "that can be read to its end"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_misfit_says_what_was_found_and_expected(tmp_path: Path, kind: str) -> None:
    spoil, said = SPOILED[kind]
    looked = look_at(spoil(tmp_path), "red", [RED], GRID, {}, {"red", "nir"})
    assert looked.file is None and said in "; ".join(looked.wrong)


def test_what_a_file_does_not_say_is_the_products_word_and_noted(tmp_path: Path) -> None:
    """One in strips is taken, too, and its media type does not call it a COG."""
    grid = GeoBox((640, 640), GRID.transform, "EPSG:32633")
    path = write_tif(tmp_path / "a.tif", np.tile(PIXELS, (5, 5)), grid, nodata=None, tiled=False, blockysize=8)
    looked = look_at(path, "red", [RED], grid, {})
    assert looked.assumed == ("red: scale 0.0001, offset 0", "red: nodata 0") and looked.file is not None
    (band,) = looked.file.fields["bands"]
    assert (band["raster:scale"], band["nodata"], looked.file.media_type) == (0.0001, 0, GEOTIFF)
    assert band["statistics"]["valid_percent"] == 100


def test_a_file_that_says_all_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tagged(tif(tmp_path), scales=(0.0001,))
    before = path.read_bytes()
    looked = look_at(path, "red", [RED], GRID, {"groundswell:solar_day": "2024-06-01"})
    assert looked.assumed == () and looked.file is not None and path.read_bytes() == before
    assert looked.file.sha256 == hashlib.sha256(before).hexdigest()
    assert looked.file.fields["groundswell:solar_day"] == "2024-06-01"


def test_bands_in_another_order_are_refused_where_they_have_names(tmp_path: Path) -> None:
    path = tagged(tif(tmp_path, count=2), descriptions=("nir", "red"))
    (wrong,) = look_at(path, "bands", [RED, NIR], GRID, {}).wrong
    assert wrong == "bands: found the order nir, red, expected red, nir"
    assert look_at(tagged(path, descriptions=("B04", "B08")), "bands", [RED, NIR], GRID, {}).wrong == ()


def listed(folder: Path) -> Checksums:
    return Checksums(FolderStore(str(folder)), dict(FolderStore(str(folder)).list_objects()))


WAYS: dict[str, Callable[[str, str], tuple[str, str]]] = {
    "sidecar": lambda key, digits: (f"{key}.sha256", f"{digits}  a.tif\n"),
    "stem": lambda key, digits: (key.replace(".tif", ".sha256"), digits),
    "list": lambda key, digits: ("SHA256SUMS", f"{digits} *./{key}\n"),
    "beside": lambda _key, digits: ("t1/sha256sums.txt", f"{digits}  a.tif\n"),
    "csv": lambda key, digits: ("manifest.csv", f"Path,Size,SHA256\n{key},9,{digits.upper()}\n"),
    "json": lambda key, digits: ("manifest.json", json.dumps({"files": [{"key": key, "checksum": f"1220{digits}"}]})),
    "json by path": lambda key, digits: ("manifest.json", json.dumps({key: f"sha256:{digits}"})),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_checksum_is_found_however_it_is_written_down(tmp_path: Path, way: str) -> None:
    data, folder = b"pixels", tmp_path / "old"
    (folder / "t1").mkdir(parents=True)
    (folder / "t1" / "a.tif").write_bytes(data)
    (folder / "t1" / "b.tif").write_bytes(b"more")
    name, text = WAYS[way]("t1/a.tif", hashlib.sha256(data).hexdigest())
    (folder / name).write_text(text)
    assert is_checksum(name) and not is_checksum("t1/a.tif")
    known = listed(folder)
    assert len(known.of("t1/a.tif")) == 1 and known.of("t1/b.tif") == []
    store = FolderStore(str(folder))
    assert fetch(store, "t1/a.tif", tmp_path / "copy", known.of("t1/a.tif")) == []
    (folder / "t1" / "a.tif").write_bytes(b"others")
    (wrong,) = fetch(store, "t1/a.tif", tmp_path / "copy", known.of("t1/a.tif"))
    assert wrong.startswith("t1/a.tif: found sha256 ") and wrong.endswith(f"as {name} says")


def test_an_md5_counts_too_and_one_without_digits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")
    (tmp_path / "a.tif.md5").write_text(hashlib.md5(b"pixels", usedforsecurity=False).hexdigest())
    (tmp_path / "a.tif.sha256").write_text("none\n")
    store = FolderStore(str(tmp_path))
    (wrong,) = fetch(store, "a.tif", tmp_path / "copy", listed(tmp_path).of("a.tif"))
    assert "expected none that can be read, as a.tif.sha256 says" in wrong


def test_a_manifest_without_sense_ends_it(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ConfigError, match=r"manifest\.json: found no manifest"):
        listed(tmp_path)
