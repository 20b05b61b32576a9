"""A small Argo GDAC (Global Data Assembly Centre) of the demo world: four floats that drift in its lake for two months.

Laid out like the real ones: `dac/<dac>/<wmo>/profiles/` and index files beside `dac`. Delayed-mode files stand beside
the real-time ones that they replace, some of which the index still names; see `README.md` of the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.demo.argo_file import FILL, Cast, Column, profile_file
from pipeline.demo.argo_index import GREYLIST, Listed, index_files
from pipeline.demo.argo_water import places, pressures, sampled
from pipeline.demo.land import GROUND_CRS

CYCLES = 13
FIRST = datetime(2024, 6, 1, 9, 40, tzinfo=UTC)
EVERY = timedelta(days=5)
FLOATS = (9900101, 9900102, 9900215, 9900216)
BROKEN = "coriolis/9900216/profiles/R9900216_005.nc"
UNLISTED = ("incois/9900101/profiles/R9900101_002.nc", "incois/9900101/profiles/R9900101_013.nc")
_KEPT_OF_BROKEN = 0.62
_AWAY = (13.5, 44.0)
"""Longitude and latitude of the one profile outside of the demo's area."""
_BGC = ("DOXY", "CHLA")
_CORE = ("PRES", "TEMP", "PSAL")
_DOWN = "D"


@dataclass(frozen=True, eq=False)
class _File:
    """One profile file: its path below `dac`, its casts, and what the index says of it."""

    path: str
    kind: str
    casts: tuple[Cast, ...]
    updated: str

    def content(self) -> bytes:
        whole = profile_file(self.casts, self.kind, self.updated)
        return whole[: int(len(whole) * _KEPT_OF_BROKEN)] if self.path == BROKEN else whole


@cache
def mirror_files() -> Mapping[str, bytes]:
    """Every file of the mirror: path below its root → content; the same bytes every time."""
    files = [file for wmo in FLOATS for file in _float_files(wmo)]
    out = {f"dac/{file.path}": file.content() for file in files}
    for wmo in FLOATS:
        path = f"{_dac(wmo)}/{wmo}/{wmo}_prof.nc"
        out[f"dac/{path}"] = profile_file(_primaries(files, wmo))
    listed = [Listed(one.path, one.kind, one.casts[0], one.updated) for one in files if one.path not in UNLISTED]
    out |= index_files(listed)
    out["ar_greylist.txt"] = GREYLIST
    return MappingProxyType(dict(sorted(out.items())))


def moment(cycle: int) -> datetime:
    """When the floats come up."""
    return FIRST + EVERY * (cycle - 1)


def _float_files(wmo: int) -> Iterator[_File]:
    """All single-cycle files of a float."""
    for cycle in range(1, CYCLES + 1):
        for letter in _letters(wmo, cycle):
            yield from _cycle_files(wmo, cycle, letter)
        if (wmo, cycle) == (9900101, 1):
            cast = replace(_core(wmo, 1, "D")[0], direction=_DOWN, moment=FIRST - timedelta(hours=6))
            yield _File(f"incois/{wmo}/profiles/D{wmo}_001D.nc", "core", (cast,), _updated(1, "D"))


def _letters(wmo: int, cycle: int) -> str:
    """Which files of a cycle there are: real time (R), delayed mode (D), or both."""
    if wmo == 9900101:
        return "RD" if cycle <= 2 else "D" if cycle <= 6 else "R"
    if wmo == 9900102:
        return "D"
    return "D" if wmo == 9900215 and cycle <= 8 else "R"


def _cycle_files(wmo: int, cycle: int, letter: str) -> Iterator[_File]:
    """The core file of a cycle, and of the float with more sensors its B-file and their synthesis."""
    folder, updated = f"{_dac(wmo)}/{wmo}/profiles", _updated(cycle, letter)
    name = f"{wmo}_{cycle:03d}.nc"
    core = _core(wmo, cycle, letter)
    yield _File(f"{folder}/{letter}{name}", "core", core, updated)
    if wmo == 9900215:
        bgc = tuple(
            _with_columns(cast, cycle, {"PRES": "R", "DOXY": letter.replace("R", "A"), "CHLA": "A"}) for cast in core
        )
        yield _File(f"{folder}/B{letter}{name}", "bgc", bgc, updated)
        yield _File(f"{folder}/S{letter}{name}", "synthetic", (_joined(core, bgc),), updated)


