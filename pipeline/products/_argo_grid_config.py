"""What may stand in an `argo_grid` entry, and the regions and quantities it asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import Field, field_validator, model_validator

from pipeline.config import ProductConfig, Section
from pipeline.config.values import Name
from pipeline.ops.standard_levels import STANDARD_DBAR, Gap
from pipeline.types import Tile

DERIVED = ("ct", "sa", "sigma0")
"""Quantities that are computed of every level before anything is interpolated."""
Point = tuple[Annotated[float, Field(ge=-180, le=360)], Annotated[float, Field(ge=-90, le=90)]]
Pressure = Annotated[float, Field(ge=0, le=12000)]


class RegionConfig(Section):
    """Where: a box, or a polygon such as an ocean basin's."""

    bbox: tuple[float, float, float, float] | None = Field(
        default=None,
        description="[west, south, east, north] in degrees; west greater than east crosses the 180th meridian. "
        "Exactly one of bbox and polygon.",
    )
    polygon: Annotated[tuple[Point, ...], Field(min_length=3)] | None = Field(
        default=None,
        description="In place of bbox: corners as [longitude, latitude] in degrees; longitudes go on beyond 180 "
        "where it crosses the 180th meridian.",
    )

    @model_validator(mode="after")
    def _is_a_place(self) -> Self:
        if (self.bbox is None) == (self.polygon is None):
            raise ValueError("allowed: exactly one of bbox and polygon")
        if self.bbox is not None:
            west, south, east, north = self.bbox
            if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
                raise ValueError(
                    "allowed: bbox [west, south, east, north] in degrees, longitudes from -180 to 180, latitudes from "
                    "-90 to 90, south below north"
                )
        elif not self.outline.is_valid or self.outline.bounds[2] - self.outline.bounds[0] > 360:
            raise ValueError("allowed: a polygon whose sides do not cross, at most 360 degrees wide")
        return self

    @property
    def outline(self) -> shapely.Polygon:
        """In degrees, without a break at 180."""
        if self.polygon is not None:
            return shapely.Polygon(self.polygon)
        west, south, east, north = self.bbox or (0.0, 0.0, 0.0, 0.0)
        return shapely.box(west, south, east if east > west else round(east + 360, 9), north)


class MixedLayerConfig(Section):
    """Where the mixed layer ends."""

    density_kg_m3: Annotated[float, Field(gt=0)] = Field(
        default=0.03, description="The mixed layer ends where water is denser than at the reference by this, in kg/m3."
    )
    reference_dbar: Pressure = Field(default=10.0, description="Pressure of the reference, in dbar.")


