"""What is asked of PostgreSQL; the database writes each answer as JSON, so that no number becomes a Python object.

Newest first is by time, those without one last, then by identity: an order that no loading can change. 32-bit numbers
are written in the fewest digits that give them back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from pipeline.config.stores import Box
from pipeline.stores.migrations import MEASUREMENTS, numbers_table
from pipeline.stores.postgres import Connection, row, value

EARTH_KM = 6371.0088
"""Mean radius (IUGG)."""
_RADII_DEG = (1.0, 5.0, 25.0, 180.0)
_PLACE = ("coalesce(p.time, timestamptz '-infinity')", "p.wmo", "p.cycle", "p.direction", "p.kind", "p.profile_index")
"""In the order of all profiles."""
_NEWEST = ", ".join(f"{one} DESC" for one in _PLACE)
_HEAD = """
    'id', concat(p.wmo, '_', p.cycle, CASE p.direction WHEN 'D' THEN 'D' END, '_', p.kind, '_', p.profile_index),
    'wmo', p.wmo, 'cycle', p.cycle, 'direction', p.direction, 'kind', p.kind, 'profile_index', p.profile_index,
    'time', p.time, 'time_qc', p.time_qc, 'latitude', p.latitude, 'longitude', p.longitude,
    'position_qc', p.position_qc, 'data_mode', p.data_mode, 'levels', p.levels, 'file', p.file, 'version', p.version"""
_SUMMARY = f"json_build_object({_HEAD})"
_FLOAT = """json_build_object(
    'wmo', p.wmo, 'dac', p.dac, 'profiles', p.profiles, 'first_time', p.first_time, 'last_time', p.last_time,
    'latitude', p.latitude, 'longitude', p.longitude, 'parameters', p.parameters, 'metadata', p.metadata)"""
_BEST = ("value", "qc", "error")
_ALL = (*_BEST, "raw", "raw_qc", "adjusted", "adjusted_qc", "adjusted_error")
_FIRST_OF_CAST = """NOT EXISTS (
    SELECT FROM profiles AS other
    WHERE (other.wmo, other.cycle, other.direction) = (p.wmo, p.cycle, p.direction)
        AND (other.kind > p.kind OR other.kind = p.kind AND other.profile_index < p.profile_index))"""
"""One profile a cast: the synthetic one where there is one, else the core file's, else the B file's; its first."""
_KM = f"""2 * {EARTH_KM} * asin(least(1, sqrt(
    sin(radians(p.latitude - %(lat)s) / 2) ^ 2
    + cos(radians(p.latitude)) * cos(radians(%(lat)s)) * sin(radians(p.longitude - %(lon)s) / 2) ^ 2)))"""


def _whole(words: Sequence[str]) -> str:
    """A profile p with its measurements, by parameter."""
    numbers = ", ".join(f"'{word}', {word}" for word in words)
    tables = " UNION ALL ".join(
        f"SELECT parameter, json_build_object('mode', mode, {numbers}) AS numbers FROM {table} AS m "
        "WHERE m.profile_id = p.profile_id"
        for table in MEASUREMENTS
    )
    measured = f"(SELECT coalesce(json_object_agg(parameter, numbers), '{{}}') FROM ({tables}) AS every)"
    return f"json_build_object({_HEAD}, 'metadata', p.metadata, 'statistics', p.statistics, 'measurements', {measured})"


_WHOLE = {False: _whole(_BEST), True: _whole(_ALL)}


Place = tuple[str, int, int, str, str, int]
"""Of a profile in the order of all: time as text, and identity."""


@dataclass(frozen=True)
class Page:
    """One page of an answer, as JSON texts."""

    items: tuple[str, ...]
    after: tuple[object, ...] | None
    """Where the next one goes on; None where there is none."""


@dataclass(frozen=True)
class Filter:
    """Which profiles are meant; what is None does not matter."""

    wmo: int | None = None
    box: Box | None = None
    start: datetime | None = None
    """Included."""
    end: datetime | None = None
    """Not included."""
    kind: str | None = None
    data_mode: str | None = None
    parameter: str | None = None

    def where(self) -> tuple[str, dict[str, object]]:
        """The condition on a profile p, and its values."""
        conditions, values = ["true"], dict[str, object]()
        for name, condition in _CONDITIONS.items():
            given = getattr(self, name)
            if given is not None:
                conditions.append(condition)
                values[name] = given
        if self.parameter is not None:
            conditions.append(
                f"EXISTS (SELECT FROM {numbers_table(self.parameter)} AS m "
                "WHERE m.profile_id = p.profile_id AND m.parameter = %(parameter)s)"
            )
            values["parameter"] = self.parameter
        if self.box is not None:
            condition, corners = _inside(self.box)
            conditions.append(condition)
            values |= corners
        return " AND ".join(conditions), values


_CONDITIONS: Mapping[str, str] = {
    "wmo": "p.wmo = %(wmo)s",
    "start": f"{_PLACE[0]} >= %(start)s",  # by the index of the order
    "end": f"{_PLACE[0]} < %(end)s AND p.time IS NOT NULL",
    "kind": "p.kind = %(kind)s",
    "data_mode": "p.data_mode = %(data_mode)s",
}


def _inside(box: Box) -> tuple[str, dict[str, object]]:
    """The condition that a place lies in a box, its edges included, and its values."""
    west, south, east, north = box
    halves = [(west, east)] if west < east else [(west, 180.0), (-180.0, east)]
    values: dict[str, object] = {"south": south, "north": north}
    parts = []
    for i, (left, right) in enumerate(halves):
        values |= {f"west{i}": left, f"east{i}": right}
        corners = f"point(%(west{i})s, %(south)s), point(%(east{i})s, %(north)s)"
        parts.append(f"point(p.longitude, p.latitude) <@ box({corners})")
    return f"({' OR '.join(parts)})", values


def floats(connection: Connection, box: Box | None, after: int, limit: int) -> Page:
    """Floats by their number, those that were last known to be in a box."""
    where, values = ("true", dict[str, object]()) if box is None else _inside(box)
    rows = connection.execute(
        f"SELECT {_FLOAT}::text, p.wmo FROM floats AS p WHERE {where} AND p.wmo > %(after)s "
        "ORDER BY p.wmo LIMIT %(limit)s",
        {**values, "after": after, "limit": limit + 1},
    ).fetchall()
    return _page(rows, limit)


def float_of(connection: Connection, wmo: int) -> str | None:
    """One float; None where there is none."""
    return cast("str | None", value(connection, f"SELECT {_FLOAT}::text FROM floats AS p WHERE wmo = %s", (wmo,)))


def profiles(connection: Connection, chosen: Filter, after: Place | None, limit: int) -> Page:
    """Profiles without their measurements, newest first."""
    where, values = chosen.where()
    beyond = ""
    if after is not None:
        beyond = f"AND ({', '.join(_PLACE)}) < (%(a0)s::timestamptz, %(a1)s, %(a2)s, %(a3)s, %(a4)s, %(a5)s)"
        values |= {f"a{i}": each for i, each in enumerate(after)}
    rows = connection.execute(
        # The page first, or PostgreSQL writes the JSON of all before it sorts them.
        f"SELECT {_SUMMARY}::text, {', '.join((f'{_PLACE[0]}::text', *_PLACE[1:]))} "
        f"FROM (SELECT p.profile_id FROM profiles AS p WHERE {where} {beyond} ORDER BY {_NEWEST} LIMIT %(limit)s) "
        f"AS page JOIN profiles AS p USING (profile_id) ORDER BY {_NEWEST}",
        {**values, "limit": limit + 1},
    ).fetchall()
    return _page(rows, limit)


def profile_of(connection: Connection, identity: tuple[int, int, str, str, int], *, originals: bool) -> str | None:
    """One profile with its measurements, and with what its file says of them; None where there is none."""
    return cast(
        "str | None",
        value(
            connection,
            f"SELECT {_WHOLE[originals]}::text FROM profiles AS p "
            "WHERE (wmo, cycle, direction, kind, profile_index) = (%s, %s, %s, %s, %s)",
            identity,
        ),
    )


def nearest(connection: Connection, place: tuple[float, float], chosen: Filter, limit: int) -> tuple[str, ...]:
    """Profiles by their distance (`distance_km`, on the sphere) from a (latitude, longitude); one a cast, or of a kind.

    Rings are searched until the farthest found is nearer than the ring, so none that is nearer is outside of it.
    """
    latitude, longitude = place
    rows: list[tuple[object, ...]] = []
    for radius_deg in _RADII_DEG:
        box = around(latitude, longitude, radius_deg)
        where, values = Filter(**{**vars(chosen), "box": box}).where()
        first = "true" if chosen.kind else _FIRST_OF_CAST
        rows = connection.execute(
            f"""
            SELECT (({_SUMMARY})::jsonb || jsonb_build_object('distance_km', near.km))::text, near.km
            FROM (
                SELECT p.profile_id, {_KM} AS km FROM profiles AS p WHERE {where} AND {first}
                ORDER BY km, {_NEWEST} LIMIT %(limit)s
            ) AS near JOIN profiles AS p USING (profile_id) ORDER BY near.km, {_NEWEST}
            """,
            {**values, "lat": latitude, "lon": longitude, "limit": limit},
        ).fetchall()
        if len(rows) == limit and cast("float", rows[-1][1]) <= math.radians(radius_deg) * EARTH_KM:
            break
    return tuple(str(text) for text, _ in rows)


def around(latitude: float, longitude: float, radius_deg: float) -> Box:
    """A box that holds everything within an angle of a place; a whole zone where a pole is among it."""
    south, north = latitude - radius_deg, latitude + radius_deg
    if south <= -90 or north >= 90:
        return -180.0, max(south, -90.0), 180.0, min(north, 90.0)
    half = math.degrees(math.asin(math.sin(math.radians(radius_deg)) / math.cos(math.radians(latitude))))
    west, east = ((each + 180) % 360 - 180 for each in (longitude - half, longitude + half))
    return west, south, east, north


def regions(connection: Connection) -> list[dict[str, object]]:
    """All regions by name."""
    names = ("name", "west", "south", "east", "north")
    found = connection.execute("SELECT name, west, south, east, north FROM regions ORDER BY name").fetchall()
    return [dict(zip(names, each, strict=True)) for each in found]


def counts(connection: Connection) -> dict[str, object]:
    """How much is loaded, and when it was."""
    names = ("partitions", "profiles", "loaded_at")
    found = row(
        connection,
        "SELECT count(*), coalesce(sum(profiles), 0)::bigint, to_json(max(loaded_at))::jsonb FROM partitions",
    )
    return dict(zip(names, found or (0, 0, None), strict=True))


def region_of(connection: Connection, name: str) -> Box | None:
    """The box of a region; None where there is none of that name."""
    found = row(connection, "SELECT west, south, east, north FROM regions WHERE name = %s", (name,))
    return cast("Box | None", found)


def latest(connection: Connection, chosen: Filter, limit: int) -> str:
    """The newest profiles with their best values, one a cast, as a JSON array."""
    where, values = chosen.where()
    rows = connection.execute(
        f"SELECT {_WHOLE[False]}::text FROM profiles AS p WHERE {where} AND {_FIRST_OF_CAST} "
        f"ORDER BY {_NEWEST} LIMIT %(limit)s",
        {**values, "limit": limit},
    ).fetchall()
    return f"[{','.join(str(text) for (text,) in rows)}]"


def _page(rows: Sequence[tuple[object, ...]], limit: int) -> Page:
    items = tuple(str(each[0]) for each in rows[:limit])
    return Page(items, rows[limit - 1][1:] if len(rows) > limit else None)
