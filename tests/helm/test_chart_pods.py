"""The chart's pods: hardened, bounded, the same as those that the kubernetes backend asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest

from cluster.chart import values_of
from cluster.labels import resource_name
from cluster.manifest import manifests
from cluster.pods import SPOT_NODES, SPOT_TAINTS
from cluster.settings import DASK, ENVIRON, as_environ
from cluster.spec import HelmSpec, KubernetesSpec, PodSpec
from cluster.tls import Role, pod_environ, secret_items
from tests.helm.charts import (
    NAMESPACE,
    RELEASE,
    SPEC,
    VALUES,
    Pod,
    by_name,
    chart,
    documents,
    made,
    parsed,
    pods,
    quantity_bytes,
    selects,
    variables,
)

FULL = replace(
    SPEC,
    service_account="workers",
    secrets=("earthdata", "store"),
    environ={"AWS_REGION": "eu-central-1"},
    node_selector={"pool": "work"},
    tolerations=({"key": "pool", "operator": "Equal", "value": "work", "effect": "NoSchedule"},),
    spot=True,
    pull_secrets=("registry",),
    worker_cores=1.5,
    idle_timeout_s=120,
)
FOUND = [(name, pod) for name in VALUES for pod in pods(documents(name))]
every_pod = pytest.mark.parametrize(
    ("name", "pod"), [pytest.param(*one, id=f"{one[0]}-{one[1].component}") for one in FOUND]
)


@every_pod
def test_pods_are_restricted(name: str, pod: Pod) -> None:
    """The pod security standard of that name, and beyond it: a root that nobody writes, a high uid, no rights here."""
    assert breaches(pod) == [], name
    assert pod.container["securityContext"]["readOnlyRootFilesystem"]
    assert min(pod.spec["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")) >= 10_000
    assert pod.spec["enableServiceLinks"] is False
    part = {"runner": "runner", "consumer": "events"}.get(pod.component, "none")
    assert pod.spec["automountServiceAccountToken"] is VALUES[name].get(part, {}).get("rbac", False)


def breaches(pod: Pod) -> list[str]:
    """Of the standard "restricted" (kubernetes.io/docs/concepts/security/pod-security-standards), by name."""
    spec, whole = pod.spec, pod.spec.get("securityContext", {})
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    kinds = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    found += [f"volume {volume['name']}" for volume in spec.get("volumes", []) if not volume.keys() - {"name"} <= kinds]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        own = {**whole, **container.get("securityContext", {})}
        found += ["privileged"] if own.get("privileged") else []
        found += ["allowPrivilegeEscalation"] if own.get("allowPrivilegeEscalation") is not False else []
        capabilities = own.get("capabilities", {})
        found += ["capabilities"] if capabilities.get("drop") != ["ALL"] or capabilities.get("add") else []
        found += ["runAsNonRoot"] if own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0 else []
        found += ["seccompProfile"] if own.get("seccompProfile", {}).get("type") != "RuntimeDefault" else []
        found += ["hostPort"] if any("hostPort" in port for port in container.get("ports", [])) else []
    return found


@pytest.mark.parametrize(
    ("path", "value", "breach"),
    [
        ("hostNetwork", True, "hostNetwork"),
        ("securityContext", {"runAsNonRoot": True}, "seccompProfile"),
        ("volumes", [{"name": "node", "hostPath": {"path": "/"}}], "volume node"),
        ("containers", [{"securityContext": {"privileged": True}}], "capabilities"),
    ],
)
def test_a_pod_that_is_not_restricted_is_found(path: str, value: Any, breach: str) -> None:
    pod = next(pods(documents("none")))
    assert breach in breaches(replace(pod, spec={**pod.spec, path: value}))


@every_pod
def test_pods_are_bounded(name: str, pod: Pod) -> None:
    """Memory asked for is memory had, /tmp has a size and is what can be written, processors are asked for."""
    resources = pod.container["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert float(resources["requests"]["cpu"]) > 0
    assert "cpu" not in resources["limits"]
    (tmp,) = [one for one in pod.spec["volumes"] if one["name"] == "tmp"]
    assert quantity_bytes(tmp["emptyDir"]["sizeLimit"]) >= 2**28
    written = {one["mountPath"] for one in pod.container["volumeMounts"] if not one.get("readOnly")}
    kept = {"jupyter": {"/notebooks"}, "argo-sync": {"/gdac"}}
    if name == "listener-jupyter":
        kept["listener"] = {"/var/lib/groundswell"}  # the inbox; elsewhere it is a database
    assert written == {"/tmp"} | kept.get(pod.component, set())
    assert variables(pod, made(name))["HOME"] == "/tmp"


@pytest.mark.parametrize(("name", "pod"), [one for one in FOUND if one[1].component == "worker"])
def test_a_worker_is_one_process_below_its_limit_that_hands_over_before_it_goes(name: str, pod: Pod) -> None:
    defaults: dict[str, Any] = dict(chart().values)
    values = {**defaults["worker"], **VALUES[name].get("worker", {})}
    arguments = pod.container["args"]
    option = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    limit = quantity_bytes(pod.container["resources"]["limits"]["memory"])
    assert arguments[:2] == ["dask", "worker"]
    assert "--nworkers" not in option
    assert option["--name"] == "$(DASK_WORKER_NAME)", "by it the operator retires and deletes"
    assert int(option["--memory-limit"]) == int(limit * 0.9)
    assert option["--nthreads"] == str(values["threads"])
    grace = pod.spec["terminationGracePeriodSeconds"]
    retire = pod.container["lifecycle"]["preStop"]["exec"]["command"]
    assert retire == ["python", "-m", "cluster.retire", "--grace", str(grace)]
    environ = variables(pod, made(name))
    assert environ.items() >= ENVIRON.items()
    disk = next(one for one in pod.spec["volumes"] if one["name"] == "tmp")["emptyDir"]["sizeLimit"]
    assert int(environ["DASK_DISTRIBUTED__WORKER__MEMORY__MAX_SPILL"]) * 2 == quantity_bytes(disk)
    service = made(name).get(f"Service/{environ['DASK_SCHEDULER_ADDRESS'].split('//')[1].split('.')[0]}")
    by_operator = pod.owner.startswith("DaskCluster")
    assert (service is None) == by_operator, "the address is that of a Service that is there"
    assert isinstance(environ["DASK_WORKER_NAME"], str) == by_operator


@every_pod
def test_only_workers_may_stand_where_nodes_are_taken_away(name: str, pod: Pod) -> None:
    """And only where that was asked for; a scheduler or driver that goes takes its work with it."""
    affinity = pod.spec["affinity"]["nodeAffinity"]
    if pod.component == "worker" and VALUES[name].get("worker", {}).get("spot"):
        terms = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
        wanted = [one["preference"]["matchExpressions"][0] for one in terms]
        assert {one["key"]: one["values"][0] for one in wanted} == SPOT_NODES
        assert {one["key"] for one in pod.spec["tolerations"]} >= set(SPOT_TAINTS)
        return
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {one["key"]: (one["operator"], *one["values"]) for one in term["matchExpressions"]} == {
        key: ("NotIn", value) for key, value in SPOT_NODES.items()
    }
    assert "tolerations" not in pod.spec
    stays = pod.annotations.get("cluster-autoscaler.kubernetes.io/safe-to-evict") == "false"
    assert stays == (pod.component not in {"worker", "listener", "consumer", "test"})


@pytest.mark.parametrize("name", VALUES)
def test_a_drain_waits_for_the_scheduler_and_takes_workers_in_turns(name: str) -> None:
    budgets = {key: one["spec"] for key, one in made(name).items() if one["kind"] == "PodDisruptionBudget"}
    several = VALUES[name].get("listener", {}).get("replicas", 1) > 1
    assert len(budgets) == (0 if name == "drivers" else 2) + several
    for budget in budgets.values():
        chosen = {pod.component for pod in pods(documents(name)) if selects(budget["selector"], pod.labels)}
        assert (chosen, budget["maxUnavailable"]) in [({"scheduler"}, 0), ({"worker"}, "25%"), ({"listener"}, 1)]
    left = by_name(parsed({**VALUES[name], "disruption": {"enabled": False}}))
    assert [key for key in left if "Budget" in key] == [f"PodDisruptionBudget/{RELEASE}-listener"] * several


@pytest.mark.parametrize(("name", "pod"), [one for one in FOUND if one[0] != "nightly"])
def test_tls_is_all_they_speak_and_each_sees_its_own_key_only(name: str, pod: Pod) -> None:
    mounted = [one["secret"] for one in pod.spec["volumes"] if "secret" in one]
    if pod.component == "argo-sync" or name == "drivers":
        assert mounted == [], "it has no part in a cluster of this release"
        return
    role: Role = "scheduler" if pod.component == "scheduler" else "worker"
    assert [one["secretName"] for one in mounted] == [
        VALUES[name].get("tls", {}).get("existingSecret", f"{RELEASE}-tls")
    ]
    assert [one["key"] for one in mounted[0]["items"]] == list(secret_items(role))
    environ = variables(pod, made(name))
    if pod.component in {
        "runner",
        "listener",
        "consumer",
    }:  # their config says which cluster; clusters of their own have other keys
        assert not [key for key in environ if key.startswith("DASK_DISTRIBUTED__COMM")]
        return
    meant = pod_environ(role)
    if pod.component not in {"scheduler", "worker"}:
        meant = {key.replace("__WORKER__", "__CLIENT__"): value for key, value in meant.items()}
    comm = {key: value for key, value in environ.items() if key.startswith("DASK_DISTRIBUTED__COMM")}
    assert {key: value for key, value in comm.items() if key not in as_environ(DASK)} == meant


def test_without_tls_nothing_asks_for_the_secret() -> None:
    text = json.dumps(documents("nightly"))
    assert f"{RELEASE}-tls" not in text
    assert "tls://" not in text
    assert f"tcp://{RELEASE}-scheduler.{NAMESPACE}.svc:8786" in text


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, minimum=None, run=""), FULL], ids=["plain", "fixed", "full"])
def test_it_asks_the_operator_for_what_the_kubernetes_backend_asks_for(spec: HelmSpec) -> None:
    """The same spec by either backend: the same DaskCluster and DaskAutoscaler, but for who they belong to."""
    shared = {one.name: getattr(spec, one.name) for one in fields(PodSpec)}
    ours = manifests(KubernetesSpec(**{**shared, "backend": "kubernetes"}))
    name = resource_name(spec)
    found = by_name(parsed(values_of(spec), name))
    theirs = found[f"DaskCluster/{name}"]
    assert normal(theirs["spec"], found) == normal(ours["cluster"]["spec"], {})
    autoscaler = found.get(f"DaskAutoscaler/{name}", {}).get("spec")
    assert autoscaler == ours.get("autoscaler", {}).get("spec")
    labels = {
        key: value for key, value in ours["cluster"]["metadata"]["labels"].items() if key.startswith("groundswell")
    }
    assert theirs["metadata"]["labels"].items() >= labels.items()


def normal(spec: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The spec of a DaskCluster without what each may write in its own way: sources of variables, units, order."""
    made_of: dict[str, Any] = json.loads(json.dumps(spec))
    for role in ("scheduler", "worker"):
        pod = made_of[role]["spec"]
        (container,) = pod["containers"]
        container["env"] = variables(Pod(role, "", {}, {}, pod), found)
        routes = "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES"
        if role == "scheduler":
            container["env"][routes] = json.loads(container["env"][routes])
        container["envFrom"] = [one for one in container.get("envFrom", []) if "secretRef" in one]
        for kind, sizes in container["resources"].items():
            container["resources"][kind] = {key: _number(value) for key, value in sizes.items()}
        for volume in pod["volumes"]:
            if "emptyDir" in volume:
                volume["emptyDir"]["sizeLimit"] = quantity_bytes(volume["emptyDir"]["sizeLimit"])
        container.pop("imagePullPolicy", None)
        # The chart makes accounts; the backend takes one that is there, or the namespace's own without its token.
        if role == "scheduler" or not str(pod.get("serviceAccountName", "")).startswith("workers"):
            pod.pop("serviceAccountName", None)
        for key in ("tolerations", "nodeSelector"):
            pod[key] = pod.get(key) or None
    return made_of


def _number(text: str) -> float:
    if text.endswith("m"):
        return float(text.removesuffix("m")) / 1000
    return float(text) if text[-1].isdigit() else float(quantity_bytes(text))
