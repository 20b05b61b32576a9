"""Where and when has to be planned so that some jobs come out as the whole plan has them: little, and nothing less."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.plan.derived import in_order, serves
from pipeline.plan.entries import ProductPlan, Targets
from pipeline.plan.neighbours import touching
from pipeline.plan.rows import Beside
from pipeline.types import Tile

_Asked = dict[str, dict[str, set[str]]]
"""By product and tile id, the ids of periods."""


def narrow(products: Sequence[ProductPlan], targets: Mapping[str, Targets], ids: Collection[str]) -> dict[str, Targets]:
    """The tiles and periods of these jobs, of their neighbours, and of all that both are made from, by product; pure.

    ids: `product/tile/period`; what no target has is left out. Products that are not needed are not in it. Those of
    floats, and those that are made from all floats, keep all of their targets.
    """
    plans = {one.name: one for one in products}
    asked: _Asked = {}
    for job_id in ids:
        product, tile, period = parts(job_id)
        if product in plans:
            asked.setdefault(product, {}).setdefault(tile, set()).add(period)
    _add_neighbours(asked, plans, targets)
    for one in reversed(in_order(products)):
        if one.name in asked:
            _add_inputs(asked, one, targets)
    ground: dict[int, set[str]] = {}
    for name, places in asked.items():
        ground.setdefault(id(targets[name].tiles), set()).update(places)
    # Products on one grid have the same tiles, which whoever plans them knows by identity.
    tiles: dict[int, tuple[Tile, ...]] = {}
    for name in asked:
        all_tiles = targets[name].tiles
        tiles.setdefault(id(all_tiles), tuple(tile for tile in all_tiles if tile.id in ground[id(all_tiles)]))
    return {
        name: targets[name]
        if plans[name].afloat or plans[name].whole
        else _narrowed(targets[name], tiles[id(targets[name].tiles)], places)
        for name, places in asked.items()
    }


def parts(job_id: str) -> tuple[str, str, str]:
    """Product, tile and period of a job's id; empty ones of what is none."""
    product, _, rest = job_id.partition("/")
    tile, _, period = rest.rpartition("/")
    return product, tile, period


def _add_neighbours(asked: _Asked, plans: Mapping[str, ProductPlan], targets: Mapping[str, Targets]) -> None:
    """With each tile those that share an edge with it: a job knows their fingerprints."""
    known: dict[int, tuple[Mapping[str, int], Beside]] = {}
    for name, places in asked.items():
        tiles = targets[name].tiles
        if plans[name].afloat or plans[name].whole or not tiles:
            continue
        if id(tiles) not in known:
            known[id(tiles)] = {tile.id: number for number, tile in enumerate(tiles)}, touching(tiles)
        numbers, beside = known[id(tiles)]
        for tile, periods in [(tile, frozenset(periods)) for tile, periods in places.items()]:
            for _, other in beside.of(numbers[tile]) if tile in numbers else ():
                places.setdefault(tiles[other].id, set()).update(periods)


def _add_inputs(asked: _Asked, product: ProductPlan, targets: Mapping[str, Targets]) -> None:
    """What the jobs of a product may be made from: on the same tiles, in each period that may serve theirs."""
    own = {period.id: period for period in targets[product.name].periods}
    for name in product.inputs:
        places = asked.setdefault(name, {})
        for tile, periods in asked[product.name].items() if not product.whole else ():
            here = [own[period] for period in periods if period in own]
            found = {one.id for one in targets[name].periods if any(serves(one, other) for other in here)}
            places.setdefault(tile, set()).update(found)


def _narrowed(target: Targets, tiles: tuple[Tile, ...], places: Mapping[str, Collection[str]]) -> Targets:
    """A target with these periods of these tiles alone."""
    asked = {period for periods in places.values() for period in periods}
    periods = tuple(period for period in target.periods if period.id in asked)
    only = {tile.id: frozenset(places.get(tile.id, ())) for tile in tiles}
    if target.only is not None:
        only = {tile: periods & target.only.get(tile, frozenset()) for tile, periods in only.items()}
    return replace(target, tiles=tiles, periods=periods, only=only, idle=())
