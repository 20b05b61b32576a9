"""A file of rules for events: who may send them, where they wait, and what each of them starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, model_validator

from pipeline.config.campaign import TopicArn
from pipeline.config.checks import CheckConfig
from pipeline.config.clusters import ClusterConfig
from pipeline.config.jobs import JobsConfig, QueueConfig
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

    region: str | None = Field(
        default=None,
        min_length=1,
        description="Region of the bucket: jobs on its objects run there; nothing: no matter.",
    )


class MatchConfig(Section):
    """Which events a rule is for: objects of a bucket, or scenes of a collection."""

    bucket: str | None = Field(
        default=None,
        min_length=1,
        description="Objects of this bucket, one of those under `buckets:`; exactly one of bucket and collection.",
    )
    prefix: str = Field(default="", description="With bucket: how the objects' keys begin.")
    suffix: Texts = Field(
        default=("",), description="With bucket: how the objects' keys end, one ending or several: [.csv, .parquet]."
    )
    collection: Texts | None = Field(
        default=None,
        description="In place of bucket: new scenes of these STAC collections, told by messages that hold the "
        "item or by the archives' public topics, such as sentinel-2-l2a.",
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

    match: MatchConfig = Field(
        description="Which events the rule is for: objects of a bucket, or scenes of a collection."
    )
    run: LocalFile | None = Field(
        default=None,
        description="Path of a run's config, of which only what the event touches is made: tiles and periods of a "
        "scene, the float of a file; relative to this file. Exactly one of run and check.",
    )
    source: Name | None = Field(
        default=None,
        description="With run: which of its sources the event is of; nothing: the one with its collection, or the "
        "only GDAC.",
    )
    check: CheckConfig | None = Field(
        default=None, description="In place of run: what the object's data must be like; {} only reads it to its end."
    )
    settle: Settle | None = Field(
        default=None,
        description="How long to wait for further events of the same tile and period, float or object: 6h after "
        "the last one, or period_end+5d; nothing: at once.",
    )
    per_day: int | None = Field(
        default=None,
        ge=1,
        description="Most jobs of this rule begun in a day (UTC); the others wait for the next; nothing: no limit.",
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

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address that it listens on; 0.0.0.0 is reached from other machines.",
    )
    port: int = Field(default=8080, ge=0, le=65535, description="Port that it listens on; 0: a free one.")
    to: Literal["inbox", "queue"] = Field(
        default="inbox", description="Where events are stored before SNS is told that they were taken: inbox, or queue."
    )
    work: bool | None = Field(
        default=None,
        description="Whether the same process also does what events start; nothing: yes where the inbox is a "
        "SQLite file.",
    )
    confirm: bool = Field(
        default=True, description="Whether subscriptions of the allowed topics are confirmed by themselves."
    )
    require_v2: bool = Field(
        default=False, description="Whether messages signed by version 1, which uses SHA-1, are refused."
    )
    window_s: float = Field(
        default=7200,
        ge=60,
        description="Greatest difference between a message's time and now, in seconds; SNS delivers again for "
        "about an hour.",
    )
    max_body_bytes: SizeBytes = Field(
        default=2**20, description="Largest request that is read, as 1MiB; larger ones are refused."
    )
    read_timeout_s: float = Field(default=10, gt=0, description="Seconds within which a request must have arrived.")
    max_connections: int = Field(
        default=1000, ge=1, description="Connections that are open at once; further ones are closed."
    )


class SnsConfig(Section):
    """How what SNS sends is proven."""

    certificate: LocalFile | None = Field(
        default=None,
        description="PEM file of the one certificate that messages must be signed by; nothing: the one at the "
        "address that a message names, if it is Amazon's.",
    )
    trust: LocalFile | None = Field(
        default=None,
        description="PEM file of the authorities that the certificate must lead to; nothing: Amazon's, of this "
        "machine's list.",
    )
    endpoint: HttpUrl | None = Field(
        default=None,
        description="For tests: server in place of AWS from which certificates are read and subscriptions "
        "confirmed; nothing: AWS.",
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

    name: Name = Field(
        description="Name of this listener, consumer, or both; nothing: the name of this file without its ending."
    )
    inbox: Annotated[SecretStr, BeforeValidator(_inbox)] = Field(
        description="Where events wait durably: the path of a SQLite file beside this one, for one machine, or a "
        "connection string of PostgreSQL, such as ${DATABASE_URL}, which several share."
    )
    topics: tuple[TopicArn, ...] = Field(
        default=(), description="ARNs of the SNS topics that are listened to; messages of any other are refused unread."
    )
    buckets: Mapping[Name | Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")], BucketConfig] = Field(
        default={},
        description="Buckets whose objects are taken, by name, and how each is reached ({}: by the default "
        "credentials); others are refused.",
    )
    listen: ListenConfig = Field(
        default=ListenConfig(), description="The HTTP endpoint that SNS posts to (`groundswell listen`)."
    )
    sns: SnsConfig = Field(
        default=SnsConfig(), description="How it is proven that SNS sent a message: certificate and authorities."
    )
    queue: QueueConfig | None = Field(
        default=None, description="An SQS queue that events are taken from (`groundswell consume`); nothing: none."
    )
    rules: Mapping[Name, RuleConfig] = Field(
        min_length=1, description="What events start, one rule each, by a name of your own.", json_schema_extra=_BY_NAME
    )
    jobs: JobsConfig = Field(
        default=JobsConfig(), description="How what events start is run: side by side, attempts, limits of time, pods."
    )
    cluster: ClusterConfig | None = Field(
        default=None,
        description="Dask cluster for checks; nothing: the batch's own process. Runs have clusters of their own.",
    )
    output: Annotated[FolderOrBucket, AfterValidator(beside_config)] | None = Field(
        default=None,
        description="Where results of checks are written: a folder (a relative one counts from this file's) or "
        "s3://bucket/prefix; required with checks.",
    )
    storage: OutputStorageConfig = Field(
        default=OutputStorageConfig(),
        description="How to reach that output where it lies on S3: endpoint, profile, region.",
    )
    database: SecretStr | None = Field(
        default=None,
        description="PostgreSQL that gets a row for each result of a check, such as ${DATABASE_URL}; nothing: none.",
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
