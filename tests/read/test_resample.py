"""Laws of resampling: bilinear is GDAL's where coordinates are exact, and within their bound elsewhere; tiles agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.warp import Resampling, reproject

from pipeline.read.pixelmap import MAX_ERROR_PX, pixel_map
from pipeline.read.resample import RESAMPLINGS, pad_px, resample
from pipeline.types import Grid

SIDE = 128
WEST, NORTH = 500_000.0, 5_200_000.0
ALL = (0, SIDE), (0, SIDE)


def pair(crs: int, ratio: float, shift: tuple[float, float] = (3.3, 4.1)) -> tuple[Grid, GeoBox]:
    """A source of 10 m in UTM 33 and a target in its middle whose pixels are `ratio` times as large."""
    size = int(SIDE * ratio) + 90
    source = Grid("EPSG:32633", (10.0, 0.0, WEST, 0.0, -10.0, NORTH), (size, size + 10))
    x, y = Transformer.from_crs(32633, crs, always_xy=True).transform(WEST + 5 * size, NORTH - 5 * size)
    half = 5 * SIDE * ratio
    corner = Affine(10 * ratio, 0, round(x, -1) - half + shift[0], 0, -10 * ratio, round(y, -1) + half + shift[1])
    return source, GeoBox((SIDE, SIDE), corner, f"EPSG:{crs}")


def image(shape: tuple[int, int], dtype: Any, nodata: float | None, seed: int = 0) -> NDArray[Any]:
    """Noise over much of the dtype's range, with holes."""
    random = np.random.default_rng(seed)
    data = random.integers(1, 250 if np.dtype(dtype).itemsize == 1 else 9000, shape).astype(dtype)
    if nodata is not None:
        data[random.uniform(size=shape) < 0.1] = nodata
        data[: shape[0] // 3, : shape[1] // 2] = nodata
    return data


def by_gdal(
    data: NDArray[Any], source: Grid, target: GeoBox, method: str, nodata: float | None, **options: float
) -> NDArray[Any]:
    """GDAL's warper alone."""
    out = np.full(target.shape, 0 if nodata is None else nodata, data.dtype)
    reproject(
        data,
        out,
        src_transform=Affine(*source.transform),
        src_crs=source.crs,
        src_nodata=nodata,
        dst_transform=target.transform,
        dst_crs=str(target.crs),
        dst_nodata=nodata,
        resampling=Resampling[method],
        **options,
    )
    return out


def missing(data: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.isnan(data) if nodata is not None and np.isnan(nodata) else data == nodata
    return found


@pytest.mark.parametrize("ratio", [0.5, 1, 2, 3])
@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("u1", 0), ("u1", 7), ("u2", 0), ("u2", None), ("i2", -5), ("f4", np.nan), ("f4", -9.0), ("f4", None)],
)
@pytest.mark.parametrize("shift", [(3.3, 4.1), (0.0, 0.0), (5.0, 5.0)])
def test_bilinear_equals_gdal_where_coordinates_are_exact(
    ratio: float, dtype: str, nodata: float | None, shift: tuple[float, float]
) -> None:
    """The same pixels are valid; numbers differ by rounding alone: a half of a DN may fall to either side."""
    source, target = pair(32633, ratio, shift)
    data = image(source.shape, dtype, nodata)
    ours = resample(data, (0, 0), (source, target), ALL, "bilinear", nodata)
    theirs = by_gdal(data, source, target, "bilinear", nodata)
    assert ours.dtype == data.dtype
    np.testing.assert_array_equal(missing(ours, nodata), missing(theirs, nodata))
    if dtype == "f4":
        np.testing.assert_allclose(ours, theirs, rtol=2e-7)
    else:
        difference = np.abs(ours.astype(np.int64) - theirs)
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 0.005


