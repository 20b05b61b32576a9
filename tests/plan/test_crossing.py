"""Bytes that leave their region are told with what they cost; what stays, or lies nobody knows where, is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.config import DEFAULT_REGION
from pipeline.errors import PlanRefusedError
from pipeline.plan.crossing import Crossing, crossings, refuse_crossings
from pipeline.plan.jobs import Targets, plan_jobs
from pipeline.plan.prices import egress_usd_a_gb, table
from pipeline.types import Job
from tests.plan.makers import JUNE, make_item, make_product, make_tile

GB = 10**9
WEST, EAST = "us-west-2", "eu-central-1"
TILES = (make_tile(0), make_tile(1))
(ONE, OTHER) = (
    replace(job, read_bytes=GB)
    for job in plan_jobs(
        [make_product()], {"median": Targets(TILES, (JUNE,))}, [make_item(1, (0, 2))], {}, {WEST: 2**33}
    ).jobs
)
MADE = replace(ONE, product="stack", items=(), read_bytes=5 * GB, origins=((EAST, 2 * GB), (WEST, 3 * GB)))


def test_what_is_read_where_it_lies_crosses_nothing() -> None:
    assert crossings([ONE, OTHER], {WEST: WEST}) == ()


def test_nothing_is_claimed_of_a_place_that_nobody_knows() -> None:
    """A laptop, or a source without a region."""
    assert crossings([ONE], {WEST: None}) == ()
    assert crossings([ONE], {}) == ()
    assert crossings([replace(ONE, region=DEFAULT_REGION)], {DEFAULT_REGION: EAST}) == ()
    assert crossings([MADE], {WEST: None, EAST: EAST}) == crossings([MADE], {WEST: WEST, EAST: None}) == ()


def test_a_cluster_beside_other_data_reads_all_of_it_across() -> None:
    (found,) = crossings([ONE, OTHER], {WEST: EAST})
    assert found == Crossing("median", WEST, EAST, jobs=2, read_bytes=2 * GB, own=False)
    assert found.usd == pytest.approx(2 * 0.02)
    assert str(found) == (
        "median: 2 jobs read 2.00 GB that lie in us-west-2 on a cluster in eu-central-1: 0.04 USD at 0.02 a GB "
        "(AWS, 2023-04); the owner of the source pays that, with sign: requester-pays you do"
    )


def test_an_address_knows_better_than_the_config_where_a_file_lies() -> None:
    """A source may have the wrong region, or none."""

    def at(href: str, region: str) -> Job:
        (item,) = ONE.items
        assets = {band: replace(asset, href=href) for band, asset in item.assets.items()}
        return replace(ONE, region=region, items=(replace(item, assets=assets),))

    for host in ("sentinel-cogs.s3.us-west-2", "s3.us-west-2", "s3-us-west-2"):
        href = f"https://{host}.amazonaws.com/a/b.tif"
        assert [one.origin for one in crossings([at(href, EAST)], {EAST: EAST})] == [WEST]
        assert [one.origin for one in crossings([at(href, DEFAULT_REGION)], {DEFAULT_REGION: EAST})] == [WEST]
        assert crossings([at(href, WEST)], {WEST: WEST}) == ()
        assert crossings([at(href, EAST)], {EAST: None}) == ()
    for href in (
        "https://s3.us-west-2.example.com/b.tif",
        "s3://bucket/s3.us-west-2.amazonaws.com/b.tif",
        "/data/b.tif",
    ):
        assert crossings([at(href, EAST)], {EAST: EAST}) == ()


def test_what_is_made_elsewhere_crosses_to_where_it_is_used() -> None:
    """From where it was made by the cluster of its region, or from where the output lies."""
    (found,) = crossings([MADE], {WEST: WEST, EAST: EAST})
    assert (found.origin, found.place, found.read_bytes, found.own) == (EAST, WEST, 2 * GB, True)
    assert crossings([MADE], {WEST: "eu-west-1", EAST: "eu-west-1"}) == ()
    (found,) = crossings([MADE], {WEST: WEST, EAST: EAST}, output_region="sa-east-1")
    assert (found.origin, found.read_bytes) == ("sa-east-1", 5 * GB)
    assert found.usd == pytest.approx(5 * 0.138)
    assert crossings([MADE], {WEST: WEST, EAST: EAST}, output_region=WEST) == ()


def test_a_price_is_that_of_where_bytes_come_from() -> None:
    there, back = (Crossing("p", *places, 1, GB, own=True) for places in ((WEST, "af-south-1"), ("af-south-1", WEST)))
    assert (there.usd, back.usd) == (0.02, 0.147)
    assert Crossing("p", "us-east-1", "us-east-2", 1, GB, own=True).usd == 0.01


def test_a_region_without_a_price_is_told_with_its_bytes() -> None:
    found = Crossing("p", "westeurope", WEST, 1, 3 * GB, own=False)
    assert found.usd is None
    assert "read 3.00 GB that lie in westeurope" in str(found)
    assert "no price is known" in str(found)


def test_refusing_names_every_crossing() -> None:
    refuse_crossings(())
    both = crossings([ONE, MADE], {WEST: "eu-west-1", EAST: EAST})
    assert len(both) == 2
    with pytest.raises(PlanRefusedError, match=r"median: 1 jobs .*; stack: 1 jobs .*run\.cross_region: warn"):
        refuse_crossings(both)


def test_prices_are_those_of_a_provider() -> None:
    """Between a cent and fifteen for a gigabyte; the cheapest of all pairs are neighbours."""
    prices = table()["egress"]
    assert all(0.01 < price < 0.15 for price in prices["usd"].values())
    assert all(
        egress_usd_a_gb(one, other) == price < min(prices["usd"].values()) for one, other, price in prices["near"]
    )
