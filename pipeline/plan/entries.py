"""What the planner knows of a product entry, where and when it is made, and the document that identifies its jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pipeline.errors import PlanRefusedError
from pipeline.plan.dates import DateChoice
from pipeline.plan.fingerprint import fingerprint_document, input_identity, upstream_identity
from pipeline.plan.memory import Holding
from pipeline.types import Item, Json, Period, Tile, Upstream

COMPRESSION = 0.65
"""Stored bytes per decoded byte of a 16-bit band; measured 0.6-0.7 on Sentinel-2 COGs."""


@dataclass(frozen=True)
class ProductPlan:
    """What the planner needs to know of one product entry of the config; made by the product itself."""

    name: str
    kind: str
    version: int
    parameters: Json
    """Everything of the entry that changes pixels or files, JSON-shaped."""
    source: str | None
    """Whose items it is made from; None for what is made from other products."""
    region: str
    bands: tuple[str, ...]
    """Logical names of the assets a job reads."""
    holding: Holding
    """What making a tile holds, for the memory plan."""
    facts: tuple[str, ...] = ()
    """Item properties that decide how the numbers are read; the fingerprint holds them."""
    inputs: tuple[str, ...] = ()
    """Names of the products it is made from."""
    optional: frozenset[str] = frozenset()
    """Those of them that may lack for a tile and period."""
    out_bytes: int = 12
    """About what it writes, in bytes a pixel, for those who read it; of a series, for each solar day."""
    series: bool = False
    alone: bool = False
    """Neighbouring tiles gain nothing by being made together."""
    beyond: bool = False
    """It looks a few pixels over a tile's edge, so files that end there are inputs as well."""
    clips: bool = False
    """It looks at the outline of a tile's region, and at which scenes lie in the tile's CRS: both are in the
    fingerprint."""
    keep: Callable[[Item], bool] | None = None
    """Which items of its source it uses at all; None: every one. What it does not keep is neither planned nor paid."""
    in_bytes: int = 2
    """Of one stored number of its source."""
    bare: Callable[[Sequence[Item]], Callable[[Tile], bool]] | None = None
    """Given all items of its source: which tiles are made although none of them reaches there; None: no tile is."""
    dates: DateChoice | None = None
    """Only some days of each month; None: all."""
    afloat: bool = False
    """Its jobs are buckets of floats, each made anew in place when its files change."""
    nearest: bool = False
    """It takes of a scene the pixel that the centre of a tile's pixel lies in, and nothing of the others."""
    whole: bool = False
    """It is made from all that its inputs make, on tiles of its own."""
    tiles: tuple[Tile, ...] | None = None
    """Where a whole product is made; None: on the run's tiles."""
    around: timedelta = timedelta(0)
    """Of the source of a whole product, what lies so far beyond a period is an input as well."""
    layers: frozenset[str] | None = None
    """Names of the layers that it makes, but for those of bits; None: known only when its inputs are."""


@dataclass(frozen=True)
class Targets:
    """Where and when: a product is made for each tile and period."""

    tiles: tuple[Tile, ...]
    periods: tuple[Period, ...]
    only: Mapping[str, frozenset[str]] | None = None
    """Tile id → ids of the periods it is asked for in; None: every tile in every period."""

    idle: tuple[int, ...] = ()
    """Years that tiles are asked for in, and in which no period lies."""

    def periods_of(self, tile: Tile) -> Sequence[Period]:
        """The periods of one tile, in order; what has no time joins all of them."""
        if self.only is None:
            return self.periods
        asked = self.only.get(tile.id, frozenset())
        return [period for period in self.periods if period.id in asked or period.start is None]


def job_document(
    product: ProductPlan, tile: Tile, period: Period, items: Sequence[Item], upstream: Sequence[Upstream] = ()
) -> Json:
    """The document a job's fingerprint is the digest of.

    Raises PlanRefusedError where a product that clips is asked for a tile without an outline.
    """
    inputs = [input_identity(item, product.facts) for item in items]
    inputs += [upstream_identity(one) for one in upstream]
    document = fingerprint_document(product.kind, product.version, product.parameters, tile, period, inputs)
    if not product.clips:
        return document
    if tile.outline is None:
        raise PlanRefusedError(
            f"{product.name}: tile {tile.id} is of no region, and {product.kind} clips to one; "
            "allowed: grid.kind region, with the regions in area.vector"
        )
    systems = {item.key: sorted({asset.grid.crs for asset in item.assets.values() if asset.grid}) for item in items}
    return {**document, "tile": {**document["tile"], "outline": tile.outline, "systems": systems}}


def with_bands(item: Item, bands: tuple[str, ...]) -> Item:
    """The item with the assets that a product reads: what others read of it is no input of its jobs."""
    return replace(item, assets={band: item.assets[band] for band in bands if band in item.assets})
