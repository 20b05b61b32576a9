"""Databases that show what is committed: PostgreSQL holds it, Redis keeps the latest of it at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr

from pipeline.config.section import Section
from pipeline.config.values import NAME_PATTERN, NAME_WORDS, Name

_IDENTIFIER: dict[str, Any] = {"patternErrorMessage": "up to 40 small letters, digits and _, the first a letter"}


def _on_earth(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = box
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
        raise ValueError("allowed: [west, south, east, north] in degrees; west > east crosses the 180th meridian")
    return box


Box = Annotated[tuple[float, float, float, float], AfterValidator(_on_earth)]
"""West, south, east, north in degrees; with west > east it crosses the 180th meridian."""


class PostgresConfig(Section):
    """Where the profiles are looked up."""

    dsn: SecretStr = Field(description="Connection string of PostgreSQL; keep it in the environment: ${DATABASE_URL}.")
    schema_name: str = Field(
        default="argo",
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        json_schema_extra=_IDENTIFIER,
        description="Schema (namespace inside the database) of its tables; take another one for each output and "
        "product.",
    )


class RedisConfig(Section):
    """Where the latest profiles are kept at hand."""

    url: SecretStr = Field(
        description="Address of Redis: redis://, rediss:// or unix://; keep it in the environment: ${REDIS_URL}."
    )
    latest: int = Field(
        default=10, ge=1, le=1000, description="Number of latest profiles kept of each float and region."
    )
    ttl_s: int = Field(
        default=86_400,
        ge=1,
        description="Seconds that a profile is kept in Redis before it is read from PostgreSQL again.",
    )
    prefix: Name = Field(default="groundswell", description="Word that every key in Redis begins with.")


class StoresConfig(Section):
    """Databases that show the profiles of one product."""

    product: Name | None = Field(
        default=None, description="Name of the argo product whose profiles are held; nothing: the only one."
    )
    postgres: PostgresConfig = Field(description="PostgreSQL, which holds every profile.")
    redis: RedisConfig | None = Field(
        default=None, description="Redis in front of PostgreSQL, which answers for the latest profiles; nothing: none."
    )
    regions: Mapping[Name, Box] = Field(
        default={},
        description="Boxes [west, south, east, north] in degrees, by a name of your own, whose latest profiles "
        "Redis keeps too.",
        json_schema_extra={
            "additionalProperties": False,
            "propertyNames": {"type": "string", "pattern": NAME_PATTERN, "patternErrorMessage": NAME_WORDS},
        },
    )
