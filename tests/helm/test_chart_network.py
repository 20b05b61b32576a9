"""Who reaches whom, who may do what: the chart's policies, accounts and rights, read as Kubernetes reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cluster.manifest import manifests, secret
from tests.cluster.pod_specs import SPEC
from tests.helm.charts import NAMESPACE, RELEASE, ROLE, VALUES, documents, made, pods, selects


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod, or an address outside."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE
    address: str = "10.0.0.7"
    outside: bool = False


def member(component: str, release: str = RELEASE) -> Peer:
    """A pod of a release."""
    names = {"name": "groundswell", "instance": release, "part-of": "groundswell", "component": component}
    return Peer({f"app.kubernetes.io/{key}": value for key, value in names.items()})


SCHEDULER, WORKER, RUNNER, TEST = map(member, ("scheduler", "worker", "runner", "test"))
LISTENER, CONSUMER, JUPYTER, SYNC = map(member, ("listener", "consumer", "jupyter", "argo-sync"))
NEIGHBOUR = member("worker", "tides")
STRANGER = Peer({"app": "web"})
CLIENT = Peer({"groundswell.io/client": "true"})
OPERATOR = Peer({"app.kubernetes.io/name": "dask-kubernetes-operator"}, "dask-operator")
PROMETHEUS = Peer({}, "monitoring")
GATE, DATABASE = Peer({}, "ingress-nginx"), Peer({"app": "postgres"}, "databases")
OWN = Peer({"app.kubernetes.io/part-of": "groundswell", "dask.org/component": "scheduler"})
"""Scheduler of a DaskCluster that a runner made."""
STORE, METADATA = Peer(address="52.219.170.1", outside=True), Peer(address="169.254.169.254", outside=True)
KUBERNETES, KUBERNETES6 = Peer(address="10.0.0.1", outside=True), Peer(address="2001:db8::1", outside=True)
METADATA6 = Peer(address="fd00:ec2::254", outside=True)


@pytest.mark.parametrize(
    ("source", "target", "port", "reached"),
    [
        (WORKER, SCHEDULER, 8786, True),
        (RUNNER, SCHEDULER, 8786, True),
        (LISTENER, SCHEDULER, 8786, True),
        (JUPYTER, SCHEDULER, 8786, True),
        (TEST, SCHEDULER, 8786, True),
        (SCHEDULER, WORKER, 40123, True),
        (WORKER, WORKER, 40123, True),
        (OPERATOR, SCHEDULER, 8787, True),
        (PROMETHEUS, SCHEDULER, 8787, True),
        (PROMETHEUS, WORKER, 8788, True),
        (PROMETHEUS, RUNNER, 9400, True),
        (PROMETHEUS, LISTENER, 9400, False),
        # what SNS posts comes by whatever ends TLS, and waits in a database, wherever that is
        (GATE, LISTENER, 8080, True),
        (PROMETHEUS, LISTENER, 8080, True),
        (STRANGER, LISTENER, 8080, False),
        (WORKER, LISTENER, 8080, False),
        (GATE, CONSUMER, 8080, False),
        (GATE, SCHEDULER, 8786, False),
        (LISTENER, DATABASE, 5432, True),
        (CONSUMER, DATABASE, 5432, True),
        (CONSUMER, Peer({"app": "postgres"}), 5432, True),
        (CONSUMER, STORE, 443, True),
        (CONSUMER, SCHEDULER, 8786, True),
        (CONSUMER, KUBERNETES, 6443, True),
        (CONSUMER, METADATA, 6443, False),
        (CONSUMER, OWN, 8786, True),
        (WORKER, DATABASE, 6432, False),
        (STRANGER, RUNNER, 9400, False),
        (RUNNER, OWN, 8786, True),
        (RUNNER, KUBERNETES, 6443, True),
        (RUNNER, KUBERNETES6, 6443, True),
        (WORKER, KUBERNETES, 6443, False),
        # who moves the data reaches it, and nobody reaches the rights of the node
        (WORKER, STORE, 443, True),
        (RUNNER, STORE, 443, True),
        (WORKER, STORE, 5432, True),  # a further rule of this value set
        (WORKER, STORE, 80, False),
        (SCHEDULER, STORE, 443, False),
        (TEST, STORE, 443, False),
        (WORKER, METADATA, 80, False),
        (WORKER, METADATA, 443, False),
        (RUNNER, METADATA, 443, False),
        (WORKER, METADATA6, 443, False),
        # the API by which workers are retired has no login
        (WORKER, SCHEDULER, 8787, False),
        (RUNNER, SCHEDULER, 8787, False),
        (STRANGER, SCHEDULER, 8787, False),
        (CLIENT, SCHEDULER, 8787, False),
        # whoever has no business here
        (STRANGER, SCHEDULER, 8786, False),
        (NEIGHBOUR, SCHEDULER, 8786, False),
        (OPERATOR, SCHEDULER, 8786, False),
        (PROMETHEUS, SCHEDULER, 8786, False),
        (NEIGHBOUR, WORKER, 40123, False),
        (RUNNER, WORKER, 40123, False),
        (JUPYTER, WORKER, 8788, False),
        (STRANGER, JUPYTER, 8888, False),
        (WORKER, JUPYTER, 8888, False),
        (SCHEDULER, SCHEDULER, 8787, False),
        (WORKER, OWN, 8786, False),
        (CLIENT, SCHEDULER, 8786, False),  # this value set names no clients
    ],
)
def test_the_network_lets_through_what_is_needed(source: Peer, target: Peer, port: int, reached: bool) -> None:
    assert connects(policies("locked-down"), source, target, port) is reached


def test_a_client_with_the_label_is_let_in_by_default_and_a_stranger_is_not() -> None:
    """Beside TLS, which asks for a certificate; the address is not enough."""
    assert connects(policies("defaults"), CLIENT, SCHEDULER, 8786)
    assert not connects(policies("defaults"), Peer(CLIENT.labels, "elsewhere"), SCHEDULER, 8786)
    assert not connects(policies("defaults"), STRANGER, SCHEDULER, 8786)


@pytest.mark.parametrize("name", VALUES)
def test_no_pod_is_without_a_policy_both_ways(name: str) -> None:
    for pod in pods(documents(name)):
        chosen = [one for one in policies(name) if selects(one["podSelector"], pod.labels)]
        assert {kind for one in chosen for kind in one["policyTypes"]} == {"Ingress", "Egress"}


@pytest.mark.parametrize("name", VALUES)
def test_every_pod_resolves_names(name: str) -> None:
    """By either protocol, of a DNS in the cluster or on the node; without it nothing finds the scheduler."""
    for pod in pods(documents(name)):
        source = Peer(pod.labels)
        for server in (Peer({"k8s-app": "kube-dns"}, "kube-system"), Peer(address="169.254.20.10", outside=True)):
            assert connects(policies(name), source, server, 53)
            assert connects(policies(name), source, server, 53, "UDP")


@pytest.mark.parametrize("name", VALUES)
def test_nothing_is_published(name: str) -> None:
    """No load balancer, no port of a node: the way to dashboards and notebooks is Kubernetes' own login.

    The listener's one path is the only way in, and only where it is asked for.
    """
    for one in documents(name):
        assert one["kind"] not in {"Gateway", "HTTPRoute"}
        if one["kind"] == "Ingress":
            assert VALUES[name]["listener"]["ingress"]["enabled"]
            (rule,) = one["spec"]["rules"]
            (path,) = rule["http"]["paths"]
            assert (path["path"], path["pathType"]) == ("/sns", "Exact")
            assert path["backend"]["service"]["name"] == f"{RELEASE}-listener"
        services = [one["spec"]] if one["kind"] == "Service" else []
        services += [one["spec"]["scheduler"]["service"]] if one["kind"] == "DaskCluster" else []
        assert all(service["type"] == "ClusterIP" and "externalIPs" not in service for service in services)
    jupyter = [pod for pod in pods(documents(name)) if pod.component == "jupyter"]
    assert all("--ServerApp.ip=127.0.0.1" in pod.container["command"] for pod in jupyter)


@pytest.mark.parametrize("name", VALUES)
def test_secrets_are_named_never_held(name: str) -> None:
    found = documents(name)
    assert [one for one in found if one["kind"] == "Secret"] == []
    tokens = [
        one
        for pod in pods(found)
        for one in pod.container.get("env", [])
        if "TOKEN" in one["name"] or "PASSWORD" in one["name"]
    ]
    assert all("secretKeyRef" in one["valueFrom"] for one in tokens)


@pytest.mark.parametrize("name", VALUES)
def test_each_component_has_an_account_of_its_own_and_the_scheduler_none_in_the_cloud(name: str) -> None:
    accounts = {key: one for key, one in made(name).items() if one["kind"] == "ServiceAccount"}
    for pod in pods(documents(name)):
        assert f"ServiceAccount/{pod.spec['serviceAccountName']}" in accounts
        component = "scheduler" if pod.component == "test" else pod.component
        assert pod.spec["serviceAccountName"].endswith(f"-{component}")
    assert all(one["automountServiceAccountToken"] is False for one in accounts.values())
    scheduler = [one for key, one in accounts.items() if key.endswith("-scheduler")]
    assert [one["metadata"].get("annotations") for one in scheduler] == ([] if name == "drivers" else [None])


def test_roles_in_the_cloud_go_to_the_accounts_that_they_were_given_for() -> None:
    roles = {
        key.removeprefix(f"ServiceAccount/{RELEASE}-"): one["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
        for key, one in made("locked-down").items()
        if one["kind"] == "ServiceAccount" and one["metadata"].get("annotations")
    }
    assert roles == {
        "worker": ROLE + "worker",
        "runner": ROLE + "runner",
        "listener": ROLE + "listener",
        "consumer": ROLE + "consumer",
        "argo-sync": ROLE + "sync",
    }


@pytest.mark.parametrize("name", VALUES)
def test_rights_in_kubernetes_are_in_its_namespace_and_given_where_they_are_asked_for(name: str) -> None:
    found = documents(name)
    assert [one["kind"] for one in found if one["kind"].startswith("Cluster")] == []
    rights = [one for one in found if one["kind"] in {"Role", "RoleBinding"}]
    asked = {"runner": ("runner", "runner"), "events": ("events", "consumer")}
    asked = {part: names for part, names in asked.items() if VALUES[name].get(part, {}).get("rbac")}
    found_rights = made(name)
    assert len(rights) == 2 * len(asked)
    for rule, owner in asked.values():
        binding = found_rights[f"RoleBinding/{RELEASE}-{rule}"]
        assert f"Role/{binding['roleRef']['name']}" in found_rights
        assert [(one["name"], one["namespace"]) for one in binding["subjects"]] == [(f"{RELEASE}-{owner}", NAMESPACE)]


def test_a_runner_may_make_a_cluster_and_read_no_secret() -> None:
    """Exactly what the kubernetes backend makes; no wildcard, and nothing of a secret but to put one there."""
    rules = made("locked-down")[f"Role/{RELEASE}-runner"]["rules"]
    verbs = {resource: set(rule["verbs"]) for rule in rules for resource in rule["resources"]}
    assert not [rule for rule in rules if "*" in (*rule["verbs"], *rule["resources"], *rule["apiGroups"])]
    assert verbs["secrets"] == {"create"}
    objects = [*manifests(SPEC).values(), secret(SPEC, {})]
    plurals = {
        "NetworkPolicy": "networkpolicies",
        **{one["kind"]: f"{one['kind'].lower()}s" for one in objects if one["kind"] != "NetworkPolicy"},
    }
    assert {plurals[one["kind"]] for one in objects} == {
        key for key, granted in verbs.items() if "create" in granted
    } - {"pods/portforward"}


# --- Kubernetes' own rules, as its API reference says them


@cache
def policies(name: str) -> tuple[dict[str, Any], ...]:
    """Specs of a value set's NetworkPolicies."""
    return tuple(one["spec"] for one in documents(name) if one["kind"] == "NetworkPolicy")


