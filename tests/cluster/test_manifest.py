"""What is asked of Kubernetes is what the operator takes, hardened, and says who it is for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
from dask_kubernetes.operator.validation import validate_cluster_name
from hypothesis import given
from hypothesis import strategies as st

from cluster.labels import NAME_LENGTH, dns_label, label_value, labels_of, resource_name
from cluster.manifest import manifests, owned, secret
from cluster.pods import SPOT_NODES, scheduler_pod, worker_pod
from cluster.settings import DASK, ENVIRON, as_environ
from cluster.spec import KubernetesSpec
from cluster.tls import issue
from tests.cluster.crds import faults
from tests.cluster.pod_specs import SPEC, pod_spec

FULL = pod_spec(
    service_account="workers",
    secrets=("earthdata", "store"),
    environ={"AWS_REGION": "eu-central-1"},
    node_selector={"pool": "work"},
    tolerations=({"key": "pool", "operator": "Equal", "value": "work", "effect": "NoSchedule"},),
    spot=True,
    pull_secrets=("registry",),
    worker_cores=1.5,
)
BARE = pod_spec(minimum=None, run="")


def environ_of(pod: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in pod["containers"][0]["env"]}


@pytest.mark.parametrize("spec", [SPEC, FULL, BARE], ids=["plain", "full", "bare"])
def test_the_operator_and_kubernetes_take_all_of_it(spec: KubernetesSpec) -> None:
    """No key is unknown: a server would drop it without a word."""
    made = [*manifests(spec).values(), secret(spec, issue("x").secret())]
    custom = [one for one in made if one["apiVersion"].startswith("kubernetes.dask.org")]
    assert [fault for one in custom for fault in faults(one)] == []
    for one in made:
        if one not in custom:
            kubernetes_validate.validate(one, "1.32", strict=True)


def test_a_wrong_key_and_a_wrong_kind_of_value_are_found() -> None:
    cluster = manifests(SPEC)["cluster"]
    cluster["spec"]["worker"]["replicas"] = "3"
    cluster["spec"]["scheduler"]["spec"]["containers"][0]["imagee"] = "x"
    assert sorted(fault.split(":")[0] for fault in faults(cluster)) == [
        "$.spec.scheduler.spec.containers[0]",
        "$.spec.worker.replicas",
    ]


def test_the_same_spec_always_gives_the_same() -> None:
    assert manifests(SPEC) == manifests(SPEC)
    assert json.loads(json.dumps(manifests(FULL))) == manifests(FULL)


def test_it_scales_between_the_bounds_of_the_spec_and_ends_when_idle() -> None:
    made = manifests(SPEC)
    assert made["autoscaler"]["spec"] == {"cluster": resource_name(SPEC), "minimum": 1, "maximum": 4}
    assert made["cluster"]["spec"]["worker"]["replicas"] == 1
    assert made["cluster"]["spec"]["idleTimeout"] == 900
    fixed = manifests(pod_spec(minimum=None))
    assert "autoscaler" not in fixed
    assert fixed["cluster"]["spec"]["worker"]["replicas"] == 4


@pytest.mark.parametrize("pod", [scheduler_pod(FULL, "c"), worker_pod(FULL, "c")], ids=["scheduler", "worker"])
def test_pods_keep_the_standard_restricted(pod: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards: and a read-only root, and no token."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {next(key for key in one if key != "name") for one in pod["volumes"]} <= {"emptyDir", "secret"}
    assert {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")} == {"/tmp"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


@pytest.mark.parametrize("pod", [scheduler_pod(FULL, "c"), worker_pod(FULL, "c")], ids=["scheduler", "worker"])
def test_a_pod_has_the_memory_it_asked_for_and_its_files_only(pod: dict[str, Any]) -> None:
    resources = pod["containers"][0]["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    [tls] = [one["secret"] for one in pod["volumes"] if "secret" in one]
    role = pod["containers"][0]["name"]
    assert {one["key"] for one in tls["items"]} == {"ca.crt", f"{role}.crt", f"{role}.key"}


def test_dask_is_told_of_less_memory_than_the_pod_has() -> None:
    arguments = worker_pod(SPEC, "c")["containers"][0]["args"]
    assert int(arguments[arguments.index("--memory-limit") + 1]) == int(0.9 * SPEC.worker_memory_bytes)
    assert "--nworkers" not in arguments


def test_a_worker_is_called_what_the_operator_calls_it() -> None:
    """By that name it is retired and its Deployment deleted."""
    arguments = worker_pod(SPEC, "c")["containers"][0]["args"]
    assert arguments[arguments.index("--name") + 1] == "$(DASK_WORKER_NAME)"
    assert "DASK_WORKER_NAME" not in environ_of(worker_pod(SPEC, "c"))


def test_a_worker_hands_over_before_it_is_stopped() -> None:
    pod = worker_pod(pod_spec(grace_s=25), "c")
    assert pod["terminationGracePeriodSeconds"] == 25
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["python", "-m", "cluster.retire", "--grace", "25"]


def test_the_scheduler_never_stands_where_it_can_be_taken_away() -> None:
    for spec in (SPEC, FULL):
        [term] = scheduler_pod(spec, "c")["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
            "nodeSelectorTerms"
        ]
        avoided = {one["key"]: one["values"] for one in term["matchExpressions"] if one["operator"] == "NotIn"}
        assert avoided == {key: [value] for key, value in SPOT_NODES.items()}
        assert "tolerations" not in scheduler_pod(spec, "c")
    made = manifests(FULL)
    assert made["cluster"]["spec"]["scheduler"]["metadata"]["annotations"][
        "cluster-autoscaler.kubernetes.io/safe-to-evict"
    ] == ("false")
    assert made["budget"]["spec"]["maxUnavailable"] == 0


def test_workers_stand_on_spot_nodes_only_where_the_spec_says_so() -> None:
    plain, spot = worker_pod(SPEC, "c"), worker_pod(FULL, "c")
    assert "requiredDuringSchedulingIgnoredDuringExecution" in plain["affinity"]["nodeAffinity"]
    assert plain["tolerations"] == []
    assert list(spot["affinity"]["nodeAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    assert FULL.tolerations[0] in spot["tolerations"]
    assert {one["key"] for one in spot["tolerations"]} > {"groundswell.io/spot", "cloud.google.com/gke-spot"}


def test_configuration_comes_from_the_one_place() -> None:
    scheduler, worker = environ_of(scheduler_pod(FULL, "c")), environ_of(worker_pod(FULL, "c"))
    assert as_environ(DASK).items() <= scheduler.items()
    assert {**as_environ(DASK), **ENVIRON, "AWS_REGION": "eu-central-1"}.items() <= worker.items()
    assert worker["DASK_SCHEDULER_ADDRESS"] == "tls://c-scheduler.geo.svc:8786"
    assert "distributed.http.scheduler.api" in json.loads(scheduler["DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES"])
    for environ in (scheduler, worker):
        assert environ["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
        assert environ["DASK_TEMPORARY_DIRECTORY"] == "/tmp"
    assert worker_pod(FULL, "c")["containers"][0]["envFrom"] == [
        {"secretRef": {"name": "earthdata"}},
        {"secretRef": {"name": "store"}},
    ]


def test_only_workers_have_the_service_account() -> None:
    assert worker_pod(FULL, "c")["serviceAccountName"] == "workers"
    assert "serviceAccountName" not in scheduler_pod(FULL, "c")


def test_http_which_has_no_login_is_open_to_the_operator_only() -> None:
    policy = manifests(SPEC)["policy"]["spec"]
    inside, tls, http = policy["ingress"]
    name = resource_name(SPEC)
    assert policy["podSelector"]["matchLabels"] == {"dask.org/cluster-name": name}
    assert inside == {"from": [{"podSelector": {"matchLabels": {"dask.org/cluster-name": name}}}]}
    assert [one["port"] for one in tls["ports"]] == [8786]
    assert [one["port"] for one in http["ports"]] == [8787]
    [operator] = http["from"]
    assert operator["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "dask-kubernetes-operator"}


def _labels(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        yield from (value[key] for key in ("labels", "matchLabels") if key in value)
        for one in value.values():
            yield from _labels(one)


def test_every_object_says_whose_it_is() -> None:
    wanted = {
        "app.kubernetes.io/name": "groundswell",
        "app.kubernetes.io/managed-by": "groundswell",
        "app.kubernetes.io/part-of": "groundswell",
        "groundswell.io/run": "20240601T120000Z-1a2b",
        "groundswell.io/region": "eu-central-1",
    }
    made = [*manifests(SPEC).values(), secret(SPEC, {})]
    for one in made:
        assert wanted.items() <= one["metadata"]["labels"].items()
        assert one["metadata"]["namespace"] == "geo"
        for labels in _labels(one):
            assert all(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", text) for text in labels.values())


def test_what_belongs_to_a_cluster_goes_with_it() -> None:
    stored = {**manifests(SPEC)["cluster"]}
    stored["metadata"] = {**stored["metadata"], "uid": "1234"}
    [reference] = owned(manifests(SPEC)["budget"], stored)["metadata"]["ownerReferences"]
    assert reference["uid"] == "1234"
    assert reference["kind"] == "DaskCluster"


def test_no_key_of_the_client_or_the_authority_leaves_the_client() -> None:
    credentials = issue("x")
    texts = secret(SPEC, credentials.secret())["stringData"]
    assert set(texts) == {"ca.crt", "scheduler.crt", "scheduler.key", "worker.crt", "worker.key"}
    assert credentials.client.key not in texts.values()


@given(text=st.text(max_size=80), run=st.text(max_size=30))
def test_every_name_is_one_that_the_operator_takes(text: str, run: str) -> None:
    name = resource_name(pod_spec(name=text, run=run))
    validate_cluster_name(name)
    assert name[0].isalpha() and len(name) <= NAME_LENGTH
    assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", label_value(text))


@given(one=st.text(max_size=70), other=st.text(max_size=70))
def test_two_texts_never_share_a_name(one: str, other: str) -> None:
    assert (dns_label(one) == dns_label(other)) == (one == other)


def test_two_runs_of_one_config_never_meet() -> None:
    names = {resource_name(pod_spec(run=run)) for run in ("a", "b", "")}
    assert len(names) == 3
    assert all(name.startswith("demo-eu-central-1") for name in names)


def test_what_is_not_known_is_no_label() -> None:
    assert "groundswell.io/run" not in labels_of(BARE)
