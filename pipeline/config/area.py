"""`area:` and `grid:`: where, and in which tiles and pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config.section import Section
from pipeline.config.values import LocalFile

DEFAULT_TILE_PX = 2048
MGRS_TILE_M = 109_800
"""Edge of a Sentinel-2 tile; squares of 100 km lie in it with 9.8 km to spare."""
TTC_TILE_M = 6180
"""Nominal edge of a tree-cover tile: 1/18 degree, in whole pixels of 10 m at the equator."""

MgrsSquare = Annotated[
    str,
    Field(
        pattern=r"^([1-9]|[0-5][0-9]|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]$",
        json_schema_extra={"patternErrorMessage": "a Sentinel-2 tile such as 37MBU"},
    ),
]
IndexRange = Annotated[
    str,
    Field(
        pattern=r"^[0-9]*:[0-9]*$",
        json_schema_extra={"patternErrorMessage": "a half-open range of rows such as 0:23, 10: or :5"},
    ),
]


class AreaConfig(Section):
    """Where: one of a box, the polygons of a file, a list of tiles, or Sentinel-2 tiles."""

    bbox: tuple[float, float, float, float] | None = Field(
        default=None,
        description="A box: [west, south, east, north] in degrees; west greater than east crosses the 180th "
        "meridian. Exactly one of bbox, vector, tiles and mgrs.",
    )
    vector: LocalFile | None = Field(
        default=None,
        description="In place of bbox: a file of polygons (GeoJSON, GPKG, shapefile) in any CRS; a relative path "
        "counts from this file's folder.",
    )
    layer: str | None = Field(default=None, description="Of vector: layer of the file, where it has several.")
    select: Mapping[str, Annotated[tuple[str | int | float | bool, ...], Field(min_length=1)]] | None = Field(
        default=None,
        description="Of vector: only features that have one of these values, by attribute: {name: [Nakuru, Kisumu]}.",
    )
    index: IndexRange | None = Field(
        default=None,
        description="Of vector: only these rows, counted from 0, the last one excluded: 0:23 are 23 of them.",
    )
    id: str | None = Field(
        default=None,
        description="Of vector: attribute that names a region; nothing: one such as name, else the row's number.",
    )
    zone: str | None = Field(
        default=None,
        description="Of vector, for a grid of kind region: attribute that names a region's UTM zone, as a number, "
        "an EPSG code or Sentinel-2 tiles (the first one's); nothing: the zone that the region's "
        "middle lies in.",
    )
    tiles: LocalFile | None = Field(
        default=None,
        description="In place of bbox: a CSV file with a column `tile`: ids of tiles of the grid; and maybe "
        "`Year`, for some years of a tile only. For ttc also Year,X,Y,Y_tile,X_tile, as `groundswell "
        "request` writes it.",
    )
    mgrs: Annotated[tuple[MgrsSquare, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="In place of bbox: Sentinel-2 tiles by their names, such as [37MBU], each as far as its files "
        "reach.",
    )

    @field_validator("bbox")
    @classmethod
    def _on_earth(cls, bbox: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        if bbox is None:
            return None
        west, south, east, north = bbox
        if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
            raise ValueError(
                "allowed: [west, south, east, north] in degrees, longitudes from -180 to 180 and not equal, "
                f"latitudes from -90 to 90, south below north{_box_advice(bbox)}"
            )
        return bbox

    @field_validator("index")
    @classmethod
    def _ascending(cls, index: str | None) -> str | None:
        first, _, last = (index or ":").partition(":")
        if first and last and int(first) >= int(last):
            raise ValueError("allowed: a half-open range of rows such as 0:23, the first below the last")
        return index

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [kind for kind in ("bbox", "vector", "tiles", "mgrs") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            raise ValueError(f"found {found}; allowed: exactly one of bbox, vector, tiles, mgrs")
        beside = [key for key in ("layer", "select", "index", "id", "zone") if getattr(self, key) is not None]
        if beside and self.vector is None:
            raise ValueError(f"found {' and '.join(beside)} without vector; allowed: only beside vector")
        return self

    @property
    def rows(self) -> tuple[int, int | None]:
        """First row and the one after the last; None: to the end."""
        first, _, last = (self.index or ":").partition(":")
        return int(first or 0), int(last) if last else None

    def __str__(self) -> str:
        """In words, so that numbers in a wrong order show: `bbox west 10.9, south 44.6, east 11.2, north 44.8`."""
        given = self.model_dump(mode="json", exclude_none=True)
        if self.bbox is not None:
            edges = zip(("west", "south", "east", "north"), self.bbox, strict=True)
            given["bbox"] = ", ".join(f"{edge} {degrees:g}" for edge, degrees in edges)
        return ", ".join(f"{key} {value}" for key, value in given.items())


class GridConfig(Section):
    """The tiles and their pixels."""

    kind: Literal["utm", "mgrs", "region", "geobox", "ttc"] = Field(
        default="utm",
        description="utm: square tiles in each UTM zone, UPS at the poles. mgrs: the Sentinel-2 tiles, which "
        "overlap. region: one tile for each polygon of the area. geobox: a grid of your own. ttc: "
        "tree-cover tiles of 1/18 degree.",
    )
    tile_px: int | None = Field(
        default=None,
        ge=64,
        description="Edge of a tile in pixels, a multiple of 16; nothing: 2048. For mgrs a divisor of the whole "
        "tile (1830 gives 36 parts of its 10980 pixels); nothing: the whole tile.",
    )
    resolution_m: float = Field(default=10.0, gt=0, description="Edge of a pixel in metres.")
    crs: str | None = Field(
        default=None,
        description="For geobox, and for region in place of each region's UTM zone: the CRS, such as EPSG:3413.",
    )
    transform: tuple[float, float, float, float, float, float] | None = Field(
        default=None,
        description="For geobox: a, b, c, d, e, f of x = a*col + b*row + c and y = d*col + e*row + f, in units of crs.",
    )
    origin: tuple[float, float] | None = Field(
        default=None, description="For geobox in place of transform: x, y of the upper left corner; with resolution_m."
    )
    anchor: Literal["edge", "centre"] | None = Field(
        default=None,
        description="For region: what lies on multiples of resolution_m, the edges of pixels (Sentinel-2; so without "
        "this key) or their centres (Landsat). Then the pixels of scenes in the region's CRS are copied, not shifted.",
    )
    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        default=None,
        description="For geobox: [rows, columns] that the tiles cover exactly; nothing: a grid without end, cut "
        "by the area.",
    )

    @field_validator("tile_px")
    @classmethod
    def _whole_blocks(cls, tile_px: int | None, info: ValidationInfo) -> int | None:
        if tile_px is not None and tile_px % 16 and info.data.get("kind") != "mgrs":
            raise ValueError("allowed: a whole number, at least 64, a multiple of 16 (but for kind mgrs)")
        return tile_px

    @field_validator("transform")
    @classmethod
    def _north_up(cls, transform: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if transform is not None and not (transform[0] > 0 > transform[4] and transform[1] == transform[3] == 0):
            raise ValueError("allowed: [a, 0, c, 0, e, f] with a above and e below 0: columns go east, rows south")
        return transform

    @field_validator("crs")
    @classmethod
    def _known(cls, crs: str | None) -> str | None:
        if crs is not None and _axis_unit(crs) is None:
            raise ValueError("allowed: a projected or geographic CRS such as EPSG:3413, or its WKT")
        return crs

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        kinds = {"crs": ("geobox", "region"), "tile_px": ("utm", "mgrs", "geobox"), "anchor": ("region",)}
        for key in ("tile_px", "crs", "transform", "origin", "shape", "anchor"):
            where = kinds.get(key, ("geobox",))
            if getattr(self, key) is not None and self.kind not in where:
                raise ValueError(f"found {key} with kind {self.kind}; allowed: {key} with kind {' or '.join(where)}")
        if self.kind == "mgrs":
            self._divides_the_square()
        if self.kind == "ttc" and abs(self.edge_px * self.resolution_m - TTC_TILE_M) > 1e-6:
            raise ValueError("allowed: with kind ttc, a resolution_m that divides 6180 m: 10, 20, 30, 60")
        if self.kind == "geobox":
            self._is_a_geobox()
        elif self.crs is not None and _axis_unit(self.crs) != "metre":
            raise ValueError("allowed: a crs in metres with kind region, as resolution_m is")
        return self

    def _divides_the_square(self) -> None:
        whole = round(MGRS_TILE_M / self.resolution_m)
        if abs(whole * self.resolution_m - MGRS_TILE_M) > 1e-6 or (self.tile_px and whole % self.tile_px):
            raise ValueError(
                f"allowed: with kind mgrs, a resolution_m that divides {MGRS_TILE_M} m, and a tile_px that divides the "
                "tile (10980 pixels of 10 m: 5490, 3660, 2745, 2196, 1830, 1098, 915, 732, 610, 549, …)"
            )

    def _is_a_geobox(self) -> None:
        if self.crs is None or (self.transform is None) == (self.origin is None):
            raise ValueError("allowed: with kind geobox, crs and either transform, or origin and resolution_m")
        if self.transform is not None and "resolution_m" in self.model_fields_set:
            raise ValueError("found resolution_m beside transform; allowed: one of them, as transform holds the pixel")
        if self.origin is not None and _axis_unit(self.crs) != "metre":
            raise ValueError("allowed: origin and resolution_m with a crs in metres; a transform with any other")

    @property
    def needs_area(self) -> bool:
        """False where the grid itself says how far it reaches."""
        return self.kind != "geobox" or self.shape is None

    @property
    def edge_px(self) -> int:
        """Edge of a tile of utm, mgrs, geobox or ttc in pixels."""
        edges_m = {"mgrs": MGRS_TILE_M, "ttc": TTC_TILE_M}
        whole = round(edges_m[self.kind] / self.resolution_m) if self.kind in edges_m else DEFAULT_TILE_PX
        return self.tile_px or whole


def _box_advice(bbox: tuple[float, float, float, float]) -> str:
    """What a box was probably meant to be that is none."""
    first, second, third, fourth = bbox
    if max(map(abs, bbox)) > 360:
        return "; these look like metres of a projection: convert them to degrees"
    if min(abs(second), abs(fourth)) > 90 and max(abs(first), abs(third)) <= 90:
        return f"; the longitude comes first: write [{second:g}, {first:g}, {fourth:g}, {third:g}]"
    return f"; write [{first:g}, {fourth:g}, {third:g}, {second:g}]" if second > fourth else ""


def _axis_unit(crs: str) -> str | None:
    """Unit of a horizontal CRS; None where it is none."""
    from pyproj import CRS  # noqa: PLC0415 (heavy, and few configs name a CRS)
    from pyproj.exceptions import CRSError  # noqa: PLC0415

    if not re.search(r"\S", crs):
        return None
    try:
        known = CRS.from_user_input(crs)
    except CRSError:
        return None
    if known.is_compound or not (known.is_projected or known.is_geographic):
        return None
    return str(known.axis_info[0].unit_name)
