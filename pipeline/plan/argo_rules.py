"""Words of the Argo ledger: every rule by which a value, a profile or a file is not what its source says, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scope = Literal["file", "profile", "level"]
Effect = Literal["left_out", "null", "changed", "noted"]
QualityLevel = Literal["expert", "standard", "research"]

GOOD_FLAGS = (1, 2, 5, 8)
"""Good, probably good, changed, estimated: what table 2a of the format manual counts as good."""
RESEARCH_FLAGS = (1, 5, 8)
RESEARCH_PRESSURE_ERROR_DBAR = 20.0


@dataclass(frozen=True)
class Rule:
    """One rule of the ledger."""

    name: str
    scope: Scope
    """What one row of the ledger is about: a file, a profile, or the levels of one parameter of a profile (counted)."""
    effect: Effect
    """`left_out`: not in the tables; `null`: the derived column is null, the original is beside it; `changed`: the
    derived value or flag differs from the original; `noted`: nothing differs, somebody should know."""
    text: str


_ALL = (
    Rule("unreadable", "file", "left_out", "not a sound Argo profile file; the cause stands in the row"),
    Rule("not_profiles", "file", "left_out", "trajectory, metadata or technical file: it has no profiles"),
    Rule("lost", "file", "left_out", "the file could not be had"),
    Rule("stale", "file", "noted", "not listed any more, but what replaces it cannot be read: its rows stay"),
    Rule(
        "superseded_file", "file", "left_out", "a better file of the same float, cycle, direction and kind: D before R"
    ),
    Rule("superseded_profile", "profile", "left_out", "a better version of the same profile: mode D before A before R"),
    Rule("no_levels", "profile", "noted", "the profile has no level; it is one row without a level"),
    Rule("padding", "profile", "left_out", "trailing levels that hold nothing but fill values"),
    Rule("time_missing", "profile", "null", "JULD is its fill value, or JULD_QC says that it is missing"),
    Rule("time_invalid", "profile", "null", "JULD is no time from 1950 to 2100"),
    Rule(
        "position_missing", "profile", "null", "the position is its fill value, or POSITION_QC says that it is missing"
    ),
    Rule("position_invalid", "profile", "null", "the position is not on the globe"),
    Rule("pressure_missing", "profile", "noted", "the profile has no PRES"),
    Rule("pressure_fill", "profile", "noted", "PRES is fill values throughout"),
    Rule("pressure_not_increasing", "profile", "noted", "the best pressure does not increase from level to level"),
    Rule("odd_mode", "profile", "changed", "the data mode is none of R, A and D; it counts as R"),
    Rule("narrowed", "profile", "changed", "numbers of 64 bits that lose digits in a column of 32"),
    Rule("profile_qc_differs", "profile", "noted", "PROFILE_<PARAMETER>_QC is not what its flags make it"),
    Rule("odd_flag", "level", "noted", "the flag is neither a digit nor blank; it counts as none"),
    Rule("not_finite", "level", "null", "the value is stored as NaN or infinity; its best flag is 4"),
    Rule("raw_for_adjusted", "level", "changed", "the adjusted value is fill; the raw one stands in as bad, flag 4"),
    Rule("greylist", "level", "changed", "the sensor is on the greylist: the flag of a real-time value is made worse"),
    Rule("no_core_pressure", "level", "noted", "pressure of a B-file without the core profile that holds its flags"),
    Rule("core_pressure_differs", "level", "noted", "pressure of a B-file is not that of the core profile's level"),
    Rule("flag", "level", "null", "the flag is not among those that the quality level takes"),
    Rule("not_delayed", "level", "null", "the value is not delayed mode, and the quality level takes no other"),
    Rule(
        "pressure_error", "level", "null", "the error of the pressure is unknown, or more than the quality level takes"
    ),
)
RULES: Mapping[str, Rule] = {rule.name: rule for rule in _ALL}
LEVEL_RULES: tuple[str, ...] = tuple(rule.name for rule in _ALL if rule.scope == "level")
"""In the order of the bits that say of one level which rules met it: the first is bit 0."""


@dataclass(frozen=True)
class QualityRule:
    """Which best values are kept; the others are null beside their flag and their originals."""

    level: QualityLevel
    flags: tuple[int, ...] | None
    """None: all, blank included."""
    delayed_only: bool = False
    pressure_error_dbar: float | None = None
    """Errors of PRES_ADJUSTED from here on, and unknown ones, are too large."""


def quality_rule(level: QualityLevel, flags: tuple[int, ...] | None = None) -> QualityRule:
    """The rule of a quality level: `expert` takes everything, `standard` good flags, `research` delayed mode only.

    flags: instead of the level's own. Raises ValueError for flags that are not 0 to 9, for none, and beside `expert`.
    `research` also takes a pressure only where its error is below 20 dbar, the limit of argopy's mode of that name;
    argopy leaves out all that was measured there, here it stays beside a pressure that is null.
    """
    if flags is not None and (not flags or not {*flags} <= {*range(10)}):
        raise ValueError(f"flags {[*flags]}: expected one or more of 0 to 9, such as [1, 2, 5, 8]")
    if level == "expert":
        if flags is not None:
            raise ValueError("expert takes values of every flag: leave `flags` out, or ask for `standard`")
        return QualityRule(level, None)
    if level == "research":
        return QualityRule(
            level, _sorted(flags or RESEARCH_FLAGS), delayed_only=True, pressure_error_dbar=RESEARCH_PRESSURE_ERROR_DBAR
        )
    if level == "standard":
        return QualityRule(level, _sorted(flags or GOOD_FLAGS))
    raise ValueError(f"{level!r}: expected expert, standard or research")


def _sorted(flags: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*flags}))
