"""Argo profiles as documents: what an API answers, what a JSON file of one profile holds. For many, use the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field

NAMED = {"PRES": "pressure", "TEMP": "temperature", "PSAL": "salinity", "DOXY": "oxygen", "CHLA": "chlorophyll"}
"""Argo's parameters that have a field of their own in a measurement."""
Mode = Literal["R", "A", "D"]


class QualityStatus(StrEnum):
    """Whether somebody has looked at a profile since a machine did."""

    REAL_TIME = "REAL_TIME"
    DELAYED = "DELAYED"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    """What is computed is written, and computed again when it is read."""


class FloatMetadata(_Document):
    """What a profile's file says of its float."""

    float_id: str
    platform_type: str | None = None
    project_name: str | None = None
    pi_name: str | None = None
    data_centre: str | None = None
    float_serial_no: str | None = None
    firmware_version: str | None = None
    wmo_inst_type: str | None = Field(default=None, description="WMO table 1770.")
    positioning_system: str | None = None


class MeasurementProfile(_Document):
    """One level of a profile: best values, each null where there is none that the quality level takes."""

    level: int = Field(ge=0, description="Place in the file, from 0.")
    pressure: float | None = Field(default=None, description="Sea pressure, dbar: what was measured.")
    depth: float | None = Field(
        default=None, description="Metres below the surface, by TEOS-10 from pressure and latitude."
    )
    temperature: float | None = Field(default=None, description="In situ, degC, ITS-90.")
    salinity: float | None = Field(default=None, description="Practical, PSS-78.")
    oxygen: float | None = Field(default=None, description="Micromole/kg.")
    chlorophyll: float | None = Field(default=None, description="mg/m3.")
    other: dict[str, float] = Field(
        default={}, description="Further parameters by Argo's names, where they have a value."
    )
    errors: dict[str, float] = Field(default={}, description="Error estimates of adjusted values, by Argo's names.")
    qc_flags: dict[str, int] = Field(
        default={}, description="Flags 0 to 9 of Argo's reference table 2, by Argo's names."
    )


class ProfileData(_Document):
    """One profile, known by float, cycle, direction, kind and index."""

    float_id: str
    cycle_number: int
    direction: Literal["A", "D"]
    kind: Literal["core", "bgc", "synthetic"]
    profile_index: int = Field(ge=0, description="Among the profiles of one cycle and direction; 0 is the primary one.")
    profile_time: AwareDatetime | None
    time_qc: int | None = None
    latitude: float | None = Field(ge=-90, le=90)
    longitude: float | None = Field(ge=-180, lt=180)
    position_qc: int | None = None
    data_mode: Mode | None = Field(description="Null where the file says none of the three.")
    parameter_modes: dict[str, Mode] = {}
    measurements: tuple[MeasurementProfile, ...] = ()
    vertical_sampling_scheme: str | None = None
    tests_failed: tuple[str, ...] = Field(default=(), description="Real-time tests, by name.")
    metadata: FloatMetadata
    file: str = Field(description="Below dac/.")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def quality_status(self) -> QualityStatus:
        """`DELAYED` for mode D, else `REAL_TIME`."""
        return QualityStatus.DELAYED if self.data_mode == "D" else QualityStatus.REAL_TIME

    @computed_field  # type: ignore[prop-decorator]
    @property
    def adjusted(self) -> bool:
        """Whether values were adjusted, in real time or later."""
        return self.data_mode in {"A", "D"}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def measurement_count(self) -> int:
        """Levels of the profile, whether their values are taken or not."""
        return len(self.measurements)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def max_depth(self) -> float | None:
        """Of the deepest level with a depth, in metres."""
        return max((each.depth for each in self.measurements if each.depth is not None), default=None)

    @classmethod
    def of_rows(
        cls, profile: Mapping[str, Any], levels: Mapping[str, Sequence[Any]], parameters: Sequence[str]
    ) -> ProfileData:
        """The document of one row of `profiles` and its rows of `levels`, as columns by name.

        levels: as `table.to_pydict()` gives them: None is null. parameters: Argo's names; columns are in lower case. A
        row without a level is none. Raises pydantic's ValidationError for rows that are no profile.
        """
        wmo = str(profile["wmo"])
        modes = {name: profile.get(f"{name.lower()}_mode") for name in parameters}
        return cls(
            float_id=wmo,
            cycle_number=profile["cycle"],
            direction=profile["direction"],
            kind=profile["kind"],
            profile_index=profile["profile_index"],
            profile_time=_utc(profile["time"]),
            time_qc=profile["time_qc"],
            latitude=profile["latitude"],
            longitude=profile["longitude"],
            position_qc=profile["position_qc"],
            data_mode=profile["data_mode"],
            parameter_modes={name: mode for name, mode in modes.items() if mode in {"R", "A", "D"}},
            measurements=_measurements(levels, parameters),
            vertical_sampling_scheme=profile.get("vertical_sampling_scheme") or None,
            tests_failed=tuple(profile.get("tests_failed") or ()),
            metadata=FloatMetadata(float_id=wmo, **_texts(profile)),
            file=profile["file"],
        )


def _measurements(levels: Mapping[str, Sequence[Any]], parameters: Sequence[str]) -> tuple[MeasurementProfile, ...]:
    """The levels of a profile; column by column as far as can be, since there are a thousand."""

    def columns(suffix: str) -> dict[str, Sequence[Any]]:
        found = {name: levels.get(name.lower() + suffix) for name in parameters}
        return {name: column for name, column in found.items() if column is not None}

    depth = _short(levels["depth"]) if "depth" in levels else [None] * len(levels["level"])
    values = {name: _short(column) for name, column in columns("").items()}
    errors = {name: _short(column) for name, column in columns("_error").items()}
    flags = columns("_qc")
    named = {NAMED[name]: column for name, column in values.items() if name in NAMED}
    other = {name: column for name, column in values.items() if name not in NAMED}

    def known(of: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
        return {name: column[row] for name, column in of.items() if column[row] is not None}

    return tuple(
        MeasurementProfile(
            level=level,
            depth=depth[row],
            other=known(other, row),
            errors=known(errors, row),
            qc_flags=known(flags, row),
            **{field: column[row] for field, column in named.items()},
        )
        for row, level in enumerate(levels["level"])
        if level is not None
    )


def _short(column: Sequence[float | None]) -> list[float | None]:
    """Numbers of 32 bits with as few decimals as tell them from all others: 17.3, not 17.299999237060547."""
    wide = np.array([math.nan if value is None else value for value in column], np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    out, left = wide.copy(), np.flatnonzero(np.isfinite(wide) & (narrow == wide))
    for decimals in range(17):
        shorter = np.round(wide[left], decimals)
        same = shorter.astype(np.float32) == narrow[left]
        out[left[same]] = shorter[same]
        left = left[~same]
    return [None if value is None else each for value, each in zip(column, out.tolist(), strict=True)]


def _utc(time: datetime | None) -> datetime | None:
    return time if time is None or time.tzinfo is not None else time.replace(tzinfo=UTC)


def _texts(profile: Mapping[str, Any]) -> dict[str, str]:
    names = [name for name in FloatMetadata.model_fields if name != "float_id"]
    return {name: str(profile[name]) for name in names if profile.get(name)}
