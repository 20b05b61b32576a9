"""The best value of every Argo parameter at every level: raw or adjusted, its flag, its error, and what was done to it.

Everything is flat: one array over the levels of many profiles, profile after profile. Sources: Argo user's manual (DOI
10.13155/29825), sections on measurements and B-files, reference tables 2 and 2a.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.argo_rules import LEVEL_RULES, QualityRule
from pipeline.types.levels import KINDS, MISSING, NO_FLAG, ODD_FLAG, Flags, LevelValues
from pipeline.types.profiles import Codes, Floats

BAD = 4
_SEVERITY = np.array([0, 0, 1, 1, 2, 3, 1, 0, 0, 1, 4], np.int8)
"""By flag + 1: what the greylist may only make worse. No flag and 0 give way to all, 9 (missing) to none."""
_BIT = {name: np.uint16(1 << bit) for bit, name in enumerate(LEVEL_RULES)}
_NULLING = _BIT["flag"] | _BIT["not_delayed"] | _BIT["pressure_error"]
_CORE, _BGC = KINDS.index("core"), KINDS.index("bgc")

Starts = NDArray[np.int64]
"""Shape (profiles + 1,): the levels of profile p are `starts[p]:starts[p + 1]`."""


@dataclass(frozen=True)
class Best:
    """The best values of one parameter, each array of shape (levels,)."""

    value: Floats
    """dtype as stored; NaN where there is none that the quality level takes."""
    qc: Flags
    """The flag that decided; kept where the value is null. `NO_FLAG`: none."""
    error: Floats
    """Of an adjusted value; NaN where there is none."""
    mode: Codes
    """R, A or D: which of the values it is; blank where the profile does not have the parameter."""
    why: NDArray[np.uint16]
    """Bit k: `LEVEL_RULES[k]` met this level."""


@dataclass(frozen=True)
class LevelKeys:
    """Which profile is which, each of shape (profiles,), and where its levels are."""

    wmo: NDArray[np.int32]
    cycle: NDArray[np.int32]
    direction: Codes
    kind: NDArray[np.int8]
    """Place in `KINDS`."""
    index: NDArray[np.int32]
    starts: Starts
    level: NDArray[np.int32]
    """(levels,): place in the file's N_LEVELS, in each profile from 0 without gaps; below 0 in a row without level."""


def usable_modes(values: LevelValues) -> Codes:
    """R, A, D of each profile, (profiles,) S1; blank where it does not have the parameter.

    R where the file has no `<PARAMETER>_ADJUSTED` at all: what cannot be adjusted is as it was sent, whatever the mode
    of the profile (intermediate parameters, PRES of B-files, MTIME).
    """
    adjusting = (values.mode == b"A") | (values.mode == b"D")
    return np.where(adjusting & ~values.has_adjusted, np.bytes_(b"R"), values.mode).astype("S1")


def best_values(
    parameter: str, values: LevelValues, starts: Starts, rule: QualityRule, listed: Flags | None = None
) -> Best:
    """THE rule of the best value, level by level; it looks at one parameter and nothing else.

    1. Mode R or blank: the raw value with its own flag; there is no error.
    2. Mode A or D: the adjusted value with its flag and error. Where that is fill and the raw value is not, the raw one
       stands in as bad (flag 4), never as good: an adjusted value is withheld because the measurement is lost.
       A file without any adjusted values of the parameter counts as mode R (`usable_modes`).
    3. A stored NaN or infinity is no value: null, flag 4.
    4. Real-time values (R and A) of a sensor on the greylist take the list's flag where that is worse than their own.
    5. The quality level: a value is null whose flag is not in `rule.flags`, which is not D where only delayed mode is
       taken, or (PRES) whose error is unknown or too large. Its flag stays.

    listed: (profiles,) flag of the greylist, `NO_FLAG` for none (see `greylisted`).
    """
    sizes = np.diff(starts)
    mode = np.repeat(usable_modes(values), sizes)
    adjusting = (mode == b"A") | (mode == b"D")
    raw_there = values.raw != MISSING
    adjusted_there = adjusting & (values.adjusted != MISSING)
    fallback = adjusting & ~adjusted_there & raw_there
    there = adjusted_there | raw_there
    value = np.where(adjusted_there, values.adjusted, values.raw)
    qc = np.where(adjusting, values.adjusted_qc, values.raw_qc)
    odd = there & (qc == ODD_FLAG)
    qc[qc == ODD_FLAG] = NO_FLAG
    broken = there & ~np.isfinite(value)
    qc[fallback | broken] = BAD
    why = fallback * _BIT["raw_for_adjusted"] | broken * _BIT["not_finite"] | odd * _BIT["odd_flag"]
    value[~there | broken] = np.nan
    given = values.adjusted_error
    known = adjusted_there & ~broken & (given != MISSING) & np.isfinite(given)
    best = Best(value, qc, np.where(known, given, given.dtype.type(np.nan)), mode, why)
    if listed is not None:
        best = _greylisted(best, np.repeat(listed, sizes))
    return _kept(parameter, best, rule)


