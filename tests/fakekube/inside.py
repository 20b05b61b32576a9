"""What a pod sees of the network, in any Python process: its own address, and services by name.

Every pod has an address of loopback, every service another on which nobody listens. Where a process of a pod

- binds to all addresses, it binds to the pod's own;
- looks up a service's name, it is given the service's address;
- connects to a service's address, it is led to one of its ready pods, as kube-proxy does;
- connects to another pod, network policies are asked whether it may.

`FAKEKUBE_NETWORK` names the JSON file that says what there is; `FAKEKUBE_ADDRESS` is the pod's address, and a process
without one is a visitor: it sees the services only.
"""

from __future__ import annotations

import errno
import json
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

NETWORK, ADDRESS, NAMESPACE = "FAKEKUBE_NETWORK", "FAKEKUBE_ADDRESS", "FAKEKUBE_NAMESPACE"
_WILD = {None, "", b"", "0.0.0.0", "::"}  # noqa: S104 (these are what is replaced)
_SUFFIXES = (".svc.cluster.local", ".svc")


class Network:
    """Names, endpoints and policies as the file has them now."""

    def __init__(self, path: Path, namespace: str = "") -> None:
        self._path = path
        self._namespace = namespace
        self._known: tuple[str, Any] = ("", {})

    def _now(self) -> Any:
        """Read each time, as two changes may have one time stamp; kept at once, as several threads ask."""
        try:
            text = self._path.read_text()
        except OSError:
            text = '{"names": {}, "endpoints": {}, "pods": [], "ingress": {}, "egress": {}}'
        known = self._known
        if text != known[0]:
            known = self._known = (text, json.loads(text))
        return known[1]

    def address(self, host: str) -> str | None:
        """Address of a service: `name.namespace`, with or without the cluster's suffix, in a pod also the bare name."""
        name = host.rstrip(".")
        for suffix in _SUFFIXES:
            name = name.removesuffix(suffix)
        if "." not in name and self._namespace:
            name = f"{name}.{self._namespace}"
        found: str | None = self._now()["names"].get(name)
        return found

    def endpoint(self, address: Any) -> Any:
        """Where a connection to (host, port) goes in truth."""
        if not isinstance(address, tuple) or not isinstance(address[0], str):
            return address
        host, port = address[0], address[1]
        ready = self._now()["endpoints"].get(f"{host.removeprefix('::ffff:')}:{port}")
        if not ready:
            return address
        chosen, _, number = random.choice(ready).rpartition(":")  # noqa: S311 (any of them will do)
        return chosen, int(number)

    def check(self, own: str, address: Any) -> None:
        """Raises TimeoutError where a policy forbids a pod to connect: what is dropped is never answered."""
        now = self._now()
        if not isinstance(address, tuple) or address[0] == own or address[0] not in now["pods"]:
            return
        for side, pod, other in (("egress", own, address[0]), ("ingress", address[0], own)):
            rules = now[side].get(pod)
            if rules is not None and not any(_within(rule, other, address[1]) for rule in rules):
                message = f"dropped by a network policy: {side} of {pod}, {own} to {address[0]}:{address[1]}"
                raise TimeoutError(errno.ETIMEDOUT, message)


def _within(rule: Any, address: str, port: int) -> bool:
    addresses, ports = rule
    return (addresses is None or address in addresses) and (
        ports is None or any(first <= port <= last for first, last in ports)
    )


def install() -> Callable[[], None]:
    """Let this process see what its environment names; returns what undoes it."""
    if NETWORK not in os.environ:
        return lambda: None
    network = Network(Path(os.environ[NETWORK]), os.environ.get(NAMESPACE, ""))
    own = os.environ.get(ADDRESS)
    saved = [(owner, name, getattr(owner, name)) for owner, name in _PATCHED]
    _patch_names(network, own)
    _patch_connections(network, own)
    if own:
        _patch_bind(own)

    def undo() -> None:
        for owner, name, value in saved:
            setattr(owner, name, value)

    return undo


_PATCHED = (
    (socket, "getaddrinfo"),
    (socket, "gethostbyname"),
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket.socket, "bind"),
)


def _patch_names(network: Network, own: str | None) -> None:
    real_info, real_name = socket.getaddrinfo, socket.gethostbyname

    def getaddrinfo(host: Any, port: Any, *further: Any, **named: Any) -> Any:
        flags = named.get("flags", further[3] if len(further) > 3 else 0)
        if own and host in _WILD and flags & socket.AI_PASSIVE:
            host = own
            family = named.pop("family", further[0] if further else 0)
            further = (socket.AF_UNSPEC if family == socket.AF_INET6 else family, *further[1:])
        elif isinstance(host, (str, bytes)):
            text = host.decode() if isinstance(host, bytes) else host
            host = network.address(text) or host
        return real_info(host, port, *further, **named)

    def gethostbyname(host: str) -> str:
        return network.address(host) or real_name(host)

    socket.getaddrinfo = getaddrinfo
    socket.gethostbyname = gethostbyname


def _patch_connections(network: Network, own: str | None) -> None:
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def led(address: Any) -> Any:
        there = network.endpoint(address)
        if own:
            network.check(own, there)
        return there

    def connect(self: socket.socket, address: Any) -> None:
        if own and self.type == socket.SOCK_DGRAM and self.family == socket.AF_INET:
            # Nothing is sent: Dask asks so which of the machine's addresses others can reach.
            self.bind((own, 0))
            return real_connect(self, (own, address[1]))
        return real_connect(self, led(address))

    def connect_ex(self: socket.socket, address: Any) -> int:
        try:
            return real_connect_ex(self, led(address))
        except TimeoutError:
            return errno.ETIMEDOUT

    socket.socket.connect = connect  # type: ignore[method-assign,assignment]
    socket.socket.connect_ex = connect_ex  # type: ignore[method-assign,assignment]


def _patch_bind(own: str) -> None:
    real_bind = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_INET and address[0] in _WILD:
            address = (own, *address[1:])
        return real_bind(self, address)

    socket.socket.bind = bind  # type: ignore[method-assign,assignment]
