"""A file of rules for events: who may send them, where they wait, and what each of them starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, model_validator

from pipeline.config.campaign import TopicArn
from pipeline.config.checks import CheckConfig
from pipeline.config.clusters import ClusterConfig
from pipeline.config.section import Section
from pipeline.config.settle import Settle
from pipeline.config.source import OutputStorageConfig, StorageConfig
from pipeline.config.values import (
    NAME_PATTERN,
    NAME_WORDS,
    FolderOrBucket,
    HttpUrl,
    LocalFile,
    Name,
    SizeBytes,
    Texts,
    beside_config,
)

_BY_NAME: dict[str, Any] = {
    "additionalProperties": False,
    "propertyNames": {"type": "string", "pattern": NAME_PATTERN, "patternErrorMessage": NAME_WORDS},
}


class BucketConfig(StorageConfig):
    """How to reach a bucket whose objects are told of."""

    region: str | None = Field(default=None, min_length=1, description="Its region, for rights and for the plan.")


class MatchConfig(Section):
    """Which events a rule is for: objects of a bucket, or scenes of a collection."""

    bucket: str | None = Field(default=None, min_length=1, description="Objects of this bucket.")
    prefix: str = Field(default="", description="Of objects: how their keys begin.")
    suffix: Texts = Field(default=("",), description="Of objects: how their keys end; one or several.")
    collection: Texts | None = Field(
        default=None,
        description="Scenes of these STAC collections; the public topics count as the names they have "
        "in `pipeline.events.scenes`.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.bucket is None) == (self.collection is None):
            found = "neither bucket nor collection" if self.bucket is None else "both bucket and collection"
            raise ValueError(f"found {found}; allowed: exactly one of them")
        if self.collection is not None and (self.prefix or self.suffix != ("",)):
            raise ValueError("found prefix or suffix beside collection; allowed: only beside bucket")
        return self


class RuleConfig(Section):
    """What an event starts: some jobs of a run, or a check of the object's data."""

    match: MatchConfig = Field(description="Which events.")
    run: LocalFile | None = Field(
        default=None,
        description="Config of a run, of which only what the event touches is made: the tiles and "
        "periods of a scene, the float of a file.",
    )
    source: Name | None = Field(
        default=None,
        description="Source of that run that the event is of; nothing: the one with its collection, or the only GDAC.",
    )
    check: CheckConfig | None = Field(default=None, description="Or what the object's data must be like.")
    settle: Settle | None = Field(
        default=None, description="Wait: 6h after the last event of the same, or period_end+5d; nothing: at once."
    )
    per_day: int | None = Field(
        default=None, ge=1, description="Jobs that are begun a day (UTC) at most; the others wait; nothing: all."
    )

    @model_validator(mode="after")
    def _one_job(self) -> Self:
        if (self.run is None) == (self.check is None):
            raise ValueError(
                f"found {'neither run nor check' if self.run is None else 'both run and check'}; allowed: one of them"
            )
        if self.check is not None and self.match.bucket is None:
            raise ValueError("found check with collection; allowed: check only with bucket")
        if self.settle is not None and self.settle.period_end_s is not None and self.match.collection is None:
            raise ValueError("found settle: period_end with bucket; allowed: only with collection")
        return self


