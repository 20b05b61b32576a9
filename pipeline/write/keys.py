"""Keys that are safe in a folder and in a bucket alike."""

from __future__ import annotations

import unicodedata

from pipeline.errors import StoreError

MAX_KEY_BYTES = 1024
"""Limit of S3, kept for folders too, so that an output can move from one to the other."""

TEMP_PREFIX = ".tmp-"
"""Begins the name of every unfinished file in a folder store; such names are never keys and never listed."""


def check_key(key: str) -> str:
    """The key itself, if it is safe in a folder and in a bucket alike; else StoreError saying what is wrong with it."""
    parts = key.split("/")
    rules = (
        (not key, "is empty"),
        ("" in parts, "has a leading, trailing or doubled '/'"),
        ("." in parts or ".." in parts, "has '.' or '..' as a part"),
        (
            any(char == "\\" or unicodedata.category(char) in ("Cc", "Cs") for char in key),
            "has '\\' or a control character",
        ),
        (not unicodedata.is_normalized("NFC", key), "is not Unicode NFC"),
        (len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES, f"is longer than {MAX_KEY_BYTES} bytes"),
        (any(part.startswith(TEMP_PREFIX) for part in parts), f"has a part beginning with {TEMP_PREFIX!r}"),
    )
    problem = next((text for broken, text in rules if broken), None)
    if problem:
        raise StoreError(f"key {key!r} {problem}; expected a relative path such as data/product/tile/period/name.tif")
    return key


def check_prefix(prefix: str) -> str:
    """The prefix itself, if empty or a safe key followed by `/`; else StoreError."""
    if prefix and not prefix.endswith("/"):
        raise StoreError(f"prefix {prefix!r} names no folder; expected it empty or ending in '/'")
    if prefix:
        check_key(prefix[:-1])
    return prefix
