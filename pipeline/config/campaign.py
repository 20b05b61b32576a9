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

    policy: Literal["skip", "fail"] = Field(
        default="skip", description="skip: go on without what could not be read, and record it; fail: fail the job."
    )
    max_fraction: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="With skip: greatest share (0 to 1) of a job's inputs that may be lost before it fails.",
    )


class NoticeConfig(Section):
    """Somebody who is told of what is done, so that systems chain."""

    webhook: HttpUrl | None = Field(
        default=None,
        repr=False,
        json_schema_extra={"format": "password"},  # no message shows it
        description="Address that a JSON document is posted to; records show its host alone. Exactly one of "
        "webhook and sns.",
    )
    secret: SecretStr | None = Field(
        default=None,
        description="With webhook: key that signs what is posted (HMAC-SHA256); keep it in the environment: "
        "${WEBHOOK_SECRET}; nothing: not signed.",
    )
    sns: TopicArn | None = Field(
        default=None, description="In place of webhook: ARN of the SNS topic that it is published to."
    )
    endpoint: HttpUrl | None = Field(default=None, description="Of sns: address of the server; nothing: AWS.")
    on: tuple[Literal["commit", "run"], ...] = Field(
        default=("run",),
        min_length=1,
        description="What is told of: commit (every item that is committed), run (begin and end of the run).",
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
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address that it listens on; 0.0.0.0 is reached from other machines.",
    )


class RunSettings(Section):
    """How jobs are run."""

    retries: int = Field(
        default=3,
        ge=0,
        description="Further attempts at what failed for a reason that may pass, such as a server that does not "
        "answer.",
    )
    missing_assets: MissingAssetsConfig = Field(
        default=MissingAssetsConfig(), description="What a job does when some of its inputs cannot be read."
    )
    super_tile: Literal["auto", 1, 2, 4] = Field(
        default="auto",
        description="Neighbouring tiles made by one task, which reads what they share once: up to 4 x 4 as memory "
        "and cores allow (auto), up to n x n as memory allows (4, 2), or each tile by itself (1).",
    )
    quality: QualityConfig = Field(
        default=QualityConfig(),
        description="What a finished tile must be like: limits beyond which it is marked, or not committed.",
    )
    cross_region: Literal["warn", "refuse", "allow"] = Field(
        default="warn",
        description="Reads between cloud regions, which cost money: told with bytes and price (warn), refused "
        "(refuse), or not mentioned (allow).",
    )
    budget_usd: float | None = Field(
        default=None,
        gt=0,
        description="US dollars: a run that is likely to cost more does not start, and one that comes to it "
        "stops; nothing: no limit.",
    )
    job_timeout_s: float = Field(
        default=3600,
        gt=0,
        description="Seconds that one attempt at one job may take; then its worker is ended and the job tried again.",
    )
    worker_timeout_s: float = Field(
        default=1800, gt=0, description="Seconds that a region's jobs wait when it has no worker left; then they fail."
    )
    cluster_restarts: int = Field(
        default=2,
        ge=0,
        description="How often a region whose scheduler was lost gets a new cluster before its jobs fail.",
    )
    claims: bool = Field(
        default=True,
        description="Whether several runs on one output share the work: a job is made by the run that claims it first.",
    )
    report_dir: str | None = Field(
        default=None,
        min_length=1,
        description="Folder that gets a copy of the run's report; nothing: only runs/<id>/report in the output.",
    )
    plot: bool = Field(default=False, description="Whether the report's plots are drawn as PNG files too.")
    progress: Literal["auto", "bars", "lines", "json", "quiet"] = Field(
        default="auto",
        description="How progress is shown: auto (bars in a terminal, else lines), bars, lines, json (a record a "
        "line), quiet (failures only).",
    )
    metrics: MetricsConfig | None = Field(
        default=None, description="Serve the run's numbers to Prometheus: {port: 9100}; nothing: not served."
    )
    notify: tuple[NoticeConfig, ...] = Field(
        default=(), description="Webhooks and SNS topics that are told of commits, or of the run's begin and end."
    )
