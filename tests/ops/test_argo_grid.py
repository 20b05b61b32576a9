"""Laws of cells and their statistics: NumPy's own numbers of each cell, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.ops.argo_grid import Cells, Moments, eastward

JUNE = np.datetime64("2024-06", "M")


def times(*texts: str) -> NDArray[np.datetime64]:
    return np.array(texts, "datetime64[us]")


def cells(**changes: object) -> Cells:
    made = {"west": 60.0, "south": 10.0, "side": 2.0, "columns": 3, "rows": 2, "first_month": JUNE, "months": 2}
    return Cells(**{**made, **changes})  # type: ignore[arg-type]


def test_a_cell_holds_its_western_and_southern_edge() -> None:
    grid = cells()
    latitude = np.array([10.0, 11.999, 12.0, 14.0, 9.999, 10.0])
    longitude = np.array([60.0, 61.999, 62.0, 60.0, 60.0, 66.0])
    found = grid.of(times(*["2024-06-15"] * 6), latitude, longitude)
    assert found.tolist() == [0, 0, 4, -1, -1, -1]
    assert grid.longitude.tolist() == [61, 63, 65] and grid.latitude.tolist() == [11, 13]


@pytest.mark.parametrize("side", [0.05, 0.1, 0.2, 0.3, 1.0])
def test_edges_are_held_where_sides_are_no_binary_fractions(side: float) -> None:
    """A place given with as many decimals as floats give lies on an edge, though 3 * 0.1 is more than 0.3."""
    for step in range(-90, 90, 7):
        edges = np.round((step + np.arange(7)) * side, 3)
        grid = cells(west=step * side, south=step * side, side=side, columns=6, rows=6)
        found = grid.of(times(*["2024-06-15"] * 7), edges, edges)
        assert found.tolist() == [*(number * 7 for number in range(6)), -1]


def test_turned_longitudes_lie_east_of_the_first_and_others_stay_as_they_are() -> None:
    assert eastward(np.array([-20.3, 100.7, -20.4, 339.7, 179.9]), -20.3).tolist() == [
        -20.3,
        100.7,
        339.6,
        -20.3,
        179.9,
    ]
    assert eastward(np.array([-160.3, 170.1, 199.7]), 170.1).tolist() == [199.7, 170.1, 199.7]


def test_a_month_begins_with_its_first_moment() -> None:
    when = times("2024-05-31T23:59:59.999999", "2024-06-01", "2024-06-30T23:59:59.999999", "2024-07-01", "2024-08-01")
    found = cells().of(when, np.full(5, 10.0), np.full(5, 60.0))
    assert found.tolist() == [-1, 0, 0, 6, -1]


def test_a_region_may_cross_the_antimeridian_and_hold_the_pole() -> None:
    grid = cells(west=176.0, south=86.0, columns=4)
    found = grid.of(
        times(*["2024-06-15"] * 4), np.array([86.0, 86.0, 90.0, 86.0]), np.array([177.0, -177.0, -179.0, 175.0])
    )
    assert found.tolist() == [0, 3, 6, -1]


def test_what_has_no_time_or_place_is_in_no_cell() -> None:
    found = cells().of(times("NaT", "2024-06-15", "2024-06-15"), np.array([11, np.nan, 11]), np.array([61, 61, np.inf]))
    assert found.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("batch", [1, 7, 1000])
@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_statistics_are_numpys_of_each_cell_whatever_the_batches(batch: int, offset: float) -> None:
    random = np.random.default_rng(7)
    cell = random.integers(0, 12, 400)
    values = offset + random.normal(10, 3, (400, 5))
    values[random.random(values.shape) < 0.3] = np.nan
    values[:, 4] = np.nan
    sums = Moments.none(13, 5)
    for start in range(0, 400, batch):
        sums.add(cell[start : start + batch], values[start : start + batch])
    for place in range(13):
        for target in range(5):
            mine = values[cell == place, target]
            mine = mine[np.isfinite(mine)]
            assert sums.count[place, target] == len(mine)
            expected = [mine.mean() if len(mine) else np.nan]
            expected += [mine.std(ddof=1), mine.std(ddof=1) / np.sqrt(len(mine))] if len(mine) > 1 else [np.nan] * 2
            found = [each[place, target] for each in (sums.means, sums.deviations, sums.errors)]
            np.testing.assert_allclose(found, expected, rtol=1e-9 if offset == 0 else 1e-7)


def test_the_same_batches_give_the_same_bits() -> None:
    random = np.random.default_rng(1)
    cell, values = random.integers(0, 5, 300), random.normal(size=(300, 4))

    def made() -> Moments:
        sums = Moments.none(5, 4)
        for start in range(0, 300, 37):
            sums.add(cell[start : start + 37], values[start : start + 37])
        return sums

    one, other = made(), made()
    assert one.mean.tobytes() == other.mean.tobytes() and one.squares.tobytes() == other.squares.tobytes()
