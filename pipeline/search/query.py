"""What is searched for, and whether an item meets it: asked of the server, and checked again here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import shapely

from pipeline.plan.areas import BBox, possible_footprint
from pipeline.search.canonical import instant
from pipeline.types import Json


@dataclass(frozen=True)
class Query:
    """What is searched, once for the whole area and time: boxes in degrees, [start, end)."""

    bboxes: tuple[BBox, ...]
    """Each west, south, east, north; west > east crosses the antimeridian."""
    start: datetime
    end: datetime
    ever: bool = False
    """Items of any time: what is searched has none, such as a DEM."""
    within: tuple[BBox, ...] = ()
    """Boxes of a wider search that would have to find an item as well; none: there is no other."""

    def holds(self, time: datetime) -> bool:
        """Whether an instant lies within the time that is searched."""
        return self.ever or self.start <= time < self.end

    @property
    def boxes(self) -> tuple[BBox, ...]:
        """The boxes, or the two sides of the antimeridian: many servers get the crossing box wrong."""
        return _cut(self.bboxes)


def meets(item: Json, query: Query) -> bool:
    """Whether a canonical item meets area and time."""
    time = instant(item["properties"]["datetime"])
    if time is None or not query.holds(time):
        return False
    footprint = possible_footprint(item["geometry"])
    return all(
        any(bool(footprint.intersects(shapely.box(*box))) for box in boxes)
        for boxes in (query.boxes, _cut(query.within))
        if boxes
    )


def _cut(bboxes: Sequence[BBox]) -> tuple[BBox, ...]:
    """The boxes in parts where they cross the antimeridian."""
    found: list[BBox] = []
    for west, south, east, north in bboxes:
        crosses = west > east
        found += (
            [(west, south, 180.0, north), (-180.0, south, east, north)] if crosses else [(west, south, east, north)]
        )
    return tuple(found)


def within_limits(properties: Mapping[str, Json], limits: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether an item's own properties meet the limits; a property it does not have meets none, as on a server."""
    return all(
        _holds(properties.get(name), operator, value)
        for name, bounds in limits.items()
        for operator, value in bounds.items()
    )


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda found, value: found == value,
    "neq": lambda found, value: found != value,
    "lt": lambda found, value: found < value,
    "lte": lambda found, value: found <= value,
    "gt": lambda found, value: found > value,
    "gte": lambda found, value: found >= value,
    "in": lambda found, value: found in value,
    "startsWith": lambda found, value: str(found).startswith(str(value)),
    "endsWith": lambda found, value: str(found).endswith(str(value)),
    "contains": lambda found, value: value in found,
}


def _holds(found: Json, operator: str, value: Json) -> bool:
    if found is None:
        return False
    try:
        return bool(_OPERATORS[operator](_comparable(found), _comparable(value)))
    except TypeError:
        return False  # a number and a text have no order


def _comparable(value: Json) -> Any:
    """Times as instants, whatever their zone and fraction; the rest as it is."""
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    is_time = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", value)
    return (instant(value) or value) if is_time else value