@pytest.mark.parametrize(("ratio", "share"), [(1, 0.01), (2, 0.1)])
def test_a_smooth_image_is_gdals_across_zones(ratio: float, share: float) -> None:
    """To one DN. GDAL is told a scale: from a window that is turned it estimates one that widens its kernel unasked.

    Across zones two is 1.995, which ours takes into account.
    """
    source, target = pair(32632, ratio)
    y, x = np.indices(source.shape)
    data = (3000 + 900 * np.sin(y / 15) + 700 * np.cos(x / 11)).astype(np.uint16)
    ours = resample(data, (0, 0), (source, target), ALL, "bilinear", 0).astype(np.int64)
    theirs = by_gdal(data, source, target, "bilinear", 0, XSCALE=1 / ratio, YSCALE=1 / ratio)
    difference = np.abs(ours - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() < share


@given(st.sampled_from([32632, 32634, 3857]), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_values_are_off_by_no_more_than_the_coordinates_bound_allows(crs: int, seed: int) -> None:
    """Against exact pyproj: a shift by the bound changes at most the bound times the steps to the neighbours."""
    source, target = pair(crs, 1)
    data = np.random.default_rng(seed).uniform(0, 1e4, source.shape).astype(np.float32)
    ours = resample(data, (0, 0), (source, target), ALL, "bilinear", None)
    cols, rows = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    x, y = target.transform @ (cols, rows)
    x, y = Transformer.from_crs(crs, 32633, always_xy=True).transform(x, y)
    v, u = (NORTH - y) / 10 - 0.5, (x - WEST) / 10 - 0.5
    i, j = np.floor(v).astype(int), np.floor(u).astype(int)
    v, u = v - i, u - j
    wide = data.astype(np.float64)
    exact = (wide[i, j] * (1 - u) + wide[i, j + 1] * u) * (1 - v)
    exact += (wide[i + 1, j] * (1 - u) + wide[i + 1, j + 1] * u) * v
    steps = [sliding_window_view(np.abs(np.diff(wide, axis=axis)), (5, 5)).max((2, 3))[i - 2, j - 2] for axis in (0, 1)]
    bound = (MAX_ERROR_PX * 1.05) * (steps[0] + steps[1]) + 1e-3
    assert (np.abs(ours - exact) <= bound).all()


@pytest.mark.parametrize("method", RESAMPLINGS)
@pytest.mark.parametrize("crs", [32633, 32632])
@pytest.mark.parametrize("ratio", [0.5, 1, 2, 8.3])
@pytest.mark.parametrize(("dtype", "nodata"), [("u2", 0), ("f4", np.nan)])
def test_two_tiles_are_the_same_pixels_as_one(method: str, crs: int, ratio: float, dtype: str, nodata: float) -> None:
    """Each from its own window, grown by `pad_px`: neighbours and edges of the source included."""
    source, whole = pair(crs, ratio, (-450 - 203 * ratio, 0.0))
    data = image(source.shape, dtype, nodata)
    expected = resample(data, (0, 0), (source, whole), ALL, method, nodata)
    for left in (0, 64):
        tile = GeoBox((SIDE, 64), whole.transform @ Affine.translation(left, 0), whole.crs)
        window = pixel_map(source, tile).window((0, SIDE), pad=pad_px(method, source, tile))
        assert window is not None
        corner = window[0].start, window[1].start
        found = resample(data[window], corner, (source, tile), ((0, SIDE), (0, 64)), method, nodata)
        if method in {"nearest", "bilinear"} or dtype == "u2":
            np.testing.assert_array_equal(found, expected[:, left : left + 64])
        else:
            np.testing.assert_allclose(found, expected[:, left : left + 64], rtol=1e-6)
    assert missing(expected, nodata).any() and not missing(expected, nodata).all()


@pytest.mark.parametrize("method", RESAMPLINGS)
@pytest.mark.parametrize("crs", [32633, 32632])
def test_every_method_ends_where_the_source_ends(method: str, crs: int) -> None:
    """By a pixel's centre, as nearest does: what only touches the source has no value in any tile."""
    source, target = pair(crs, 2, (-1203.0, 1207.0))
    found = resample(np.full(source.shape, 9, np.uint8), (0, 0), (source, target), ALL, method, 0)
    nearest = resample(np.full(source.shape, 9, np.uint8), (0, 0), (source, target), ALL, "nearest", 0)
    np.testing.assert_array_equal(found, nearest)
    assert 0 < (found == 0).sum() < found.size


@pytest.mark.parametrize("method", RESAMPLINGS)
@pytest.mark.parametrize(("crs", "turn"), [(32632, 0.0), (32633, 30.0), (32633, 90.0)])
def test_parts_of_a_tile_fit(method: str, crs: int, turn: float) -> None:
    """Also where a few rows of it are many columns of a source that is turned against it."""
    source, target = pair(crs, 2.3)
    about = source.shape[1] / 2, source.shape[0] / 2
    source = replace(source, transform=(Affine(*source.transform) @ Affine.rotation(turn, about))[:6])
    data = image(source.shape, "u2", 0)
    expected = resample(data, (0, 0), (source, target), ALL, method, 0)
    for rows, cols in (((0, 50), (0, SIDE)), ((50, 51), (3, 90)), ((51, SIDE), (77, SIDE))):
        window = pixel_map(source, target).window(rows, cols, pad_px(method, source, target))
        assert window is not None
        corner = window[0].start, window[1].start
        part = resample(data[window], corner, (source, target), (rows, cols), method, 0)
        np.testing.assert_array_equal(part, expected[slice(*rows), slice(*cols)])


@pytest.mark.parametrize("method", ["cubic", "average", "mode"])
@pytest.mark.parametrize("ratio", [1, 2])
def test_other_methods_are_gdals(method: str, ratio: float) -> None:
    """On grids of one CRS, where GDAL's own estimate of the scale is exact."""
    source, target = pair(32633, ratio)
    data = image(source.shape, "u2", 0)
    ours = resample(data, (0, 0), (source, target), ALL, method, 0)
    np.testing.assert_array_equal(ours, by_gdal(data, source, target, method, 0))


@pytest.mark.parametrize("method", RESAMPLINGS)
def test_nothing_is_nodata_or_what_stands_for_it(method: str) -> None:
    """Nodata where there is one that a pixel can hold; else zero for whole numbers and NaN for others."""
    source, target = pair(32633, 1)
    beside = GeoBox((SIDE, SIDE), Affine.translation(1e5, 0) @ target.transform, target.crs)
    for dtype, nodata, expected in (
        *(("u2", 7, 7), ("u2", None, 0), ("u2", -9999.0, 0), ("u2", 0.5, 0), ("u1", float("nan"), 0)),
        *(("f4", None, np.nan), ("f4", -9.0, -9.0), ("f4", np.inf, np.inf), ("f4", -1.7e308, np.nan)),
    ):
        found = resample(np.ones(source.shape, dtype), (0, 0), (source, beside), ALL, method, nodata)
        np.testing.assert_array_equal(found, np.full((SIDE, SIDE), expected, dtype))
        ones = resample(np.ones(source.shape, dtype), (0, 0), (source, target), ALL, method, nodata)
        np.testing.assert_array_equal(ones, np.ones((SIDE, SIDE), dtype))


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
@pytest.mark.parametrize("ratio", [1, 2])
def test_nan_is_never_a_number(method: str, ratio: float) -> None:
    """Also in a file that calls something else nodata: a hole of one pixel stays as large as it is."""
    source, target = pair(32633, ratio)
    data = image(source.shape, "f4", -9.0)
    holes = np.random.default_rng(1).uniform(size=data.shape) < 0.05
    with_nan, without = data.copy(), data.copy()
    with_nan[holes], without[holes] = np.nan, -9.0
    found = resample(with_nan, (0, 0), (source, target), ALL, method, -9.0)
    np.testing.assert_array_equal(found, resample(without, (0, 0), (source, target), ALL, method, -9.0))


def test_a_mean_never_becomes_nodata() -> None:
    """Half-way between 99 and 101 is 99 where 100 means nothing, and 1 where 0 does."""
    source, target = pair(32633, 1, (5.0, 0.0))
    data = np.where(np.indices(source.shape)[1] % 2 == 0, 99, 101).astype(np.uint8)
    assert (resample(data, (0, 0), (source, target), ALL, "bilinear", 100) == 99).all()
    assert (resample(data, (0, 0), (source, target), ALL, "bilinear", None) == 100).all()
    signed = np.where(data == 99, 1, -1).astype(np.int16)
    assert (resample(signed, (0, 0), (source, target), ALL, "bilinear", 0) == -1).all()


def test_an_unknown_method_is_refused_by_name() -> None:
    source, target = pair(32633, 1)
    with pytest.raises(ValueError, match="'lanczos' is unknown; expected one of nearest, bilinear"):
        resample(np.ones(source.shape, np.uint8), (0, 0), (source, target), ALL, "lanczos", 0)
    with pytest.raises(ValueError, match="unknown"):
        pad_px("lanczos", source, target)


def test_a_window_too_large_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = pair(32633, 1)
    monkeypatch.setattr("pipeline.read.resample._MOST_PX", 1000)
    with pytest.raises(ValueError, match="too large to resample at once; ask for fewer rows"):
        resample(np.ones(source.shape, np.uint8), (0, 0), (source, target), ALL, "bilinear", 0)
