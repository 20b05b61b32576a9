"""From which orbit a scene is, which scenes are one observation, and which observations become one layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.products._sentinel1_config import Sentinel1Config
from pipeline.search.normalise import solar_time
from pipeline.types import Item

FACTS = ("datetime", "sar:polarizations", "sat:orbit_state", "sat:relative_orbit")
"""Item properties that decide what is made of a scene; its time, as scenes of one orbit and day are one observation."""
_DIRECTIONS = ("ascending", "descending")
# Mission and absolute orbit of a product's name (Sentinel-1 Product Specification, naming convention).
_PRODUCT = re.compile(r"S1([A-D])_(?:IW|EW|S[1-6]|WV)_\w{4}_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_(\d{6})_")
_TRACK = re.compile(r"^OPERA_L2_RTC-S1_T(\d{3})-")
_NAMED = re.compile(r"_(ASC|DESC)(?:_|$)|^S1[A-D]_+(?:IW|EW|SM|S\d|WV)_+([AD])_")
_RELATIVE = {"A": 73, "B": 27, "C": 172, "D": 42}
"""Relative orbit = (absolute - this) mod 175 + 1. Source: SentiWiki, S1 Products, naming convention."""
_C_MOVED, _C_AFTER = 8018, 99
"""Sentinel-1C's last absolute orbit before it was moved in June 2026, and its number since."""


@dataclass(frozen=True, order=True)
class Orbit:
    """Direction and relative orbit of a scene, as far as they are known."""

    direction: str = ""
    number: int = 0

    @property
    def suffix(self) -> str:
        return f"-{self.direction}-{self.number}"


@dataclass(frozen=True)
class Pass:
    """The slices that the satellite took along one orbit on one day: one observation."""

    day: date
    orbit: Orbit
    scenes: tuple[int, ...]
    """Numbers of the job's items, in their order: of overlapping slices the first has the pixel."""


@dataclass(frozen=True)
class Group:
    """Observations that become one layer a polarisation."""

    suffix: str
    """Of the layers' names, with its hyphen; empty for the only group."""
    passes: tuple[Pass, ...]


def orbit_of(item: Item) -> Orbit:
    """What the item states (`sat:orbit_state`, `sat:relative_orbit`), else its name, else its local time of day.

    The orbit is sun-synchronous and over dawn and dusk: a scene is taken within some hours of 6 o'clock local time on
    the way down, of 18 o'clock on the way up. Near the poles, where it turns, neither is certain.
    """
    return Orbit(_direction(item), _number(item))


def _direction(item: Item) -> str:
    stated = str(item.properties.get("sat:orbit_state", "")).lower()
    if stated in _DIRECTIONS:
        return stated
    named = _NAMED.search(item.id)
    if named:
        return _DIRECTIONS[(named[1] or named[2]).startswith("D")]
    local = solar_time(item.time, item.geometry)
    hour = local.hour + local.minute / 60
    return "descending" if 3 <= hour < 9 else "ascending" if 15 <= hour < 21 else ""


def _number(item: Item) -> int:
    stated = item.properties.get("sat:relative_orbit")
    if isinstance(stated, int | float) and 1 <= stated <= 175:
        return int(stated)
    track, product = _TRACK.search(item.id), _PRODUCT.search(item.id)
    if track:
        return int(track[1])
    if not product:
        return 0
    mission, absolute = product[1], int(product[2])
    first = _C_AFTER if mission == "C" and absolute > _C_MOVED else _RELATIVE[mission]
    return (absolute - first) % 175 + 1


def polarisations_of(item: Item) -> frozenset[str] | None:
    """The polarisations that a scene was taken in, by the item or its name; None where neither says."""
    stated = item.properties.get("sar:polarizations")
    if isinstance(stated, Sequence) and not isinstance(stated, str) and stated:
        return frozenset(str(one).lower() for one in stated)
    named = re.search(r"_\w{3}[_A-Z]_\d[SA]([SD])([HV])_\d{8}T", item.id)
    if not named:
        return None
    like, cross = f"{named[2]}{named[2]}".lower(), {"H": "hv", "V": "vh"}[named[2]]
    return frozenset((like, cross) if named[1] == "D" else (like,))


def never_measured(item: Item, polarisation: str) -> bool:
    """Whether a scene has no asset of a polarisation because it was not taken in it: so nothing is lost."""
    known = polarisations_of(item)
    return polarisation not in item.assets and known is not None and polarisation not in known


def wanted(config: Sentinel1Config, orbit: Orbit) -> bool:
    """Whether an entry asks for an orbit."""
    right_way = config.direction is None or orbit.direction == config.direction
    return right_way and (config.relative_orbits is None or orbit.number in config.relative_orbits)


def used(config: Sentinel1Config, item: Item) -> bool:
    """Whether an entry asks for a scene; one whose orbit nobody knows is asked for, and a loss by name."""
    return placeless(config, item) is not None or wanted(config, orbit_of(item))


def placeless(config: Sentinel1Config, item: Item) -> str | None:
    """Why a scene cannot be used for want of its orbit; None where it can, or what is known of it rules it out."""
    orbit = orbit_of(item)
    other_way = config.direction is not None and orbit.direction not in ("", config.direction)
    if other_way or (config.relative_orbits is not None and orbit.number not in (0, *config.relative_orbits)):
        return None
    if config.needs_direction and not orbit.direction:
        return (
            "its orbit direction is not known: found no sat:orbit_state, and neither its name nor the hour tells it; "
            "expected it, or orbits: together without direction and prefer"
        )
    if config.needs_number and not orbit.number:
        return (
            "its relative orbit is not known: found no sat:relative_orbit and no name that tells it; expected it, or "
            "orbits: direction or together without relative_orbits"
        )
    return None


def passes_of(items: Sequence[Item], config: Sentinel1Config) -> list[Pass]:
    """The observations that an entry asks for, in order of day and orbit."""
    found: dict[tuple[date, Orbit], list[int]] = {}
    for number, item in enumerate(items):
        orbit = orbit_of(item)
        if placeless(config, item) is None and wanted(config, orbit):
            found.setdefault((item.solar_day, orbit), []).append(number)
    return [Pass(*key, tuple(found[key])) for key in sorted(found)]


def groups_of(items: Sequence[Item], config: Sentinel1Config) -> list[Group]:
    """The groups of a job's observations; those whose names are fixed by the entry also where they have none."""
    passes = passes_of(items, config)
    return [
        Group(suffix, tuple(one for one in passes if _suffix(one.orbit, config) == suffix))
        for suffix in sorted({*_fixed(config), *(_suffix(one.orbit, config) for one in passes)})
    ]


def _suffix(orbit: Orbit, config: Sentinel1Config) -> str:
    return {"together": "", "direction": f"-{orbit.direction}", "apart": orbit.suffix}[config.orbits]


def _fixed(config: Sentinel1Config) -> Iterator[str]:
    """Suffixes that every tile and period has, whatever was seen there."""
    ways = (config.direction,) if config.direction else _DIRECTIONS
    if config.orbits == "together":
        yield ""
    elif config.orbits == "direction":
        yield from (f"-{way}" for way in ways)
    elif config.direction:
        yield from (Orbit(config.direction, number).suffix for number in config.relative_orbits or ())