def _core(wmo: int, cycle: int, letter: str) -> tuple[Cast, ...]:
    """The casts of a core file: the primary one, and of some floats the one near the surface."""
    mode = "A" if letter == "R" and 7 <= cycle <= 9 else letter
    x, y = places(wmo, cycle)
    lon, lat = _AWAY if (wmo, cycle) == (9900216, 6) else _degrees(x, y)
    where = pressures(wmo, cycle)
    columns = sampled(where, moment(cycle).date(), cycle, dict.fromkeys(_CORE, mode))
    failed = "200" if any(column.qc and "4" in column.qc for column in columns.values()) else "0"
    cast = Cast(wmo, cycle, moment(cycle), lat, lon, columns, tests_failed=failed)
    if wmo == 9900102:
        cast = _odd(cast)
    if wmo not in {9900102, 9900215}:
        return (cast,)
    shallow = sampled(pressures(wmo, cycle, near_surface=True), moment(cycle).date(), cycle, dict.fromkeys(_CORE, mode))
    scheme = "Near-surface sampling: discrete, unpumped []"
    return (cast, replace(cast, columns=shallow, scheme=scheme, tests_failed="200"))


def _odd(cast: Cast) -> Cast:
    """The float of which every time is estimated, and single places, times and marks are missing or wrong."""
    if cast.cycle == 3:
        return replace(cast, latitude=-99.999, longitude=-999.999, position_qc="9", juld_qc="8")
    if cast.cycle == 5:
        return replace(cast, latitude=FILL, longitude=FILL, position_qc="9", juld_qc="8")
    if cast.cycle == 6:
        columns = {**cast.columns, "TEMP": replace(cast.columns["TEMP"], profile_qc="F")}
        return replace(cast, columns=columns, juld_qc="8")
    return replace(cast, juld_qc="4" if cast.cycle == 4 else "8")


def _with_columns(cast: Cast, cycle: int, modes: Mapping[str, str]) -> Cast:
    """The same cast with other parameters; of pressure a B-file has what the float reported."""
    where = pressures(cast.wmo, cycle, near_surface=cast.scheme.startswith("Near"))
    return replace(cast, columns=sampled(where, cast.moment.date(), cycle, modes), tests_failed="0")


def _joined(core: Sequence[Cast], bgc: Sequence[Cast]) -> Cast:
    """All levels of a cycle in one profile, by pressure and each once, as synthetic profiles have them."""
    _, order = np.unique(np.concatenate([cast.columns["PRES"].raw for cast in core]), return_index=True)
    columns = {}
    for name in (*_CORE, *_BGC):
        parts = [cast.columns[name] for cast in (core if name in _CORE else bgc)]
        columns[name] = _sorted(parts, order)
    return replace(core[0], columns=columns)


def _sorted(parts: Sequence[Column], order: NDArray[np.int64]) -> Column:
    """The levels of some columns as one, in another order."""

    def numbers(arrays: Sequence[NDArray[np.floating] | None]) -> NDArray[np.floating] | None:
        found = [array for array in arrays if array is not None]
        return np.concatenate(found)[order] if found else None

    def letters(texts: Sequence[str | None]) -> str | None:
        found = "".join(text for text in texts if text is not None)
        return "".join(found[place] for place in order) if found else None

    return Column(
        np.concatenate([part.raw for part in parts])[order],
        letters([part.qc for part in parts]),
        numbers([part.adjusted for part in parts]),
        letters([part.adjusted_qc for part in parts]),
        numbers([part.error for part in parts]),
        parts[0].mode,
    )


def _primaries(files: Sequence[_File], wmo: int) -> list[Cast]:
    """The first profile of each cycle and direction, of its best file, in order of time."""
    best = {}
    for file in files:  # real-time files come first
        first = file.casts[0]
        if file.kind == "core" and first.wmo == wmo:
            best[first.cycle, first.direction] = first
    return sorted(best.values(), key=lambda cast: cast.moment)


def _updated(cycle: int, letter: str) -> str:
    """DATE_UPDATE: half a day after the profile, or the day in August when the cycle was settled."""
    when = moment(cycle) + timedelta(hours=12) if letter == "R" else datetime(2024, 8, 15 + cycle, tzinfo=UTC)
    return f"{when:%Y%m%d%H%M%S}"


def _dac(wmo: int) -> str:
    return "incois" if wmo < 9900200 else "coriolis"


def _degrees(x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude, rounded to what floats report."""
    lon, lat = _to_degrees().transform(x, y)
    return round(lon, 5), round(lat, 5)


@cache
def _to_degrees() -> Transformer:
    return Transformer.from_crs(GROUND_CRS, 4326, always_xy=True)
