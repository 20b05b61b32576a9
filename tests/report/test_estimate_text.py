"""What is told before and after a run: likely, low and high; what is not known; what was agreed to."""

from __future__ import annotations

from dataclasses import replace

from pipeline.report.estimate_text import render_actual, render_estimate, spending_question
from pipeline.types import Actual, Estimate, Place, Range, Row, Taken, Used

WEST = "us-west-2"
ROW = Row(
    *("sentinel2", "sentinel2", WEST, 96, 12, 1200, 3 * 10**9, 4 * 10**9, 5000, 400, 10**9, 10**8, 2 * 10**9),
    job_s=Range(3000.0, 6000.0, 9000.0),
    usd_requests=0.01,
    usd_egress=0.5,
)
PLACE = Place(
    *(WEST, "coiled", WEST, "m6i.xlarge", 10, 4, 1, 2**34, 2.0, Range(0.2, 0.3, 0.5), 0.4, "AWS spot (2026-07-20)"),
    hours=Range(0.5, 1.0, 2.0),
    worker_hours=Range(5.0, 10.0, 20.0),
    usd=Range(1.0, 3.0, 10.0),
)
TOLD = Estimate((ROW,), (PLACE,), Range(0.5, 1.0, 2.0), "durations: learned from 3 earlier runs", ("a note",))
FREE = replace(
    TOLD, rows=(replace(ROW, usd_requests=0.0, usd_egress=0.0),), places=(replace(PLACE, usd=Range.exact(0.0)),)
)


def test_it_tells_each_product_and_region_each_cluster_and_the_sum() -> None:
    text = render_estimate(TOLD)
    assert "sentinel2                us-west-2             96      12     4.0 GB      5000   100.0 MB" in text
    assert "1.7 h (50.0 min to 2.5 h)" not in text
    assert "100.0 min (50.0 min to 2.5 h)" in text
    assert "cluster us-west-2: coiled, 10 workers of 4 threads (m6i.xlarge), 60.0 min (30.0 min to 2.0 h)" in text
    assert "3.00 USD (1.00 to 10.00): AWS spot (2026-07-20)" in text
    assert "note: a note" in text
    assert text.splitlines()[-1].startswith("estimate: 60.0 min (30.0 min to 2.0 h), 3.51 USD (1.51 to 10.51)")
    assert "learned from 3 earlier runs" in text


def test_a_budget_is_held_against_what_is_likely_and_what_is_possible() -> None:
    assert "will not start" in render_estimate(TOLD, 2.0)
    assert "the run is ended near it" in render_estimate(TOLD, 5.0)
    assert "budget" not in render_estimate(TOLD, 20.0)
    unknown = replace(FREE, places=(replace(PLACE, usd=None, backend="existing"),))
    assert "run.budget_usd does not count what the clusters of us-west-2 cost" in render_estimate(unknown, 5.0)


def test_one_is_one_and_what_costs_nothing_has_no_parts() -> None:
    one = replace(FREE, places=(replace(FREE.places[0], workers=1, threads=1, backend="local"),))
    text = render_estimate(one)
    assert "1 worker of 1 thread," in text
    assert text.splitlines()[-1] == (
        "estimate: 60.0 min (30.0 min to 2.0 h), 0 USD; durations: learned from 3 earlier runs"
    )


def test_one_is_asked_where_something_is_known_to_cost_and_else_not() -> None:
    """What nobody has a price of is asked about only where machines are rented for the run."""
    assert spending_question(FREE) is None
    asked = spending_question(TOLD)
    assert asked is not None
    assert "3.51 USD (1.51 to 10.51)" in asked
    for backend in ("existing", "kubernetes", "helm", "local"):
        assert spending_question(replace(FREE, places=(replace(PLACE, usd=None, backend=backend),))) is None
    rented = replace(FREE, places=(replace(PLACE, usd=None),))
    assert "no price is known (coiled)" in str(spending_question(rented))
    assert "charged to your account (requester pays)" in str(spending_question(FREE, ["landsat"]))


def test_afterwards_what_was_told_stands_beside_what_it_came_to() -> None:
    """A run that made half of its jobs is held against half of what was told of them."""
    taken = Taken("sentinel2", "sentinel2", WEST, 48, 3300.0, 40, 3000.0, 1500.0, 1, 1)
    used = Used(WEST, "coiled", "m6i.xlarge", 4, 1.0, 9.0, 100.0, 2.0, 3.0, usd=3.0)
    text = render_actual(TOLD, Actual(0.75, (taken,), (used,), 0.01, 0.5))
    rows = {line.split("  ")[0].strip(): line for line in text.splitlines()}
    assert rows["sentinel2"].endswith("1.10")
    assert rows["time of the run"].endswith("0.75")
    assert rows["dollars"].endswith("1.00")
