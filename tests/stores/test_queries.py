"""Where the neighbours of a place are looked for."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stores.queries import around

LATITUDE, LONGITUDE = st.floats(-90, 90), st.floats(-180, 180, exclude_max=True)


@settings(deadline=None, max_examples=150)
@given(LATITUDE, LONGITUDE, st.floats(0, 360), st.floats(0, 1), st.sampled_from([1.0, 5.0, 25.0]))
def test_a_box_holds_everything_within_its_radius(
    latitude: float, longitude: float, bearing: float, share: float, radius_deg: float
) -> None:
    """A place at any bearing and distance up to the radius, by the sphere's own formula, lies in the box."""
    phi, angle, course = (math.radians(one) for one in (latitude, share * radius_deg * 0.999, bearing))
    sine = math.sin(phi) * math.cos(angle) + math.cos(phi) * math.sin(angle) * math.cos(course)
    other = math.asin(max(-1.0, min(1.0, sine)))
    turn = math.atan2(
        math.sin(course) * math.sin(angle) * math.cos(phi), math.cos(angle) - math.sin(phi) * math.sin(other)
    )
    west, south, east, north = around(latitude, longitude, radius_deg)
    there = (longitude + math.degrees(turn) + 180) % 360 - 180
    assert south - 1e-6 <= math.degrees(other) <= north + 1e-6
    inside = west - 1e-6 <= there <= east + 1e-6 if west < east else there >= west - 1e-6 or there <= east + 1e-6
    assert inside
