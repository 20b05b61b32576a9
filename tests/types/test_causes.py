"""Failures are of one cause when their messages differ in names, places and numbers only."""

from __future__ import annotations

import pytest

from pipeline.types.causes import FURTHER, MOST, Causes, shape_of

ALIKE = [
    ("item S2A_33UUP_20250601: s3://b/x/red.tif: HTTP 404", "item S2B_33UUP_20250602: https://h.eu/a.tif: HTTP 404"),
    ("s2/33N-024-0246/2025-06: took longer than 3600 s", "stack/36S-1-0/static: took longer than 1.5 s"),
    ("scratch folder /tmp/dask-x1/w3 is full (0 bytes free)", "scratch folder /var/t/w is full (17 bytes free)"),
    ("made from dem/32N-143-0971/static, which failed", "made from dem/33N-051-0971/static, which failed"),
    ("digest 9f86d081884c7d659a2feaa0c55ad015 expected", "digest a3bf4f1b2b0b822cd15d6c15b0f00a08 expected"),
]
APART = [
    ("HTTP 404", "HTTP 403"),
    ("exit 137", "exit 139"),
    ("asset red: timed out", "asset nir: timed out"),
    ("no such key", "access denied"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_places_and_numbers_do_not_make_a_cause(one: str, other: str) -> None:
    assert shape_of(one) == shape_of(other)


@pytest.mark.parametrize(("one", "other"), APART)
def test_words_and_codes_do(one: str, other: str) -> None:
    assert shape_of(one) != shape_of(other)


def test_most_jobs_come_first_and_a_few_are_named() -> None:
    causes = Causes()
    causes.add("a", "E", "x")
    for number in range(9):
        causes.add(f"job{number}", "F", f"broke after {number} s")
    first, second = causes.groups()
    assert (first.count, first.error, first.text, first.jobs) == (9, "F", "broke after # s", ("job0", "job1", "job2"))
    assert first.example == "broke after 0 s"
    assert (first.number, second.number, second.jobs) == (0, 1, ("a",))


def test_messages_without_end_are_told_as_one() -> None:
    """No message can fill the memory: beyond 500 causes they are one."""
    causes = Causes()
    words = [
        f"{chr(97 + one)}{chr(97 + two)}{chr(97 + three)}" for one in range(9) for two in range(9) for three in range(9)
    ]
    for word in words:
        causes.add(word, "E", word)
    groups = causes.groups()
    assert len(groups) == MOST + 1
    assert (groups[0].error, groups[0].count) == (FURTHER, len(words) - MOST)
