"""Laws of pictures of floats: what is measured shows, what is not stays empty, and the same gives the same."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from pipeline.report.argo_plots import Float, _columns, _even, draw_section, draw_ts

PRESSURE = np.arange(5.0, 1000.0, 25.0)


def make(count: int = 12, **changes: Any) -> Float:
    shape = count, len(PRESSURE)
    values: dict[str, Any] = {
        "name": "2900001",
        "time": np.datetime64("2024-01-01", "us") + np.arange(count) * np.timedelta64(10, "D"),
        "latitude": np.full(count, 10.0),
        "longitude": np.full(count, 60.0),
        "pressure": np.broadcast_to(PRESSURE, shape),
        "temperature": np.broadcast_to(4 + 20 * np.exp(-PRESSURE / 300), shape),
        "salinity": np.broadcast_to(35.5 - np.exp(-PRESSURE / 100), shape),
        "attribution": "Argo (2000)",
    }
    return Float(**{**values, **changes})


def coloured(png: bytes) -> float:
    """Share of the pixels that are no grey."""
    pixels = imread(io.BytesIO(png), format="png")[..., :3]
    return float((np.ptp(pixels, axis=-1) > 0.05).mean())


@pytest.mark.parametrize("draw", [draw_section, draw_ts])
def test_a_float_shows_and_twice_the_same(draw: Any) -> None:
    png = draw(make(2))
    assert png.startswith(b"\x89PNG") and coloured(png) > 0.02
    assert draw is draw_section or draw(make(2)) == png


@pytest.mark.parametrize("draw", [draw_section, draw_ts])
def test_what_was_not_measured_gives_an_empty_picture(draw: Any) -> None:
    none = np.full((1, len(PRESSURE)), np.nan)
    assert coloured(draw(make(1, temperature=none, salinity=none))) < 0.001


def test_a_float_that_was_silent_shows_nothing_between() -> None:
    days = np.array([0, 10, 20, 320, 330], "timedelta64[D]") + np.datetime64("2024-01-01", "s")
    edges, columns = _columns(days, np.arange(5.0)[:, None] * [1.0, 1.0])
    assert edges.astype("datetime64[D]").astype(str).tolist()[4:8] == [
        "2024-01-16",
        "2024-01-31",
        "2024-11-06",
        "2024-11-21",
    ]
    assert columns[::2, 0].tolist() == [0, 1, 2, 3, 4] and np.isnan(columns[1::2]).all()


def test_a_section_is_what_lies_between_levels_that_are_close() -> None:
    """The gap of 500 dbar between two levels has no colour, and everything above it has."""
    values = _even(np.array([[0.0, 50.0, 550.0, 600.0]]), np.array([[20.0, 19, 5, 4]]), np.linspace(0, 600, 13))
    assert np.isfinite(values[0]).tolist() == [True] * 2 + [False] * 9 + [True] * 2
