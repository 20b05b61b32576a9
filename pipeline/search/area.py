"""What `area:` names, read: polygons of a vector file, ids from a list of tiles."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.errors import ConfigError, PlanRefusedError
from pipeline.plan.areas import Area, Region, box_region, polygons
from pipeline.plan.curves import to_lonlat
from pipeline.plan.mgrs import mgrs_ids, mgrs_tile
from pipeline.plan.utm import zone_named
from pipeline.search.tilelist import read_tiles
from pipeline.types import Json

_NAMES = ("name", "region", "label", "title", "id")
"""Attributes that name a region, the first one that a file has; then any with `name` in it."""
_ID_LENGTH = 64
_NUMBERED = re.compile(r"(?i)(^|-)row-\d+$")
"""A name that looks like an id made here might be one."""
_WHOLE_TILES = GridConfig(kind="mgrs")


def read_area(config: AreaConfig | None, grid: GridConfig) -> Area:
    """The regions of an area, or its tiles, which are ids of the grid in use; nothing for no config.

    Raises ConfigError naming file and line, feature or attribute, and what is allowed there.
    """
    if config is None:
        return Area()
    if config.vector is not None:
        return Area(_read_regions(config))
    if config.tiles is not None:
        return read_tiles(Path(config.tiles), grid)
    if config.mgrs is not None:
        return _mgrs_area(config.mgrs, grid)
    if config.bbox is None:
        raise ConfigError("area: found none of bbox, vector, tiles, mgrs; allowed: exactly one")
    return Area((box_region(config.bbox),))


def _mgrs_area(squares: Sequence[str], grid: GridConfig) -> Area:
    """Sentinel-2 tiles themselves, where they are the grid; for other grids all the ground they cover."""
    try:
        if grid.kind == "mgrs":
            return Area(tiles=mgrs_ids(squares, grid))
        tiles = [mgrs_tile(square, _WHOLE_TILES) for square in mgrs_ids(squares, _WHOLE_TILES)]
    except ValueError as error:
        raise ConfigError(f"area.mgrs: {error}") from None
    extents = np.array([shapely.box(*tile.geobox.boundingbox.bbox) for tile in tiles], dtype=object)
    degrees = [to_lonlat(extents[[number]], str(tile.geobox.crs))[0] for number, tile in enumerate(tiles)]
    return Area(tuple(Region(tile.id, shape) for tile, shape in zip(tiles, degrees, strict=True)))


def _read_regions(config: AreaConfig) -> tuple[Region, ...]:
    import pyogrio  # noqa: PLC0415 (GDAL's vector side, only for files of shapes)
    from pyogrio.errors import DataLayerError, DataSourceError  # noqa: PLC0415 (the same)

    path = Path(str(config.vector))
    layer = _layer(path, config.layer)
    try:
        meta, table = pyogrio.read_arrow(path, layer=layer)
    except (DataSourceError, DataLayerError) as error:
        raise ConfigError(f"area.vector: {path}: cannot be read as a vector file: {error}") from None
    place = f"{path}, layer {layer}" if config.layer else f"{path}"
    named = f"area.vector: {place}"
    geometry = meta["geometry_name"] or "wkb_geometry"
    columns = {name: table[name].to_pylist() for name in meta["fields"]}
    ids = _ids(columns, table.num_rows, config.id, place)
    rows = _chosen(config, columns, table.num_rows, place)
    shapes = [_polygon(table[geometry][row].as_py(), f"{named}: row {row} ({ids[row]})") for row in rows]
    crs = _crs(meta["crs"], named)
    try:
        degrees = to_lonlat(np.array(shapes, dtype=object), crs)
    except PlanRefusedError as error:
        raise ConfigError(f"{named}: {error}") from None
    for row, shape in zip(rows, degrees, strict=True):
        _check(shape, f"{named}: row {row} ({ids[row]})", crs)
    zones = _zones(config.zone, columns, dict(zip(rows, degrees, strict=True)), place)
    return tuple(Region(ids[row], shape, zones.get(row)) for row, shape in zip(rows, degrees, strict=True))


def _zones(
    attribute: str | None, columns: Mapping[str, Sequence[Json]], shapes: Mapping[int, BaseGeometry], place: str
) -> dict[int, str]:
    """The UTM zone of each row by an attribute; none for None. Raises ConfigError naming a row without one."""
    if attribute is None:
        return {}
    if attribute not in columns:
        raise ConfigError(
            f"area.zone: {place}: found no attribute {attribute}; allowed: {', '.join(columns) or 'none'}"
        )
    zones = {}
    for row, shape in shapes.items():
        named = columns[attribute][row]
        text = f"{named:g}" if isinstance(named, float) else str(named)
        try:
            zones[row] = zone_named(text, north=shape.centroid.y >= 0)
        except ValueError as error:
            raise ConfigError(f"area.zone: {place}: row {row}, {attribute}: found {named!r}; {error}") from None
    return zones


def _layer(path: Path, asked: str | None) -> str:
    """The layer to read. Raises ConfigError where there is none of that name, or a choice."""
    import pyogrio  # noqa: PLC0415 (as above)
    from pyogrio.errors import DataSourceError  # noqa: PLC0415 (the same)

    if not path.exists():
        raise ConfigError(f"area.vector: {path}: there is no such file; a relative path counts from the config file")
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except DataSourceError as error:
        raise ConfigError(
            f"area.vector: {path}: no vector file that can be read ({error}); allowed: GeoJSON, GPKG, shapefile"
        ) from None
    if asked is None and len(layers) == 1:
        return layers[0]
    if asked in layers:
        return str(asked)
    if not layers:
        raise ConfigError(f"area.vector: {path}: found no layer that holds shapes; allowed: GeoJSON, GPKG, shapefile")
    shown = ", ".join(layers)
    raise ConfigError(f"area.layer: {path}: found {asked or 'no layer'}; allowed: a layer of the file, of {shown}")


def _chosen(config: AreaConfig, columns: Mapping[str, Sequence[Json]], count: int, place: str) -> list[int]:
    """Rows within `index` whose attributes have the values of `select`."""
    first, last = config.rows
    if first >= count or (last or 0) > count:
        raise ConfigError(f"area.index: {place}: found {config.index or ':'}, but the file has {count} rows, from 0")
    rows = list(range(first, last or count))
    for attribute, values in (config.select or {}).items():
        if attribute not in columns:
            close = get_close_matches(attribute, list(columns), n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ConfigError(
                f"area.select.{attribute}: {place}: found no such attribute{hint}; "
                f"allowed: {', '.join(columns) or 'none'}"
            )
        column = columns[attribute]
        for value in values:
            if not any(_equal(value, other) for other in column):
                close = get_close_matches(str(value), [str(other) for other in column], n=1, cutoff=0.5)
                hint = f" (did you mean {close[0]}?)" if close else ""
                raise ConfigError(f"area.select.{attribute}: {place}: no feature has the value {value!r}{hint}")
        rows = [row for row in rows if any(_equal(value, column[row]) for value in values)]
    if not rows:
        raise ConfigError(f"area.select: {place}: no feature has all of what is asked, among the rows of area.index")
    return rows


def _equal(asked: Json, found: Json) -> bool:
    """Text is text and numbers are numbers: 1 is 1.0, but neither `1` nor true."""
    if isinstance(asked, bool) or isinstance(found, bool):
        return asked is found
    return bool(asked == found)


def _ids(columns: Mapping[str, Sequence[Json]], count: int, asked: str | None, place: str) -> list[str]:
    """A name for every row of the file, so that it is the same however rows are selected."""
    if asked is not None and asked not in columns:
        raise ConfigError(f"area.id: {place}: found no attribute {asked}; allowed: {', '.join(columns) or 'none'}")
    lower = {name.casefold(): name for name in reversed(list(columns))}
    likely = [lower[name] for name in (*_NAMES, *(name for name in lower if "name" in name)) if name in lower]
    column = asked or (likely[0] if likely else None)
    names = [_safe(value) for value in columns[column]] if column is not None else [""] * count
    # Names that differ in case alone are one folder on many disks.
    often = Counter(name.casefold() for name in names)
    ids = []
    for row, name in enumerate(names):
        number = f"row-{row:04d}"
        alone = name and often[name.casefold()] == 1 and not _NUMBERED.search(name)
        ids.append(name if alone else f"{name}-{number}" if name else number)
    return ids


def _safe(value: Json) -> str:
    """Letters, digits, - and _: of other letters their plain form where they have one."""
    text = "" if value is None else unicodedata.normalize("NFKD", str(value)).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:_ID_LENGTH]


def _polygon(wkb: Any, feature: str) -> BaseGeometry:
    """A feature's shape, repaired where its rings cross. Raises ConfigError naming the feature where it has no area."""
    try:
        shape = shapely.force_2d(shapely.from_wkb(wkb))
    except shapely.errors.GEOSException as error:
        raise ConfigError(f"{feature}: its shape cannot be read: {error}") from None
    if shape is None or shape.geom_type not in {"Polygon", "MultiPolygon", "GeometryCollection"}:
        raise ConfigError(f"{feature}: found {shape.geom_type if shape else 'no shape'}; allowed: polygons")
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise ConfigError(f"{feature}: found a coordinate that is no number; allowed: finite ones")
    whole = polygons(shape)
    if whole.is_empty:
        raise ConfigError(f"{feature}: found a shape without area; allowed: polygons")
    return whole


def _crs(known: str | None, place: str) -> str:
    try:
        crs = CRS.from_user_input(known or "")
    except CRSError:
        crs = None
    if crs is None or not (crs.is_geographic or crs.is_projected):
        raise ConfigError(f"{place}: found no CRS; save it with one (a shapefile's is in the .prj beside it)")
    return str(known)


def _check(shape: BaseGeometry, feature: str, crs: str) -> None:
    _, south, _, north = shape.bounds
    if shape.is_empty or not (-90 <= south <= north <= 90):
        raise ConfigError(f"{feature}: does not lie on the earth: latitudes {south:g}..{north:g}; is it really {crs}?")
