"""Times and positions are used wherever they are some, by the file's own word; listed sensors are told by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.ops.argo_rules import greylisted, positions, pressure_faults, read_greylist, times
from pipeline.types.levels import NO_FLAG, ODD_FLAG

LOWER = "2902269,PSAL,20200115,20200116,2,,IN"
HEADING = "PLATFORM_CODE,PARAMETER_NAME,START_DATE,END_DATE,QUALITY_CODE,COMMENT,DAC\n"


def flags(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    return np.array(values, np.int8)


@given(st.datetimes(datetime(1950, 1, 2), datetime(2099, 12, 31)))  # noqa: DTZ001 - hypothesis wants bounds without zone
def test_a_time_comes_back_to_the_microsecond_of_its_double(when: datetime) -> None:
    """JULD's own step is below a microsecond up to the year 2100, and half a microsecond is lost in rounding."""
    juld = (when - datetime(1950, 1, 1)) / timedelta(days=1)  # noqa: DTZ001
    found = times(np.array([juld]), flags(1))
    assert abs(found.time[0] - np.datetime64(when)) <= np.timedelta64(1, "us")
    assert not found.missing[0] and not found.invalid[0]


@pytest.mark.parametrize("flag", [0, 1, 2, 3, 4, 5, 8, NO_FLAG, ODD_FLAG])
def test_no_flag_but_missing_takes_a_time_or_a_position(flag: int) -> None:
    """Estimated times and places under ice are times and places; a bad one is told by its flag, which stays."""
    found = times(np.array([27_000.25]), flags(flag))
    assert found.time[0] == np.datetime64("2023-12-04T06:00", "us")
    assert found.qc[0] == (NO_FLAG if flag == ODD_FLAG else flag)
    there = positions(np.array([-65.5]), np.array([12.25]), flags(flag))
    assert (there.latitude[0], there.longitude[0], there.qc[0]) == (-65.5, 12.25, found.qc[0])
    assert not (found.missing | found.invalid | there.missing | there.invalid)[0]


@pytest.mark.parametrize(
    ("juld", "flag", "missing"),
    [
        (999999.0, 9, True),
        (999999.0, 1, True),
        (27_000.0, 9, True),
        (0.0, 1, False),
        (-5.0, 1, False),
        (60_000.0, 1, False),
        (np.nan, 1, False),
        (np.inf, 1, False),
        (99999.0, 4, False),
    ],
)
def test_what_is_no_time_is_missing_or_invalid(juld: float, flag: int, *, missing: bool) -> None:
    found = times(np.array([juld]), flags(flag))
    assert np.isnat(found.time[0])
    assert (found.missing[0], found.invalid[0]) == (missing, not missing)


@pytest.mark.parametrize(
    ("latitude", "longitude", "flag", "missing"),
    [
        (99999.0, 99999.0, 9, True),
        (99999.0, 20.0, 1, True),
        (-99.999, -999.999, 9, True),
        (0.0, 0.0, 9, True),
        (-99.999, -999.999, 1, False),
        (90.001, 20.0, 1, False),
        (20.0, 360.5, 1, False),
        (20.0, -180.5, 1, False),
        (np.nan, 20.0, 1, False),
        (20.0, np.inf, 1, False),
    ],
)
def test_what_is_no_position_is_missing_or_invalid(
    latitude: float, longitude: float, flag: int, *, missing: bool
) -> None:
    found = positions(np.array([latitude]), np.array([longitude]), flags(flag))
    assert np.isnan(found.latitude[0]) and np.isnan(found.longitude[0])
    assert (found.missing[0], found.invalid[0]) == (missing, not missing)


@given(st.floats(-90, 90), st.floats(-180, 360))
@example(0, 180)
@example(90, 360)
def test_both_conventions_of_longitude_become_one(latitude: float, longitude: float) -> None:
    found = positions(np.array([latitude]), np.array([longitude]), flags(1))
    assert -180 <= found.longitude[0] < 180
    assert (found.longitude[0] - longitude) % 360 == pytest.approx(0, abs=1e-9) or longitude == -360
    assert found.latitude[0] == latitude


