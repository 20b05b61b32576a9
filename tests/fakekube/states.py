"""What a pod's status says of its containers, and the phase and conditions that follow."""

from __future__ import annotations

import signal

from tests.fakekube import objects
from tests.fakekube.errors import Json
from tests.fakekube.store import Store


class States:
    """Each call writes the status of the pod, as long as there is one."""

    def __init__(self, store: Store, pod: Json) -> None:
        self._store = store
        self._pod = pod
        self._states: dict[str, Json] = {}

    def placed(self, address: str) -> None:
        """It has a node and an address."""
        status = {"hostIP": "127.0.0.1", "podIP": address, "podIPs": [{"ip": address}], "startTime": objects.now()}
        self._store.set_status(self._pod, status)

    def waiting(self, container: Json, reason: str, message: str, count: int) -> None:
        self._say(container, {"waiting": {"reason": reason, "message": message}}, count)

    def running(self, container: Json, count: int) -> None:
        self._say(container, {"running": {"startedAt": objects.now()}}, count)

    def ended(self, container: Json, code: int, count: int) -> None:
        """code: minus the number of the signal that ended it, where one did."""
        reason = "Completed" if code == 0 else ("OOMKilled" if code == -signal.SIGKILL else "Error")
        ended = {"exitCode": code if code >= 0 else 128 - code, "reason": reason, "finishedAt": objects.now()}
        self._say(container, {"terminated": ended}, count)

    def ready(self, container: Json, *, ready: bool) -> None:
        self._states[container["name"]]["ready"] = ready
        self._write()

    def finished(self, phase: str) -> None:
        self._store.set_status(self._pod, {"phase": phase, "conditions": self._conditions(ready=False)})

    def _say(self, container: Json, state: Json, count: int) -> None:
        name = container["name"]
        before = self._states.get(name, {})
        was = before.get("state", {})
        self._states[name] = {
            "name": name,
            "image": container.get("image", ""),
            "ready": False,
            "started": "running" in state,
            "restartCount": count,
            "state": state,
            "lastState": was if "terminated" in was else before.get("lastState", {}),
        }
        self._write()

    def _write(self) -> None:
        spec = self._pod["spec"]
        own = [self._states[each["name"]] for each in spec["containers"] if each["name"] in self._states]
        first = [
            self._states[each["name"]] for each in spec.get("initContainers") or () if each["name"] in self._states
        ]
        started = len(own) == len(spec["containers"]) and not any(
            "waiting" in each["state"] and not each["lastState"] for each in own
        )
        ready = started and all(each["ready"] for each in own)
        status: Json = {"containerStatuses": own, "conditions": self._conditions(ready=ready)}
        if first:
            status["initContainerStatuses"] = first
        if started:
            status["phase"] = "Running"
        self._store.set_status(self._pod, status)

    def _conditions(self, *, ready: bool) -> list[Json]:
        told = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
        return conditions(self._store.current(self._pod) or self._pod, told)


def conditions(value: Json, told: dict[str, bool]) -> list[Json]:
    """Conditions of an object; one that did not change keeps its time."""
    result = []
    for kind, holds in told.items():
        known, word = objects.condition(value, kind), str(holds)
        same = known is not None and known["status"] == word
        stamp = known["lastTransitionTime"] if same and known and "lastTransitionTime" in known else objects.now()
        result.append({"type": kind, "status": word, "lastTransitionTime": stamp})
    return result
