"""What is sent to PostgreSQL, read back by psycopg's own loaders."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.adapt import Transformer
from psycopg.pq import Format

from pipeline.stores.encode import (
    double,
    encode_arrays,
    encode_copy,
    encode_row,
    integer,
    jsonb,
    moment,
    smallint,
    text,
)

REAL = st.one_of(st.none(), st.floats(width=32))
ARRAYS = {pa.float32(): 1021, pa.float64(): 1022, pa.int8(): 1005}
"""Object ids of real[], double precision[] and smallint[]."""


def loaded(oid: int, data: bytes | None) -> Any:
    if data is None:
        return None
    transformer = Transformer()
    transformer.set_loader_types([oid], Format.BINARY)
    return transformer.load_sequence([data])[0]


def same(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)  # noqa: PLR0124 - NaN is no other number


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(REAL, max_size=6), min_size=1, max_size=5), st.sampled_from([pa.float32(), pa.float64()]))
def test_numbers_come_back_as_they_were_in_the_order_of_the_levels(
    profiles: list[list[float | None]], kind: pa.DataType
) -> None:
    column = pa.chunked_array([pa.array([one for each in profiles for one in each], kind)])
    first = np.cumsum([0, *(len(each) for each in profiles)])
    for sent, values in zip(encode_arrays(column, first), profiles, strict=True):
        back = loaded(ARRAYS[kind], sent)
        if all(one is None for one in values):
            assert back is None
        else:
            assert len(back) == len(values) and all(map(same, back, values))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.none(), st.integers(-128, 127)), min_size=1, max_size=9))
def test_flags_come_back_as_they_were(values: list[int | None]) -> None:
    column = pa.chunked_array([pa.array(values[:3], pa.int8()), pa.array(values[3:], pa.int8())])
    (sent,) = encode_arrays(column, np.array([0, len(values)]))
    assert loaded(1005, sent) == (None if set(values) == {None} else values)


@settings(deadline=None, max_examples=60)
@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))  # noqa: DTZ001 - made aware below
def test_a_moment_is_kept_to_the_microsecond(when: datetime) -> None:
    aware = when.replace(tzinfo=UTC)
    (since,) = struct.unpack(">q", moment(aware) or b"")
    assert datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=since) == aware


@pytest.mark.parametrize(
    ("oid", "sent", "value"),
    [
        (23, integer(-5), -5),
        (21, smallint(7), 7),
        (701, double(-0.1), -0.1),
        (25, text("Göteborg\0\0"), "Göteborg"),
        (3802, jsonb('{"a": [1, null]}'), {"a": [1, None]}),
    ],
)
def test_single_values_come_back(oid: int, sent: bytes, value: object) -> None:
    assert loaded(oid, sent) == value


def test_null_is_null_in_every_type() -> None:
    assert [encode(None) for encode in (integer, smallint, double, text, jsonb, moment)] == [None] * 6


def test_a_copy_is_its_rows_between_signature_and_trailer() -> None:
    row = encode_row([b"ab", None])
    assert row == b"\0\2" + b"\0\0\0\2ab" + b"\xff\xff\xff\xff"
    assert encode_copy([row, row]) == b"PGCOPY\n\xff\r\n\0" + bytes(8) + row + row + b"\xff\xff"
