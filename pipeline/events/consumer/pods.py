"""Batches as Jobs of Kubernetes: each in a pod of its own, which says in its log what became of each target."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.config.events import EventsConfig
from pipeline.config.jobs import PodConfig
from pipeline.errors import PreflightError
from pipeline.events.consumer.batches import Batch, Over, read_line
from pipeline.events.event import Ended

try:
    from cluster.connect import LATER, KubeError
    from cluster.jobs import FILES, Job, JobSpec, Task, end_orphans, job_name, running
except ModuleNotFoundError as missing:
    raise PreflightError(f"jobs.pod: needs {missing.name}: pip install 'groundswell[kubernetes]'") from missing

_LOOK_S = 1.0
"""Between two looks at a Job."""
_READ_S = 10.0
"""Between two looks into the log of one that goes on."""
_LATE_S = 600.0
"""Beyond a Job's own deadline, in which the API server may come back and say what became of it."""
_FILE = "batch.json"
_log = logging.getLogger(__name__)


class Pods:
    """Has batches done as Jobs."""

    def __init__(self, config: EventsConfig, pod: PodConfig) -> None:
        self._config, self._pod = config, pod

    def run(self, batch: Batch, tell: Callable[[Ended], None], stop: threading.Event, timeout_s: float) -> Over:
        spec = self._spec(batch)
        batch = replace(batch, token=f"{uuid.uuid4().hex} ")  # a log may hold text of objects, which anybody wrote
        task = Task(
            name=job_name(spec, uuid.uuid4().hex[:10]),
            command=("python", "-m", "pipeline.events.consumer.batch", f"{FILES}/{_FILE}"),
            timeout_s=timeout_s,
            files={_FILE: batch.text()},
            labels={"groundswell.io/rule": batch.rule},
        )
        try:
            with suppress(KubeError):  # only tidy: what is said below is said of the Job itself
                for name in end_orphans(spec, 2 * self._config.jobs.lease_s):
                    _log.warning("Job %s: its consumer is gone, so it was ended", name)
            with running(spec, task) as job:
                return self._follow(job, _Log(job, batch.token, tell), stop, time.monotonic() + timeout_s + _LATE_S)
        except KubeError as error:
            return Over(" ".join(str(error).split()))

    def tidy(self) -> None:
        """Kubernetes removes what has ended."""

    def close(self) -> None:
        """Each batch ends its own Job."""

    def _spec(self, batch: Batch) -> JobSpec:
        pod = self._pod
        return JobSpec(
            name=self._config.name,
            backend="kubernetes",
            region="",
            workers=1,
            threads=1,
            worker_memory_bytes=pod.memory,
            worker_cores=pod.cores,
            image=pod.image,
            context=pod.context,
            kubeconfig=str(pod.kubeconfig) if pod.kubeconfig is not None else None,
            namespace=pod.namespace,
            service_account=pod.service_account,
            secrets=pod.secrets,
            environ=pod.environ,
            config_map=pod.config_map,
            config_path=str(batch.where.path.parent),
            api=pod.kubernetes_api,
        )

    def _follow(self, job: Job, log: _Log, stop: threading.Event, end_s: float) -> Over:
        """Until it has ended; raises KubeError for what will not pass, or has not until `end_s`."""
        read_s = renewed_s = time.monotonic()
        look_s, waited = _LOOK_S, ""
        while not stop.wait(look_s):
            now_s, look_s = time.monotonic(), _LOOK_S
            try:
                if (why := job.ended()) is not None:
                    return log.read() or Over(why or "its pod's log is gone", died=True)
                if now_s - read_s >= _READ_S:
                    log.read(since_s=now_s - read_s + _READ_S)
                    read_s = now_s
                    if (waits := job.waits()) != waited:
                        _log.warning("Job %s: %s", job.name, waits or "its pod has begun")
                        waited = waits
                if now_s - renewed_s >= self._config.jobs.lease_s / 3:
                    job.renew()
                    renewed_s = now_s
            except KubeError as error:
                if now_s > end_s or (error.status is not None and error.status not in LATER):
                    raise
                look_s = _READ_S
                _log.warning("%s", error)
        with suppress(KubeError):
            log.read()
        return Over("it was asked to end")


@dataclass(frozen=True)
class _Log:
    """What a Job's pod writes."""

    job: Job
    token: str
    tell: Callable[[Ended], None]

    def read(self, since_s: float | None = None) -> Over | None:
        """Tell what it says of targets, all or of the last seconds; what it says of the whole batch."""
        over = None
        for line in self.job.log(since_s).splitlines():
            found = read_line(line, self.token)
            if isinstance(found, Ended):
                self.tell(found)
            elif found is not None:
                over = found
        return over
