"""Of a scene that was processed again, only the newest version is kept.

Catalogues of Sentinel-2 and Landsat hold both for a while, under two ids. Read as two scenes, they would count twice,
and the old one would often come first.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import shapely
from shapely.geometry import shape as to_geometry

from pipeline.plan.areas import unwrapped
from pipeline.search.canonical import FACTS, instant
from pipeline.types import Json

_ONE_PASS = timedelta(minutes=5)
"""A satellite is back over the same tile after an orbit at the earliest, a hundred minutes."""
_COVERED = 0.95
"""Share of an older footprint that newer ones must cover: parts of one pass may be separate items."""
_ESA_TILE = re.compile(r"_T(\d{2}[A-Z]{3})_")
_ESA_BASELINE = re.compile(r"_N(\d{2})(\d{2})_")
_LEVEL = re.compile(r"(?:MSI|_|^)L?([12][ABC])(?:_|$)|^LEVEL-([12][ABC])$")
_LANDSAT = re.compile(r"^(L\w\d\d_\w{4})_(\d{6})_\d{8}_(\d{8})_(\d\d)_(?:RT|T1|T2)")
"""Sensor and level, path and row, (acquired), processed, collection."""


def keep_newest(items: Sequence[Json]) -> tuple[list[Json], list[str]]:
    """The items without older versions of what newer ones of the same source and collection show, and a note."""
    passes: dict[tuple[str, ...], list[tuple[datetime, tuple[int, ...], Json]]] = defaultdict(list)
    for item in items:
        facts = json.loads(item["properties"][FACTS])
        place, version = _place(item["id"], facts), _version(item["id"], facts)
        time = instant(item["properties"]["datetime"])
        if place and version and time:
            source = item["properties"]["groundswell:source"]
            platform = str(facts.get("platform") or "").lower()
            passes[source, item["collection"], platform, _level(item["id"], facts), place].append((time, version, item))
    replaced: dict[str, list[tuple[Json, Json]]] = defaultdict(list)
    for key, scenes in passes.items():
        for versions in _by_pass(scenes):
            replaced[key[0]] += _superseded(versions)
    gone = {id(old) for pairs in replaced.values() for old, _ in pairs}
    notes = [
        f"source {source}: {len(pairs)} scenes left out that were processed again later, such as {pairs[0][0]['id']} "
        f"in favour of {pairs[0][1]['id']}"
        for source, pairs in sorted(replaced.items())
        if pairs
    ]
    return [item for item in items if id(item) not in gone], notes


def _by_pass(
    scenes: list[tuple[datetime, tuple[int, ...], Json]],
) -> Iterator[list[tuple[tuple[int, ...], Json]]]:
    """Scenes of one place, split where more than minutes lie between them."""
    found: list[tuple[tuple[int, ...], Json]] = []
    last: datetime | None = None
    for time, version, item in sorted(scenes, key=lambda scene: (scene[0], scene[2]["id"])):
        if last is not None and time - last > _ONE_PASS:
            yield found
            found = []
        found.append((version, item))
        last = time
    yield found


def _superseded(scenes: Sequence[tuple[tuple[int, ...], Json]]) -> Iterator[tuple[Json, Json]]:
    """(older item, the newest one over it) for each item that newer versions of one pass cover."""
    if len({version for version, _ in scenes}) < 2:
        return
    shapes = {id(item): shapely.make_valid(unwrapped(to_geometry(item["geometry"]))) for _, item in scenes}
    for version, item in scenes:
        newer = [(other, one) for other, one in scenes if other > version]
        own = shapes[id(item)]
        over = shapely.union_all([shapes[id(one)] for _, one in newer])
        if newer and own.area > 0 and own.intersection(over).area >= _COVERED * own.area:
            yield item, max(newer, key=lambda scene: (scene[0], scene[1]["id"]))[1]


def _place(name: str, facts: Mapping[str, Json]) -> str | None:
    """The tile or path and row an item is about."""
    landsat = _LANDSAT.match(name)
    if landsat:
        return f"{landsat[1]} {landsat[2]}"
    named = _ESA_TILE.search(name)
    parts = [
        [facts.get(f"{prefix}:{part}") for part in ("utm_zone", "latitude_band", "grid_square")]
        for prefix in ("mgrs", "sentinel")
    ]
    joined = next(("".join(map(str, one)).zfill(5) for one in parts if all(one)), None)
    tile = facts.get("s2:mgrs_tile") or str(facts.get("grid:code") or "").removeprefix("MGRS-") or joined
    return str(tile).zfill(5) if tile else named[1] if named else None


def _level(name: str, facts: Mapping[str, Json]) -> str:
    """Of Sentinel-2, 1C or 2A: one is no version of the other, though one collection may hold both."""
    said = (name, *(str(facts.get(key) or "") for key in ("s2:product_type", "processing:level")))
    found = next((match for match in map(_LEVEL.search, said) if match), None)
    return (found[1] or found[2]) if found else ""


def _version(name: str, facts: Mapping[str, Json]) -> tuple[int, ...] | None:
    """What orders the versions of a scene: its processing baseline, or Landsat's collection and processing date."""
    landsat = _LANDSAT.match(name)
    if landsat:
        return int(landsat[4]), int(landsat[3])
    stated = facts.get("s2:processing_baseline") or facts.get("sentinel:processing_baseline")
    numbers = re.fullmatch(r"(\d+)\.(\d+)", str(stated or facts.get("processing:version") or ""))
    named = _ESA_BASELINE.search(name)
    found = numbers or named
    return (int(found[1]), int(found[2])) if found else None
