"""Which profiles lie on a scene's grid."""

from __future__ import annotations

import numpy as np

from pipeline.products._matchups_pixels import _windows
from pipeline.types import Grid


def test_longitudes_of_a_grid_may_go_on_beyond_180() -> None:
    """As those of sea surface fields from 0 to 360 degrees; what lies off the grid has no window."""
    places = np.array([[-30.5, 10.5], [20.5, 10.5], [20.5, -10.5]])
    north = Grid("EPSG:4326", (1.0, 0.0, 0.0, 0.0, -1.0, 90.0), (90, 360))
    number, targets = _windows(north, places, 1)
    assert number.tolist() == [0, 1]
    assert [target.geobox.boundingbox.left for target in targets] == [329.0, 20.0]
    west = Grid("EPSG:4326", (1.0, 0.0, -180.0, 0.0, -1.0, 90.0), (90, 180))
    number, targets = _windows(west, places, 1)
    assert (number.tolist(), targets[0].geobox.boundingbox.left) == ([0], -31.0)
