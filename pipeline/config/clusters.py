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
        default=None, description="Number, or [minimum, maximum]; nothing: by this machine."
    )
    threads: int | None = Field(
        default=None, ge=1, description="Threads of a worker; nothing: as many as cores and memory allow."
    )
    worker_memory: SizeBytes | None = Field(
        default=None,
        description="Memory of a worker, such as 4GiB; nothing: of a local one a fair share of this machine, else what "
        "the plan needs.",
    )
    region: Name | None = Field(
        default=None, description="Cloud region where it stands, where that is not the key it has under `clusters:`."
    )
    start_timeout_s: float = Field(default=600, gt=0, description="How long the first worker may take, in seconds.")
    usd_per_worker_hour: float | None = Field(
        default=None, ge=0, description="What one worker costs, in US dollars; nothing: by the table of prices."
    )


class LocalCluster(ClusterBase):
    """Processes on this machine."""

    backend: Literal["local"] = Field(default="local", description="local: processes on this machine.")


class TlsConfig(Section):
    """PEM files by which a scheduler lets a client in."""

    ca: LocalFile = Field(description="Certificate of the authority.")
    cert: LocalFile = Field(description="Certificate of the client.")
    key: LocalFile = Field(description="Key of the client.")


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
    ) = Field(default=None, description="Address of the scheduler.")
    scheduler_file: LocalFile | None = Field(
        default=None, description="Or the file that the scheduler wrote of itself."
    )
    tls: TlsConfig | None = Field(default=None, description="Needed for tls:// addresses.")

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
        default=1, ge=1, le=64, description="So many clusters, each with its own scheduler and as many workers."
    )
    idle_timeout_s: float = Field(
        default=900, ge=30, description="It ends by itself when its driver is gone for so long, in seconds."
    )


class _Pods(_Scaled):
    """A cluster of pods."""

    image: Text = Field(description="Image of scheduler and workers, with the versions of this client.")
    context: Text | None = Field(default=None, description="Context of the kubeconfig; nothing: the current one.")
    kubeconfig: LocalFile | None = Field(default=None, description="Nothing: KUBECONFIG, or ~/.kube/config.")
    namespace: Text = Field(default="default", description="Namespace that everything is made in.")
    worker_cores: float | None = Field(default=None, gt=0, description="Processors of a worker; nothing: one a thread.")
    scheduler_cores: float = Field(default=1, gt=0, description="Processors of the scheduler.")
    scheduler_memory: SizeBytes = Field(default=4 * 2**30, description="Memory of the scheduler.")
    service_account: Text | None = Field(default=None, description="Service account of workers, such as one with IRSA.")
    secrets: tuple[Text, ...] = Field(default=(), description="Secrets whose keys are workers' environment variables.")
    environ: Mapping[str, str] = Field(default={}, description="Further environment variables of workers.")
    node_selector: Mapping[str, str] = Field(default={}, description="Labels of nodes for workers.")
    tolerations: tuple[Mapping[str, Any], ...] = Field(default=(), description="Tolerations of workers.")
    spot: bool = Field(default=False, description="Workers may stand on spot nodes; the scheduler never does.")
    grace_s: int = Field(
        default=110, ge=5, description="Seconds that a leaving worker has to hand over; 25 on Google Cloud and Azure."
    )
    pull_secrets: tuple[Text, ...] = Field(default=(), description="Secrets by which the image is pulled.")
    connect: Literal["auto", "direct", "port-forward"] = Field(
        default="auto", description="How this client reaches the scheduler."
    )


class KubernetesCluster(_Pods):
    """Pods, by the operator of dask-kubernetes."""

    backend: Literal["kubernetes"] = Field(description="kubernetes: pods, run by the operator of dask-kubernetes.")


class HelmCluster(_Pods):
    """Pods, by a release of the chart."""

    backend: Literal["helm"] = Field(description="helm: pods, as a release of the chart helm/groundswell.")
    release: Text | None = Field(
        default=None, description="A release that is there and stays; nothing: one for the run."
    )
    chart: LocalFile | None = Field(default=None, description="Folder of the chart; nothing: the one shipped.")
    values: Mapping[str, Any] = Field(default={}, description="Further values of the chart.")


class CoiledCluster(_Scaled):
    """Virtual machines, by Coiled."""

    backend: Literal["coiled"] = Field(description="coiled: virtual machines in a cloud account, by Coiled.")
    workspace: Text | None = Field(default=None, description="Workspace of Coiled.")
    spot: bool = Field(default=True, description="Spot machines first, on-demand ones where there are none.")
    container: Text | None = Field(default=None, description="An image; nothing: this environment's packages.")
    vm_types: tuple[Text, ...] = Field(default=(), description="Machine types of workers.")
    tags: Mapping[str, str] = Field(default={}, description="Tags of everything that is made, beside the run's own.")
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
