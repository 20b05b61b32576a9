"""Windows cover a tile with weights that sum to one, and beyond its edge they see its mirror image."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from pipeline.ops.windows import Blend, Windows, add_result, plan_axis, reflect

SIZES = (1, 7, 48, 64, 100, 101, 256, 1000)
CUTS = ((64, 0, 0), (64, 16, 0), (64, 31, 0), (64, 32, 0), (72, 13, 4), (40, 7, 11))


@pytest.mark.parametrize("blend", get_args(Blend))
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("size", SIZES)
def test_weights_of_a_pixel_sum_to_one(size: int, cut: tuple[int, int, int], blend: Blend) -> None:
    """Wherever windows lie; and where one alone is over a pixel, or without blending, they are exactly 1 or 0."""
    axis = plan_axis(size, Windows(*cut, blend))
    total, over = np.zeros(size), np.zeros(size, int)
    for number in range(len(axis.starts)):
        tile, result = axis.inside(number, size)
        total[tile] += axis.weights[number, result]
        over[tile] += 1
    assert over.min() == 1 or (over.min() > 1 and len(axis.starts) > 1)
    np.testing.assert_allclose(total, 1, atol=2e-7)
    assert (total[over == 1] == 1).all()
    if blend == "none":
        assert set(np.unique(axis.weights)) <= {0.0, 1.0}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("size", SIZES)
def test_what_windows_read_is_the_tile_and_its_mirror_image(size: int, cut: tuple[int, int, int]) -> None:
    windows = Windows(*cut)
    axis = plan_axis(size, windows)
    pad = windows.window_px
    padded = np.pad(np.arange(size), pad, mode="reflect")
    for start, source in zip(axis.starts, axis.sources, strict=True):
        first = start - windows.crop_px + pad
        np.testing.assert_array_equal(source, padded[first : first + windows.window_px])
    assert axis.starts[0] == -(windows.overlap_px // 2)
    assert axis.starts[-1] + windows.result_px >= size + windows.overlap_px // 2


def test_images_of_images_are_as_numpy_pads() -> None:
    np.testing.assert_array_equal(reflect(np.arange(-20, 24), 4), np.pad(np.arange(4), 20, mode="reflect"))
    np.testing.assert_array_equal(reflect(np.arange(-3, 4), 1), np.zeros(7))


@pytest.mark.parametrize(("blend", "middle"), [("linear", [0.125, 0.375, 0.625, 0.875]), ("cosine", None)])
def test_neighbours_pass_into_each_other(blend: Blend, middle: list[float] | None) -> None:
    """Evenly along a straight line; along half a cosine wave slowly, fast, slowly, and as much from either side."""
    axis = plan_axis(200, Windows(64, 4, 0, blend))
    falling, rising = axis.weights[0, -4:], axis.weights[1, :4]
    expected = np.array(middle) if middle else 0.5 - 0.5 * np.cos(np.pi * np.array([0.125, 0.375, 0.625, 0.875]))
    np.testing.assert_allclose(rising, expected, atol=1e-7)
    np.testing.assert_allclose(falling, expected[::-1], atol=1e-7)


def test_numbers_without_weight_do_not_matter() -> None:
    total = np.zeros((1, 2, 2), np.float32)
    weights = np.array([[1.0, 0.5], [0.0, 0.0]], np.float32)
    result = np.array([[[3.0, 4.0], [np.nan, np.inf]]], np.float32)
    add_result(total, result, weights)
    np.testing.assert_array_equal(total, [[[3.0, 2.0], [0.0, 0.0]]])


@pytest.mark.parametrize("cut", [(64, 33, 0), (64, -1, 0), (64, 1, 32), (64, 9, 24)])
def test_an_overlap_of_more_than_half_is_refused(cut: tuple[int, int, int]) -> None:
    """Three windows would lie over a pixel, and a window would have nothing of its own."""
    with pytest.raises(ValueError, match="expected at most half"):
        plan_axis(100, Windows(*cut))
