"""JSON from strangers: refused with a reason, in bounded time, or the one value that every reader sees."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.messages.envelopes import MessageError
from pipeline.events.messages.jsontext import MAX_BYTES, MAX_DEPTH, read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # U+0000 and halves of surrogate pairs are refused.
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda some: (
        st.lists(some, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), some, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_is_json_is_read_as_it_was_written(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert read_json(text) == value
    assert read_json(text.encode()) == value


@given(st.binary(max_size=200) | st.text('[]{}":,\\u0d8 1eN', max_size=60).map(str.encode))
def test_whatever_comes_is_a_value_or_a_reason(body: bytes) -> None:
    with contextlib.suppress(MessageError):
        assert read_json(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON"),
        (b"Hello from SNS!", "no JSON"),
        (b'{"a": 1} x', "no JSON"),
        (b'{"a": 1,}', "no JSON"),
        (b"{'a': 1}", "no JSON"),
        (b'"a\nb"', "no JSON"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (b"\xff{}", "no UTF-8"),
        (b'"\xed\xa0\x80"', "no UTF-8"),
        ('"\ud800"', "no UTF-8"),
        (b'{"TopicArn": "mine", "TopicArn": "yours"}', "'TopicArn' twice"),
        (b'[{"a": {"b": 1, "c": 2, "b": 1}}]', "'b' twice"),
        (b'{"a": 1, "\\u0061": 2}', "'a' twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"1e999", "no double"),
        (b'{"a": 12345678901234567890}', "20 digits"),
        (b"1" * 5000, "5000 digits"),
        (b'{"a": 9223372036854775808}', "64 bits"),
        (b'{"a": ["\\u0000"]}', "U+0000"),
        (b'{"a\\u0000": 1}', "U+0000"),
        (b'"\\ud800"', "surrogate"),
        (b'[["\\udc00\\ud800"]]', "surrogate"),
    ],
)
def test_what_means_nothing_or_two_things_is_refused(body: bytes | str, reason: str) -> None:
    with pytest.raises(MessageError, match="found") as caught:
        read_json(body)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 400, "the reason shows the beginning of what it is about, not all of it"


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert read_json(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_size_is_counted_in_bytes() -> None:
    body = json.dumps("é" * 10, ensure_ascii=False).encode()
    assert read_json(body, max_bytes=len(body)) == "é" * 10
    for form in (body, body.decode()):
        with pytest.raises(MessageError, match="22 bytes; the limit is 21"):
            read_json(form, max_bytes=len(body) - 1)


def test_depth_counts_brackets_and_none_in_strings() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert read_json(deep) is not None
    with pytest.raises(MessageError, match=f"more than {MAX_DEPTH}"):
        read_json(f"[{deep}]")
    told = {"Message": json.dumps({"inner": "[" * 1000 + '{"'}), "end": ['\\"[[[[']}
    assert read_json(json.dumps(told), max_depth=2) == told


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MAX_BYTES,
        b'{"a":' * (MAX_BYTES // 5),
        b"[]," * (MAX_BYTES // 3),
        b'"' * MAX_BYTES,
        b'"' + b'\\"' * (MAX_BYTES // 2 - 1),
        b'"' + b"\\" * (MAX_BYTES - 1),
        b"[" + b'"\\u0041",' * (MAX_BYTES // 9 - 1) + b"1]",
        b"{" + b",".join(b'"%d":0' % number for number in range(90_000)) + b',"89999":1}',
        b"9" * MAX_BYTES,
    ],
    ids=["lists", "objects", "flat", "quotes", "escaped quotes", "backslashes", "escapes", "keys", "digits"],
)
def test_no_body_takes_longer_than_its_size(body: bytes) -> None:
    begin = time.process_time()
    with contextlib.suppress(MessageError):
        read_json(body)
    assert time.process_time() - begin < 2, (
        "a megabyte takes a tenth of a second; what grows by the square takes minutes"
    )
