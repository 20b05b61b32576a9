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

    dsn: SecretStr = Field(description="Connection string, such as ${DATABASE_URL}.")
    schema_name: str = Field(
        default="argo",
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        json_schema_extra=_IDENTIFIER,
        description="Schema of its tables; one for each output and product.",
    )


class RedisConfig(Section):
    """Where the latest profiles are kept at hand."""

    url: SecretStr = Field(description="Address, such as ${REDIS_URL}; redis://, rediss:// or unix://.")
    latest: int = Field(default=10, ge=1, le=1000, description="Profiles kept of each float and region.")
    ttl_s: int = Field(default=86_400, ge=1, description="Seconds after which one is read from PostgreSQL again.")
    prefix: Name = Field(default="groundswell", description="What every key begins with.")


class StoresConfig(Section):
    """Databases that show the profiles of one product."""

    product: Name | None = Field(
        default=None, description="Name of the product; may be left out where there is one of kind argo."
    )
    postgres: PostgresConfig = Field(description="PostgreSQL.")
    redis: RedisConfig | None = Field(default=None, description="Redis in front of it.")
    regions: Mapping[Name, Box] = Field(
        default={},
        description="Boxes of which the latest profiles are kept too, by a name of your own.",
        json_schema_extra={
            "additionalProperties": False,
            "propertyNames": {"type": "string", "pattern": NAME_PATTERN, "patternErrorMessage": NAME_WORDS},
        },
    )
