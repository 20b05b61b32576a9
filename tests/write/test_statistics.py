"""Laws of a layer's statistics: exact for integers, of the valid pixels alone."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.write.statistics import joined, statistics


@given(hnp.arrays(np.int16, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(-5, 300)))
def test_statistics_are_those_of_the_valid_pixels(data: np.ndarray[Any, Any]) -> None:
    """Equal to NumPy's over the pixels that are not nodata; none at all gives the share alone."""
    valid = data[data != 0].astype(np.float64)
    found = statistics(data, 0)
    assert found["valid_percent"] == pytest.approx(100 * valid.size / data.size, rel=1e-8)
    if valid.size == 0:
        assert found == {"valid_percent": 0.0}
        return
    assert (found["minimum"], found["maximum"]) == (valid.min(), valid.max())
    assert found["mean"] == pytest.approx(valid.mean(), rel=1e-8, abs=1e-8)
    assert found["stddev"] == pytest.approx(valid.std(), rel=1e-7, abs=1e-7)


def test_statistics_of_floats_are_finite() -> None:
    """NaN and infinities are not valid pixels, so that the item is JSON whatever was computed."""
    data = np.array([[np.nan, np.inf, -np.inf, 2.0, 4.0]], np.float32)
    assert statistics(data, None) == {
        "minimum": 2.0, "maximum": 4.0, "mean": 3.0, "stddev": 1.0, "valid_percent": 40.0
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "float32", "float64"])
def test_every_type_and_order_of_memory_gives_the_same(dtype: str) -> None:
    """Numbers do not depend on how they are stored, nor on strips, rows in memory or being read-only."""
    data = np.random.default_rng(0).integers(1, 100, (700, 50)).astype(dtype)
    data[600:, 3:] = 77
    expected = data[data != 77].astype(np.float64)
    for array in (data, np.asfortranarray(data), np.ascontiguousarray(data[::-1])):
        array.flags.writeable = False
        found = statistics(array, 77)
        assert (found["minimum"], found["maximum"]) == (expected.min(), expected.max())
        assert found["mean"] == pytest.approx(expected.mean(), rel=1e-8)
        assert found["stddev"] == pytest.approx(expected.std(), rel=1e-8)
        assert found["valid_percent"] == pytest.approx(100 * expected.size / data.size, rel=1e-8)


@pytest.mark.parametrize("nodata", [None, 0, 65535])
def test_the_largest_integers_are_summed_exactly(nodata: float | None) -> None:
    """Mean and deviation are the exact ones, rounded once to nine digits, where floats would lose them."""
    data = np.full((600, 512), 65534, np.uint16)
    data[0, 0], data[-1, -1] = 65533, 65532
    values = [int(value) for value in data.ravel()]
    mean = Fraction(sum(values), len(values))
    variance = sum((value - mean) ** 2 for value in (65533, 65532, 65534)) + (len(values) - 3) * (65534 - mean) ** 2
    found = statistics(data, nodata)
    assert found["mean"] == float(f"{float(mean):.9g}")
    assert found["stddev"] == float(f"{math.sqrt(variance / len(values)):.9g}")
    assert statistics(np.full((3, 3), 5, np.uint8), 5) == {"valid_percent": 0.0}


@pytest.mark.parametrize("holes", [0.0, 0.3, 0.9])
def test_layers_together_are_as_one_layer(holes: float) -> None:
    """The days of a series, some of them empty, have the statistics of all their pixels in one array."""
    rng = np.random.default_rng(3)
    layers = [rng.integers(1, 5000, (40, 50)).astype(np.uint16) + 100 * day for day in range(4)]
    for layer in layers:
        layer[rng.random(layer.shape) < holes] = 0
    layers[2][:] = 0
    found = joined([statistics(layer, 0) for layer in layers])
    assert found == pytest.approx(statistics(np.concatenate(layers), 0), rel=1e-7)
    assert joined([statistics(np.zeros_like(layers[0]), 0)] * 2) == {"valid_percent": 0.0}
