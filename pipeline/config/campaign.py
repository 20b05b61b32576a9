"""`run:`: how jobs are run, watched and told of."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_serializer, model_validator

from pipeline.config.document import mask_credentials
from pipeline.config.quality import QualityConfig
from pipeline.config.section import Section
from pipeline.config.values import HttpUrl

TopicArn = Annotated[
    str,
    Field(
        pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}$",
        json_schema_extra={"patternErrorMessage": "the ARN of an SNS topic"},
    ),
]


class MissingAssetsConfig(Section):
    """What a job does when inputs cannot be read."""

    policy: Literal["skip", "fail"] = Field(default="skip", description="Go on without them, or fail the job.")
    max_fraction: float = Field(
        default=0.2, ge=0, le=1, description="With skip: greatest share of a job's inputs to lose."
    )


class NoticeConfig(Section):
    """Somebody who is told of what is done, so that systems chain."""

    webhook: HttpUrl | None = Field(
        default=None, repr=False, description="Address that a JSON document is posted to; records show its host alone."
    )
    secret: SecretStr | None = Field(
        default=None, description="Key of the HMAC-SHA256 that signs what is posted, such as ${WEBHOOK_SECRET}."
    )
    sns: TopicArn | None = Field(default=None, description="Or the SNS topic that it is published to.")
    endpoint: HttpUrl | None = Field(default=None, description="Of an SNS server; nothing: AWS.")
    on: tuple[Literal["commit", "run"], ...] = Field(
        default=("run",), min_length=1, description="commit: of every item; run: of a run's begin and end."
    )

    @field_serializer("webhook", when_used="json")
    def _host(self, webhook: str | None) -> str | None:
        """As records show it: what follows the host is often the only secret that there is."""
        return webhook and f"{'/'.join(mask_credentials(webhook).split('/')[:3])}/***"

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.webhook is None) == (self.sns is None):
            found = "neither webhook nor sns" if self.sns is None else "both webhook and sns"
            raise ValueError(f"found {found}; allowed: exactly one of them")
        if self.secret is not None and self.webhook is None:
            raise ValueError("found a secret without webhook; allowed: none, SNS signs what it sends")
        return self


class MetricsConfig(Section):
    """Numbers of a run for Prometheus."""

    port: int = Field(ge=1, le=65535, description="Port of /metrics while the run is at work.")
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that it listens on.")


class RunSettings(Section):
    """How jobs are run."""

    retries: int = Field(default=3, ge=0, description="Further attempts at what failed for a passing reason.")
    missing_assets: MissingAssetsConfig = Field(
        default=MissingAssetsConfig(), description="When inputs cannot be read."
    )
    super_tile: Literal["auto", 1, 2, 4] = Field(
        default="auto",
        description="Neighbouring tiles made by one task, which reads what they share once: up to 4 x 4 as memory and "
        "cores allow (auto), as memory allows (4, 2), or each by itself (1).",
    )
    quality: QualityConfig = Field(default=QualityConfig(), description="What a finished tile must be like.")
    cross_region: Literal["warn", "refuse", "allow"] = Field(
        default="warn",
        description="Reads by a cluster that does not stand where the data lies, or of products made in another region "
        "than theirs: told with bytes and price, refused, or not mentioned.",
    )
    budget_usd: float | None = Field(
        default=None, gt=0, description="US dollars: a run that is likely to cost more does not start, and stops at it."
    )
    job_timeout_s: float = Field(
        default=3600, gt=0, description="Seconds that one attempt at one job may take; then its worker is ended."
    )
    worker_timeout_s: float = Field(
        default=1800, gt=0, description="Seconds that a region's jobs may wait without any worker."
    )
    cluster_restarts: int = Field(
        default=2, ge=0, description="New clusters for a region whose scheduler was lost, before its jobs fail."
    )
    claims: bool = Field(
        default=True, description="Runs on one output share the work: a job is made by the one that claims it first."
    )
    report_dir: str | None = Field(
        default=None, min_length=1, description="Folder that gets a copy of the run's report; nothing: runs/<id>/ only."
    )
    plot: bool = Field(default=False, description="Draw the report's plots as PNG too.")
    progress: Literal["auto", "bars", "lines", "json", "quiet"] = Field(
        default="auto", description="bars in a terminal, else lines; json: a record a line; quiet: failures only."
    )
    metrics: MetricsConfig | None = Field(default=None, description="Serve the run's numbers to Prometheus.")
    notify: tuple[NoticeConfig, ...] = Field(default=(), description="Who is told of commits and of the run's end.")