class ListenConfig(Section):
    """The HTTPS endpoint that SNS posts to; TLS ends before it."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address that it listens on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port; 0: a free one.")
    to: Literal["inbox", "queue"] = Field(
        default="inbox", description="Where events are stored before they are acknowledged: the inbox, or the queue."
    )
    work: bool | None = Field(
        default=None, description="Do what events start beside it; nothing: where the inbox is a file."
    )
    confirm: bool = Field(default=True, description="Confirm subscriptions of the topics that are allowed.")
    require_v2: bool = Field(default=False, description="Refuse signatures of version 1, which use SHA-1.")
    window_s: float = Field(
        default=7200,
        ge=60,
        description="Greatest difference between a message's time and now, in seconds; SNS delivers again for an hour.",
    )
    max_body_bytes: SizeBytes = Field(default=2**20, description="Greatest body.")
    read_timeout_s: float = Field(default=10, gt=0, description="Seconds within which a request must have come.")
    max_connections: int = Field(default=1000, ge=1, description="At once; further ones are closed.")


class SnsConfig(Section):
    """How what SNS sends is proven."""

    certificate: LocalFile | None = Field(
        default=None,
        description="PEM file of the one certificate that messages are signed by, in place of the "
        "address that they name.",
    )
    trust: LocalFile | None = Field(
        default=None,
        description="PEM file of the authorities that its chain must lead to; nothing: Amazon's, of "
        "this machine's authorities.",
    )
    endpoint: HttpUrl | None = Field(
        default=None,
        description="Server in place of AWS that certificates are read from and subscriptions confirmed at, for tests.",
    )


class QueueConfig(Section):
    """An SQS queue that events come from."""

    url: HttpUrl = Field(description="Its address.")
    region: str | None = Field(default=None, min_length=1, description="Nothing: as the address says.")
    endpoint: HttpUrl | None = Field(default=None, description="Of an SQS server; nothing: AWS.")
    profile: str | None = Field(default=None, description="Profile of the AWS configuration.")
    wait_s: int = Field(default=20, ge=0, le=20, description="Seconds that one request waits for messages.")
    visibility_s: int = Field(
        default=300,
        ge=2,
        le=43_200,
        description="Seconds for which a message is hidden from others; extended while its work goes on.",
    )
    back_off_s: float = Field(
        default=30,
        gt=0,
        description="Before a message that failed comes again; doubled by every receipt, at most an hour.",
    )
    in_hand: int = Field(default=100, ge=1, le=10_000, description="Messages whose work may be going on at once.")
    dead_letters: HttpUrl | None = Field(
        default=None,
        description="Address of the queue of dead letters, for `redrive`; nothing: as the queue itself says.",
    )


class PodConfig(Section):
    """The pod of a job in Kubernetes."""

    image: str = Field(min_length=1, description="Image with this version of Groundswell.")
    namespace: str = Field(default="default", min_length=1, description="Namespace.")
    context: str | None = Field(default=None, description="Context of the kubeconfig; nothing: the current one.")
    kubeconfig: LocalFile | None = Field(default=None, description="Nothing: KUBECONFIG, or ~/.kube/config.")
    service_account: str | None = Field(default=None, description="Service account, such as one with IRSA.")
    config_map: str | None = Field(
        default=None, description="ConfigMap that holds this file and the configs of runs, mounted where they are here."
    )
    secrets: tuple[str, ...] = Field(default=(), description="Secrets whose keys are environment variables.")
    environ: Mapping[str, str] = Field(default={}, description="Further environment variables.")
    cores: float = Field(default=1, gt=0, description="Processors.")
    memory: SizeBytes = Field(default=2 * 2**30, description="Memory.")
    kubernetes_api: bool = Field(
        default=False,
        description="Whether it may speak to the Kubernetes API as its service account: of runs whose clusters are "
        "pods themselves.",
    )


class JobsConfig(Section):
    """How what events start is run."""

    parallel: int = Field(default=2, ge=1, le=64, description="Batches that run side by side.")
    batch: int = Field(default=500, ge=1, description="Tiles, floats or objects of one rule that are done together.")
    attempts: int = Field(default=3, ge=1, description="At one job, before it is set aside as failed.")
    back_off_s: float = Field(
        default=60, gt=0, description="Before a further attempt; doubled each time, at most an hour."
    )
    lease_s: float = Field(
        default=120, ge=1, description="After which the work of a consumer that died is taken by another."
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


def _inbox(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    if value.startswith(("postgresql://", "postgres://")):
        return value
    if "://" in value or not value.strip():
        raise ValueError("allowed: the path of a SQLite file, or postgresql://user@host:port/database")
    return beside_config(value, info)


class EventsConfig(Section):
    """A file of rules for events."""

    name: Name = Field(description="Name of this listener, consumer, or both.")
    inbox: Annotated[SecretStr, BeforeValidator(_inbox)] = Field(
        description="Where events wait durably: the path of a SQLite file beside this one, for one machine, or a "
        "connection string of PostgreSQL, such as ${DATABASE_URL}, which several share."
    )
    topics: tuple[TopicArn, ...] = Field(default=(), description="SNS topics that are listened to; others are refused.")
    buckets: Mapping[Name | Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")], BucketConfig] = Field(
        default={}, description="Buckets whose objects are taken, by name, and how each is reached; others are refused."
    )
    listen: ListenConfig = Field(default=ListenConfig(), description="SNS over HTTPS.")
    sns: SnsConfig = Field(default=SnsConfig(), description="How what SNS sends is proven.")
    queue: QueueConfig | None = Field(default=None, description="SQS.")
    rules: Mapping[Name, RuleConfig] = Field(
        min_length=1, description="What events start, by a name of your own.", json_schema_extra=_BY_NAME
    )
    jobs: JobsConfig = Field(default=JobsConfig(), description="How that is run.")
    cluster: ClusterConfig | None = Field(
        default=None, description="Dask cluster for checks; nothing: the batch's own process. Runs have their own."
    )
    output: Annotated[FolderOrBucket, AfterValidator(beside_config)] | None = Field(
        default=None, description="Where results of checks are written; a relative folder counts from this file's."
    )
    storage: OutputStorageConfig = Field(
        default=OutputStorageConfig(), description="How to reach that where it is on S3."
    )
    database: SecretStr | None = Field(
        default=None, description="PostgreSQL that gets a row for each result of a check, such as ${DATABASE_URL}."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name, rule in self.rules.items():
            if rule.match.bucket is not None and rule.match.bucket not in self.buckets:
                raise ValueError(
                    f"found rule {name} for bucket {rule.match.bucket}; allowed: a bucket of `buckets`, of "
                    f"{', '.join(self.buckets) or 'none'}"
                )
            if rule.check is not None and self.output is None:
                raise ValueError(f"found rule {name} with check, and no output; required: output, where results go")
        if self.listen.to == "queue" and self.queue is None:
            raise ValueError("found listen.to: queue without queue; required: queue: {url: ...}")
        return self
