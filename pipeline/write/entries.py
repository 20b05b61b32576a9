"""What a listing of a store says of what lies in it."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One object of a listing."""

    key: str
    size_bytes: int
    modified_s: float
    """Of the last put, in seconds by the store's own clock (see `Store.now_s`)."""


class Unfinished(NamedTuple):
    """What a put that never ended has left: a temporary file, or a pending upload; no reader sees it."""

    name: str
    token: str
    """What the store knows it by, beside its name; empty in a folder."""
    modified_s: float
