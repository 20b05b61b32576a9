"""The life of one pod: its containers' start, probes, restarts and end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence

from tests.fakekube import objects
from tests.fakekube.containers import NotReadyError, Program, Sandbox, discard, log_name, program
from tests.fakekube.errors import Json
from tests.fakekube.launcher import Launcher, Process
from tests.fakekube.probes import EAGER_S, passes
from tests.fakekube.states import States
from tests.fakekube.store import Store

_RETRY_S = 0.2
_FIRST_BACKOFF_S, _MOST_BACKOFF_S = 0.5, 10.0
_QUICK_END_S = 10.0
"""A container that ran for less has crashed, and waits longer before it starts again."""

Ask = Callable[[], Awaitable[bool]]


class PodRun:
    """Runs from a pod's place on a node to its end, in a task of its own."""

    def __init__(self, store: Store, launcher: Launcher, sandbox: Sandbox) -> None:
        self._store = store
        self._launcher = launcher
        self._sandbox = sandbox
        self._pod = sandbox.pod
        self._states = States(store, sandbox.pod)
        self._ending = asyncio.Event()
        self._programs: dict[str, Program] = {}
        self._lost = False
        self.processes: dict[str, Process] = {}
        self.task = asyncio.create_task(self._run())

    def end(self) -> None:
        """Begin its graceful end; once."""
        self._ending.set()

    def forget(self) -> None:
        """It is gone from the API by force: its processes end at once, as those of a lost node."""
        if not self._lost:
            self._lost = True
            self._ending.set()
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self.processes.values():
            if not process.ended.done():
                process.signal(number)

    async def _run(self) -> None:
        self._states.placed(self._sandbox.address)
        living = asyncio.create_task(self._live())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({living, ending}, return_when=asyncio.FIRST_COMPLETED)
            if self._ending.is_set():
                await self._end()
        finally:
            for each in (living, ending):
                each.cancel()
            await asyncio.gather(living, ending, return_exceptions=True)
            self._signal(signal.SIGKILL)
            discard(self._sandbox)
            self._store.wake()
        if not living.cancelled() and (error := living.exception()):
            raise error

    async def _live(self) -> None:
        """Init containers one after the other, then all others till they have ended for good."""
        spec = self._pod["spec"]
        for each in spec.get("initContainers") or ():
            if await self._keep(each, "Never" if spec["restartPolicy"] == "Never" else "OnFailure"):
                self._states.finished("Failed")
                return
        codes = await asyncio.gather(*(self._keep(each, spec["restartPolicy"]) for each in spec["containers"]))
        self._states.finished("Failed" if any(codes) else "Succeeded")

    async def _keep(self, container: Json, restart: str) -> int:
        """Run a container, again and again as its policy says; its last exit code."""
        backoff, count = _FIRST_BACKOFF_S, 0
        clock = asyncio.get_running_loop().time
        while True:
            process = await self._start(container, count)
            began = clock()
            watching = asyncio.create_task(self._watch(container))
            try:
                code = await asyncio.shield(process.ended)
            finally:
                watching.cancel()
            again = restart == "Always" or (restart == "OnFailure" and code != 0)
            self._states.ended(container, code, count)
            if not again or self._ending.is_set():
                return code
            if clock() - began > _QUICK_END_S:
                backoff = _FIRST_BACKOFF_S
            self._states.waiting(container, "CrashLoopBackOff", "back-off restarting failed container", count)
            self._store.event(self._pod, "BackOff", f"Back-off restarting failed container {container['name']}")
            await asyncio.sleep(backoff)
            backoff, count = min(2 * backoff, _MOST_BACKOFF_S), count + 1

    async def _start(self, container: Json, count: int) -> Process:
        """Start a container as soon as what it needs is there."""
        name = container["name"]
        while True:
            try:
                made = program(self._store, self._sandbox, container)
            except NotReadyError as error:
                self._states.waiting(container, error.reason, str(error), count)
                self._store.event(self._pod, "FailedMount" if error.reason == "FailedMount" else "Failed", str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                break
        self._programs[name] = made
        process = self.processes[name] = await self._launch(name, made.arguments, log_name(self._pod, name))
        if self._lost:
            process.signal(signal.SIGKILL)
        self._states.running(container, count)
        return process

    async def _launch(self, name: str, arguments: Sequence[str], log: str) -> Process:
        folder, environment = self._sandbox.folder / "home", self._programs[name].environment
        return await self._launcher.launch(arguments, environment, folder, self._sandbox.logs / log)

    async def _watch(self, container: Json) -> None:
        """Ask the probes: ready as startup and readiness probe say, killed when the liveness probe fails."""

        def asker(probe: Json) -> Ask:
            return lambda: passes(
                probe, container, self._sandbox.address, lambda argv: self.execute(container["name"], argv)
            )

        for kind in ("startupProbe", "readinessProbe"):
            if probe := container.get(kind):
                await _until(asker(probe))
        self._states.ready(container, ready=True)
        async with asyncio.TaskGroup() as group:
            if probe := container.get("readinessProbe"):
                group.create_task(self._watch_readiness(container, probe, asker(probe)))
            if probe := container.get("livenessProbe"):
                group.create_task(self._watch_liveness(container, probe, asker(probe)))

    async def _watch_readiness(self, container: Json, probe: Json, ask: Ask) -> None:
        while True:
            await _failing(probe, ask)
            self._states.ready(container, ready=False)
            await _until(ask)
            self._states.ready(container, ready=True)

    async def _watch_liveness(self, container: Json, probe: Json, ask: Ask) -> None:
        await _failing(probe, ask)
        message = f"Container {container['name']} failed liveness probe, will be restarted"
        self._store.event(self._pod, "Unhealthy", message)
        self.processes[container["name"]].signal(signal.SIGKILL)

    async def execute(self, name: str, argv: Sequence[str]) -> tuple[int, str]:
        """Exit code and output of a command with a container's environment; it is killed when the pod ends."""
        words = [self._programs[name].rewrite(each) for each in argv]
        log = f"execute.{objects.suffix(10)}.log"
        process = await self._launch(name, words, log)
        self.processes[log] = process
        path = self._sandbox.logs / log
        try:
            code = await asyncio.shield(process.ended)
            return code, path.read_text(errors="replace")
        finally:
            process.signal(signal.SIGKILL)
            del self.processes[log]
            path.unlink(missing_ok=True)

    async def _end(self) -> None:
        """The preStop hook, then SIGTERM, and when the grace is over, which the hook shares, SIGKILL."""
        now = self._store.current(self._pod)
        if not self._lost and now is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(float(now["metadata"].get("deletionGracePeriodSeconds", 30))):
                    await asyncio.gather(*(self._stop(each) for each in self._pod["spec"]["containers"]))
        self._signal(signal.SIGKILL)
        await asyncio.gather(*(asyncio.shield(each.ended) for each in list(self.processes.values())))

    async def _stop(self, container: Json) -> None:
        name = container["name"]
        process = self.processes.get(name)
        if process is None or process.ended.done():
            return
        hook = ((container.get("lifecycle") or {}).get("preStop") or {}).get("exec")
        if hook:
            code, output = await self.execute(name, hook["command"])
            with (self._sandbox.logs / log_name(self._pod, name)).open("a") as log:
                log.write(output)
            if code:
                self._store.event(self._pod, "FailedPreStopHook", f"PreStopHook failed: exit code {code}: {output}")
        process.signal(signal.SIGTERM)
        await asyncio.shield(process.ended)


async def _until(ask: Ask) -> None:
    while not await ask():  # noqa: ASYNC110 (nobody says when: it is asked)
        await asyncio.sleep(EAGER_S)


async def _failing(probe: Json, ask: Ask) -> None:
    """Returns when a probe has failed as often as it may."""
    failures = 0
    while failures < probe.get("failureThreshold", 3):
        await asyncio.sleep(float(probe.get("periodSeconds", 10)))
        failures = 0 if await ask() else failures + 1
