"""The order of scenes is that of every tile, whichever tiles were asked for before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.orders import Order
from pipeline.plan.rows import DAY_US

HOUR_US = DAY_US // 24
TIMES = st.one_of(st.integers(-3 * DAY_US, 3 * DAY_US), st.sampled_from([-1, 0, 1, DAY_US - 1, DAY_US]))
AHEAD = st.one_of(st.integers(-12 * HOUR_US, 12 * HOUR_US), st.sampled_from([-1, 0, 1]))


@given(st.lists(TIMES, max_size=6), st.lists(AHEAD, min_size=1, max_size=6))
def test_one_order_for_many_tiles_is_that_of_each(micros: list[int], ahead: list[int]) -> None:
    """Also where a scene changes its day from one microsecond to the next."""
    near, rank = range(len(micros)), list(range(len(micros)))[::-1]
    periods = [[number % 2, 2] for number in near]
    order = Order((micros, rank, periods), near)
    for ahead_us in ahead:
        days = {one: (micros[one] + ahead_us) // DAY_US for one in near}
        whole = sorted(near, key=lambda one: (days[one], rank[one]))
        found = order.at(ahead_us)
        assert found.days == days
        assert found.of_period == {
            place: kept for place in range(3) if (kept := [one for one in whole if place in periods[one]])
        }
