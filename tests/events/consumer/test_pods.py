"""Batches as Jobs of Kubernetes: the same results, and nothing left behind, whatever becomes of pods and consumers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kubernetes_validate import validate

from cluster.connect import kube_of
from cluster.jobs import JobSpec, Task, end_orphans, manifest, running, secret
from cluster.labels import RENEWED
from pipeline.config import load_events
from pipeline.events.consumer import pods
from pipeline.events.consumer.batches import Batch, Over, Where
from pipeline.events.event import Ended, Order
from pipeline.events.inbox.inbox import open_inbox
from tests.events.consuming import Arrivals, csv, expected
from tests.fakekube import FakeKube
from tests.servers.consumer import run_consumer, until

NEVER = threading.Event()


def spec_of(**fields: Any) -> JobSpec:
    plain: Mapping[str, Any] = {
        "name": "test",
        "backend": "kubernetes",
        "region": "",
        "workers": 1,
        "threads": 1,
        "worker_memory_bytes": 2**28,
        "worker_cores": 0.5,
        "image": "groundswell",
    }
    return JobSpec(**{**plain, **fields})


def test_a_job_is_what_kubernetes_takes_and_the_restricted_standard_wants() -> None:
    spec = spec_of(
        namespace="geo",
        config_map="rules",
        config_path="/etc/groundswell",
        secrets=("database",),
        environ={"A": "b"},
        service_account="jobs",
        pull_secrets=("registry",),
    )
    task = Task("test-1", ("python", "-V"), 10.4, {"batch.json": "{}"}, {"groundswell.io/rule": "csv"})
    made = manifest(spec, task)
    for one in (made, secret(spec, task)):
        validate(json.loads(json.dumps(one)), "1.31", strict=True)
    pod = made["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {one["mountPath"] for one in container["volumeMounts"]} == {
        *("/tmp", "/var/run/groundswell", "/etc/groundswell")
    }
    assert (made["spec"]["backoffLimit"], made["spec"]["activeDeadlineSeconds"]) == (0, 10)


@pytest.fixture
def spec(kube: FakeKube, namespace: str) -> JobSpec:
    return spec_of(namespace=namespace, kubeconfig=str(kube.kubeconfig), context=kube.context)


def check_empty(kube: FakeKube, namespace: str) -> None:
    """Neither an object nor a process of a Job is left."""
    kube.until(lambda: not kube.everything(namespace), 30, "the end of all that belonged to a Job")
    assert kube.processes(namespace) == []


@pytest.fixture
def arrivals(tmp_path: Path, kube: FakeKube, namespace: str) -> Arrivals:
    """Whose batches are Jobs."""
    arrivals = Arrivals(tmp_path)
    pod = {
        "image": "groundswell",
        "namespace": namespace,
        "kubeconfig": str(kube.kubeconfig),
        "context": kube.context,
        "environ": arrivals.environ,
        "cores": 0.5,
        "memory": "512MiB",
    }
    arrivals.write(jobs={"pod": pod, "timeout_s": 60})
    return arrivals


@pytest.mark.long
def test_orders_are_done_by_a_pod(arrivals: Arrivals, kube: FakeKube, namespace: str) -> None:
    numbers = range(6)
    for number in numbers:
        arrivals.put(f"{number}.csv", csv(number))
    with open_inbox(str(arrivals.inbox)) as inbox:
        inbox.order([Order("csv", f"object/arrivals/{number}.csv", 0, 0) for number in numbers])
        with run_consumer(arrivals.config, "--once") as consumer:
            assert consumer.wait() == 0, consumer.log()
        assert inbox.counts()["done"] == len(numbers)
    assert arrivals.results() == expected(numbers)
    check_empty(kube, namespace)


@pytest.mark.long
def test_a_batch_ends_with_its_pod_and_with_whoever_waits_for_it(
    arrivals: Arrivals,
    kube: FakeKube,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pods, "_READ_S", 0.5)
    config = load_events(arrivals.config)
    pod = config.jobs.pod
    assert pod is not None
    slow = pod.model_copy(update={"environ": {"PYTHONSTARTUP": ""}, "image": "missing"})
    batch = Batch(Where(arrivals.config), "csv", ("object/arrivals/0.csv",))
    told: list[Ended] = []
    stop = threading.Event()
    threading.Timer(6, stop.set).start()
    assert pods.Pods(config, slow).run(batch, told.append, stop, 60) == Over("it was asked to end")
    assert caplog.text.count("its pod has not begun: ") == 1 and "ImagePull" in caplog.text
    check_empty(kube, namespace)
    late = pods.Pods(config, slow).run(batch, told.append, NEVER, 2)
    assert late.died and "DeadlineExceeded" in late.cause
    assert told == []
    check_empty(kube, namespace)


@pytest.mark.long
def test_a_job_whose_consumer_is_gone_is_ended_by_the_next(spec: JobSpec, kube: FakeKube, namespace: str) -> None:
    long = ("python", "-c", "import time; time.sleep(100)")
    with running(spec, Task("test-1", long, 60)), kube_of(spec) as api:
        assert end_orphans(spec, 60) == []
        past = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 100))
        api.annotate("Job", "test-1", {RENEWED: past})
        assert end_orphans(spec_of(name="other", namespace=namespace, kubeconfig=spec.kubeconfig), 60) == []
        assert end_orphans(spec, 60) == ["test-1"]
        until(lambda: not kube.list("jobs", namespace), 20, "the end of the Job")
    check_empty(kube, namespace)


@pytest.mark.long
def test_a_job_tells_how_its_pod_ended(spec: JobSpec, kube: FakeKube, namespace: str) -> None:
    with running(spec, Task("test-2", ("python", "-c", "print('said'); raise SystemExit(7)"), 60)) as job:
        until(lambda: job.ended() is not None, 30, "the end of the pod")
        cause = job.ended()
        assert cause is not None and "exit code 7" in cause
        assert job.log() == "said\n"
    check_empty(kube, namespace)
