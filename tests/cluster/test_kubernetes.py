"""A cluster of the operator's comes up, follows the work, survives what Kubernetes does to pods, and leaves nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import requests
from distributed import Client

from cluster.backend import ClusterError, Found, open_cluster
from cluster.kubernetes import KubernetesBackend
from cluster.labels import owner, resource_name
from cluster.spec import KubernetesSpec
from cluster.tls import issue
from tests.cluster.demo import JOBS, REGIONS, Demo, check_same
from tests.cluster.line import Line
from tests.cluster.pod_specs import pod_spec
from tests.fakekube import FakeKube

pytestmark = pytest.mark.long

NEVER = threading.Event()
WORKERS = "dask.org/component=worker"


@pytest.fixture
def spec(operator: FakeKube, namespace: str) -> KubernetesSpec:
    """Of small workers, reached as from outside."""
    return pod_spec(
        namespace=namespace,
        kubeconfig=str(operator.kubeconfig),
        context=operator.context,
        connect="port-forward",
        threads=1,
        worker_memory_bytes=2**30,
        start_timeout_s=60.0,
        stop_timeout_s=150.0,
    )


def address_of(client: Client) -> str:
    """Of the scheduler, as this process reaches it."""
    assert client.scheduler is not None
    return str(client.scheduler.address)


def workers_of(client: Client) -> dict[str, str]:
    """Name → address."""
    return {one["name"]: address for address, one in client.scheduler_info(n_workers=-1)["workers"].items()}


def check_empty(kube: FakeKube, namespace: str, within_s: float = 0) -> None:
    """Neither a pod nor an object of Dask's is left, nor a process; what they owned is collected a moment later."""

    def left() -> list[str]:
        return [one for one in kube.everything(namespace) if one.startswith(("Pod/", "Dask"))]

    kube.until(lambda: not left(), within_s, "the end of the cluster")
    kube.until(lambda: not kube.everything(namespace), 20, "the end of what the cluster owned")
    assert kube.processes(namespace) == []


def counted(folder: str, number: int, seconds: float) -> int:
    """A task that leaves a trace each time that it runs."""
    import time  # noqa: PLC0415 (sent whole)
    import uuid  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    Path(folder, f"{number}-{uuid.uuid4()}").touch()
    time.sleep(seconds)
    return number


def test_workers_come_and_go_with_the_work(spec: KubernetesSpec, operator: FakeKube) -> None:
    """By themselves, between the bounds; the driver is heard of, the dashboard is seen, and nothing is left."""
    spec = replace(spec, workers=2, idle_timeout_s=40.0)
    with open_cluster(spec, NEVER) as client:
        assert address_of(client).startswith("tls://127.0.0.1:")
        assert requests.get(client.dashboard_link, timeout=30).status_code == 200
        futures = client.map(time.sleep, [0.2] * 1000, pure=False)
        operator.until(lambda: len(workers_of(client)) == 2, 150, "two workers")
        client.cancel(futures)
        [found] = KubernetesBackend().find(spec)
        assert found == Found(
            name=resource_name(spec),
            backend="kubernetes",
            place=f"context fakekube, namespace {spec.namespace}",
            run=spec.run,
            owner=owner(),
            age_s=found.age_s,
            silent_s=found.silent_s,
            workers=found.workers,
        )
        operator.until(lambda: _heard_of(spec), what="a driver that was heard of after its cluster was made")
        operator.until(lambda: len(operator.list("pods", spec.namespace, WORKERS)) == 1, 150, "one pod of a worker")
        assert len(workers_of(client)) == 1
    check_empty(operator, spec.namespace)


def _heard_of(spec: KubernetesSpec) -> bool:
    """By more than the second that times are told to."""
    [found] = KubernetesBackend().find(spec)
    return found.silent_s is not None and found.silent_s < found.age_s - 1


def test_pods_may_go_and_strangers_do_not_come_in(spec: KubernetesSpec, operator: FakeKube, tmp_path: Path) -> None:
    spec = replace(spec, workers=2, minimum=None)
    with open_cluster(spec, NEVER) as client:
        client.wait_for_workers(2, timeout=60)
        _check_strangers(client)
        _check_graceful(client, operator, spec, tmp_path / "graceful")
        client.wait_for_workers(2, timeout=60)
        _check_forced(client, operator, spec, tmp_path / "forced")
    check_empty(operator, spec.namespace)


