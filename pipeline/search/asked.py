"""What each source is asked, once: for the places and times of all products that read it, or of some of their jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from pipeline.config import ProductConfig, RunConfig
from pipeline.plan.areas import BBox
from pipeline.plan.dates import cell_of
from pipeline.plan.jobs import BEYOND_PX, ProductPlan, Targets, padded
from pipeline.plan.outlines import covering_boxes
from pipeline.plan.periods import periods_of
from pipeline.search.query import Query
from pipeline.types import Period, Tile

_ROUND_DEG = 0.25
"""Around some tiles of many: a newer version of a scene that touches them may end beside them."""
_ROUND = timedelta(hours=1)
"""Before and after their periods, for the same reason."""
_NEAR_180_DEG, _NEAR_POLE_DEG = 20.0, 80.0
"""Nearer to the antimeridian, or to a pole, catalogues hold footprints that go right around the other way."""


Aims = Mapping[str, Targets]
"""By product."""


def queries(config: RunConfig, plans: Mapping[str, ProductPlan], targets: Aims, whole: Aims) -> dict[str, Query]:
    """By source, what is asked of each catalogue that the products of `targets` read.

    plans, whole: of all products of the config. targets: `whole` itself, or of some products for some of it; a source
    then gives all of what it would give for `whole` that matters to them, and nothing else.
    """
    found = {}
    for name in (name for name, source in config.sources.items() if source.gdac is None):
        readers = [entry for entry in config.products if name in entry.sources]
        some = [entry for entry in readers if entry.name in targets]
        query = _query(config, some, plans, targets)
        if query is None:
            continue
        everything = query if targets is whole else _query(config, readers, plans, whole)
        if everything is not None and everything != query:
            # What nothing of the source reaches may be made where it reaches something elsewhere.
            known = any(plans[entry.name].bare for entry in some)
            query = _within(query, everything, wide=known or _is_unsafe(query.bboxes))
        found[name] = query
    return found


def _query(
    config: RunConfig,
    entries: Sequence[ProductConfig],
    plans: Mapping[str, ProductPlan],
    targets: Mapping[str, Targets],
) -> Query | None:
    """For these entries; None where they are made nowhere, or never."""
    boxes = covering_boxes([tile for entry in entries for tile in _searched(plans[entry.name], targets[entry.name])])
    spans = [
        (span.start - plans[entry.name].around, span.end + plans[entry.name].around)
        for entry in entries
        for span in _spans(config, entry, targets[entry.name])
        if span.start is not None and span.end is not None
    ]
    if not boxes or not spans:
        return None
    starts, ends = zip(*spans, strict=True)
    return Query(boxes, min(starts), max(ends), any(entry.timeless for entry in entries))


def _spans(config: RunConfig, entry: ProductConfig, target: Targets) -> Iterable[Period]:
    """Of what has no time the whole run's, though items of any time are taken then."""
    return periods_of(config.period_of(entry)) if entry.timeless else target.periods


def _searched(plan: ProductPlan, target: Targets) -> Sequence[Tile]:
    """Where a source is searched: for what looks over its tiles' edges, or chooses its days on a wider box, further."""
    if plan.dates is not None:
        return [*target.tiles, *{cell.id: cell for cell in map(cell_of, target.tiles)}.values()]
    if not plan.beyond:
        return target.tiles
    return [replace(tile, geobox=padded(tile.geobox, BEYOND_PX)) for tile in target.tiles]


def _is_unsafe(boxes: Sequence[BBox]) -> bool:
    """Whether a footprint that is wrong may hide a scene of these boxes from whoever searches them alone."""
    edge = 180 - _NEAR_180_DEG
    return any(
        west > east or west < -edge or east > edge or south < -_NEAR_POLE_DEG or north > _NEAR_POLE_DEG
        for west, south, east, north in boxes
    )


def _within(query: Query, everything: Query, *, wide: bool) -> Query:
    """A query a little wider than asked, of what one of everything finds as well; wide: as wide as that one."""
    start, end = max(query.start - _ROUND, everything.start), min(query.end + _ROUND, everything.end)
    if wide:
        return replace(query, bboxes=everything.bboxes, start=start, end=end)
    # Not of the boxes cut by the others: a scene may lie beside a tile in reach of its margin, and meet another one.
    return replace(query, bboxes=tuple(map(_around, query.bboxes)), start=start, end=end, within=everything.bboxes)


def _around(box: BBox) -> BBox:
    west, south, east, north = box
    along = _ROUND_DEG / math.cos(math.radians(max(abs(south), abs(north))))
    return west - along, south - _ROUND_DEG, east + along, north + _ROUND_DEG
