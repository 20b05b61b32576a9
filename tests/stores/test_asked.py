"""Names, cursors and parameters of the HTTP API, whatever somebody types."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.stores.asked import (
    FloatsAsked,
    NearestAsked,
    ProfilesAsked,
    cursor_of,
    identity_of,
    number_after,
    place_after,
)
from pipeline.stores.queries import Filter


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("2902269_1_core_0", (2902269, 1, "A", "core", 0)),
        ("13857_1000D_synthetic_0", (13857, 1000, "D", "synthetic", 0)),
        ("6903247_100_bgc_5", (6903247, 100, "A", "bgc", 5)),
        ("2902269_1_core", None),
        ("2902269_1_core_0 OR 1=1", None),
        ("99999999_1_core_0", None),
        ("２902269_1_core_0", None),  # noqa: RUF001 - a digit, but not of this alphabet
    ],
)
def test_an_id_names_one_profile_or_none(name: str, identity: object) -> None:
    assert identity_of(name) == identity


@pytest.mark.parametrize("moment", ["-infinity", "2024-01-21 00:00:00+00", "2024-01-21 00:00:00.123+00"])
def test_a_cursor_of_profiles_comes_back(moment: str) -> None:
    place = (moment, 2902269, 7, "A", "core", 0)
    cursor = cursor_of(place)
    assert cursor is not None and "=" not in cursor
    assert place_after(cursor) == place


@pytest.mark.parametrize("place", [("2024-13-01 00:00:00+00", 1, 1, "A", "core", 0), ("-infinity", 1, 1, "A", "\0", 0)])
def test_a_cursor_that_postgres_could_not_read_is_refused(place: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"month|^$"):
        place_after(cursor_of(place))


def test_no_cursor_is_the_beginning() -> None:
    assert (number_after(None), place_after(None), cursor_of(None)) == (0, None, None)
    assert number_after(cursor_of((2902269,))) == 2902269


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(
        st.text(max_size=60), st.recursive(st.integers() | st.text(), st.lists).map(lambda one: cursor_of((one,)))
    )
)
def test_a_cursor_that_is_none_of_ours_is_a_value_error_and_nothing_else(cursor: str | None) -> None:
    for read in (number_after, place_after):
        with contextlib.suppress(ValueError):
            read(cursor)


@pytest.mark.parametrize(
    "moment",
    [
        "2020-01-01",
        "20200101T00",
        "9999-12-31T23:59:59-23:59",
        "2020-01-01\x0000:00+00:00",
        "2020-02-30 00:00:00+00",
        "infinity",
    ],
)
def test_a_time_that_postgres_would_not_take_is_no_cursor(moment: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        place_after(cursor_of((moment, 1, 1, "A", "core", 0)))


def test_true_is_no_number() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        number_after(cursor_of((True,)))
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        place_after(cursor_of(("-infinity", 1, True, "A", "core", 0)))


@pytest.mark.parametrize("bbox", ["1,2,3", "a,b,c,d", "10,20,30,10", "-181,0,10,10", "1,1,1,2", "nan,0,1,1", ""])
def test_a_box_that_is_none_is_refused(bbox: str) -> None:
    with pytest.raises(ValidationError):
        FloatsAsked.model_validate({"bbox": bbox})


def test_a_box_may_cross_the_180th_meridian() -> None:
    assert FloatsAsked.model_validate({"bbox": "170,-10,-170,10"}).box == (170, -10, -170, 10)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValidationError, match="radius"):
        NearestAsked.model_validate({"latitude": 1, "longitude": 2, "radius": 3})


def test_what_is_asked_is_what_is_meant() -> None:
    assert ProfilesAsked(wmo=5, bbox="1,2,3,4").filter() == Filter(wmo=5, box=(1, 2, 3, 4))
    start = datetime(2024, 6, 1, tzinfo=UTC)
    asked = NearestAsked(latitude=1, longitude=2, start=start, kind="bgc", parameter="DOXY")
    assert vars(asked.filter()) == {
        "wmo": None, "box": None, "start": start, "end": None, "kind": "bgc", "data_mode": None, "parameter": "doxy",
    }  # fmt: skip
