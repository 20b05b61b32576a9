"""Argo profiles as Parquet: one partition a bucket of ten floats, every level with originals and best values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.config import ProductConfig
from pipeline.config.model import SourceProduct
from pipeline.config.values import ArgoName
from pipeline.errors import PlanRefusedError
from pipeline.plan.argo_rules import quality_rule
from pipeline.plan.argo_schema import levels_schema, names_of, profiles_schema
from pipeline.plan.jobs import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.products._argo_listing import GREYLIST, VERSION
from pipeline.products._base import Context
from pipeline.read.access import Access
from pipeline.types import Item, Job, Json, Made, MemoryPlan
from pipeline.write.tile import WriteOptions

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PRODUCT", "VERSION", "ArgoConfig"]

COMMON_WORDS = {
    "TEMPERATURE": "TEMP",
    "SALINITY": "PSAL",
    "PRESSURE": "PRES",
    "DEPTH": "PRES, of which depth is made",
    "OXYGEN": "DOXY",
    "CHLOROPHYLL": "CHLA",
    "PH": "PH_IN_SITU_TOTAL",
}
"""What people write for parameters that Argo names otherwise: no file would have them."""
Flag = Annotated[int, Field(ge=0, le=9)]


class ArgoConfig(SourceProduct):
    """Profiles of Argo floats, as Parquet tables of levels, profiles and everything that was left out or changed."""

    timeless = True
    afloat = True

    product: Literal["argo"] = Field(description="argo: profiles of Argo floats as Parquet tables.")
    parameters: tuple[ArgoName, ...] = Field(
        default=("PRES", "TEMP", "PSAL"),
        min_length=1,
        description="Parameters by Argo's names, such as TEMP, PSAL, DOXY; PRES is always among them.",
    )
    qc_level: Literal["standard", "expert", "research"] = Field(
        default="standard",
        description="Which best values are kept: those of good flags (standard), all (expert), or delayed mode "
        "with good flags and a known error of the pressure (research). Levels, originals and flags "
        "are kept in any case.",
    )
    flags: tuple[Flag, ...] | None = Field(
        default=None,
        min_length=1,
        description="QC flags (0 to 9) that count as good; nothing: those of qc_level (standard: 1, 2, 5, 8).",
    )
    compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = Field(
        default="zstd", description="Compression of the Parquet tables."
    )
    also: tuple[Literal["arrow", "json"], ...] = Field(
        default=(),
        description="Further formats of the same profiles: arrow (levels as an Arrow file), json (one document a "
        "profile, a line each).",
    )

    @field_validator("parameters")
    @classmethod
    def _once_each(cls, parameters: tuple[str, ...]) -> tuple[str, ...]:
        for name in parameters:
            if meant := COMMON_WORDS.get(name):
                raise ValueError(f"allowed: Argo's names, in place of {name}: {meant}")
            if beside := re.fullmatch(r"(.+?)(_ADJUSTED|_QC|_ERROR)+", name):
                raise ValueError(f"allowed: {beside[1]}, with which {name} comes")
        names = names_of(parameters)
        for schema in (levels_schema(names), profiles_schema(names)):
            twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
            if twice:
                raise ValueError(
                    f"found parameters that make a column twice ({', '.join(twice)}); allowed: Argo's names"
                )
        return names

    @model_validator(mode="after")
    def _flags_fit(self) -> Self:
        if self.flags is not None and self.qc_level == "expert":
            raise ValueError("found flags beside qc_level: expert, which takes all; allowed: standard or research")
        return self


class Argo:
    """The product."""

    model = ArgoConfig

    def plan(
        self,
        entry: ProductConfig,
        region: str,
        write: WriteOptions,  # noqa: ARG002 (of rasters)
        upstream: Mapping[str, ProductPlan],  # noqa: ARG002 (there is none)
    ) -> ProductPlan:
        config = _own(entry)
        parameters: Json = {
            "parameters": list(config.parameters),
            "qc_level": config.qc_level,
            "flags": list(quality_rule(config.qc_level, config.flags).flags or ()),
            "compression": config.compression,
            "also": sorted(config.also),
        }
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters=parameters,
            source=config.source,
            region=region,
            bands=(),
            holding=Holding(0, day=0, scene_bits=False, mask=0),
            facts=(GREYLIST,),
            alone=True,
            afloat=True,
            layers=frozenset(),
        )

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:  # noqa: ARG002 (files, not bands)
        return {}

    def notes(self, entry: ProductConfig, items: Sequence[Item]) -> Sequence[str]:  # noqa: ARG002 (the seam's)
        return ()

    def make(
        self,
        jobs: Sequence[Job],
        entry: ProductConfig,
        context: Context,
        folders: Sequence[Path],
        memory: MemoryPlan,  # noqa: ARG002 (of the whole group; buckets are made one by one)
    ) -> Sequence[Made]:
        from pipeline.products._argo_make import make_partition  # noqa: PLC0415 (readers of all kinds of mirrors)

        config = _own(entry)
        return [make_partition(job, config, context, folder) for job, folder in zip(jobs, folders, strict=True)]

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:  # noqa: ARG002 (the seam's)
        """Raises PlanRefusedError: profiles are not pixels."""
        raise PlanRefusedError(f"{job.id}: profiles are opened with `open_profiles`, once they are committed")

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        """As `open`."""
        return self.open(job, entry, access)


PRODUCT = Argo()


def _own(entry: ProductConfig) -> ArgoConfig:
    if not isinstance(entry, ArgoConfig):
        raise TypeError(f"expected an argo entry, found {type(entry).__name__}")
    return entry
