"""A whole run on Coiled, as far as its stand-in goes: a cluster beside each region's data, the same bytes, no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.coiled_service import TOKEN, WORKSPACE, logged_in
from tests.cluster.demo import JOBS, REGIONS, Demo, check_same


@pytest.mark.long
def test_two_regions_on_coiled_make_the_same_bytes_as_this_machine(
    calm_demo: Demo, demo_world: Path, tmp_path: Path
) -> None:
    """Only `clusters:` differs. Each region's tasks ran on its own cluster, and both clusters are gone."""
    machines = {"workers": [1, 1], "threads": 2, "worker_memory": "2GiB", "workspace": WORKSPACE, "container": "x/y:1"}
    (tmp_path / "service").mkdir()
    with logged_in(tmp_path / "service") as service:
        environ = {"DASK_COILED__SERVER": service.url, "DASK_COILED__TOKEN": TOKEN}
        there = Demo(tmp_path / "there", demo_world, {"default": {"backend": "coiled", **machines}}, environ)
        finished = there.run()
        assert finished.counts()["done"] == JOBS
        made = {one.asked["options"]["region_name"]: one.asked["name"] for one in service.clusters.values()}
        assert service.alive() == []
    assert sorted(made) == sorted(REGIONS)
    assert there.workers() == {region: {f"{name}-worker-0"} for region, name in made.items()}
    check_same(there, calm_demo)
