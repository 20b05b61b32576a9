"""Programs for pods, and what tests wait for."""

from __future__ import annotations

from collections.abc import Callable

from tests.fakekube import FakeKube
from tests.fakekube.errors import Json
from tests.fakekube.objects import holds

FOREVER = "import time; print('up', flush=True); time.sleep(1000)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"
POLITE = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye', flush=True))); {FOREVER}"


def phase(kube: FakeKube, name: str, namespace: str) -> str:
    found = kube.get("pods", name, namespace) or {"status": {}}
    return str(found["status"].get("phase"))


def ready(kube: FakeKube, namespace: str, count: int, labels: str = "") -> Callable[[], list[Json] | None]:
    """Exactly so many pods are ready, and no others are there."""

    def ask() -> list[Json] | None:
        pods = kube.list("pods", namespace, labels)
        return pods if len(pods) == count and all(holds(each, "Ready") for each in pods) else None

    return ask


def main_status(kube: FakeKube, name: str, namespace: str) -> Json:
    """Status of a pod's first container."""
    found = kube.get("pods", name, namespace) or {"status": {}}
    statuses: list[Json] = found["status"].get("containerStatuses") or [{"state": {}}]
    return statuses[0]


def state(kube: FakeKube, name: str, namespace: str, kind: str) -> Json:
    """Of a pod's first container: what its state says, where it is of that kind."""
    found: Json = main_status(kube, name, namespace)["state"].get(kind, {})
    return found


def says(kube: FakeKube, name: str, namespace: str, text: str) -> None:
    kube.until(lambda: text in kube.logs(name, namespace), 30, f"{text!r} in the log of {name}")
