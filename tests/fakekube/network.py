"""Addresses of services and the pods behind them, in the file that every pod reads."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

from tests.fakekube import objects
from tests.fakekube.errors import Json
from tests.fakekube.policies import isolation
from tests.fakekube.selectors import match_selector
from tests.fakekube.store import Store

_CLAIM = ("255.254", 8786)


class Block:
    """Addresses 127.x.0.0 to 127.x.255.255 with an x that no other stand-in has: half for pods, half for services."""

    def __init__(self) -> None:
        self._claim = socket.socket()
        self._count = {"pod": 0, "service": 0}
        numbers = list(range(10, 250))
        random.shuffle(numbers)
        for each in numbers:
            try:
                self._claim.bind((f"127.{each}.{_CLAIM[0]}", _CLAIM[1]))
            except OSError:
                continue
            self._claim.listen()
            self._number = each
            return
        raise RuntimeError("no block of loopback addresses is free: 127.10.0.0 to 127.249.255.255 are all claimed")

    def address(self, kind: str) -> str:
        """A new one, for a `pod` or a `service`."""
        self._count[kind] += 1
        high, low = divmod(self._count[kind], 256)
        return f"127.{self._number}.{high + (0 if kind == 'pod' else 128)}.{low}"

    def close(self) -> None:
        self._claim.close()


class Network:
    """Gives services addresses, and writes down what there is whenever it changed."""

    def __init__(self, store: Store, block: Block, path: Path) -> None:
        self._store = store
        self._block = block
        self._path = path
        self._written = ""
        self.sync()

    def sync(self) -> None:
        names: dict[str, str] = {}
        endpoints: dict[str, list[str]] = {}
        for service in self._store.list("services"):
            place, spec = objects.namespace_of(service), service["spec"]
            ready = [pod for pod in self._behind(service) if objects.holds(pod, "Ready")]
            name = f"{objects.name_of(service)}.{place}"
            if spec.get("clusterIP") == "None":
                addresses = [pod["status"]["podIP"] for pod in ready]
                if addresses:
                    names[name] = addresses[0]
                continue
            address = spec.get("clusterIP") or self._give_address(service)
            names[name] = address
            for port in spec.get("ports") or ():
                places = [f"{pod['status']['podIP']}:{_target(port, pod)}" for pod in ready]
                endpoints[f"{address}:{port['port']}"] = places
        text = json.dumps({"names": names, "endpoints": endpoints, **isolation(self._store)}, indent=1, sort_keys=True)
        if text != self._written:
            new = self._path.with_suffix(".new")
            new.write_text(text)
            new.replace(self._path)
            self._written = text

    def _behind(self, service: Json) -> list[Json]:
        selector = service["spec"].get("selector")
        if not selector:
            return []
        return [
            pod
            for pod in self._store.list("pods", objects.namespace_of(service))
            if match_selector(pod["metadata"].get("labels"), {"matchLabels": selector})
            and pod["status"].get("podIP")
            and not objects.ending(pod)
            and not objects.finished(pod)
        ]

    def _give_address(self, service: Json) -> str:
        address = self._block.address("service")
        self._store.set_spec(service, clusterIP=address, clusterIPs=[address])
        return address


def _target(port: Json, pod: Json) -> int:
    target = port["targetPort"]
    if isinstance(target, int) or target.isdigit():
        return int(target)
    named = {
        each.get("name"): each["containerPort"]
        for container in pod["spec"]["containers"]
        for each in container.get("ports") or ()
    }
    return int(named.get(target, 0))
