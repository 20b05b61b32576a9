"""What the item says of the numbers of a tile's layers, whatever stores they are written to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from pipeline.write.tile import EDGES_AT_MOST, TileWriter, WriteOptions, writing
from pipeline.write.zarr_attributes import Extent
from tests.write.test_tile import BANDS, BOTH, DAYS, JUNE, TAGS, geobox, texture

STORES = {"both": BOTH, "zarr": replace(BOTH, cog=None), "cog": replace(BOTH, zarr=None)}


@pytest.mark.parametrize("options", STORES.values(), ids=STORES)
def test_the_item_says_of_every_layer_what_its_numbers_are_like(options: WriteOptions, tmp_path: Path) -> None:
    """Statistics and edges once, whatever the stores; the days of a series have none of their own in Zarr."""
    days = [np.random.default_rng(day).integers(1, 4000, (80, 90)).astype(np.uint16) for day in range(3)]
    ndvi = texture(BANDS["int16"], (80, 90))
    with writing() as thread:
        writer = TileWriter(Extent(geobox((80, 90)), JUNE, DAYS), tmp_path, options, TAGS, thread)
        for day, layer in zip(DAYS, days, strict=True):
            writer.add(layer.copy(), BANDS["uint16"], day)
        writer.add(ndvi, BANDS["int16"])
        said = {file.key: file.fields["bands"] for file in writer.finish() if "bands" in file.fields}
    expected = {"ndvi": ndvi[ndvi != -32768]}
    if options.cog:
        found = {key: bands[0] for key, bands in said.items() if key != "zarr"}
        expected |= {f"red-{day:%Y%m%d}": layer for day, layer in zip(DAYS, days, strict=True)}
        assert all(set(band["groundswell:edges"]) == {"top", "right", "bottom", "left"} for band in found.values())
        assert all("groundswell:edges" not in band for band in said.get("zarr", ()))
    else:
        found = {band["name"]: band for band in said["zarr"]}
        expected["red"] = np.concatenate(days)
        assert ["groundswell:edges" in found[name] for name in ("red", "ndvi")] == [False, True]
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        numbers = found[key]["statistics"]
        assert (numbers["minimum"], numbers["maximum"]) == (values.min(), values.max())
        assert numbers["mean"] == pytest.approx(values.mean(dtype=np.float64), rel=1e-8)
        assert numbers["stddev"] == pytest.approx(values.std(dtype=np.float64), rel=1e-8)


def test_days_without_edges_of_their_own_take_none_from_other_layers(tmp_path: Path) -> None:
    """A long series in Zarr alone, and a layer without a day behind it."""
    days = tuple(date(2024, 6, day) for day in range(1, EDGES_AT_MOST + 2))
    with writing() as thread:
        writer = TileWriter(Extent(geobox((80, 90)), JUNE, days), tmp_path, STORES["zarr"], TAGS, thread)
        for day in days:
            writer.add(texture(BANDS["uint16"], (80, 90)), BANDS["uint16"], day)
        writer.add(texture(BANDS["int16"], (80, 90)), BANDS["int16"])
        (bands,) = (file.fields["bands"] for file in writer.finish() if "bands" in file.fields)
    assert {band["name"]: "groundswell:edges" in band for band in bands} == {"red": False, "ndvi": True}
