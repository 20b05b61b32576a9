"""Coiled on loopback: the part of its web service that its client speaks with, machines being processes with TLS.

Written from what the client (coiled 1.135) asks and reads; what the real service does beyond that is not known here.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask
import pytest
from aiohttp import web
from distributed import Security

TOKEN, WORKSPACE = "token-of-somebody", "lab"
_ACCOUNT = {"slug": WORKSPACE, "name": "Laboratory"}
_KINDS, _SIZES = {"c6i": 2, "m6i": 4, "r6i": 8}, {"large": 2, "xlarge": 4}
_MACHINES = {f"{kind}.{size}": (cores, cores * gib) for kind, gib in _KINDS.items() for size, cores in _SIZES.items()}
"""Name → (cores, GiB)."""
_PRELOAD = """
def dask_setup(scheduler):
    async def kept(keepalive=None): scheduler.kept_without_clients = keepalive
    scheduler.handlers["coiled_set_keepalive"] = kept
"""


@dataclass
class Made:
    """A cluster, and what was asked for it."""

    number: int
    asked: dict[str, Any]
    folder: Path
    mine: bool = True
    state: str = "ready"
    reason: str = ""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def listed(self) -> dict[str, Any]:
        return {
            "id": self.number,
            "name": self.asked["name"],
            "created": self.created,
            "updated": self.created,
            "current_state": self._state_of(self.state, self.reason),
        }

    def _state_of(self, state: str, reason: str = "") -> dict[str, str]:
        return {"state": state, "reason": reason, "updated": self.created}

    def process(self, name: str, state: str) -> dict[str, Any]:
        common = {"created": self.created, "name": name, "id": 1}
        addresses = {"public_ip_address": "127.0.0.1", "private_ip_address": "127.0.0.1"}
        instance = {**common, "current_state": self._state_of("ready"), **addresses}
        return {**common, "current_state": self._state_of(state), "instance": instance}


@dataclass
class CoiledService:
    """What it was asked, what it made; `refuses` is what a new cluster comes to instead of coming up."""

    folder: Path
    url: str = ""
    clusters: dict[int, Made] = field(default_factory=dict)
    refuses: str = ""
    on_create: Callable[[], None] = lambda: None
    """Called when one is asked for, before its machines start."""
    stays: bool = False
    """Deleted clusters never stop."""
    security: Any = field(default_factory=Security.temporary)

    def add(self, name: str, *, mine: bool = True, state: str = "ready") -> Made:
        """A cluster without machines."""
        number = len(self.clusters) + 1
        made = Made(number, {"name": name}, self.folder / str(number), mine, state)
        return self.clusters.setdefault(number, made)

    def alive(self) -> list[str]:
        """Names of clusters that are not ended."""
        return [one.asked["name"] for one in self.clusters.values() if one.state not in {"stopped", "error"}]

    def routes(self) -> list[web.RouteDef]:
        own = f"/api/v2/clusters/account/{WORKSPACE}/"
        workers = f"/api/v2/workers/account/{WORKSPACE}/cluster/{{id}}/"
        return [
            web.get("/api/v2/user/me", self._me),
            web.get("/api/v2/user/me/memberships", self._memberships),
            web.get(f"/api/v2/user/workspace/{WORKSPACE}/dask-config-overrides", self._nothing),
            web.get(f"/api/v1/{WORKSPACE}/backend_options/", self._provider),
            web.get("/api/v1/vm-types/", self._machines),
            web.post(f"/api/v2/software-environment/account/{WORKSPACE}", self._nothing),
            web.get(own + "name/{name}", self._by_name),
            web.get(own, self._list),
            web.post(own, self._create),
            web.get(own + "id/{id}", self._details),
            web.get(own + "id/{id}/state", self._state),
            web.get(own + "id/{id}/states", self._nothing),
            web.delete(own + "id/{id}", self._delete),
            web.get(workers, self._workers),
            web.post(workers, self._scale_up),
            web.delete(workers, self._scale_down),
            web.post("/api/v2/clusters/id/{id}/event", self._nothing),
            web.post("/api/v2/interactions/interaction", self._nothing),
        ]

    async def _me(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"ApiToken {TOKEN}":
            return web.json_response({"detail": "Invalid token."}, status=401)
        return web.json_response({"username": "somebody", "default_account": _ACCOUNT})

    async def _memberships(self, _request: web.Request) -> web.Response:
        return web.json_response([{"account": _ACCOUNT, "is_admin": True, "is_default_account": True}])

    async def _nothing(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    async def _provider(self, _request: web.Request) -> web.Response:
        return web.json_response({"backend": "vm_aws", "options": {}})

    async def _machines(self, request: web.Request) -> web.Response:
        asked = {key: float(value) for key, value in request.query.items() if "__" in key}
        results = [
            {"name": name, "cores": cores, "memory": gib * 1074}
            for name, (cores, gib) in _MACHINES.items()
            if asked.get("cores__gte", 0) <= cores <= asked.get("cores__lte", cores)
            and asked.get("memory__gte", 0) <= gib * 1074 <= asked.get("memory__lte", gib * 1074)
        ]
        return web.json_response({"results": results, "next": None})

    async def _by_name(self, request: web.Request) -> web.Response:
        for made in self.clusters.values():
            if made.asked["name"] == request.match_info["name"] and made.state not in {"stopped", "error"}:
                return web.json_response({"id": made.number})
        return web.json_response({"detail": "Not found."}, status=404)

    async def _list(self, request: web.Request) -> web.Response:
        name, first = request.query.get("name"), int(request.query.get("offset", 0))
        listed = [
            made.listed
            for made in self.clusters.values()
            if name in {None, made.asked["name"]} and (made.mine or request.query.get("just_mine") != "1")
        ]
        return web.json_response(listed[first:])

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        made = self.add(asked["name"])
        made.asked = asked
        self.on_create()
        if self.refuses:
            made.state, made.reason = "error", self.refuses
        else:
            made.folder.mkdir()
            await asyncio.to_thread(self._start, made, "scheduler")
            for number in range(asked["workers"]):
                await asyncio.to_thread(self._start, made, f"{asked['name']}-worker-{number}")
        return web.json_response({"id": made.number, "existing": False})

    def _start(self, made: Made, name: str) -> None:
        """One process, with what was asked for the cluster; a scheduler is waited for."""
        written, asked = made.folder / "scheduler.json", made.asked
        pairs = (("ca-file", "ca_file"), ("cert", "scheduler_cert"), ("key", "scheduler_key"))
        tls = [text for option, file in pairs for text in (f"--tls-{option}", str(self.folder / file))]
        if name == "scheduler":
            preload = made.folder / "preload.py"
            preload.write_text(_PRELOAD)
            own = ["scheduler", "--host", "tls://127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
            own += ["--scheduler-file", str(written), "--preload", str(preload)]
            own += ["--idle-timeout", asked["scheduler_options"]["idle_timeout"]]
        else:
            options = asked["worker_options"]
            own = ["worker", "--scheduler-file", str(written), "--name", name, "--host", "tls://127.0.0.1"]
            own += ["--nthreads", str(options["nthreads"]), "--memory-limit", str(options["memory_limit"])]
            own += ["--no-dashboard", "--no-nanny", "--local-directory", str(made.folder)]
        with (made.folder / "log").open("ab") as log:
            made.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", *own, *tls],
                env={**os.environ, **asked["environ"]},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while name == "scheduler" and not written.exists() and made.processes[name].poll() is None:
            threading.Event().wait(0.05)

    def _made(self, request: web.Request) -> Made:
        return self.clusters[int(request.match_info["id"])]

    async def _details(self, request: web.Request) -> web.Response:
        made = self._made(request)
        address = "tls://127.0.0.1:0"
        if made.state == "ready":
            address = json.loads((made.folder / "scheduler.json").read_text())["address"]
        up, names = "started" if made.state == "ready" else "error", list(made.processes)[1:]
        return web.json_response(
            {
                **made.listed,
                "desired_workers": made.asked["workers"],
                "workers": [made.process(name, up) for name in names],
                "scheduler": made.process("scheduler", up)
                | {"dashboard_address": "https://cluster.dask.host/?token=x"},
                "scheduler_port": int(address.rpartition(":")[2]),
                "cluster_options": {"tls_cert": self.security.tls_client_cert, "tls_key": self.security.tls_client_key},
                "cluster_infra": {"give_scheduler_public_ip": True},
            }
        )

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response({"state": self._made(request).state})

    async def _delete(self, request: web.Request) -> web.Response:
        made = self._made(request)
        made.state = "stopping"
        await asyncio.to_thread(end, made)
        if not self.stays:
            made.state = "stopped"
        return web.json_response({})

    async def _workers(self, request: web.Request) -> web.Response:
        made = self._made(request)
        names = list(made.processes)[1 + int(request.query["offset"]) :]
        return web.json_response([made.process(name, "started") for name in names])

    async def _scale_up(self, request: web.Request) -> web.Response:
        made = self._made(request)
        begin = len(made.processes)
        names = [f"{made.asked['name']}-worker-{begin + one}" for one in range((await request.json())["n_workers"])]
        for name in names:
            await asyncio.to_thread(self._start, made, name)
        return web.json_response([{"name": name} for name in names])

    async def _scale_down(self, request: web.Request) -> web.Response:
        made = self._made(request)
        for short in request.query.getall("name"):
            await asyncio.to_thread(end, made, f"{made.asked['name']}-worker{short}")
        return web.json_response({})


def end(made: Made, only: str | None = None) -> None:
    """End the processes of a cluster, or one of them."""
    for name in [only] if only else list(made.processes):
        process = made.processes.pop(name)
        process.kill()
        process.wait()


@contextmanager
def running(folder: Path) -> Iterator[CoiledService]:
    """The service, on a free port; its machines end with it."""
    service, loop = CoiledService(folder), asyncio.new_event_loop()
    for kind in ("ca_file", "scheduler_cert", "scheduler_key"):
        (folder / kind).write_text(getattr(service.security, f"tls_{kind}"))

    async def begin() -> web.AppRunner:
        application = web.Application(client_max_size=2**24)
        application.add_routes(service.routes())
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        for made in service.clusters.values():
            end(made)
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def logged_in(folder: Path) -> Iterator[CoiledService]:
    """The service, and this process as a user of it; without credentials of a cloud to send there."""
    import coiled  # noqa: F401, PLC0415 (its defaults must not come after what is set here)

    with pytest.MonkeyPatch.context() as patch, running(folder) as made:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with dask.config.set({"coiled.server": made.url, "coiled.token": TOKEN}):
            yield made