def _greylisted(best: Best, listed: Flags) -> Best:
    worse = (_SEVERITY[listed + 1] > _SEVERITY[best.qc + 1]) & (best.mode != b"D") & np.isfinite(best.value)
    return replace(best, qc=np.where(worse, listed, best.qc), why=best.why | worse * _BIT["greylist"])


def _kept(parameter: str, best: Best, rule: QualityRule) -> Best:
    there = np.isfinite(best.value)
    why = best.why.copy()
    if rule.flags is not None:
        taken = np.zeros(11, np.bool_)
        taken[np.array(rule.flags) + 1] = True
        why |= (there & ~taken[best.qc + 1]) * _BIT["flag"]
    if rule.delayed_only:
        why |= (there & (best.mode != b"D")) * _BIT["not_delayed"]
    if rule.pressure_error_dbar is not None and parameter == "PRES":
        why |= (there & ~(best.error < rule.pressure_error_dbar)) * _BIT["pressure_error"]
    dropped = (why & _NULLING) != 0
    value = np.where(dropped, best.value.dtype.type(np.nan), best.value)
    error = np.where(dropped, best.error.dtype.type(np.nan), best.error)
    return Best(value, best.qc, error, best.mode, why)


def core_pressure(keys: LevelKeys, raw: Floats, best: Best, rule: QualityRule) -> Best:
    """The pressure of a B-file is that of its core file: of the same float, cycle, direction, index and level.

    raw: (levels,) PRES as stored; best: of the same levels, by `best_values`. A level takes value, flag, error and mode
    of the core level of its number if their stored pressures are equal; else it keeps its own, without a flag, and the
    reason is noted. Raises ValueError where two core profiles are one and the same: superseded ones must be gone.
    """
    sizes = np.diff(keys.starts)
    rows = np.flatnonzero(np.repeat(keys.kind == _BGC, sizes) & (raw != MISSING))
    core = np.repeat(_core_profiles(keys), sizes)[rows]
    level = keys.level[rows]
    inside = (core >= 0) & (level >= 0) & (level < sizes[core])
    partner = np.where(inside, keys.starts[core] + level, rows)
    equal = inside & (raw[partner] == raw[rows])
    lone = np.where(core >= 0, _BIT["core_pressure_differs"], _BIT["no_core_pressure"])[~equal]
    own = raw[rows[~equal]]
    finite = np.isfinite(own)
    unflagged = Best(
        np.where(finite, own, own.dtype.type(np.nan)),
        np.where(finite, np.int8(NO_FLAG), np.int8(BAD)),
        np.full(own.shape, np.nan, best.error.dtype),
        np.full(own.shape, b"R", "S1"),
        lone | ~finite * _BIT["not_finite"],
    )
    unflagged = _kept("PRES", unflagged, rule)
    made = {}
    for name in ("value", "qc", "error", "mode", "why"):
        column = getattr(best, name).copy()
        column[rows[equal]] = column[partner[equal]]
        column[rows[~equal]] = getattr(unflagged, name)
        made[name] = column
    return Best(**made)


def _core_profiles(keys: LevelKeys) -> NDArray[np.int64]:
    """Of each profile the place of the core profile of its float, cycle, direction and index; -1 for none."""
    # 24 bits of WMO number, 20 of cycle (its fill value included), 1 of direction, 16 of index.
    packed = (keys.wmo.astype(np.int64) << 37) | ((keys.cycle.astype(np.int64) & 0xFFFFF) << 17)
    packed |= ((keys.direction == b"D").astype(np.int64) << 16) | (keys.index.astype(np.int64) & 0xFFFF)
    core = np.flatnonzero(keys.kind == _CORE)
    core = core[np.argsort(packed[core], kind="stable")]
    known = packed[core]
    twice = np.flatnonzero(known[1:] == known[:-1])
    if twice.size:
        one = core[twice[0]]
        raise ValueError(
            f"two core profiles of float {keys.wmo[one]}, cycle {keys.cycle[one]}, index {keys.index[one]}: "
            "expected one, after supersession"
        )
    if not core.size:
        return np.full(packed.shape, -1, np.int64)
    at = np.minimum(np.searchsorted(known, packed), core.size - 1)
    return np.where(known[at] == packed, core[at], -1)


@dataclass(frozen=True)
class WhyCounts:
    """How many levels of which profile a rule met: arrays of one entry a pair that occurs, by rule, then profile."""

    profile: NDArray[np.int64]
    rule: NDArray[np.int64]
    """Place in `LEVEL_RULES`."""
    count: NDArray[np.int64]
    first: NDArray[np.int64]
    """Place among all levels of the first one it met."""


def why_counts(why: NDArray[np.uint16], starts: Starts) -> WhyCounts:
    """The ledger's rows of one parameter: profile, rule, number of levels and the first of them."""
    met = np.flatnonzero(why)
    profile = np.searchsorted(starts, met, side="right") - 1
    found = []
    for bit in range(len(LEVEL_RULES)):
        mine = (why[met] >> np.uint16(bit)) & np.uint16(1) != 0
        some, first, counts = np.unique(profile[mine], return_index=True, return_counts=True)
        found.append((some, np.full(some.shape, bit, np.int64), counts, met[mine][first]))
    return WhyCounts(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
