"""Tiles, items and products with plain numbers, for tests of the planner."""

from __future__ import annotations

from datetime import UTC, date, datetime

from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.plan.jobs import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.types import Asset, Grid, Item, Period, Tile

JUNE = Period("2024-06", datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
JULY = Period("2024-07", datetime(2024, 7, 1, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC))
NORTH = 4_990_000.0
EPSG = 32633
SIDE_PX = 256


def make_tile(column: int = 0) -> Tile:
    """One of a row of tiles, 2.56 km a side, that touch each other."""
    corner = Affine(10, 0, 500_000 + column * 2560, 0, -10, NORTH)
    return Tile(f"tile-{column}", GeoBox((SIDE_PX, SIDE_PX), corner, f"EPSG:{EPSG}"))


def make_item(
    number: int,
    columns: tuple[float, float] = (0, 1),
    *,
    time: datetime | None = None,
    updated: str | None = "2024-06-20T00:00:00+00:00",
    source: str = "s2",
    declared: bool = True,
) -> Item:
    """A scene over the tiles [first, last) of the row; its grids are declared or left to the header."""
    left, right = (500_000 + column * 2560 for column in columns)
    grid = Grid(f"EPSG:{EPSG}", (10, 0, left, 0, -10, NORTH), (SIDE_PX, round((right - left) / 10)))
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    corners = ((left, NORTH - 2560), (right, NORTH - 2560), (right, NORTH), (left, NORTH), (left, NORTH - 2560))
    return Item(
        id=f"scene-{number}",
        collection="sentinel-2-c1-l2a",
        source=source,
        time=time or datetime(2024, 6, number % 28 + 1, 10, tzinfo=UTC),
        solar_day=date(2024, 6, number % 28 + 1) if time is None else time.date(),
        geometry={"type": "Polygon", "coordinates": [[list(to_lonlat.transform(*corner)) for corner in corners]]},
        assets={
            band: Asset(key=key, href=f"https://host/{number}/{key}.tif", grid=grid if declared else None)
            for band, key in (("red", "B04"), ("nir", "B08"), ("scl", "SCL"))
        },
        updated=updated,
    )


def make_product(name: str = "median", source: str = "s2", **parameters: object) -> ProductPlan:
    return ProductPlan(
        name=name,
        kind="sentinel2",
        version=1,
        parameters={"composite": "median", **parameters},
        source=source,
        region="us-west-2",
        bands=("red", "scl"),
        holding=Holding(14),
    )
