"""Inbound requests for tree-cover tiles, read: which tiles, areas and places are asked for, and in which years.

    {"<project>": {"2021": {"all_tiles": [...], "missing_tiles": ["1035X727Y", ...]}}}    all_tiles is not looked at
    {"bbox": [west, south, east, north], "year": 2021}
    {"points": [[lon, lat], ...], "year": 2021}
    GeoJSON of polygons and points; a feature's own property `year` wins

Where years are not in the file they are given beside it.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry import shape as to_geometry
from shapely.geometry.base import BaseGeometry

from pipeline.errors import ConfigError
from pipeline.plan.areas import box_region, cut_at_antimeridian
from pipeline.plan.ttc import ttc_numbers
from pipeline.types import Json

_GEOMETRIES = ("Point", "MultiPoint", "Polygon", "MultiPolygon", "GeometryCollection")
_TURN = 360
"""Longitudes may lie a turn beyond Greenwich, such as 170..190."""
_LENGTH = 80
_NO_GEOMETRY = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)
_FORMS = 'allowed: {"<project>": {"<year>": {"missing_tiles": [...]}}}, GeoJSON, or bbox or points with a year'
Place = tuple[float, float]


@dataclass(frozen=True)
class Request:
    """What is asked for, by year."""

    tiles: Mapping[int, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    """X and Y number."""
    areas: Mapping[int, list[BaseGeometry]] = field(default_factory=lambda: defaultdict(list))
    """Polygons in degrees within -180..180."""
    places: Mapping[int, list[Place]] = field(default_factory=lambda: defaultdict(list))
    """Longitude, latitude."""
    unreadable: list[str] = field(default_factory=list)
    """What is asked for in words that mean nothing, and why."""
    repeated: list[str] = field(default_factory=list)
    """Ids that a year has more than once."""

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for, readable or not."""
        return not (self.tiles or self.areas or self.places or self.unreadable)