def _check_strangers(client: Client) -> None:
    """Neither a client without certificates nor one of another authority is let in."""
    address = address_of(client)
    with pytest.raises(OSError, match=r"Timed out|closed|refused"):
        Client(address.replace("tls:", "tcp:"), timeout=2, set_as_default=False)
    stranger = issue("elsewhere").security()
    with pytest.raises((OSError, RuntimeError)):
        Client(address, security=stranger, timeout=2, set_as_default=False)


def _check_graceful(client: Client, kube: FakeKube, spec: KubernetesSpec, folder: Path) -> None:
    """A pod that is asked to leave hands over twenty finished results, and the one it works on ends: nothing again."""
    folder.mkdir()
    leaving = min(workers_of(client))
    there = {"workers": [leaving], "pure": False}  # or on its successor, which has its name
    done = [client.submit(counted, str(folder), number, 0, **there) for number in range(20)]
    client.gather(done)
    assert len(client.has_what()[workers_of(client)[leaving]]) == 20
    running = client.submit(counted, str(folder), 20, 3, **there)
    kube.until(lambda: len(list(folder.iterdir())) == 21, 10, "a task that runs")
    kube.delete("pods", _pod_of(kube, spec, leaving), spec.namespace)
    assert client.gather([*done, running]) == [*range(21)]
    kube.until(lambda: len(kube.list("pods", spec.namespace, WORKERS)) == 2, 120, "the end of the pod")
    assert client.gather([*done, running]) == [*range(21)]
    assert len(list(folder.iterdir())) == 21


def _check_forced(client: Client, kube: FakeKube, spec: KubernetesSpec, folder: Path) -> None:
    """A pod that vanishes takes its results with it; they are made again, and right."""
    folder.mkdir()
    futures = client.map(counted, [str(folder)] * 20, range(20), [0.3] * 20, pure=False)
    kube.until(lambda: sum(future.done() for future in futures) >= 4, 30, "some results")
    kube.delete("pods", _pod_of(kube, spec, min(workers_of(client))), spec.namespace, grace_s=0)
    assert client.gather(futures) == [*range(20)]
    assert len(list(folder.iterdir())) > 20


def _pod_of(kube: FakeKube, spec: KubernetesSpec, worker: str) -> str:
    """The pod of a worker's Deployment."""
    [name] = [
        pod["metadata"]["name"]
        for pod in kube.list("pods", spec.namespace, WORKERS)
        if pod["metadata"]["name"].startswith(worker) and "deletionTimestamp" not in pod["metadata"]
    ]
    return str(name)


def test_a_line_that_breaks_is_laid_again(spec: KubernetesSpec, operator: FakeKube, tmp_path: Path) -> None:
    """What was on its way is lost to the client, and says so; what is asked from then on is done."""
    host, _, port = operator.url.removeprefix("http://").partition(":")
    with Line(host, int(port)) as line:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(operator.kubeconfig.read_text().replace(f":{port}", f":{line.port}"))
        spec = replace(spec, workers=1, minimum=None, kubeconfig=str(kubeconfig))
        with open_cluster(spec, NEVER) as client:
            # Short enough for the worker's only thread to be free again: what runs there is not interrupted.
            lost = client.submit(counted, str(tmp_path), 0, 10, pure=False)
            operator.until(lambda: list(tmp_path.glob("0-*")), 30, "a task that runs")
            assert line.cut() >= 1
            operator.until(lost.done, 60, "news of what was lost")
            assert lost.cancelled()
            assert client.submit(sum, [1, 2], pure=False).result(timeout=60) == 3
    check_empty(operator, spec.namespace)


DRIVER = """
import sys, threading, time
from cluster.backend import open_cluster
from tests.cluster.line import Line
from tests.cluster.pod_specs import pod_spec
spec = pod_spec(**eval(sys.argv[1]))
with open_cluster(spec, threading.Event()) as client:
    busy = client.map(time.sleep, [0.1] * 10_000, pure=False)
    print("open", flush=True)
    time.sleep(600)
"""


