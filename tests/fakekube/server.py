"""The process that a test starts: API, controllers and kubelet in one event loop; ends when its standard input does."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakekube import objects
from tests.fakekube.api import Api
from tests.fakekube.controllers import collect_garbage, run_deployments, run_stateful_sets, schedule
from tests.fakekube.errors import Json
from tests.fakekube.jobs import job_of, run_jobs
from tests.fakekube.kubeconfig import write_kubeconfig
from tests.fakekube.kubelet import Kubelet
from tests.fakekube.network import Block, Network
from tests.fakekube.rbac import Account
from tests.fakekube.store import Store

_LOG = logging.getLogger(__name__)
_TICK_S = 0.2
"""Controllers run at every change, and this often without one: deadlines pass unseen."""


@dataclass(frozen=True)
class Settings:
    """What the process is told."""

    folder: Path
    shared: tuple[Path, ...]
    preload: tuple[str, ...]


class Server:
    """All of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.store = Store()
        self.block = Block()
        self.kubelet = Kubelet(self.store, self.block, settings.folder, settings.shared)

        self.api = Api(self.store, self.kubelet)

    async def run(self) -> None:
        """Serve till standard input ends or a signal comes; the first line of output says where."""
        folder = self._settings.folder
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_reader(sys.stdin.fileno(), stopped.set)
        await self.kubelet.launcher.start(folder / "zygote.log", self._settings.preload)
        for name in ("default", "kube-system"):
            self.store.create(self.store.resources.named("ns"), "", {"metadata": {"name": name}})
        application = self.api.application(self._control)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.kubelet.url = f"http://{host}:{port}"
        write_kubeconfig(folder / "kubeconfig", self.kubelet.url)
        network = Network(self.store, self.block, folder / "network.json")
        print(json.dumps({"url": self.kubelet.url}), flush=True)  # noqa: T201 (said to who started it)
        control = asyncio.create_task(self._keep(network))
        try:
            waiting = asyncio.create_task(stopped.wait())
            await asyncio.wait({control, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        finally:
            control.cancel()
            await self.kubelet.stop()
            await self.kubelet.launcher.stop()
            await runner.cleanup()
            self.block.close()

    async def _keep(self, network: Network) -> None:
        """Run all controllers whenever something changed."""
        changed = self.store.watcher()
        while True:
            changed.clear()
            for each in (collect_garbage, run_deployments, run_stateful_sets, run_jobs, schedule):
                try:
                    each(self.store)
                except Exception:  # noqa: BLE001 (a broken object must not end all controllers)
                    _LOG.exception("controller %s", each.__name__)
            self.kubelet.sync()
            network.sync()
            try:
                await asyncio.wait_for(changed.wait(), _TICK_S)
            except TimeoutError:
                continue

    async def _control(self, request: web.Request) -> web.Response:
        """What no API of Kubernetes offers: a test's own hand."""
        body: Json = await request.json()
        return web.json_response(await self._do(body))

    async def _do(self, body: Json) -> Any:
        if body["do"] == "processes":
            pods = {pod["metadata"]["uid"]: pod for pod in self.store.list("pods", body.get("namespace", ""))}
            return self.kubelet.running(pods)
        if body["do"] == "asked":
            return sorted(self.api.asked[Account(body["namespace"], body["name"])])
        if body["do"] == "cronjob":
            cron = self.store.get(self.store.resources.named("cronjobs"), body["namespace"], body["name"])
            return job_of(self.store, cron)
        pod = self.store.get(self.store.resources.named("pods"), body["namespace"], body["name"])
        container = body.get("container") or pod["spec"]["containers"][0]["name"]
        if body["do"] == "signal":
            self.kubelet.process_of(pod, container).signal(signal.Signals(body["signal"]))
            return objects.name_of(pod)
        code, output = await self.kubelet.execute(pod, container, body["arguments"])
        return {"code": code, "output": output}


def main() -> None:
    """Settings come as JSON in the first argument."""
    given = json.loads(sys.argv[1])
    settings = Settings(Path(given["folder"]), tuple(Path(each) for each in given["shared"]), tuple(given["preload"]))
    asyncio.run(Server(settings).run())


if __name__ == "__main__":
    main()
