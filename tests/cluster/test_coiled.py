"""Coiled: what is asked of it fits the real client, and a cluster of its comes, serves and goes without a trace.

There is no account here: the client is the real one, the service behind it a stand-in (`coiled_service.py`).
"""

from __future__ import annotations

import inspect
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import coiled
import dask
import pytest
from distributed import Event

from cluster.backend import ClusterError, Found, open_cluster, render
from cluster.coiled import CoiledBackend, machine
from cluster.labels import label_value, owner
from cluster.spec import CoiledSpec
from tests.cluster.coiled_service import WORKSPACE, CoiledService, logged_in

GIB = 2**30
RUN = "20261121T173606123Z-ab12cd"
SPEC = CoiledSpec(
    name="kenya-us-west-2",
    backend="coiled",
    region="us-west-2",
    located="us-west-2",
    workers=3,
    minimum=1,
    threads=2,
    worker_memory_bytes=8 * GIB,
    run=RUN,
    workspace=WORKSPACE,
    container="registry.example.org/groundswell:1",
    tags={"team": "trees", "groundswell-run": "not this"},
    environ={"EXTRA": "yes"},
    start_timeout_s=90,
    stop_timeout_s=20,
)
NAME = f"groundswell-kenya-us-west-2-{RUN}"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[CoiledService]:
    """The stand-in, and a user who is logged in there."""
    with logged_in(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, minimum=None, spot=False, container=None, located=None, workspace=None),
        replace(SPEC, vm_types=("m7i.xlarge", "m6i.xlarge"), run="", tags={}),
        replace(SPEC, name="Ünder score / slash" * 9, threads=3, worker_memory_bytes=12 * GIB),
    ],
)
def test_arguments_are_those_of_the_real_cluster(spec: CoiledSpec) -> None:
    """What is rendered binds to the signature of `coiled.Cluster`; the same spec renders the same twice."""
    arguments = render(spec)
    bound = inspect.signature(coiled.Cluster).bind(**arguments)
    assert bound.arguments == render(spec)
    assert arguments["name"].isascii()
    assert set(arguments["name"]) <= set("abcdefghijklmnopqrstuvwxyzTZ0123456789-")
    # The client refuses both at once.
    assert ("worker_vm_types" in arguments) != ("worker_cpu" in arguments and "worker_memory" in arguments)


