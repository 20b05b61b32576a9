"""Names of objects as events tell them: decoded once, and refused where they could name anything but one object.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html (keys are encoded as
form data are: "red flower.jpg" comes as "red+flower.jpg") and .../object-keys.html (1,024 bytes of UTF-8).
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from pipeline.events.refusals import MessageError

MAX_KEY_BYTES = 1024
_BUCKET = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_SEPARATORS = re.compile(r"[/\\]")
_SHOWN = 120


def decode_key(encoded: str) -> str:
    """The key of an S3 notification as it is in the bucket: decoded exactly once, then as `checked_key`.

    Decoded twice, `a%252e%252e` would be `a..`, another object's key.
    """
    try:
        key = unquote_plus(encoded, errors="strict")
    except UnicodeError:
        raise MessageError(f"found the key {encoded[:_SHOWN]!r}, which is no UTF-8 once decoded") from None
    return checked_key(key)


def checked_key(key: str) -> str:
    """A key that needs no decoding, as EventBridge and listings give it.

    Raises MessageError where it is empty, longer than S3 allows, or no path below a folder: absolute, with `.` or `..`
    between separators of any system, or with U+0000. Everything else names an object, however odd.
    """
    problem = _problem(key)
    if problem:
        raise MessageError(f"found the key {key[:_SHOWN]!r}, {problem}; expected the key of an object")
    return key


def _problem(key: str) -> str:
    if not key:
        return "which is empty"
    if "\0" in key:
        return "which holds U+0000"
    try:
        size = len(key.encode())
    except UnicodeError:
        return "which holds half of a surrogate pair"
    if size > MAX_KEY_BYTES:
        return f"of {size} bytes, more than the {MAX_KEY_BYTES} of S3"
    parts = _SEPARATORS.split(key)
    if not parts[0]:
        return "which begins with a separator"
    return "which leads out of its folder" if not {".", ".."}.isdisjoint(parts) else ""


def checked_bucket(name: str) -> str:
    """The name of a bucket. Raises MessageError for what cannot be one."""
    if not _BUCKET.fullmatch(name):
        raise MessageError(f"found the bucket {name[:_SHOWN]!r}; expected 3 to 255 letters, digits, dots and hyphens")
    return name
