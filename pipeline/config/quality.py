"""What a finished tile must be like: figures beyond which a job warns, or is not committed. No pixel depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Section

Level = Literal["pass", "warn", "fail"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Bounds = tuple[float, float]


class _Limits(Section):
    """Where a figure is marked, and where its tile fails."""

    below: ClassVar[bool] = True
    """Whether smaller numbers are worse."""
    warn: float | None = None
    fail: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.warn is not None and self.fail is not None:
            first, second = (self.fail, self.warn) if self.below else (self.warn, self.fail)
            if first > second:
                raise ValueError(f"allowed: fail of at {'most' if self.below else 'least'} warn")
        return self


class Least(_Limits):
    """A number that should not be smaller."""

    warn: Positive | None = Field(default=None, description="Below this number a tile is marked; nothing: never.")
    fail: Positive | None = Field(default=None, description="Below this number a tile fails; nothing: never.")


class LeastFraction(_Limits):
    """A share that should not be smaller."""

    warn: Fraction | None = Field(
        default=None, description="Below this share (0 to 1) a tile is marked; nothing: never."
    )
    fail: Fraction | None = Field(default=None, description="Below this share (0 to 1) a tile fails; nothing: never.")


class Most(_Limits):
    """A number that should not be larger."""

    below = False
    warn: Positive | None = Field(default=None, description="Above this number a tile is marked; nothing: never.")
    fail: Positive | None = Field(default=None, description="Above this number a tile fails; nothing: never.")


class MostFraction(_Limits):
    """A share that should not be larger."""

    below = False
    warn: Fraction | None = Field(
        default=None, description="Above this share (0 to 1) a tile is marked; nothing: never."
    )
    fail: Fraction | None = Field(default=None, description="Above this share (0 to 1) a tile fails; nothing: never.")


Limit = Least | LeastFraction | Most | MostFraction


class Within(Section):
    """Between which physical values all of a band's numbers should lie."""

    warn: Bounds | None = Field(
        default=None, description="[lowest, highest]; beyond, a tile is marked; nothing: never."
    )
    fail: Bounds | None = Field(default=None, description="[lowest, highest]; beyond, a tile fails; nothing: never.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        pairs = [pair for pair in (self.warn, self.fail) if pair is not None]
        if any(low > high for low, high in pairs):
            raise ValueError("allowed: [lowest, highest] with the smaller one first")
        if len(pairs) == 2 and not (pairs[1][0] <= pairs[0][0] and pairs[0][1] <= pairs[1][1]):
            raise ValueError("allowed: a range of fail that holds that of warn")
        return self


class QualityConfig(Section):
    """Limits of what is measured of every tile and period; a limit that is changed makes nothing again."""

    min_valid_fraction: LeastFraction = Field(
        default=LeastFraction(),
        description="Limits {warn: 0.5, fail: 0.1} of the share of the tile's pixels that have a value.",
    )
    min_observations: Least = Field(
        default=Least(warn=0.5), description="Limits of the mean number of observations of a pixel."
    )
    max_cloud_fraction: MostFraction = Field(
        default=MostFraction(), description="Limits of the share of the observed pixels that were masked as cloud."
    )
    max_missing_fraction: MostFraction = Field(
        default=MostFraction(warn=0), description="Limits of the share of the inputs that could not be read."
    )
    max_edge_difference: Most = Field(
        default=Most(warn=3),
        description="Limits of the step across the edge to a committed neighbour, in units of the usual step from "
        "row to row: about 1 where there is no seam.",
    )
    offset_in_doubt: Level = Field(
        default="warn",
        description="What a tile counts of which a scene's radiometric offset is in doubt: pass, warn or fail.",
    )
    empty: Level = Field(default="warn", description="What a tile counts that has no value at all: pass, warn or fail.")
    band_ranges: Mapping[str, Within] = Field(
        default={},
        description="By band, limits of its physical values (stored * scale + offset): {red: {warn: [0, 0.6]}}.",
    )
    edges: bool = Field(default=True, description="Whether edges are compared with those of committed neighbours.")
    on_fail: Literal["refuse", "commit"] = Field(
        default="refuse",
        description="refuse: a tile that fails is not committed and its job counts as failed; commit: it is "
        "committed, marked as failed.",
    )

    def over(self, other: QualityConfig) -> QualityConfig:
        """These limits where they are given, else the other's."""
        return other.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})
