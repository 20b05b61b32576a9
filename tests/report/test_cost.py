"""Estimate against actual: numbers as they were stored, deviations by the estimate, nothing where nothing is known."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from pipeline.execute.account.account import read_account
from pipeline.report.page_cost import cost
from pipeline.types.account import Account
from pipeline.write.store import open_store
from tests.report.made_runs import RUN, Shape, write_run

ESTIMATE = {
    "usd": {"low": 8.0, "mid": 10.0, "high": 14.0},
    "hours": {"low": 1.0, "mid": 2.0, "high": 3.0},
    "basis": "the priors",
    "notes": ["egress of x is not known"],
    "rows": [
        {
            "product": "s2",
            "region": "eu",
            "jobs": 10,
            "job_s": {"low": 300, "mid": 600, "high": 900},
            "read_bytes": 10**9,
        }
    ],
}
ACTUAL = {
    "usd": 12.0,
    "usd_requests": 1.0,
    "usd_egress": 0.5,
    "hours": 1.5,
    "rows": [{"product": "s2", "region": "eu", "jobs": 8, "seconds": 400.0, "read_bytes": 9 * 10**8}],
    "regions": [
        {"region": "eu", "backend": "coiled", "machine": "m6i", "hours": 1.5, "worker_hours": 30.0, "usd": 10.5}
    ],
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return read_account(open_store(str(write_run(tmp_path_factory.mktemp("run"), Shape(2)))), RUN)


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_what_was_expected_stands_beside_what_came(account: Account) -> None:
    told = words(cost(replace(account, estimate=ESTIMATE, actual=ACTUAL)))
    assert "Dollars estimated $10.00 ($8.00 to $14.00); came to $12.00, +20 %" in told
    assert "Wall time estimated 2 h 0 min (1 h 0 min to 3 h 0 min); came to 1 h 30 min, -25 %" in told
    assert "clusters $10.50 87.5 % requests $1.00 8.3 % egress $0.50 4.2 %" in told
    assert "s2 eu 8 1 min 0 s 50.0 s -17 % 1.0 GB 900.0 MB -10 %" in told
    assert "Estimate: the priors. egress of x is not known" in told


def test_one_without_the_other(account: Account) -> None:
    assert "estimated $10.00 ($8.00 to $14.00); not written down" in words(cost(replace(account, estimate=ESTIMATE)))
    assert "not estimated; came to $12.00" in words(cost(replace(account, actual=ACTUAL)))
    assert "neither" in cost(replace(account, estimate=None, actual=None))


def test_the_bar_is_to_scale(account: Account, tmp_path: Path) -> None:
    """From 0 to what is largest; the mark of $12 lies at 12/14 of the bar's end at $14."""
    html = cost(replace(account, estimate=ESTIMATE, actual=ACTUAL))
    bar = re.search(r'class="span" x="([\d.]+)" y="8" width="([\d.]+)"', html)
    mark = re.search(r'class="came" cx="([\d.]+)"', html)
    assert bar is not None
    assert mark is not None
    assert (float(bar[1]) + float(bar[2])) * 12 / 14 == pytest.approx(float(mark[1]), abs=0.2)