def connects(found: Iterable[Mapping[str, Any]], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether policies of one namespace let a connection through: no policy allows all, several add up."""
    ends = (("Egress", "egress", "to", source, target), ("Ingress", "ingress", "from", target, source))
    for kind, rules, side, held, other in ends:
        ours = held.namespace == NAMESPACE and not held.outside
        chosen = [
            one for one in found if ours and kind in one["policyTypes"] and selects(one["podSelector"], held.labels)
        ]
        every = [rule for one in chosen for rule in one.get(rules, [])]
        if chosen and not any(_port(rule, port, protocol) and _peer(rule.get(side), other) for rule in every):
            return False
    return True


def _port(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    return "ports" not in rule or any(
        one["protocol"] == protocol and one["port"] <= port <= one.get("endPort", one["port"]) for one in rule["ports"]
    )


def _peer(allowed: Iterable[Mapping[str, Any]] | None, other: Peer) -> bool:
    return allowed is None or any(_matches(one, other) for one in allowed)


def _matches(one: Mapping[str, Any], other: Peer) -> bool:
    if block := one.get("ipBlock"):
        address = ip_address(other.address)
        inside = [address in ip_network(text) for text in (block["cidr"], *block.get("except", []))]
        return other.outside and inside[0] and not any(inside[1:])
    if other.outside:
        return False
    if "namespaceSelector" not in one:
        return other.namespace == NAMESPACE and selects(one["podSelector"], other.labels)
    named = {"kubernetes.io/metadata.name": other.namespace}
    return selects(one["namespaceSelector"], named) and selects(one.get("podSelector", {}), other.labels)
