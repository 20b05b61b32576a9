"""Runs pods as processes of this machine: one kubelet for all nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fakekube import objects
from tests.fakekube.containers import Sandbox, log_name
from tests.fakekube.errors import ApiError, Json
from tests.fakekube.kubeconfig import write_kubeconfig
from tests.fakekube.launcher import Launcher, Process
from tests.fakekube.network import Block
from tests.fakekube.pod import PodRun
from tests.fakekube.rbac import Account
from tests.fakekube.store import Store

_LOG = logging.getLogger(__name__)


class Kubelet:
    """One for all nodes: a task for each pod that has one."""

    def __init__(self, store: Store, block: Block, folder: Path, shared: Sequence[Path]) -> None:
        self.store = store
        self.launcher = Launcher()
        self.folder = folder
        self.url = ""
        """Of the API, as soon as it is known."""
        self._block = block
        self._shared = tuple(shared)
        self._pods: dict[str, PodRun] = {}

    def sync(self) -> None:
        """Take on pods that were given a node, and end those that are gone from the API."""
        known = {pod["metadata"]["uid"]: pod for pod in self.store.list("pods")}
        self._sync_runs(known)
        for uid, pod in known.items():
            if uid in self._pods:
                continue
            if objects.ending(pod):
                if not pod["metadata"].get("finalizers"):
                    self.store.remove(pod)
            elif pod["spec"].get("nodeName") and not objects.finished(pod):
                self._pods[uid] = PodRun(self.store, self.launcher, self._sandbox(pod))

    def _sync_runs(self, known: Mapping[str, Json]) -> None:
        for uid, run in list(self._pods.items()):
            if uid not in known:
                run.forget()
            elif objects.ending(known[uid]):
                run.end()
            if run.task.done():
                del self._pods[uid]
                if error := run.task.exception():
                    _LOG.error("pod %s", uid, exc_info=error)

    def _sandbox(self, pod: Json) -> Sandbox:
        account = Account(objects.namespace_of(pod), pod["spec"].get("serviceAccountName") or "default")
        return Sandbox(
            pod=pod,
            folder=self.folder / "pods" / pod["metadata"]["uid"],
            address=self._block.address("pod"),
            network=self.folder / "network.json",
            logs=self.folder / "logs",
            kubeconfig=write_kubeconfig(
                self.folder / "accounts" / f"{account.namespace}.{account.name}", self.url, account
            ),
            shared=self._shared,
        )

    def log_of(self, pod: Json, container: str) -> Path:
        return self.folder / "logs" / log_name(pod, container)

    def alive(self, pod: Json) -> bool:
        return pod["metadata"]["uid"] in self._pods

    def process_of(self, pod: Json, container: str) -> Process:
        """Raises ApiError 400 where the container does not run."""
        run = self._pods.get(pod["metadata"]["uid"])
        process = run.processes.get(container) if run else None
        if process is None or process.ended.done():
            raise ApiError(400, "BadRequest", f"container {container} of pod {objects.name_of(pod)} is not running")
        return process

    async def execute(self, pod: Json, container: str, argv: Sequence[str]) -> tuple[int, str]:
        """Exit code and output of a command in a container. Raises ApiError 400 where it does not run."""
        self.process_of(pod, container)
        return await self._pods[pod["metadata"]["uid"]].execute(container, argv)

    def running(self, pods: Mapping[str, Json]) -> list[int]:
        """Process ids of containers of those pods, and of pods that the API has forgotten."""
        known = {pod["metadata"]["uid"] for pod in self.store.list("pods")}
        return [
            process.pid
            for uid, run in self._pods.items()
            if uid in pods or uid not in known
            for process in run.processes.values()
            if not process.ended.done()
        ]

    async def stop(self) -> None:
        for run in self._pods.values():
            run.task.cancel()
        await asyncio.gather(*(run.task for run in self._pods.values()), return_exceptions=True)
