"""The bytes say what an object is, whatever its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.checks.sniff import fits_suffix, sniff


@pytest.mark.parametrize(
    ("data", "kind", "named"),
    [
        (b"a,b\n1,2\n", "table", "CSV"),
        (b"\xef\xbb\xbfa,b\n", "table", "CSV"),
        ("température\n".encode(), "table", "CSV"),
        (b"PAR1....", "table", "Parquet"),
        (b"II*\0....", "raster", "GeoTIFF"),
        (b"MM\0+....", "raster", "GeoTIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "raster", "JPEG 2000"),
        (b"CDF\x05\0\0", "array", "NetCDF-3"),
        (b"\x89HDF\r\n\x1a\n", "array", "NetCDF-4"),
        (b"", None, "an empty file"),
        (b"  <!DOCTYPE html><html>", None, "a page of HTML or XML"),
        (b'<?xml version="1.0"?><Error>', None, "a page of HTML or XML"),
        (b'{"message": "denied"}', None, "JSON"),
        (b"\x1f\x8b\x08", None, "gzip"),
        (b"\xff\xfea\0,\0", None, "no format that is known"),
    ],
)
def test_the_first_bytes_decide(tmp_path: Path, data: bytes, kind: str | None, named: str) -> None:
    (path := tmp_path / "object.bin").write_bytes(data)
    found = sniff(path)
    assert found.kind == kind and named in found.type


def test_a_folder_is_a_zarr_store_by_its_metadata(tmp_path: Path) -> None:
    assert sniff(tmp_path).kind is None
    (tmp_path / ".zgroup").write_text("{}")
    assert sniff(tmp_path).type == "Zarr"


@pytest.mark.parametrize(
    ("found", "key", "fits"),
    [
        ("GeoTIFF", "a/b.TIF", True),
        ("JPEG 2000", "a/b.tif", False),
        ("NetCDF-4", "a.nc", True),
        ("NetCDF-3", "a.h5", False),
        ("CSV", "a.csv", True),
        ("CSV", "a.parquet", False),
        ("CSV", "buoys", True),
        ("CSV", "buoys.2024", True),
        ("Zarr", "store.zarr/", True),
    ],
)
def test_an_ending_may_contradict_the_bytes(found: str, key: str, fits: bool) -> None:
    assert fits_suffix(found, key) is fits