def read_request(path: Path, years: Sequence[int]) -> Request:
    """What a file asks for; years: for what says none itself. Raises ConfigError for what is none of the forms."""
    request = Request()
    try:
        document = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=_once)
        _read_document(document, years, request, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a request as JSON") from None
    except ValueError as error:
        raise ConfigError(f"{path}: no JSON ({error}); {_FORMS}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply; {_FORMS}") from None
    return request


def _read_document(document: Json, years: Sequence[int], request: Request, path: Path) -> None:
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: found a {type(document).__name__}; {_FORMS}")
    if document.get("type") in ("FeatureCollection", "Feature", *_GEOMETRIES):
        _read_features(document, years, request, path)
    elif {"bbox", "points"} & {*document}:
        _read_plain(document, years, request, path)
    elif years and document:
        raise ConfigError(f"{path}: found years beside a request of projects, which says its years itself")
    else:
        _read_projects(document, request, path)


def ask_box(request: Request, bbox: Sequence[Json], years: Iterable[int], where: str) -> None:
    """Add a box: west, south, east, north. Raises ConfigError where it is none."""
    if not _numbers(bbox, {4}) or not (-90 <= bbox[1] < bbox[3] <= 90 and bbox[0] != bbox[2]) or not _turns(bbox[::2]):
        raise ConfigError(f"{where}: found {_shown(bbox)}; allowed: west, south, east, north in degrees")
    for year in years:
        request.areas[year].append(box_region((bbox[0], bbox[1], bbox[2], bbox[3])).geometry)


def ask_place(request: Request, place: Sequence[Json], years: Iterable[int], where: str) -> None:
    """Add a place: longitude, latitude. Raises ConfigError where it is none."""
    if not _numbers(place, {2, 3}) or not -90 <= place[1] <= 90 or not _turns(place[:1]):
        raise ConfigError(f"{where}: found {_shown(place)}; allowed: longitude, latitude in degrees")
    for year in years:
        request.places[year].append((place[0], place[1]))


def parse_year(text: object) -> int:
    """A year such as 2021, as number or text. Raises ValueError saying what is allowed."""
    if not (isinstance(text, str | int) and not isinstance(text, bool) and str(text).isascii()):
        raise ValueError("allowed: a year such as 2021")
    if not (len(str(text)) == 4 and str(text).isdigit() and int(text) >= 1000):
        raise ValueError("allowed: a year such as 2021")
    return int(text)


def _read_projects(document: Mapping[str, Json], request: Request, path: Path) -> None:
    for project, by_year in document.items():
        if not isinstance(by_year, dict):
            raise ConfigError(f"{path}: {_shown(project)}: found a {type(by_year).__name__}; {_FORMS}")
        for text, asked in by_year.items():
            where = f"{_shown(project)}, {_shown(text)}"
            if not isinstance(asked, dict) or not isinstance(asked.get("missing_tiles", []), list):
                raise ConfigError(f"{path}: {where}: found no list missing_tiles; {_FORMS}")
            try:
                year = parse_year(text)
            except ValueError as error:
                request.unreadable.extend(f"{where}: {_shown(one)}: {error}" for one in asked.get("missing_tiles", []))
                continue
            _read_ids(asked.get("missing_tiles", []), year, request, where)


def _read_ids(ids: Sequence[Json], year: int, request: Request, where: str) -> None:
    for one in ids:
        try:
            numbers = ttc_numbers(one.strip() if isinstance(one, str) else json.dumps(one))
        except ValueError as error:
            request.unreadable.append(f"{where}: {_shown(one)}: {error}")
            continue
        if numbers in request.tiles[year]:
            request.repeated.append(f"{where}: {one}")
        request.tiles[year].add(numbers)


def _read_plain(document: Mapping[str, Json], years: Sequence[int], request: Request, path: Path) -> None:
    said = next((document[key] for key in ("year", "years") if document.get(key) is not None), None)
    asked = _years(said, years, f"{path}")
    if "bbox" in document:
        ask_box(request, document["bbox"], asked, f"{path}: bbox")
    points = document.get("points", [])
    if not isinstance(points, list):
        raise ConfigError(f"{path}: points: found a {type(points).__name__}; allowed: [[lon, lat], ...]")
    for number, place in enumerate(points):
        ask_place(request, place, asked, f"{path}: points.{number}")


def _read_features(document: Mapping[str, Json], years: Sequence[int], request: Request, path: Path) -> None:
    for where, geometry, properties in _features(document, path):
        try:
            with np.errstate(invalid="ignore"):  # of coordinates that are no numbers
                shape = shapely.force_2d(to_geometry(geometry))
        except (*_NO_GEOMETRY, shapely.errors.ShapelyError) as error:
            raise ConfigError(f"{where}: no geometry of GeoJSON can be read ({_shown(str(error))})") from None
        if not np.isfinite(shapely.get_coordinates(shape)).all():
            raise ConfigError(f"{where}: found coordinates that are not finite; allowed: degrees")
        asked = _years(properties.get("year"), years, where)
        if not any(part.geom_type == "Point" or part.area > 0 for part in _parts(shape)):
            request.unreadable.append(f"{where}: an area of no size, which touches no tile")
        for part in _parts(shape):
            if part.geom_type == "Point":
                ask_place(request, part.coords[0], asked, where)
                continue
            _check_polygon(part, where)
            if part.area > 0:
                for year in asked:
                    request.areas[year].append(cut_at_antimeridian(part))


def _check_polygon(part: BaseGeometry, where: str) -> None:
    west, south, east, north = part.bounds
    if part.geom_type != "Polygon":
        found = part.geom_type
    elif not -90 <= south <= north <= 90:
        found = f"latitudes {south:g}..{north:g}"
    elif not -_TURN <= west <= east <= _TURN:
        found = f"longitudes {west:g}..{east:g}"
    else:
        return
    raise ConfigError(f"{where}: found {found}; allowed: polygons and points in degrees")


def _features(document: Mapping[str, Json], path: Path) -> Iterator[tuple[str, Json, Mapping[str, Json]]]:
    """Where it stands, geometry and properties of each feature."""
    features = document.get("features") if document["type"] == "FeatureCollection" else [document]
    if not isinstance(features, list):
        raise ConfigError(f"{path}: features: found a {type(features).__name__}; allowed: a list of features")
    for number, feature in enumerate(features):
        where = f"{path}: feature {number}"
        if not isinstance(feature, dict):
            raise ConfigError(f"{where}: found a {type(feature).__name__}; allowed: a feature of GeoJSON")
        if feature.get("type") != "Feature":
            yield where, feature, {}
            continue
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise ConfigError(f"{where}: properties: found a {type(properties).__name__}; allowed: an object")
        yield where, feature.get("geometry"), properties


def _parts(shape: BaseGeometry) -> Iterator[BaseGeometry]:
    for part in shapely.get_parts(shape):
        if hasattr(part, "geoms"):
            yield from _parts(part)
        elif not part.is_empty:
            yield part


def _years(said: Json, given: Sequence[int], where: str) -> list[int]:
    """The years that something says itself, else those given beside it."""
    if said is None and not given:
        raise ConfigError(f"{where}: found no year; give it in the file or by --year")
    if said is None:
        return sorted({*given})
    try:
        return sorted({parse_year(one) for one in (said if isinstance(said, list) and said else [said])})
    except ValueError as error:
        raise ConfigError(f"{where}: found year {_shown(said)}; {error}") from None


def _shown(said: Json) -> str:
    """What a request says, in printable characters and not at any length."""
    text = json.dumps(said)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"


def _numbers(values: Sequence[Json], counts: Collection[int]) -> bool:
    if not isinstance(values, list | tuple) or len(values) not in counts:
        return False
    return all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < math.inf for one in values)


def _turns(lons: Sequence[float]) -> bool:
    return all(-180 <= lon <= 180 for lon in lons)


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Of a key that stands there twice, one value would be dropped in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {name!r} stands there twice")
    return found