def test_pressures_that_are_missing_fill_or_fall() -> None:
    """Only within a profile, and only among values: a gap between two of them changes nothing."""
    profiles = {
        b"R": [1.0, 2.0, 3.0],
        b"A": [5.0, np.nan, 5.0],
        b"D": [4.0, np.nan, 6.0],
        b" ": [np.nan],
    }
    mode = np.array([*profiles, b"R", b"R"], "S1")
    best = np.concatenate([*profiles.values(), [np.nan, np.nan]])
    stored = np.isfinite(best)
    stored[-1] = False
    starts = np.array([0, 3, 6, 9, 10, 12, 12])
    found = pressure_faults(mode, stored, best, starts)
    assert found.missing.tolist() == [False, False, False, True, False, False]
    assert found.fill.tolist() == [False, False, False, False, True, True]
    assert found.not_increasing.tolist() == [False, True, False, False, False, False]


def test_a_greylist_says_what_is_wrong_with_its_lines() -> None:
    lines = [
        HEADING,
        "2902269,PSAL,20200110,20200120,3,drift,IN\n",
        "2902269,psal,20200115,,4,,IN\n",
        "2902269,PSAL,20200110,20200120,3,drift,IN\n",
        "\n",
        '2902269,TEMP,20200101,never,3,"said so, twice",IN\n',
        "290226x,TEMP,20200101,,3,,IN\n",
        "2902269,TEMP,2020,,3,,IN\n",
        "2902269,TEMP,20200101,,9,,IN\n",
        "2902269\n",
    ]
    found = read_greylist(lines)
    assert [(row.parameter, row.start, row.end, row.flag) for row in found.rows] == [
        ("PSAL", 20200110, 20200120, 3),
        ("PSAL", 20200115, 99991231, 4),
        ("TEMP", 20200101, 99991231, 3),
    ]
    assert len(found.faults) == 4 and "290226x" in found.faults[0] and "expected" in found.faults[0]
    assert found.of([1]).rows == () and found.of({2902269}).rows == found.rows


def test_a_quote_in_a_comment_costs_no_other_line() -> None:
    """As a document of CSV, an open quote would take all lines that follow for its comment."""
    open_quote, long = '2902269,PSAL,20200110,,3,"drift,IN', f"2902269,TEMP,20200110,,3,{'x' * 200_000}\ry,IN"
    found = read_greylist([open_quote, long, LOWER, '"2902269","DOXY","20200101",,"4",,"IN"'])
    assert [(row.parameter, row.start) for row in found.rows] == [
        ("DOXY", 20200101),
        ("PSAL", 20200110),
        ("PSAL", 20200115),
        ("TEMP", 20200110),
    ]
    assert found.faults == ()


def test_a_sensor_is_listed_from_its_first_to_its_last_day() -> None:
    listed = read_greylist(["2902269,PSAL,20200110,20200120,3,,IN", "2902269,PSAL,20200115,20200115,4,,IN", LOWER])
    hours = ["2020-01-09T23:59", "2020-01-10T00:00", "2020-01-15T12", "2020-01-20T23:59", "2020-01-21T00:00", "NaT"]
    time = np.array([*hours, "2020-01-12"], "datetime64[us]")
    wmo = np.array([2902269] * 6 + [2902270], np.int32)
    found = greylisted(listed, "PSAL", wmo, time)
    assert found is not None
    assert found.tolist() == [NO_FLAG, 3, 4, 3, NO_FLAG, 4, NO_FLAG]
    assert greylisted(listed, "TEMP", wmo, time) is None
    assert greylisted(listed, "PSAL", wmo[-1:], time[-1:]) is None


@given(st.dates(date(1995, 1, 1), date(2090, 1, 1)), st.integers(0, 400), st.integers(-500, 500))
def test_days_of_the_greylist_are_days_of_the_calendar(start: date, length: int, offset: int) -> None:
    end, day = start + timedelta(days=length), start + timedelta(days=offset)
    listed = read_greylist([f"13857,TEMP,{start:%Y%m%d},{end:%Y%m%d},3,,AO"])
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).replace(tzinfo=None)
    found = greylisted(listed, "TEMP", np.array([13857], np.int32), np.array([noon], "datetime64[us]"))
    assert found is not None and (found[0] == 3) == (start <= day <= end)
