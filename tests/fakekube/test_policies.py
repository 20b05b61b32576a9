"""Network policies: who is selected is closed but for what the rules open, and all others stay open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakekube import FakeKube
from tests.fakekube.errors import Json
from tests.fakekube.manifests import deployment, pod, python, service
from tests.fakekube.objects import holds
from tests.fakekube.policies import isolation
from tests.fakekube.store import Store


@pytest.fixture
def store() -> Store:
    """Pods a and b of `here`, c of `there`, with addresses 127.0.0.1 to 3; b has a named port."""
    made = Store()
    for number, (place, name) in enumerate((("here", "a"), ("here", "b"), ("there", "c")), 1):
        if made.named("ns", "", place) is None:
            made.create(made.resources.named("ns"), "", {"metadata": {"name": place}})
        manifest = pod(name, python("pass", ports=[{"name": "web", "containerPort": 80}]))
        kept = made.create(made.resources.named("pods"), place, manifest)
        made.set_status(kept, {"podIP": f"127.0.0.{number}"})
    return made


def policy(app: str, **spec: Any) -> Json:
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": f"of-{app}"}}
    return {**head, "spec": {"podSelector": {"matchLabels": {"app": app}}, **spec}}


def sides(store: Store, manifest: Json) -> tuple[Json, Json]:
    store.create(store.resources.named("netpol"), "here", manifest)
    found = isolation(store)
    return found["ingress"], found["egress"]


def test_without_a_policy_nobody_is_isolated(store: Store) -> None:
    found = isolation(store)
    assert (found["ingress"], found["egress"]) == ({}, {})


def test_a_policy_without_rules_closes_its_side_only(store: Store) -> None:
    assert sides(store, policy("a")) == ({"127.0.0.1": []}, {})


def test_peers_are_of_the_own_namespace_unless_one_is_named(store: Store) -> None:
    rules = [
        {"from": [{"podSelector": {}}], "ports": [{"port": 8786}, {"port": 1, "protocol": "UDP"}]},
        {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "there"}}}]},
        {"ports": [{"port": 9000, "endPort": 9100}]},
    ]
    assert sides(store, policy("a", ingress=rules))[0] == {
        "127.0.0.1": [
            [["127.0.0.1", "127.0.0.2"], [[8786, 8786]]],
            [["127.0.0.3"], None],
            [None, [[9000, 9100]]],
        ]
    }


def test_egress_by_block_and_by_the_name_of_a_port(store: Store) -> None:
    block = {"ipBlock": {"cidr": "127.0.0.0/8", "except": ["127.0.0.3/32"]}}
    ingress, egress = sides(store, policy("b", egress=[{"to": [block], "ports": [{"port": "web"}]}], ingress=[{}]))
    assert ingress == {"127.0.0.2": [[None, None]]}
    assert egress["127.0.0.2"][0][0] == ["127.0.0.1", "127.0.0.2"]
    assert [80, 80] in egress["127.0.0.2"][0][1]


@pytest.mark.long
def test_a_connection_that_a_policy_drops_is_never_answered(kube: FakeKube, namespace: str) -> None:
    serve = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port=8080, bind='0.0.0.0')"
    kube.apply(
        deployment("web", python(serve, readinessProbe={"tcpSocket": {"port": 8080}})),
        service("web", "web", [{"port": 80, "targetPort": 8080}]),
        policy(
            "web", ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": 8080}]}]
        ),
        namespace=namespace,
    )
    kube.until(lambda: any(holds(each, "Ready") for each in kube.list("pods", namespace)), 30)
    code = "import socket; print(socket.create_connection(('web', 80), timeout=9).getpeername()[1])"
    kube.apply(pod("friend", python(code)), pod("stranger", python(code)), namespace=namespace)
    kube.until(lambda: "8080" in kube.logs("friend", namespace), 30)
    kube.until(lambda: "dropped by a network policy: ingress of" in kube.logs("stranger", namespace), 30)
