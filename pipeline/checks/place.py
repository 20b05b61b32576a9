"""Where the result of a check lies: `checks/<rule>/<bucket>/<key>.json`, whatever characters a key has."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import quote

from pipeline.write.keys import MAX_KEY_BYTES, TEMP_PREFIX

FOLDER = "checks"
_LONGEST_PART = 180
"""Bytes: names of file systems have 255, of which the temporary names of a folder and the endings need some."""


def result_key(rule: str, bucket: str, key: str) -> str:
    """The key of the JSON document of an object; two objects never share one.

    Characters and parts that a folder cannot hold are percent-encoded, as is the percent sign; what is too long is cut
    and told apart by its digest.
    """
    return f"{_stem(rule, bucket, key)}.json"


def page_key(rule: str, bucket: str, key: str) -> str:
    """The key of the page for people, beside it."""
    return f"{_stem(rule, bucket, key)}.html"


def _stem(rule: str, bucket: str, key: str) -> str:
    prefix = f"{FOLDER}/{rule}/{bucket}/"
    normal = unicodedata.is_normalized("NFC", key)
    parts = [_part(part, normal=normal) for part in key.split("/")]
    folders = [re.sub(r"\.(json|html)$", r"%2E\1", part) for part in parts[:-1]]  # a file may have that name
    stem = prefix + "/".join([*folders, parts[-1]])
    if len(f"{stem}.json".encode()) > MAX_KEY_BYTES:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{prefix}%long/{digest}"  # no encoded part has a percent sign before an l
    return stem


def _part(part: str, *, normal: bool) -> str:
    text = "".join(char if _plain(char, normal=normal) else _encoded(char) for char in part)
    if part in {"", ".", ".."} or part.startswith(TEMP_PREFIX):
        text = f"%2E{text[1:]}" if part else "%"
    if len(text.encode()) > _LONGEST_PART:
        digest = hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return f"{text.encode()[:_LONGEST_PART].decode('utf-8', 'ignore')}%~{digest}"
    return text


def _plain(char: str, *, normal: bool) -> bool:
    if char in {"%", "\\"} or unicodedata.category(char) in {"Cc", "Cs"}:
        return False
    return normal or char.isascii()


def _encoded(char: str) -> str:
    return quote(char.encode("utf-8", "surrogatepass"), safe="")
