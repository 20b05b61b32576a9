"""`clusters:`: where jobs run, one section a backend; each knows only its own keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from pipeline.config.section import Section
from pipeline.config.values import LocalFile, Name, SizeBytes, Workers

Text = Annotated[str, Field(min_length=1)]
_SCALING = "[minimum, maximum] of workers, between which their number follows the work"


class ClusterBase(Section):
    """What the clusters of all backends have."""

    workers: Workers | None = Field(
        default=None,
        description="Number of workers, or [minimum, maximum]; nothing: as many as this machine has room for.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="Threads of one worker; nothing: as many as cores and memory allow."
    )
    worker_memory: SizeBytes | None = Field(
        default=None,
        description="Memory of one worker, as 4GiB; nothing: on this machine a fair share of it, elsewhere what "
        "the plan needs.",
    )
    region: Name | None = Field(
        default=None, description="Cloud region where the cluster stands; nothing: the key it has under `clusters:`."
    )
    start_timeout_s: float = Field(
        default=600, gt=0, description="Seconds to wait for the first worker; then the region's jobs fail."
    )
    usd_per_worker_hour: float | None = Field(
        default=None,
        ge=0,
        description="US dollars that one worker costs an hour, for estimate and budget; nothing: by the built-in "
        "table of prices.",
    )


class LocalCluster(ClusterBase):
    """Processes on this machine."""

    backend: Literal["local"] = Field(default="local", description="local: processes on this machine.")


class TlsConfig(Section):
    """PEM files by which a scheduler lets a client in."""

    ca: LocalFile = Field(description="PEM file: certificate of the authority.")
    cert: LocalFile = Field(description="PEM file: certificate of the client.")
    key: LocalFile = Field(description="PEM file: private key of the client.")


class ExistingCluster(ClusterBase):
    """A cluster that runs already, such as one of a computing centre."""

    backend: Literal["existing"] = Field(description="existing: a scheduler that runs already; nothing of it is ended.")
    address: (
        Annotated[
            str,
            Field(
                pattern=r"^(tcp|tls)://[^\s/]+:[0-9]+$",
                json_schema_extra={"patternErrorMessage": "an address such as tcp://host:8786 or tls://host:8786"},
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Address of the scheduler, as tcp://host:8786 or tls://host:8786; exactly one of address and "
        "scheduler_file.",
    )
    scheduler_file: LocalFile | None = Field(
        default=None, description="In place of address: the JSON file that the scheduler wrote of itself."
    )
    tls: TlsConfig | None = Field(
        default=None, description="Certificates and key of this client; required for tls:// addresses."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.address is None) == (self.scheduler_file is None):
            found = "neither address nor scheduler_file" if self.address is None else "both address and scheduler_file"
            raise ValueError(f"found {found}; allowed: exactly one of them")
        if (self.address or "").startswith("tls://") and self.tls is None:
            raise ValueError("found a tls:// address without tls; required: tls: {ca: ..., cert: ..., key: ...}")
        return self


class _Scaled(ClusterBase):
    """A cluster that grows and shrinks with the work, and costs money while it is there."""

    workers: Workers = Field(description=f"{_SCALING}; the minimum is at least 1.")
    shards: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Clusters side by side, each with its own scheduler and as many workers as `workers` says; "
        "for more than a few hundred workers.",
    )
    idle_timeout_s: float = Field(
        default=900,
        ge=30,
        description="Seconds after which the cluster ends by itself when the program that started it is gone.",
    )


class _Pods(_Scaled):
    """A cluster of pods."""

    image: Text = Field(description="Container image of scheduler and workers, with the same versions as this client.")
    context: Text | None = Field(default=None, description="Context of the kubeconfig; nothing: the current one.")
    kubeconfig: LocalFile | None = Field(
        default=None,
        description="File that says how the Kubernetes cluster is reached; nothing: KUBECONFIG, or ~/.kube/config.",
    )
    namespace: Text = Field(default="default", description="Kubernetes namespace that everything is made in.")
    worker_cores: float | None = Field(
        default=None, gt=0, description="Processors (cores) asked for by one worker; nothing: one a thread."
    )
    scheduler_cores: float = Field(default=1, gt=0, description="Processors (cores) asked for by the scheduler.")
    scheduler_memory: SizeBytes = Field(default=4 * 2**30, description="Memory asked for by the scheduler, as 4GiB.")
    service_account: Text | None = Field(
        default=None,
        description="Kubernetes service account of workers, such as one with an IAM role (IRSA); nothing: the "
        "namespace's default.",
    )
    secrets: tuple[Text, ...] = Field(
        default=(),
        description="Names of Kubernetes secrets; each of their keys becomes an environment variable of workers.",
    )
    environ: Mapping[str, str] = Field(default={}, description="Further environment variables of workers.")
    node_selector: Mapping[str, str] = Field(
        default={}, description="Labels that nodes must have for workers to stand on them."
    )
    tolerations: tuple[Mapping[str, Any], ...] = Field(
        default=(), description="Tolerations of workers, as in a pod's specification."
    )
    spot: bool = Field(
        default=False,
        description="Whether workers may stand on spot nodes, which are cheaper and may be taken away; the "
        "scheduler never does.",
    )
    grace_s: int = Field(
        default=110,
        ge=5,
        description="Seconds that a leaving worker has to hand over its results; write 25 on Google Cloud and Azure.",
    )
    pull_secrets: tuple[Text, ...] = Field(
        default=(), description="Names of Kubernetes secrets by which the image is pulled."
    )
    connect: Literal["auto", "direct", "port-forward"] = Field(
        default="auto",
        description="How this client reaches the scheduler: direct (inside the network), port-forward (through "
        "the Kubernetes API), or whichever works (auto).",
    )


class KubernetesCluster(_Pods):
    """Pods, by the operator of dask-kubernetes."""

    backend: Literal["kubernetes"] = Field(description="kubernetes: pods, run by the operator of dask-kubernetes.")


class HelmCluster(_Pods):
    """Pods, by a release of the chart."""

    backend: Literal["helm"] = Field(description="helm: pods, as a release of the chart helm/groundswell.")
    release: Text | None = Field(
        default=None,
        description="Name of a release that is there already and stays; nothing: one is made for the run and "
        "removed with it.",
    )
    chart: LocalFile | None = Field(
        default=None, description="Folder of the chart; nothing: the chart that comes with Groundswell."
    )
    values: Mapping[str, Any] = Field(default={}, description="Further values for the chart, as in its values.yaml.")


class CoiledCluster(_Scaled):
    """Virtual machines, by Coiled."""

    backend: Literal["coiled"] = Field(description="coiled: virtual machines in a cloud account, by Coiled.")
    workspace: Text | None = Field(default=None, description="Workspace of Coiled; nothing: your default one.")
    spot: bool = Field(
        default=True, description="Whether spot machines are asked for first, and on-demand ones where there are none."
    )
    container: Text | None = Field(
        default=None, description="Container image; nothing: Coiled copies the packages of this environment."
    )
    vm_types: tuple[Text, ...] = Field(
        default=(), description="Machine types of workers, such as m6i.xlarge; nothing: by threads and worker_memory."
    )
    tags: Mapping[str, str] = Field(
        default={}, description="Tags of every machine, for bills and clean-up, beside the run's own."
    )
    environ: Mapping[str, str] = Field(default={}, description="Environment variables of workers.")


SECTIONS: Mapping[str, type[ClusterBase]] = {
    "local": LocalCluster,
    "existing": ExistingCluster,
    "kubernetes": KubernetesCluster,
    "helm": HelmCluster,
    "coiled": CoiledCluster,
}


def _of_backend(value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> ClusterBase:
    """The section of the backend that is named, so that faults speak of its keys only."""
    if not isinstance(value, dict):
        section: ClusterBase = handler(value)
        return section
    name = value.get("backend", "local")
    model = SECTIONS.get(name) if isinstance(name, str) else None
    if model is None:
        unknown = {
            "type": "literal_error",
            "loc": ("backend",),
            "input": None,
            "ctx": {"expected": ", ".join(SECTIONS)},
        }
        raise ValidationError.from_exception_data("cluster", [unknown])  # type: ignore[list-item]
    return model.model_validate_json(json.dumps(value), strict=True, context=info.context)


AnyCluster = LocalCluster | ExistingCluster | KubernetesCluster | HelmCluster | CoiledCluster
ClusterConfig = Annotated[AnyCluster, WrapValidator(_of_backend)]
