"""Laws of the COG of several bands: each reads back as itself, whoever reads; what is not so leaves no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from pipeline.errors import OutputError
from pipeline.read.access import Access
from pipeline.read.geotiff import GeoTiff
from pipeline.read.raster import attempt
from pipeline.types import Asset, Band
from pipeline.write import bandfile
from pipeline.write.bandfile import BandFile
from pipeline.write.blocks import encode
from pipeline.write.cog import CogOptions, write_cog
from tests.write.test_cog import DEFLATE, TAGS, ZSTD, geobox, texture

NAMES = ("red", "nir", "swir16", "swir22")


def bands(dtype: str = "uint16", nodata: float | None = 0) -> list[Band]:
    return [
        Band(name, dtype, nodata, 10.0**-number, -0.1 * number, "1", f"Band {name}")
        for number, name in enumerate(NAMES, 2)
    ]


def write(path: Path, layers: list[Any], kinds: list[Band], options: CogOptions = DEFLATE) -> Any:
    file = BandFile(geobox(*layers[0].shape), path, options, TAGS)
    for layer, band in zip(layers, kinds, strict=True):
        file.add(layer, band)
    return file.finish("bands", "All bands")


@pytest.mark.parametrize("options", [DEFLATE, ZSTD], ids=["deflate", "zstd"])
@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("uint8", None), ("float32", float("nan"))])
def test_every_band_is_what_it_was_made_from(
    tmp_path: Path, options: CogOptions, dtype: str, nodata: float | None
) -> None:
    """Pixels, overviews, names, units, scales and offsets of each band, as the files of single bands have them."""
    layers = [texture(dtype, 1100, 900, seed) for seed in range(4)]
    made = write(tmp_path / "all.tif", layers, bands(dtype, nodata), options)
    assert cog_validate(made.path, strict=True, quiet=True) == (True, [], [])
    with rasterio.open(made.path) as source:
        assert source.descriptions == NAMES and source.overviews(1) == source.overviews(4) == [2, 4]
        assert source.tags().items() >= TAGS.items() and source.interleaving.value == "BAND"
        assert {str(one) for one in source.nodatavals} == {str(None if nodata is None else float(nodata))}
        assert source.scales == tuple(band.scale for band in bands()) and source.units == ("1",) * 4
        assert source.offsets == tuple(band.offset for band in bands())
        for number, layer in enumerate(layers, 1):
            np.testing.assert_array_equal(source.read(number), layer)
            assert source.tags(number)["description"] == f"Band {NAMES[number - 1]}"
    for number, (layer, band) in enumerate(zip(layers, bands(dtype, nodata), strict=True), 1):
        single = write_cog(layer, band, geobox(*layer.shape), tmp_path / "one.tif", options, TAGS)
        for level in (0, 1):
            with (
                rasterio.open(made.path, overview_level=level) as whole,
                rasterio.open(single.path, overview_level=level) as one,
            ):
                np.testing.assert_array_equal(whole.read(number), one.read(1))
        assert made.fields["bands"][number - 1] == single.fields["bands"][0]


def test_one_band_gives_the_file_of_one_band(tmp_path: Path) -> None:
    """To the byte, so that there is one kind of file."""
    layer, band = texture("uint16"), bands()[0]
    single = write_cog(layer, band, geobox(*layer.shape), tmp_path / "one.tif", DEFLATE, TAGS)
    assert write(tmp_path / "set.tif", [layer], [band]).path.read_bytes() == single.path.read_bytes()


def test_same_input_same_bytes(tmp_path: Path) -> None:
    layers = [texture("uint16", seed=seed) for seed in range(2)]
    first = write(tmp_path / "a.tif", layers, bands()[:2])
    second = write(tmp_path / "b.tif", [layer.copy(order="F") for layer in layers], bands()[:2])
    assert first.path.read_bytes() == second.path.read_bytes()
    assert sorted(tmp_path.iterdir()) == [first.path, second.path], "a side file was left"


def test_the_fast_reader_reads_each_band(tmp_path: Path) -> None:
    """Planes are none of the things that are left to GDAL."""
    layers = [texture("uint16", 700, 1300, seed) for seed in range(3)]
    made = write(tmp_path / "all.tif", layers, bands()[:3])
    for number, layer in enumerate(layers, 1):

        def use(raster: Any) -> Any:
            assert isinstance(raster, GeoTiff)
            return raster.read(slice(100, 650), slice(300, 1200))

        found = attempt(Asset("all", str(made.path), number), Access(local=True), "", use)
        np.testing.assert_array_equal(found, layer[100:650, 300:1200])


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (Band("nir", "uint8", 0), r"nir: dtype: found uint16"),
        (Band("nir", "uint16", 65535), r"nir: found \('uint16', '65535'\) beside red"),
        (Band("red", "uint16", 0), "different names"),
    ],
)
def test_bands_that_do_not_fit_together_are_refused(tmp_path: Path, other: Band, text: str) -> None:
    layer = texture("uint16", 64, 64)
    with pytest.raises(OutputError, match=text):
        write(tmp_path / "x.tif", [layer, layer], [Band("red", "uint16", 0), other])
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_no_band_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="found no band"):
        BandFile(geobox(64, 64), tmp_path / "x.tif", DEFLATE, TAGS).finish("x", "x")


@pytest.mark.parametrize("level", [0, 1], ids=["layer", "overview"])
def test_a_wrong_pixel_of_any_band_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    """On the finished file, which is then removed."""
    layers = [texture("uint16", 600, 600, seed) for seed in range(2)]
    sides = 600, 300

    def spoiled(layer: Any, *rest: Any) -> Any:
        changed = layer.copy()
        if layer.shape[0] == sides[level]:
            changed[-1, 0] += 1
        return encode(changed, *rest)

    file = BandFile(geobox(600, 600), tmp_path / "x.tif", DEFLATE, TAGS)
    file.add(layers[0], bands()[0])
    monkeypatch.setattr(bandfile, "encode", spoiled)
    file.add(layers[1], bands()[1])
    with pytest.raises(OutputError, match=rf"x\.tif, band nir, overview {level}: rows from .* read back other"):
        file.finish("x", "x")
    assert list(tmp_path.iterdir()) == []
