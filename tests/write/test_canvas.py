"""How a mosaic is cut, and what tells that its pixels changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.types import Band, Grid
from pipeline.write.canvas import plan_canvas
from pipeline.write.outputs import Layer, Output, Source

GRID = Grid("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), (512, 512))
MONTH = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
BAND = Band("red", "uint16", 0.0)


def item(grid: Grid, **sources: str) -> Output:
    layer = Layer(BAND, None, {name: Source(href) for name, href in sources.items()})
    return Output("made", "a", "2024-06", *MONTH, "f" * 32, "CC0-1.0", "nobody", grid, (layer,))


@pytest.mark.parametrize("shape", [(2999, 1999), (5998, 2053), (1021, 509), (10980, 10980), (100, 2048)])
def test_a_tile_of_any_shape_is_cut_into_few_chunks(shape: tuple[int, int]) -> None:
    """A tile of a region may have a prime for a side; Zarr wants whole chunks in an object."""
    canvas = plan_canvas((item(replace(GRID, shape=shape), cog="/o/red.tif"),))
    for side, shard, chunk in zip(shape, canvas.shard, canvas.chunk, strict=True):
        assert shard % chunk == 0
        assert min(side, 128) <= chunk <= 512
        assert chunk <= shard <= 2048


def test_a_replaced_item_is_another_and_a_moved_output_is_not() -> None:
    """`--overwrite` leaves the fingerprint as it is; the names of the files, which hold their content, differ."""
    first, moved, replaced = (
        plan_canvas((item(GRID, cog=href),)).shown["2024-06"]["a"]
        for href in ("/one/red_f_1.tif", "s3://two/red_f_1.tif", "/one/red_f_2.tif")
    )
    assert first == moved != replaced
    assert first.startswith("f" * 32)


def test_what_stands_for_a_tile_is_alike_with_and_without_day_files() -> None:
    """The table of items leaves some COGs out where Zarr holds the same numbers."""
    alone, beside = item(GRID, zarr="/o/z_f_1.zarr"), item(GRID, zarr="/o/z_f_1.zarr", cog="/o/red_f_1.tif")
    assert alone.content == beside.content
