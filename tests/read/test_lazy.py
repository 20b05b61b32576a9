"""Laws of the lazy cube: nothing is read before it is computed, and then it is what `read_layer` gives."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import CatalogError, PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.read.lazy import open_layers
from pipeline.search.canonical import canonical
from pipeline.search.catalog import read_static
from pipeline.search.normalise import to_item
from pipeline.types import Asset, Item
from tests.read.scenes import BANDS, scenes

# stackstac multiplies affine transforms in the old notation.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
INSIDE = GeoBox((200, 300), Affine(120, 0, 523_980 + 120 * 30, 0, -120, 5_076_000 - 120 * 40), "EPSG:32633")
OVER_THE_EDGE = GeoBox((200, 300), Affine(120, 0, 523_980 - 120 * 90, 0, -120, 5_076_000 + 120 * 40), "EPSG:32633")
OTHER_ZONE = GeoBox((250, 180), Affine(120, 0, 1_010_040, 0, -120, 5_075_040), "EPSG:32632")


def refuse(*_: Any, **__: Any) -> Any:
    """A Dask scheduler that must not be asked."""
    raise AssertionError("something was computed")


def compute(cube: xr.DataArray) -> NDArray[np.uint16]:
    with dask.config.set(scheduler="synchronous"):
        return np.asarray(cube.data.compute())


def eager(items: list[Item], bands: tuple[str, ...], geobox: GeoBox) -> NDArray[np.uint16]:
    target = Target.rows_of(geobox)
    return np.stack([[read_layer(item.assets[band], Access(), item.id, target) for band in bands] for item in items])


@pytest.mark.parametrize("geobox", [INSIDE, OVER_THE_EDGE, OTHER_ZONE], ids=["inside", "over the edge", "other zone"])
@pytest.mark.parametrize("chunk_px", [1024, 77])
def test_the_cube_is_what_read_layer_gives(shared_data: Path, geobox: GeoBox, chunk_px: int) -> None:
    """Whatever the chunks: five dates, three bands, in the order of the items, on pixel centres."""
    items = scenes(shared_data)
    cube = open_layers(items, dict.fromkeys(BANDS, read_layer), geobox, Access(), chunk_px)
    assert cube.dims == ("time", "band", "y", "x") and cube.dtype == np.uint16
    assert list(cube.band.values) == list(BANDS)
    np.testing.assert_array_equal(cube.time.values, [np.datetime64(item.time.replace(tzinfo=None)) for item in items])
    np.testing.assert_allclose(cube.x, geobox.transform.c + 120 * (np.arange(geobox.shape[1]) + 0.5))
    np.testing.assert_allclose(cube.y, geobox.transform.f - 120 * (np.arange(geobox.shape[0]) + 0.5))
    found = compute(cube)
    assert found.any()
    np.testing.assert_array_equal(found, eager(items, BANDS, geobox))


def test_nothing_is_read_before_it_is_computed(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even opened: the files may be gone; then computing says which."""
    items = [
        replace(item, assets={key: replace(asset, href=f"/gone/{item.id}.tif") for key, asset in item.assets.items()})
        for item in scenes(shared_data)
    ]
    with dask.config.set(scheduler=refuse):
        cube = open_layers(items, {"red": read_layer}, INSIDE, Access())
        part = cube.isel(time=2, band=0)[10:20, 10:20]
        with pytest.raises(AssertionError, match="something was computed"):
            part.data.compute()
    with pytest.raises(
        PermanentAssetError, match=rf"item {items[2].id}, asset red: /gone/{items[2].id}\.tif: no such file"
    ):
        compute(part)


def test_only_what_is_asked_for_is_read(shared_data: Path) -> None:
    """One chunk of one date costs one read of that part."""
    asked: list[tuple[str, tuple[int, int], tuple[int, int]]] = []

    def layer(asset: Asset, access: Access, item: str, target: Target) -> NDArray[np.uint16]:
        asked.append((item, target.rows, target.cols))
        return np.zeros(target.shape, np.uint16)

    items = scenes(shared_data)
    cube = open_layers(items, {"red": layer, "nir": layer}, INSIDE, Access(), chunk_px=100)
    compute(cube.sel(band="red").isel(time=1)[0:100, 100:200])
    assert asked == [(items[1].id, (0, 100), (100, 200))]


def test_items_keep_their_order_and_their_number(shared_data: Path) -> None:
    """Not sorted by date, none dropped for lying outside, duplicates kept: entry n of `time` is item n."""
    items = scenes(shared_data)
    items = [items[3], items[0], items[0], items[4]]
    cube = open_layers(items, {"red": read_layer}, INSIDE, Access())
    np.testing.assert_array_equal(compute(cube), eager(items, ("red",), INSIDE))
    far = GeoBox((50, 50), Affine(120, 0, 300_000, 0, -120, 4_000_000), "EPSG:32633")
    assert not compute(open_layers(items, {"red": read_layer}, far, Access())).any()


def test_a_band_that_an_item_lacks_is_empty(shared_data: Path) -> None:
    items = scenes(shared_data)[:2]
    items[0] = replace(items[0], assets={"red": items[0].assets["red"]})
    found = compute(open_layers(items, dict.fromkeys(("red", "nir"), read_layer), INSIDE, Access()))
    assert not found[0, 1].any()
    assert found[0, 0].any() and found[1, 1].any()


def test_bands_of_one_file_are_told_apart(shared_data: Path) -> None:
    """Three bands of one href: the address alone does not say which."""
    raw, _ = read_static(str(shared_data / "raster/s2/openeo_10m_3dates/collection.json"))
    aliases: dict[str, tuple[str, ...]] = {"red": ("B04",), "green": ("B03",), "blue": ("B02",)}
    items = [to_item(canonical(one, "s2")[0], aliases) for one in raw]
    geobox = GeoBox((58, 73), Affine(10, 0, 644_550, 0, -10, 5_676_350), "EPSG:32631")
    found = compute(open_layers(items, dict.fromkeys(aliases, read_layer), geobox, Access()))
    np.testing.assert_array_equal(found, eager(items, tuple(aliases), geobox))
    assert len({layer.tobytes() for layer in found[0]}) == 3


def test_a_cube_travels_to_another_process(shared_data: Path) -> None:
    items = scenes(shared_data)[:2]
    cube = open_layers(items, {"red": read_layer}, INSIDE, Access())
    np.testing.assert_array_equal(compute(pickle.loads(pickle.dumps(cube))), eager(items, ("red",), INSIDE))


def test_a_target_without_an_epsg_code_is_refused() -> None:
    sinusoidal = GeoBox((5, 5), Affine(10, 0, 0, 0, -10, 0), "+proj=sinu +R=6371007.181 +units=m")
    with pytest.raises(CatalogError, match="has no EPSG code"):
        open_layers([], {"red": read_layer}, sinusoidal, Access())
