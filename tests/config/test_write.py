"""Laws of `write:`: the stores that are named are written, and COG where none is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.write import CogConfig, MosaicConfig, ZarrConfig
from tests.configs import SMALL, faults, load


@pytest.mark.parametrize(
    ("written", "stores"),
    [
        (None, (CogConfig(), None, None)),
        ("{}", (CogConfig(), None, None)),
        ("{cog: {}}", (CogConfig(), None, None)),
        ("{zarr: {}}", (None, ZarrConfig(), None)),
        ("{cog: {}, zarr: {}}", (CogConfig(), ZarrConfig(), None)),
        ("{cog: null, zarr: {level: 9}}", (None, ZarrConfig(level=9), None)),
        ("{zarr: null}", (CogConfig(), None, None)),
        ("{mosaic: {}}", (CogConfig(), None, MosaicConfig())),
        ("{cog: {compress: zstd}, zarr: {chunk_px: 256, sharded: false}}",
         (CogConfig(compress="zstd"), ZarrConfig(chunk_px=256, sharded=False), None)),
    ],
)  # fmt: skip
def test_the_stores_that_are_named_are_written(tmp_path: Path, written: str | None, stores: tuple[object, ...]) -> None:
    config = load(tmp_path, SMALL, *([f"write={written}"] if written else []))
    found = config.write_of(config.products[0])
    assert (found.cog, found.zarr, found.mosaic) == stores


def test_a_product_replaces_the_stores_of_the_run(tmp_path: Path) -> None:
    """Its own `write` stands alone: nothing of the run's is mixed in."""
    config = load(tmp_path, SMALL, "write={cog: {level: 9}}", "products.0.write={zarr: {}}")
    found = config.write_of(config.products[0])
    assert (found.cog, found.zarr) == (None, ZarrConfig())


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("write.zarr.level", "22", "found 22; allowed: a whole number, at least 1, at most 9"),
        ("write.zarr.chunk_px", "500", "found 500; allowed: one of 64, 128, 256, 512, 1024, 2048"),
        ("write.zarr.sharded", "yes", 'found "yes"; allowed: true or false; write true'),
        ("write.zarr.shard", "true", "unknown key (did you mean sharded?); allowed: level, chunk_px, sharded"),
        ("write.cog.level", "12", "found 12; allowed: 1 to 9 for deflate, 1 to 22 for zstd"),
        ("write.cog", "null", "write: allowed: cog, zarr or both; cog: null only beside zarr"),
    ],
)
def test_what_no_store_can_do_is_refused(tmp_path: Path, key: str, value: str, words: str) -> None:
    (fault,) = faults(tmp_path, SMALL, f"{key}={value}")
    assert fault.endswith(words), fault