def test_arguments_say_what_the_spec_says() -> None:
    """Region, bounds, sizes, spot with fallback, tags, idle time, container: each from its field."""
    arguments = render(SPEC)
    assert arguments["name"] == NAME
    assert arguments["region"] == "us-west-2"
    assert arguments["n_workers"] == [1, 3]
    assert arguments["worker_options"] == {"nthreads": 2, "memory_limit": 9 * 8 * GIB // 10}
    assert arguments["worker_cpu"] == [2, 2]
    assert arguments["worker_memory"] == [f"{8 * GIB} B", f"{8 * GIB} B"]
    assert arguments["spot_policy"] == "spot_with_fallback"
    assert arguments["container"] == "registry.example.org/groundswell:1"
    assert arguments["tags"] == {
        "team": "trees",
        "groundswell-run": RUN,
        "groundswell-region": "us-west-2",
        "groundswell-owner": owner(),
    }
    assert arguments["idle_timeout"] == arguments["no_client_timeout"] == "900s"
    assert arguments["environ"]["EXTRA"] == "yes"
    assert arguments["environ"]["GDAL_CACHEMAX"] == "256"
    fixed = render(replace(SPEC, minimum=None, spot=False, container=None, located=None))
    assert fixed["n_workers"] == 3
    assert fixed["spot_policy"] == "on-demand"
    # Without a container the client copies this environment's packages; without a region it takes the workspace's.
    assert not {"container", "region"} & fixed.keys()


@pytest.mark.parametrize(
    ("threads", "gib", "expected"),
    [(1, 1, (2, 4)), (2, 8, (2, 8)), (3, 12, (4, 16)), (4, 16, (4, 16)), (4, 40, (8, 64)), (6, 20, (8, 32))],
)
def test_a_machine_is_one_that_can_be_hired(threads: int, gib: int, expected: tuple[int, int]) -> None:
    """Sizes that no machine has are asked for as a range up to the smallest common one: 2, 4 or 8 GiB a core."""
    cores, memory = machine(threads, gib * GIB)
    assert (cores, memory // GIB) == expected
    assert memory / GIB / cores in {2, 4, 8}


def test_nobody_logged_in(service: CoiledService) -> None:
    """No token, a wrong one and a foreign workspace are refused by name at once: no browser, no prompt."""
    stop = threading.Event()
    with (
        dask.config.set({"coiled.token": None}),
        pytest.raises(ClusterError, match=r"us-west-2.*found no token.*coiled login"),
        open_cluster(SPEC, stop),
    ):
        pass
    with (
        dask.config.set({"coiled.token": "another-token"}),
        pytest.raises(ClusterError, match=r"us-west-2.*401.*Invalid Token"),
        open_cluster(SPEC, stop),
    ):
        pass
    foreign = replace(SPEC, workspace="elsewhere")
    with pytest.raises(ClusterError, match=r"Workspace not found: 'elsewhere'"), open_cluster(foreign, stop):
        pass
    assert service.clusters == {}


def test_a_service_that_is_not_there(service: CoiledService) -> None:
    """A line that is down is named at once, with the region."""
    with (
        dask.config.set({"coiled.server": "http://127.0.0.1:9"}),
        pytest.raises(ClusterError, match=r"us-west-2.*127\.0\.0\.1"),
        open_cluster(SPEC),
    ):
        pass
    assert service.clusters == {}


def test_a_name_that_is_taken(service: CoiledService) -> None:
    """The client would join a cluster of the same name: it is refused, and stays."""
    service.add(NAME)
    with pytest.raises(ClusterError, match=rf"{NAME} is there already"), open_cluster(SPEC):
        pass
    assert service.alive() == [NAME]


def test_one_that_fails_says_why(service: CoiledService) -> None:
    """What the service says of a cluster that does not come up is the error; nothing stays."""
    service.refuses = "Quota of 32 vCPU reached in us-west-2"
    with pytest.raises(ClusterError, match=r"region us-west-2.*Quota of 32 vCPU reached"), open_cluster(SPEC):
        pass
    assert service.alive() == []


def test_machines_that_do_not_exist(service: CoiledService) -> None:
    """No machine has the memory: named before anything is made."""
    spec = replace(SPEC, worker_memory_bytes=900 * GIB)
    with (
        pytest.raises(ClusterError, match=r"Unable to find instance types.*name machines by vm_types"),
        open_cluster(spec),
    ):
        pass
    assert service.clusters == {}


def test_find_and_remove(service: CoiledService) -> None:
    """Only this project's that are not gone; by run and owner; removed and waited for, other ones untouched."""
    service.add(NAME)
    service.add(f"groundswell-other-{RUN}", mine=False)
    service.add("somebody-elses")
    service.add(f"groundswell-old-{RUN}", state="stopped")
    backend = CoiledBackend()
    found = {one.name: one for one in backend.find(SPEC)}
    assert set(found) == {NAME, f"groundswell-other-{RUN}"}
    mine = found[NAME]
    assert (mine.run, mine.owner, mine.place) == (RUN, label_value(owner()), f"workspace {WORKSPACE}")
    assert found[f"groundswell-other-{RUN}"].owner == ""
    assert mine.age_s >= 0
    assert mine.silent_s is None
    backend.remove(SPEC, mine)
    assert service.alive() == [f"groundswell-other-{RUN}", "somebody-elses"]


def test_one_that_does_not_go_is_named(service: CoiledService) -> None:
    """The wait for an end is bounded, and says what is still there."""
    service.add(NAME)
    service.stays = True
    found = Found(NAME, "coiled", WORKSPACE, RUN, "", 0, None, 1)
    with pytest.raises(ClusterError, match=rf"{NAME} was deleted, and is still there after 1 s"):
        CoiledBackend().remove(replace(SPEC, stop_timeout_s=1), found)


@pytest.mark.long
def test_a_cluster_comes_serves_and_goes(service: CoiledService) -> None:
    """TLS, sizes and settings reach the workers; their number follows the work; afterwards nothing is left."""
    processes = _used(service)
    assert service.alive() == []
    assert all(process.poll() is not None for process in processes)
    assert len(service.clusters) == 1


def _used(service: CoiledService) -> list[subprocess.Popen[bytes]]:
    with open_cluster(SPEC, threading.Event()) as client:
        made = service.clusters[1]
        assert made.asked["tags"]["groundswell-run"] == RUN
        assert made.asked["options"] == {
            "region_name": "us-west-2",
            "multizone": True,
            "spot": True,
            "spot_on_demand_fallback": True,
        }
        assert made.asked["dask_config"] == {}
        info = client.scheduler_info(n_workers=-1)
        assert info["address"].startswith("tls://")
        assert str(client.dashboard_link).startswith("https://cluster.dask.host/")
        assert [one["nthreads"] for one in info["workers"].values()] == [2]
        assert [one["memory_limit"] for one in info["workers"].values()] == [9 * 8 * GIB // 10]
        seen = client.submit(_settings).result()
        assert seen == {"saturation": 1.1, "cache": "256", "extra": "yes"}
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.kept_without_clients) == "900s"
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.idle_timeout) == 900
        go = Event("go", client=client)
        futures = client.map(_wait, range(600), name=go.name, pure=False)
        client.wait_for_workers(3, timeout=60)
        go.set()
        assert sorted(client.gather(futures)) == list(range(600))
        return list(made.processes.values())


@pytest.mark.long
def test_a_run_that_is_asked_to_end_meanwhile(service: CoiledService) -> None:
    """Stopped while machines are starting: the call ends with a named error, and so do the machines."""
    stop = threading.Event()
    service.on_create = stop.set
    with pytest.raises(ClusterError, match="asked to end"), open_cluster(SPEC, stop):
        pass
    assert len(service.clusters) == 1
    assert service.alive() == []


@pytest.mark.long
def test_an_image_of_other_code_is_refused(service: CoiledService, tmp_path: Path) -> None:
    """Workers with other code than this machine's are named before they are given work; their machines are ended."""
    other = tmp_path / "other" / "pipeline"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    path = os.pathsep.join((str(other.parent), str(Path(__file__).parents[2])))
    spec = replace(SPEC, environ={"PYTHONSAFEPATH": "1", "PYTHONPATH": path})
    with pytest.raises(ClusterError, match=r"us-west-2.*groundswell code \w+ instead of"), open_cluster(spec):
        pass
    assert len(service.clusters) == 1
    assert service.alive() == []


def _settings() -> dict[str, object]:
    return {
        "saturation": dask.config.get("distributed.scheduler.worker-saturation"),
        "cache": os.environ["GDAL_CACHEMAX"],
        "extra": os.environ["EXTRA"],
    }


def _wait(number: int, name: str) -> int:
    Event(name).wait(60)
    return number
