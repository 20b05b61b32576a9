"""Laws of the geometric median: where an independent optimiser ends, whatever the cut of the tile."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.ops.geomedian import geomedian


def spectra(seed: int, bands: int, dates: int, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """(band, time, y, x): a spectrum a pixel, noise, outliers, and days without some or all of the bands."""
    random = np.random.default_rng(seed)
    ground = random.uniform(200, 4000, (bands, 1, *shape))
    outlier = random.uniform(size=(1, dates, *shape)) < 0.2
    seen = ground + random.normal(0, 300, (bands, dates, *shape)) + outlier * random.uniform(0, 5000, ground.shape)
    stack: NDArray[np.uint16] = np.clip(np.rint(seen), 1, 65_534).astype(np.uint16)
    stack[np.broadcast_to(random.uniform(size=(1, dates, *shape)) < 0.3, stack.shape)] = 0
    stack[random.uniform(size=stack.shape) < 0.02] = 0
    return stack


def run(stack: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    bands, _, *shape = stack.shape
    out, count = np.full((bands, *shape), 7777, np.uint16), np.full(shape, 7777, np.uint16)
    geomedian(stack, out, count)
    return out, count


def distance_sum(points: NDArray[np.float64], place: NDArray[np.float64]) -> float:
    return float(np.sqrt(((points - place) ** 2).sum(axis=1)).sum())


def optimum(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """By Newton's method on the sum of distances, or the observation that nothing beats: not Weiszfeld's iteration."""
    best: NDArray[np.float64] = min(points, key=lambda point: distance_sum(points, point))
    apart = points - best
    norms = np.sqrt((apart**2).sum(axis=1))
    away = norms > 0
    pull = (apart[away] / norms[away, None]).sum(axis=0)
    if np.sqrt((pull**2).sum()) <= (~away).sum():
        return best
    place: NDArray[np.float64] = best + pull / np.sqrt((pull**2).sum())
    for _ in range(200):
        apart = place - points
        norms = np.sqrt((apart**2).sum(axis=1))
        unit = apart / norms[:, None]
        slope = unit.sum(axis=0)
        bend = ((np.eye(points.shape[1]) - unit[:, :, None] * unit[:, None, :]) / norms[:, None, None]).sum(axis=0)
        step = np.linalg.solve(bend, slope)
        length = 1.0
        while distance_sum(points, place - length * step) > distance_sum(points, place) and length > 1e-9:
            length /= 2
        place = place - length * step
        if np.abs(step).max() < 1e-9:
            break
    return place


@pytest.mark.parametrize(("bands", "dates"), [(3, 4), (4, 12), (6, 30), (10, 65), (10, 146)])
def test_it_is_where_an_independent_optimiser_ends(bands: int, dates: int) -> None:
    """Within one stored unit in every band, and no worse in the sum of distances than rounding makes it."""
    stack = spectra(dates, bands, dates, (2, 40))
    out, count = run(stack)
    for row, col in np.ndindex(count.shape):
        points = stack[:, :, row, col].T.astype(np.float64)
        points = points[(points > 0).all(axis=1)]
        assert count[row, col] == len(points)
        if len(points) < 3:
            continue
        best, found = optimum(points), out[:, row, col].astype(np.float64)
        assert np.abs(found - best).max() <= 1
        assert distance_sum(points, found) <= distance_sum(points, best) + 0.5 * np.sqrt(bands) * len(points)


def test_few_observations_are_none_themselves_or_their_mean() -> None:
    stack = np.zeros((2, 3, 1, 4), np.uint16)
    stack[:, 0, 0, 1] = [65_534, 1]
    stack[:, 0, 0, 2], stack[:, 2, 0, 2] = [100, 201], [201, 202]
    stack[0, :, 0, 3] = 500
    out, count = run(stack)
    np.testing.assert_array_equal(count[0], [0, 1, 2, 0])
    np.testing.assert_array_equal(out[:, 0].T, [[0, 0], [65_534, 1], [150, 202], [0, 0]])


def test_a_majority_of_equal_spectra_wins_against_any_outlier() -> None:
    """The breakdown point of the geometric median is one half."""
    stack = np.full((3, 7, 1, 1), 65_534, np.uint16)
    stack[:, :4, 0, 0] = np.array([100, 2000, 65_000], np.uint16)[:, None]
    np.testing.assert_array_equal(run(stack)[0][:, 0, 0], [100, 2000, 65_000])


def test_no_observation_at_all() -> None:
    out, count = run(np.zeros((2, 0, 3, 5), np.uint16))
    assert not out.any() and not count.any()


@pytest.mark.parametrize("width", [1, 63, 64, 65, 130])
def test_a_pixel_is_the_same_alone_and_among_others(width: int) -> None:
    """However the tile is cut into strips, chunks and lanes."""
    stack = spectra(width, 4, 9, (3, width))
    out, count = run(stack)
    for first in range(0, width, 50):
        part, few = run(np.ascontiguousarray(stack[:, :, 1:2, first : first + 50]))
        np.testing.assert_array_equal(part, out[:, 1:2, first : first + 50])
        np.testing.assert_array_equal(few, count[1:2, first : first + 50])
