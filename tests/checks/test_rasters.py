"""Rasters: header and pixels against their rules, and damaged files as verdicts by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

from pipeline.types import Json
from tests.checks.objects import checked, only, told

PIXELS = np.arange(48, dtype="u2").reshape(6, 8)


def tif(folder: Path, *bands: NDArray[Any], **profile: Any) -> Path:
    arrays = bands or (PIXELS,)
    defaults = {
        "driver": "GTiff",
        "height": arrays[0].shape[0],
        "width": arrays[0].shape[1],
        "count": len(arrays),
        "dtype": arrays[0].dtype,
        "crs": "EPSG:32633",
        "transform": Affine(10, 0, 500_000, 0, -20, 5_000_000),
    }
    with rasterio.open(path := folder / "t.tif", "w", **defaults | profile) as dataset:
        for index, array in enumerate(arrays, start=1):
            dataset.write(array, index)
    return path


@pytest.mark.parametrize(
    ("raster", "findings"),
    [
        ({}, []),
        ({"crs": "EPSG:32633", "resolution": [10, 20], "size_px": [8, 6], "bands": 1, "nodata": "none"}, []),
        ({"crs": ["EPSG:4326", "EPSG:32633"], "within": [14, 44, 16, 46], "tiled": False, "overviews": False}, []),
        ({"crs": "EPSG:32632"}, [("crs", "", "fail", 1)]),
        ({"resolution": [10, 10], "severity": "warn"}, [("resolution", "", "warn", 1)]),
        ({"size_px": [6, 8]}, [("size_px", "", "fail", 1)]),
        ({"bands": 3}, [("bands", "", "fail", 1)]),
        ({"within": [0, 0, 1, 1]}, [("within", "", "fail", 1)]),
        ({"nodata": 0}, [("nodata", "", "fail", 1)]),
        ({"tiled": True}, [("tiled", "", "fail", 1)]),
        ({"overviews": True}, [("overviews", "", "fail", 1)]),
        ({"formats": ["JPEG 2000"]}, [("format", "", "fail", 1)]),
        ({"each": {"dtype": ["uint8", "int16"]}}, [("dtype", "band 1", "fail", 1)]),
        ({"each": {"range": [1, 45]}}, [("range", "band 1", "fail", 3)]),
        ({"each": {"range": [1, 45]}, "band": {"1": {}}}, []),
        ({"band": {"1": {"values": list(range(40)), "severity": "warn"}}}, [("values", "band 1", "warn", 8)]),
        ({"band": {"2": {}}}, [("bands", "band 2", "fail", 1)]),
    ],
)
def test_each_rule_finds_what_breaks_it(
    tmp_path: Path, raster: Json, findings: list[tuple[str, str, str, int]]
) -> None:
    assert told(checked(tif(tmp_path), {"raster": raster})) == findings


def test_pixels_are_shown_by_row_and_column_whatever_the_strips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = tif(tmp_path, PIXELS, PIXELS), {"raster": {"band": {"2": {"range": [None, 20]}}}, "examples": 2}
    whole = checked(path, said)
    assert [(each.at, each.value) for each in only(whole).examples] == [
        ("row 2, column 5", "21"),
        ("row 2, column 6", "22"),
    ]
    monkeypatch.setattr("pipeline.checks.rasters._STRIP_BYTES", 1)
    assert checked(path, said) == whole


def test_no_data_and_nan_are_missing_and_nothing_else(tmp_path: Path) -> None:
    values = np.array([[np.nan, -9999, 1, 2], [3, 4, 5, 6]], "f4")
    path = tif(tmp_path, values, nodata=-9999)
    said = {"raster": {"each": {"nodata_share": {"warn": 0.1, "fail": 0.5}, "range": [0, 10]}}}
    result = checked(path, said)
    assert only(result).text == "band 1: found 0.25 (2 of 8), expected at most 0.1 of the pixels without a value"
    band = result.facts["of_bands"][0]
    assert (band["valid"], band["of"], band["min"], band["max"]) == (6, 8, 1, 6)


def test_a_raster_without_a_place_fails_a_rule_for_rasters_only(tmp_path: Path) -> None:
    path = tif(tmp_path, crs=None)
    assert checked(path, {}).verdict == "pass"
    assert only(checked(path, {"raster": {}})).text == "found none, expected a reference system"


def test_overviews_that_lie_in_another_file_are_never_opened(tmp_path: Path) -> None:
    path = tif(tmp_path)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/vsicurl/http://127.0.0.1:9/x.ovr")
    assert "its tag OVERVIEW_FILE points to another file" in only(checked(path, {})).text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("derived/bitflips_200.tif", "TIFFReadEncodedTile"),
        ("derived/empty.tif", "found an empty file, expected CSV or Parquet, GeoTIFF"),
        ("derived/jp2_named_tif_no_sidecar_no_crs.tif", "expected .jp2, .j2k for JPEG 2000"),
        ("derived/s3_access_denied.tif", "a page of HTML or XML"),
        ("derived/truncated_16KiB_ghost+ifd_only.tif", "TIFFReadEncodedTile"),
        ("derived/truncated_60pct.tif", "TIFFReadEncodedTile"),
        ("derived/truncated_half.jp2", "opj_get_decoded_tile"),
        ("derived/truncated_header_300B.tif", "TIFFReadEncodedTile"),
        ("derived/zeroed_middle_64KiB.tif", "TIFFReadEncodedTile"),
        ("rasterio/corrupt.tif", "TIFFReadEncodedTile"),
    ],
)
def test_damaged_files_are_verdicts(shared_data: Path, name: str, words: str) -> None:
    result = checked(shared_data / "raster/bad" / name, {})
    assert result.verdict == "fail" and words in only(result).text and str(shared_data) not in only(result).text


@pytest.mark.parametrize(
    "name", ["derived/ok_reference_B11.tif", "odd-but-valid/au-3577-rotated.tif", "odd-but-valid/au-gcp.tif"]
)
def test_odd_files_that_are_whole_pass(shared_data: Path, name: str) -> None:
    assert checked(shared_data / "raster/bad" / name, {"raster": {}}).verdict == "pass"


def test_a_raster_of_nothing_but_no_data_is_found_out(shared_data: Path) -> None:
    result = checked(shared_data / "raster/bad/rasterio/all-nodata.tif", {"raster": {"each": {"nodata_share": 0.9}}})
    assert told(result) == [("nulls", f"band {k}", "fail", 1) for k in range(1, 5)]
