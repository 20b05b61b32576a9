"""Laws of a job's document: what only products that clip look at stands in theirs alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import PlanRefusedError
from pipeline.plan.entries import job_document
from pipeline.plan.fingerprint import fingerprint
from pipeline.types import Grid, Item, Tile
from tests.plan.makers import JUNE, make_item, make_product, make_tile

OUTLINE = "POLYGON ((500010 4989000, 502000 4989500, 501000 4988000, 500010 4989000))"
ITEMS = (make_item(1), make_item(2))


def digest(tile: Tile, items: tuple[Item, ...] = ITEMS, *, clips: bool) -> str:
    return fingerprint(job_document(replace(make_product(), clips=clips), tile, JUNE, items))


def test_an_outline_counts_where_it_is_looked_at() -> None:
    plain, region = make_tile(), replace(make_tile(), outline=OUTLINE)
    other = replace(region, outline=OUTLINE.replace("501000", "501001"))
    assert digest(plain, clips=False) == digest(region, clips=False) == digest(other, clips=False)
    assert len({digest(region, clips=False), digest(region, clips=True), digest(other, clips=True)}) == 3


def test_the_declared_crs_of_scenes_counts_where_it_decides_their_order() -> None:
    region = replace(make_tile(), outline=OUTLINE)
    red = ITEMS[0].assets["red"]
    assert red.grid is not None
    grid = Grid("EPSG:32632", red.grid.transform, red.grid.shape)
    moved = (replace(ITEMS[0], assets={**ITEMS[0].assets, "red": replace(red, grid=grid)}), ITEMS[1])
    assert digest(region, clips=False) == digest(region, moved, clips=False)
    assert digest(region, clips=True) != digest(region, moved, clips=True)


def test_a_tile_of_no_region_cannot_be_clipped() -> None:
    with pytest.raises(PlanRefusedError, match=r"median: tile tile-0 is of no region.*grid\.kind region"):
        digest(make_tile(), clips=True)