class ArgoGridConfig(ProductConfig):
    """Profiles of floats as grids: mean, count and deviation by cell, month and standard pressure."""

    whole: ClassVar[bool] = True

    product: Literal["argo_grid"] = Field(
        description="argo_grid: profiles of an argo product as grids on standard pressures, with mixed-layer "
        "depth and heat content."
    )
    inputs: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1)] = Field(
        description="Name of the argo product of this run that it is made from, in a list: [argo]."
    )
    regions: Mapping[Name, RegionConfig] = Field(
        min_length=1, description="Boxes or polygons to grid, each by a name of your own; a region is one tile."
    )
    cell_deg: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="Side of a cell in degrees; 180 is a multiple of it, and edges of cells lie on multiples of it.",
    )
    levels_dbar: Annotated[tuple[Pressure, ...], Field(min_length=1)] = Field(
        default=STANDARD_DBAR, description="Pressures in dbar that profiles are interpolated to, ascending."
    )
    variables: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=DERIVED,
        description="Quantities to grid: ct (Conservative Temperature, degC), sa (Absolute Salinity, g/kg), "
        "sigma0 (potential density anomaly, kg/m3), and parameters of the argo product in lower case, "
        "such as doxy.",
    )
    kind: Literal["core", "bgc", "synthetic"] = Field(
        default="core",
        description="Which files' profiles are taken: core, bgc or synthetic; one kind, since a water column is "
        "in several.",
    )
    profiles: Literal["primary", "all"] = Field(
        default="primary",
        description="primary: the first profile of each cycle and direction; all: the secondary ones too.",
    )
    max_gap_dbar: float = Field(
        default=50.0,
        gt=0,
        description="Between levels further apart than this many dbar nothing is interpolated, unless "
        "max_gap_fraction allows it.",
    )
    max_gap_fraction: float = Field(
        default=0.2,
        ge=0,
        description="Levels closer than this share of their pressure are interpolated between in any case.",
    )
    mixed_layer: MixedLayerConfig | None = Field(
        default=MixedLayerConfig(), description="How the depth of the mixed layer is found; null: it is not made."
    )
    heat_content: tuple[tuple[Pressure, Pressure], ...] = Field(
        default=((0.0, 700.0),),
        description="Pairs [top, bottom] of pressures in dbar between which heat is summed up (J/m2).",
    )

    @property
    def upstream(self) -> tuple[str, ...]:
        return self.inputs

    @field_validator("cell_deg")
    @classmethod
    def _divides(cls, cell_deg: float) -> float:
        if abs(180 / cell_deg - round(180 / cell_deg)) > 1e-9:
            raise ValueError("allowed: a side that divides 180 degrees, such as 0.25, 0.5, 1, 2, 5")
        return cell_deg

    @field_validator("levels_dbar")
    @classmethod
    def _ascend(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(levels)):
            raise ValueError("allowed: pressures in ascending order, each once")
        return levels

    @field_validator("variables")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names) or any(name != name.lower() or not name.isidentifier() for name in names):
            raise ValueError("allowed: every name once, in lower case, such as ct, sa, sigma0, temp, psal, doxy")
        return names

    @field_validator("heat_content")
    @classmethod
    def _downwards(cls, limits: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if any(top >= bottom for top, bottom in limits) or len(set(limits)) != len(limits):
            raise ValueError("allowed: pairs [top, bottom] in dbar such as [0, 700], top above bottom, each once")
        return limits

    @property
    def gap(self) -> Gap:
        """How far apart levels may lie."""
        return Gap(self.max_gap_dbar, self.max_gap_fraction)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the levels that are read."""
        return tuple(dict.fromkeys(("pres", *(("temp", "psal") if self.seawater else ()), *self.parameters)))

    @property
    def seawater(self) -> bool:
        """Whether anything is made that needs TEOS-10."""
        return bool({*DERIVED} & {*self.variables}) or self.mixed_layer is not None or bool(self.heat_content)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Variables that are parameters of the floats."""
        return tuple(name for name in self.variables if name not in DERIVED)

    @property
    def columns_of_water(self) -> tuple[str, ...]:
        """Names of what is told of a whole profile: one number each."""
        mixed = ("mld",) if self.mixed_layer is not None else ()
        return (*mixed, *(f"ohc_{top:g}_{bottom:g}".replace(".", "p") for top, bottom in self.heat_content))

    @property
    def targets(self) -> int:
        """Numbers that one profile gives at most."""
        return len(self.variables) * len(self.levels_dbar) + len(self.columns_of_water)


def region_tile(name: str, region: RegionConfig, cell_deg: float) -> Tile:
    """The tile of a region: the cells that its outline touches, in degrees; columns may go on beyond 180 east."""
    outline = region.outline
    west, south, east, north = (round(edge / cell_deg, 9) for edge in outline.bounds)
    left, bottom, right, top = math.floor(west), math.floor(south), math.ceil(east), math.ceil(north)
    around = round(360 / cell_deg)
    columns = min(right - left, around)
    transform = Affine(cell_deg, 0.0, left * cell_deg, 0.0, -cell_deg, top * cell_deg)
    return Tile(name, GeoBox((top - bottom, columns), transform, "EPSG:4326"), shapely.to_wkt(outline, 6, trim=True))
