"""A profile as a document holds what the rows of the tables hold, and comes back from JSON as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.types.argo import MeasurementProfile, ProfileData, QualityStatus

PARAMETERS = ("PRES", "TEMP", "PSAL", "DOXY", "BBP700")


def row(**changes: Any) -> dict[str, Any]:
    """A row of `profiles`."""
    return {
        "wmo": 2902269,
        "cycle": 10,
        "direction": "A",
        "kind": "core",
        "profile_index": 0,
        "time": datetime(2020, 5, 17, 3, 4, 5, tzinfo=UTC),
        "time_qc": 8,
        "latitude": 12.5,
        "longitude": 88.25,
        "position_qc": 1,
        "data_mode": "D",
        "pres_mode": "D",
        "temp_mode": "A",
        "psal_mode": None,
        "file": "incois/2902269/profiles/D2902269_010.nc",
        "pi_name": "M Ravichandran",
        "platform_type": "",
        "vertical_sampling_scheme": "Primary sampling: discrete",
        "tests_failed": ["spike"],
    } | changes


def narrow(*values: float | None) -> list[float | None]:
    """Numbers of 32 bits, as a table gives them."""
    return [None if value is None else float(np.float32(value)) for value in values]


def columns(**changes: list[Any]) -> dict[str, list[Any]]:
    """Rows of `levels`, by column."""
    rows: dict[str, list[Any]] = {
        "level": [0, 1, 2],
        "depth": narrow(4.9, 9.9, None),
        "pres": narrow(5.0, 10.0, None),
        "pres_qc": [1, 1, 4],
        "pres_error": narrow(2.4, 2.4, None),
        "temp": narrow(29.1, 17.3, 3.3),
        "temp_qc": [1, 1, None],
        "bbp700": [None, 0.1 + 0.2, None],
    }
    return rows | changes


def test_a_document_holds_what_the_rows_hold() -> None:
    profile = ProfileData.of_rows(row(), columns(), PARAMETERS)
    assert (profile.float_id, profile.cycle_number, profile.kind) == ("2902269", 10, "core")
    assert profile.quality_status is QualityStatus.DELAYED and profile.adjusted
    assert profile.parameter_modes == {"PRES": "D", "TEMP": "A"}
    assert (profile.measurement_count, profile.max_depth) == (3, 9.9)
    assert profile.metadata.pi_name == "M Ravichandran" and profile.metadata.platform_type is None
    assert profile.tests_failed == ("spike",)
    assert profile.measurements[1] == MeasurementProfile(
        level=1,
        pressure=10,
        depth=9.9,
        temperature=17.3,
        other={"BBP700": 0.1 + 0.2},
        errors={"PRES": 2.4},
        qc_flags={"PRES": 1, "TEMP": 1},
    )
    assert profile.measurements[2] == MeasurementProfile(level=2, temperature=3.3, qc_flags={"PRES": 4})


def test_a_document_comes_back_from_json() -> None:
    profile = ProfileData.of_rows(row(), columns(), PARAMETERS)
    text = profile.model_dump_json()
    assert ProfileData.model_validate_json(text) == profile
    assert '"temperature":17.3,' in text
    said = json.loads(text)
    assert (said["quality_status"], said["adjusted"], said["measurement_count"]) == ("DELAYED", True, 3)


@given(st.lists(st.floats(-1e5, 1e5, width=32) | st.decimals(-10, 3000, places=4).map(float) | st.none(), max_size=8))
def test_numbers_are_written_shortly_and_mean_the_same(values: list[float | None]) -> None:
    """A decimal of four places comes back as it was sent; every number is the same number of 32 bits."""
    stored = narrow(*values)
    size = len(values)
    cast: dict[str, list[Any]] = {name: [None] * size for name in columns()}
    cast |= {"level": list(range(size)), "temp": stored}
    written = [one.temperature for one in ProfileData.of_rows(row(), cast, PARAMETERS).measurements]
    for value, each, short in zip(values, stored, written, strict=True):
        assert (short is None) == (each is None)
        if value is not None and each is not None and short is not None:
            assert np.float32(short) == np.float32(each)
            if 1 <= abs(value) < 1000 and value == round(value, 4):
                assert short == value


@pytest.mark.parametrize(
    ("mode", "status", "adjusted"), [("R", "REAL_TIME", False), ("A", "REAL_TIME", True), (None, "REAL_TIME", False)]
)
def test_adjusted_in_real_time_is_still_real_time(mode: str | None, status: str, *, adjusted: bool) -> None:
    profile = ProfileData.of_rows(row(data_mode=mode), columns(), PARAMETERS)
    assert (profile.quality_status, profile.adjusted) == (status, adjusted)


def test_a_profile_without_levels_place_and_time_is_one() -> None:
    nothing = {name: [None] for name in columns()}
    profile = ProfileData.of_rows(row(time=None, latitude=None, longitude=None), nothing, PARAMETERS)
    assert (profile.measurement_count, profile.max_depth, profile.profile_time) == (0, None, None)
    assert ProfileData.model_validate_json(profile.model_dump_json()) == profile


@pytest.mark.parametrize("wrong", [{"latitude": 99999.0}, {"longitude": 200.0}, {"data_mode": " "}, {"kind": "odd"}])
def test_what_is_no_profile_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProfileData.of_rows(row(**wrong), columns(), PARAMETERS)
    with pytest.raises(ValidationError):
        ProfileData.of_rows(row(), columns(temp=[float("inf"), 1.0, 1.0]), PARAMETERS)