def test_the_cluster_of_a_dead_driver_ends_by_itself(spec: KubernetesSpec, operator: FakeKube) -> None:
    """However much work it had given: nobody waits for that any more."""
    spec = replace(spec, workers=1, minimum=None, idle_timeout_s=4.0)
    fields = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, repr(fields)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    with driver:
        assert driver.stdout
        assert driver.stdout.readline() == "open\n"
        # Longer than the idle time: what a driver keeps stays.
        time.sleep(6)
        assert [one.name for one in KubernetesBackend().find(spec)] == [resource_name(spec)]
        driver.kill()
    check_empty(operator, spec.namespace, 60)


def test_a_cluster_that_a_driver_left_is_found_and_removed(spec: KubernetesSpec, operator: FakeKube) -> None:
    """Also one that never came up, which no idle time ends."""
    backend = KubernetesBackend()
    operator.create(backend.render(spec)["cluster"], spec.namespace)
    operator.until(lambda: operator.list("pods", spec.namespace), what="its pods")
    [found] = backend.find(spec)
    assert found.workers == 0
    assert found.silent_s == found.age_s
    backend.remove(spec, found)
    assert backend.find(spec) == []
    check_empty(operator, spec.namespace)


def test_what_does_not_come_up_says_why_and_leaves_nothing(spec: KubernetesSpec, operator: FakeKube) -> None:
    """Three side by side: an image that is nowhere, nodes that are nowhere, a run that is asked to end."""
    stop = threading.Event()
    spec = replace(spec, start_timeout_s=15.0)
    stopped = replace(spec, run="stopped", node_selector={"pool": "none"}, start_timeout_s=600.0)
    cases = [
        (replace(spec, run="image", image="missing:latest"), NEVER, r"scheduler was not ready.*ErrImagePull"),
        (replace(spec, run="node", node_selector={"pool": "none"}), NEVER, r"worker.*Pending \(Unschedulable"),
        (stopped, stop, r"asked to end"),
    ]
    with ThreadPoolExecutor(3) as threads:
        opened = [threads.submit(_refusal, case, stop) for case, stop, _ in cases]
        operator.until(lambda: len(operator.list("daskclusters", spec.namespace)) == 3, what="three at once")
        stop.set()
        for future, (_, _, why) in zip(opened, cases, strict=True):
            assert re.search(rf"^region eu-central-1: .*{why}", future.result(240)), future.result()
    check_empty(operator, spec.namespace)


def test_a_second_cluster_of_one_name_is_refused(spec: KubernetesSpec, operator: FakeKube) -> None:
    """And the first is not touched."""
    operator.create(KubernetesBackend().render(spec)["cluster"], spec.namespace)
    assert "is there already" in _refusal(spec)
    assert len(operator.list("daskclusters", spec.namespace)) == 1


def _refusal(spec: KubernetesSpec, stop: threading.Event = NEVER) -> str:
    with pytest.raises(ClusterError) as refused, open_cluster(spec, stop):
        pytest.fail("it opened")
    return str(refused.value)


def test_the_demo_on_two_clusters_makes_the_same_bytes_as_this_machine(
    demo_world: Path, calm_demo: Demo, operator: FakeKube, namespace: str, tmp_path: Path
) -> None:
    """Also where pods are taken away meanwhile. Each region has a cluster, both at once, and nothing is left."""
    sizes = {"workers": [1, 2], "threads": 1, "worker_memory": "2GiB"}
    section = {"backend": "kubernetes", "image": "groundswell:test", "namespace": namespace, **sizes}
    there = Demo(tmp_path / "there", demo_world, {"default": section}, operator.environ)
    run = there.start()
    try:
        run.until(lambda: len(list(there.output.rglob("data/**/*.tif"))) > 5, "no first files")
        for region, grace_s in zip(REGIONS, (None, 0), strict=True):
            labels = f"{WORKERS},groundswell.io/region={region}"
            pods = operator.until(partial(operator.list, "pods", namespace, labels), what=f"workers of {region}")
            operator.delete("pods", pods[0]["metadata"]["name"], namespace, grace_s=grace_s)
        finished = run.wait()
    except (AssertionError, TimeoutError) as error:
        error.add_note(operator.describe())
        raise
    finally:
        run.end()
    assert finished.code == 0, finished.text
    assert finished.counts()["done"] == JOBS
    check_empty(operator, namespace)
    assert there.workers().keys() == set(REGIONS)
    for region, names in there.workers().items():
        assert all(f"-{region}-" in name for name in names)
    check_same(there, calm_demo)
