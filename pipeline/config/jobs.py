"""`queue:` and `jobs:` of a file of rules for events: how events are taken, and how what they start is run."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from pipeline.config.section import Section
from pipeline.config.values import HttpUrl, LocalFile, SizeBytes


class QueueConfig(Section):
    """An SQS queue that events come from."""

    url: HttpUrl = Field(description="Address of the queue.")
    region: str | None = Field(
        default=None, min_length=1, description="Cloud region of the queue; nothing: as its address says."
    )
    endpoint: HttpUrl | None = Field(default=None, description="Address of an SQS server; nothing: AWS.")
    profile: str | None = Field(
        default=None,
        description="Profile of the AWS configuration files to take credentials from; nothing: the default ones.",
    )
    wait_s: int = Field(
        default=20, ge=0, le=20, description="Seconds that one request waits for messages (long polling)."
    )
    visibility_s: int = Field(
        default=300,
        ge=2,
        le=43_200,
        description="Seconds for which a message that was taken is hidden from others; extended while its work "
        "goes on.",
    )
    back_off_s: float = Field(
        default=30,
        gt=0,
        description="Seconds before a message that failed comes again; doubled by every attempt, at most an hour.",
    )
    in_hand: int = Field(default=100, ge=1, le=10_000, description="Most messages whose work is going on at once.")
    dead_letters: HttpUrl | None = Field(
        default=None,
        description="Address of the queue of dead letters, for `groundswell redrive`; nothing: as the queue's own "
        "settings say.",
    )


class PodConfig(Section):
    """The pod of a job in Kubernetes."""

    image: str = Field(min_length=1, description="Container image with this version of Groundswell.")
    namespace: str = Field(default="default", min_length=1, description="Kubernetes namespace of the jobs.")
    context: str | None = Field(default=None, description="Context of the kubeconfig; nothing: the current one.")
    kubeconfig: LocalFile | None = Field(
        default=None,
        description="File that says how the Kubernetes cluster is reached; nothing: KUBECONFIG, or ~/.kube/config.",
    )
    service_account: str | None = Field(
        default=None,
        description="Kubernetes service account of the pod, such as one with an IAM role (IRSA); nothing: the "
        "namespace's default.",
    )
    config_map: str | None = Field(
        default=None,
        description="ConfigMap that holds this file and the configs of its runs, mounted at the paths they have "
        "here; nothing: the image has them.",
    )
    secrets: tuple[str, ...] = Field(
        default=(), description="Names of Kubernetes secrets; each of their keys becomes an environment variable."
    )
    environ: Mapping[str, str] = Field(default={}, description="Further environment variables of the pod.")
    cores: float = Field(default=1, gt=0, description="Processors (cores) asked for.")
    memory: SizeBytes = Field(default=2 * 2**30, description="Memory asked for, as 2GiB.")
    kubernetes_api: bool = Field(
        default=False,
        description="Whether the pod may speak to the Kubernetes API as its service account: needed by runs whose "
        "clusters are pods themselves.",
    )


class JobsConfig(Section):
    """How what events start is run."""

    parallel: int = Field(default=2, ge=1, le=64, description="Batches that run side by side.")
    batch: int = Field(
        default=500, ge=1, description="Most tiles, floats or objects of one rule that are done together."
    )
    attempts: int = Field(default=3, ge=1, description="Attempts at one job before it is set aside as failed.")
    back_off_s: float = Field(
        default=60, gt=0, description="Seconds before a further attempt; doubled each time, at most an hour."
    )
    lease_s: float = Field(
        default=120, ge=1, description="Seconds after which the work of a consumer that died is taken over by another."
    )
    timeout_s: float = Field(default=6 * 3600.0, gt=0, description="Seconds that one batch may take; then it is ended.")
    grace_s: float = Field(
        default=15,
        ge=0,
        description="Seconds that batches have to end when the consumer is asked to stop; then they are ended, which "
        "takes ten more at most, and what is not done is handed back.",
    )
    pod: PodConfig | None = Field(
        default=None, description="Run each batch as a Kubernetes Job; nothing: as a process beside the consumer."
    )
