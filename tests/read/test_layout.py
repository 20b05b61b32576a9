"""Blocks are told from real headers; a file that cannot be read costs nothing but its own word."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from pipeline.read.access import Access
from pipeline.read.layout import sample_layouts
from pipeline.types import Asset

KEY = ("s2", "red")
HERE = {"s2": Access()}


def write(path: Path, block: int, seed: int = 0) -> Asset:
    """Noise, which hardly compresses, in 2 x 2 blocks or more."""
    data = np.random.default_rng(seed).integers(0, 60_000, (512, 512), np.uint16)
    profile = {"driver": "GTiff", "width": 512, "height": 512, "count": 1, "dtype": "uint16", "tiled": True}
    place = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000)}
    with rasterio.open(path, "w", **profile, **place, blockxsize=block, blockysize=block, compress="deflate") as file:
        file.write(data, 1)
    return Asset("B04", str(path))


def test_a_header_tells_the_blocks_and_their_bytes(tmp_path: Path) -> None:
    asset = write(tmp_path / "a.tif", 256)
    layout = sample_layouts({KEY: [asset]}, HERE)[KEY]
    assert layout.block == (256, 256)
    assert layout.block_bytes == pytest.approx(Path(asset.href).stat().st_size / 4, rel=0.02)


def test_what_most_of_the_sampled_files_have_counts(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.tif", block, n) for n, block in enumerate((256, 128, 256))]
    assert sample_layouts({KEY: files}, HERE)[KEY].block == (256, 256)


def test_only_a_few_files_of_a_band_are_asked(tmp_path: Path) -> None:
    """The first, the middle and the last; the other 98 do not exist."""
    files = [Asset("B04", str(tmp_path / f"none-{n}.tif")) for n in range(101)]
    for n in (0, 50, 100):
        files[n] = write(tmp_path / f"{n}.tif", 128, n)
    assert sample_layouts({KEY: files}, HERE)[KEY].block == (128, 128)


def test_bands_whose_files_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "html.tif").write_text("<!DOCTYPE html>")
    bad = [
        Asset("B04", str(tmp_path / "html.tif")),
        Asset("B04", str(tmp_path / "none.tif")),
        Asset("B04", "/vsicurl/x"),
    ]
    good = write(tmp_path / "good.tif", 128)
    found = sample_layouts({KEY: bad, ("s2", "nir"): [good], ("s2", "blue"): []}, HERE)
    assert found.keys() == {("s2", "nir")}


def test_a_source_that_does_not_answer_is_not_waited_for() -> None:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = [Asset("B04", f"https://127.0.0.1:{silent.getsockname()[1]}/a.tif")]
        began = time.monotonic()
        assert sample_layouts({KEY: slow}, HERE, within_s=0.5) == {}
        assert time.monotonic() - began < 20
