"""Where results are written down: the page first, the JSON document last, which is the commit."""

from __future__ import annotations

from pipeline.checks.page import render_page
from pipeline.checks.place import page_key, result_key
from pipeline.checks.result import Result, from_bytes, to_bytes
from pipeline.errors import StoreError
from pipeline.write.store import Store


def commit(store: Store, result: Result) -> str:
    """Publish a result in place of the one that was there; its key. Raises StoreError."""
    subject = result.subject
    place = subject.rule, subject.bucket, subject.key
    key = result_key(*place)
    store.put_bytes(render_page(result), page_key(*place))
    store.put_bytes(to_bytes(result), key)
    return key


def committed(store: Store, rule: str, bucket: str, key: str) -> Result | None:
    """The result that is published; None where there is none, or one that this release cannot read."""
    place = result_key(rule, bucket, key)
    if not store.exists(place):
        return None
    try:
        return from_bytes(store.get_bytes(place))
    except ValueError:
        return None  # of another release, or not ours: it is made again
    except StoreError:
        if store.exists(place):
            raise
        return None  # withdrawn just now


def is_whole(store: Store, result: Result) -> bool:
    """Whether the page beside a published result is its own: two at once may leave another one's, or none."""
    subject = result.subject
    key = page_key(subject.rule, subject.bucket, subject.key)
    try:
        return store.exists(key) and store.get_bytes(key) == render_page(result)
    except StoreError:
        if store.exists(key):
            raise
        return False  # withdrawn just now


def withdraw(store: Store, rule: str, bucket: str, key: str) -> bool:
    """Remove a result; the document first, so that no page speaks for it any more. Whether there was one."""
    place = result_key(rule, bucket, key)
    there = store.exists(place)
    store.delete(place)
    store.delete(page_key(rule, bucket, key))
    return there
