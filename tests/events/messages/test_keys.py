"""Keys of objects: decoded once, and refused where they name no object of a bucket."""

from __future__ import annotations

import contextlib
from pathlib import PurePosixPath
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.messages.envelopes import MessageError
from pipeline.events.messages.keys import MAX_KEY_BYTES, checked_bucket, checked_key, decode_key

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("red+flower.jpg", "red flower.jpg"),
        ("red%20flower.jpg", "red flower.jpg"),
        ("a%2Bb+c%25%C3%A9.csv", "a+b c%é.csv"),
        ("a%252e%252e", "a%2e%2e"),
        ("%252e%252e/x", "%2e%2e/x"),
        ("..%252f..%252fetc", "..%2f..%2fetc"),
        ("100%", "100%"),
        ("a//b", "a//b"),
        ("...", "..."),
        ("a/..b/c..", "a/..b/c.."),
        ("-rf", "-rf"),
        ("~root/x", "~root/x"),
        ("a%0Ab", "a\nb"),
    ],
)
def test_a_key_is_decoded_once(encoded: str, key: str) -> None:
    assert decode_key(encoded) == key


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("", "empty"),
        ("%00", "U+0000"),
        ("a%00.csv", "U+0000"),
        ("a\0.csv", "U+0000"),
        ("..", "out of its folder"),
        ("../x", "out of its folder"),
        ("a/../x", "out of its folder"),
        ("a/%2e%2e/x", "out of its folder"),
        ("%2E%2E%2Fetc%2Fpasswd", "out of its folder"),
        ("a/..", "out of its folder"),
        ("./a", "out of its folder"),
        ("a\\..\\b", "out of its folder"),
        ("%5C%5Cserver/share", "separator"),
        ("/etc/passwd", "separator"),
        ("%2Fetc", "separator"),
        ("%FF%FE", "no UTF-8"),
        ("%ED%A0%80", "no UTF-8"),
        ("é" * 513, "1026 bytes"),
    ],
)
def test_what_names_no_object_is_refused(encoded: str, reason: str) -> None:
    with pytest.raises(MessageError, match=r"expected the key|no UTF-8") as caught:
        decode_key(encoded)
    assert reason in str(caught.value)


def test_the_longest_key_of_s3_is_taken() -> None:
    assert checked_key("é" * (MAX_KEY_BYTES // 2)) == "é" * 512


@given(KEYS)
def test_however_it_was_encoded_a_key_is_the_object_s_or_refused(key: str) -> None:
    found: list[str] = []
    for encode in (quote_plus, quote):
        with contextlib.suppress(MessageError):
            found.append(decode_key(encode(key)))
    assert found in ([key, key], [])
    if found:
        assert checked_key(key) == key
        below = PurePosixPath("/base/bucket", key)
        assert below.is_relative_to("/base/bucket")
        assert ".." not in below.parts


@pytest.mark.parametrize("name", ["abc", "my-bucket.data", "Old_Bucket", "a" * 63])
def test_buckets(name: str) -> None:
    assert checked_bucket(name) == name


@pytest.mark.parametrize("name", ["", "a", "..", "a/b", "a\0b", "a..b", "-ab", "ab.", "a b", "é-bucket", "a\n", "ab\n"])
def test_what_is_no_bucket_is_refused(name: str) -> None:
    with pytest.raises(MessageError, match="bucket"):
        checked_bucket(name)
