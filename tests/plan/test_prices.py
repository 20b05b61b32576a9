"""A price is looked up where there is one, with its date; where nobody knows, nobody pretends."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pipeline.plan.prices import Price, Worker, egress_usd_a_gb, instance_types, price, request_usd, table
from pipeline.types import Range

GIB = 2**30
COILED = Worker("coiled", "eu-central-1", threads=4, memory_bytes=16 * GIB)
POD = Worker("kubernetes", "us-east-1", threads=2, memory_bytes=8 * GIB, cores=2.0, scheduler_cores=1.0)


def test_every_part_of_the_table_says_when_and_where_it_is_from() -> None:
    for name, part in table().items():
        assert re.fullmatch(r"20\d\d(-\d\d){0,2}", part["date"]), name
        assert part["source"], name
        assert part["what"], name


def test_a_machine_on_demand_costs_what_its_family_and_region_say_and_coiled_takes_its_fee() -> None:
    """4 processors with 16 GiB: m6i.xlarge, 0.192 USD in us-east-1, 1.204 times that in Frankfurt, 0.05 a processor."""
    found = price(COILED)
    assert found.machine == "m6i.xlarge"
    assert found.usd is not None
    assert found.usd.mid == pytest.approx(0.192 * 1.204 + 4 * 0.05)
    assert found.usd.low == found.usd.high
    assert found.scheduler_usd == pytest.approx(0.192 * 1.204 + 4 * 0.05)
    assert "2026-07-20" in found.told


def test_a_worker_gets_the_cheapest_machine_that_holds_it() -> None:
    """Little memory: a processor machine; much of it: a memory machine; more threads: a larger one."""
    assert price(replace(COILED, memory_bytes=8 * GIB)).machine == "c6i.xlarge"
    assert price(replace(COILED, threads=2, memory_bytes=30 * GIB)).machine == "r6i.xlarge"
    assert price(replace(COILED, threads=9, memory_bytes=GIB)).machine == "c6i.4xlarge"


def test_a_machine_that_is_named_is_the_one_that_is_priced() -> None:
    assert price(replace(COILED, machines=("m7a.2xlarge", "unheard-of.large"))).machine == "m7a.2xlarge"
    assert price(replace(COILED, machines=("unheard-of.large",))).machine == "m6i.xlarge"


def test_a_machine_that_the_table_does_not_have_is_priced_as_another_and_that_is_said() -> None:
    found = price(replace(COILED, machines=("t3.large",)))
    assert found.usd == price(COILED).usd
    assert found.told.startswith("t3.large as m6i.xlarge: AWS on demand")
    assert price(COILED).told.startswith("AWS on demand")


def test_spot_is_a_range_below_the_price_on_demand() -> None:
    whole, spot = price(COILED).usd, price(replace(COILED, spot=True)).usd
    assert whole is not None
    assert spot is not None
    assert spot.low < spot.mid < spot.high < whole.mid


def test_a_pod_pays_its_share_of_a_node() -> None:
    """2 of the 4 processors of m6i.xlarge, or 12 of its 16 GiB where that is the larger share."""
    for worker, share in ((POD, 2 / 4), (replace(POD, memory_bytes=12 * GIB), 12 / 16)):
        found = price(worker).usd
        assert found is not None
        assert found.mid == pytest.approx(0.192 * share)
    assert price(POD).scheduler_usd == pytest.approx(0.192 / 4)
    assert instance_types({"node.kubernetes.io/instance-type": "r6i.2xlarge", "disk": "ssd"}) == ("r6i.2xlarge",)


def test_this_machine_costs_nothing_and_what_nobody_knows_has_no_price() -> None:
    assert price(Worker("local", None, 2, GIB)).usd == Range.exact(0.0)
    for worker in (Worker("existing", None, 2, GIB), replace(POD, located=None), replace(COILED, located="westeurope")):
        found = price(worker)
        assert found.usd is None
        assert found.told


def test_the_config_has_the_last_word() -> None:
    found = price(Worker("existing", None, 2, GIB, given_usd=1.25))
    assert found == Price(Range.exact(1.25), 0.0, None, "usd_per_worker_hour of its section")


def test_a_million_requests_cost_some_tenths_of_a_dollar_to_read_and_five_to_write() -> None:
    assert request_usd(10**6, 0) == pytest.approx(0.4)
    assert request_usd(0, 10**6) == pytest.approx(5.0)


def test_bytes_cost_by_where_they_come_from() -> None:
    assert egress_usd_a_gb("us-west-2", "eu-central-1") == 0.02
    assert egress_usd_a_gb("us-east-2", "us-east-1") == 0.01
    assert egress_usd_a_gb("westeurope", "us-east-1") is None
