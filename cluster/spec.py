"""What a cluster is asked to be, whatever opens it: one frozen class a backend, each complete.

A field that a config may set has the name of its key; sizes and times carry their unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TlsFiles:
    """PEM files by which a client is let in: the authority, and the client's own certificate and key."""

    ca: str
    cert: str
    key: str


@dataclass(frozen=True)
class ClusterSpec:
    """One region's cluster; frozen, and complete: a backend adds nothing of its own."""

    name: str
    """Names the cluster's resources, together with `run`: the config's name and the region."""
    backend: str
    region: str
    """The region whose jobs it runs."""
    workers: int
    """Worker processes, at most."""
    threads: int
    """Threads, so tasks at once, in each worker."""
    worker_memory_bytes: int
    minimum: int | None = None
    """Worker processes, at least; nothing: always as many as `workers`."""
    shards: int = 1
    """So many clusters of this shape share the region's jobs, each with its own scheduler."""
    run: str = ""
    """Id of the run that it serves, in the name and a label of everything that is made for it."""
    located: str | None = None
    """The cloud region where it really stands; nothing: unknown, such as a laptop."""
    start_timeout_s: float = 600.0
    """How long the first worker may take."""
    stop_timeout_s: float = 120.0
    """How long its end may take."""
    idle_timeout_s: float = 900.0
    """It ends by itself when it had nothing to do, and no driver that kept it, for so long."""

    @property
    def title(self) -> str:
        """What this is, for messages."""
        return f"region {self.region}: {self.backend} cluster {self.name}"

    @property
    def slots(self) -> int:
        """Tasks that can run at once on one cluster, at most."""
        return self.workers * self.threads

    @property
    def total_slots(self) -> int:
        """Tasks that can run at once in the region, at most."""
        return self.slots * self.shards

    @property
    def least(self) -> int:
        """Workers that it always has."""
        return self.workers if self.minimum is None else self.minimum

    @property
    def adaptive(self) -> bool:
        """Whether its workers come and go with the work."""
        return self.least < self.workers

    @property
    def cores(self) -> float:
        """Processors of one worker."""
        return float(self.threads)


@dataclass(frozen=True)
class LocalSpec(ClusterSpec):
    """Processes on this machine."""


@dataclass(frozen=True)
class ExistingSpec(ClusterSpec):
    """A cluster that somebody else started and keeps: nothing of it is changed or ended."""

    address: str | None = None
    """tcp:// or tls:// address of the scheduler; exactly one of this and `scheduler_file`."""
    scheduler_file: str | None = None
    """JSON file that the scheduler wrote of itself, on a disk that this machine sees."""
    tls: TlsFiles | None = None


@dataclass(frozen=True)
class PodSpec(ClusterSpec):
    """What the pods of a cluster on Kubernetes are, whoever makes them: the operator or the chart."""

    image: str = ""
    """Of scheduler and workers; holds the same versions as the client."""
    context: str | None = None
    """Of the kubeconfig; nothing: its current one, or the pod's own service account."""
    kubeconfig: str | None = None
    namespace: str = "default"
    worker_cores: float | None = None
    """Processors of a worker; nothing: one a thread."""
    scheduler_cores: float = 1.0
    scheduler_memory_bytes: int = 4 * 2**30
    service_account: str | None = None
    """Of workers, such as one that AWS trusts by IRSA; the scheduler has none."""
    secrets: tuple[str, ...] = ()
    """Secrets of the namespace whose keys become environment variables of workers."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables of workers."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Of workers."""
    tolerations: tuple[Mapping[str, Any], ...] = ()
    """Of workers."""
    spot: bool = False
    """Workers may stand on nodes that can be taken away; the scheduler never does."""
    grace_s: int = 110
    """How long a worker may take to hand over what it holds: AWS gives notice of 120 s, others of 30 s."""
    pull_secrets: tuple[str, ...] = ()
    """Secrets of the namespace by which the image is pulled."""
    connect: str = "auto"
    """direct: by the service's name; port-forward: through the Kubernetes API; auto: whichever works."""

    @property
    def cores(self) -> float:
        return float(self.worker_cores or self.threads)


@dataclass(frozen=True)
class KubernetesSpec(PodSpec):
    """A DaskCluster and a DaskAutoscaler, run by the operator of dask-kubernetes; always TLS."""


@dataclass(frozen=True)
class HelmSpec(PodSpec):
    """A release of the chart `helm/groundswell`: the one of that name that is there, else one installed for the run."""

    release: str | None = None
    """A release that is there and stays; nothing: one of the run's own, which goes with it."""
    chart: str | None = None
    """Folder of the chart; nothing: `helm/groundswell` beside this package."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Further values of the chart, over those that the other fields make."""


@dataclass(frozen=True)
class CoiledSpec(ClusterSpec):
    """Virtual machines in a cloud account, by Coiled."""

    workspace: str | None = None
    spot: bool = True
    """Spot machines first, on-demand ones where there are none."""
    container: str | None = None
    """An image; nothing: the packages of this environment are copied."""
    vm_types: tuple[str, ...] = ()
    """Of workers; nothing: whatever has the cores and the memory."""
    tags: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


SPECS: Mapping[str, type[ClusterSpec]] = {
    "local": LocalSpec,
    "existing": ExistingSpec,
    "kubernetes": KubernetesSpec,
    "helm": HelmSpec,
    "coiled": CoiledSpec,
}
"""Name in the config → class of its spec."""
