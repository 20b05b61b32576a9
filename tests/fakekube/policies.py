"""Network policies, worked out to addresses: who may reach a pod, and which pods it may reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from tests.fakekube import objects
from tests.fakekube.errors import Json
from tests.fakekube.selectors import match_selector
from tests.fakekube.store import Store

_SIDES = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))


def isolation(store: Store) -> Json:
    """By side and pod's address, of pods that a policy selects: [addresses or None, ports or None] of each rule.

    None stands for all. Ports are [first, last]. Other pods are free.
    """
    pods = [pod for pod in store.list("pods") if pod["status"].get("podIP") and not objects.finished(pod)]
    found: Json = {"pods": sorted(_address(pod) for pod in pods), "ingress": {}, "egress": {}}
    for policy in store.list("networkpolicies"):
        spec, place = policy["spec"], objects.namespace_of(policy)
        kinds = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
        for kind, side, peers in _SIDES:
            if kind not in kinds:
                continue
            rules = [(_peers(store, pods, place, rule.get(peers)), rule.get("ports")) for rule in spec.get(side) or ()]
            for pod in pods:
                if objects.namespace_of(pod) == place and match_selector(_labels(pod), spec.get("podSelector") or {}):
                    # A port by name is one of the pod that is reached.
                    own = [[whom, _ports(ports, [pod] if side == "ingress" else pods)] for whom, ports in rules]
                    found[side].setdefault(_address(pod), []).extend(own)
    return found


def _address(pod: Json) -> str:
    return str(pod["status"]["podIP"])


def _labels(value: Json) -> dict[str, str]:
    return value["metadata"].get("labels") or {}


def _peers(store: Store, pods: Sequence[Json], place: str, peers: Sequence[Json] | None) -> list[str] | None:
    """Addresses of the pods that a rule's peers are; an empty list of peers is everybody."""
    if not peers:
        return None
    return sorted({_address(pod) for peer in peers for pod in pods if _is(store, place, peer, pod)})


def _is(store: Store, place: str, peer: Json, pod: Json) -> bool:
    if block := peer.get("ipBlock"):
        address = ipaddress.ip_address(_address(pod))
        without = any(address in ipaddress.ip_network(each) for each in block.get("except") or ())
        return address in ipaddress.ip_network(block["cidr"]) and not without
    if "namespaceSelector" in peer:
        namespace = store.named("namespaces", "", objects.namespace_of(pod))
        if namespace is None or not match_selector(_labels(namespace), peer["namespaceSelector"]):
            return False
    elif objects.namespace_of(pod) != place:
        return False
    return match_selector(_labels(pod), peer.get("podSelector") or {})


def _ports(ports: Sequence[Json] | None, reached: Sequence[Json]) -> list[list[int]] | None:
    if not ports:
        return None
    return [each for port in ports if port.get("protocol", "TCP") == "TCP" for each in _range(port, reached)]


def _range(port: Json, reached: Sequence[Json]) -> Iterator[list[int]]:
    first = port.get("port")
    if first is None:
        yield [0, 65535]
    elif isinstance(first, int):
        yield [first, port.get("endPort", first)]
    else:
        for pod in reached:
            for container in pod["spec"]["containers"]:
                for each in container.get("ports") or ():
                    if each.get("name") == first:
                        yield [each["containerPort"]] * 2
