"""Results: the gravest finding is the verdict, and a document says all of it, the same way every time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.result import Example, Finding, Result, Subject, from_bytes, listed, shown, to_bytes

TEXTS = st.text(max_size=20)
FINDINGS = st.builds(
    Finding,
    check=TEXTS,
    where=TEXTS,
    severity=st.sampled_from(["warn", "fail"]),
    found=TEXTS,
    expected=TEXTS,
    count=st.integers(1, 10**12),
    of=st.none() | st.integers(0, 10**12),
    examples=st.lists(st.builds(Example, TEXTS, TEXTS), max_size=3).map(tuple),
)
RESULTS = st.builds(
    Result,
    subject=st.builds(Subject, TEXTS, TEXTS, TEXTS, st.integers(0, 2**63), TEXTS, TEXTS),
    fingerprint=TEXTS,
    kind=st.sampled_from(["table", "raster", "array", "none"]),
    type=TEXTS,
    findings=st.lists(FINDINGS, max_size=4).map(tuple),
    facts=st.dictionaries(TEXTS, st.none() | st.integers() | TEXTS, max_size=3),
)


@given(RESULTS)
def test_a_document_holds_all_of_a_result_and_the_same_result_gives_the_same_bytes(result: Result) -> None:
    again = from_bytes(to_bytes(result))
    assert again == result and to_bytes(again) == to_bytes(result)


@given(RESULTS)
def test_the_gravest_finding_is_the_verdict_and_the_note_begins_with_it(result: Result) -> None:
    severities = {finding.severity for finding in result.findings}
    assert result.verdict == ("fail" if "fail" in severities else "warn" if "warn" in severities else "pass")
    assert result.note.startswith(result.verdict) and result.counted("fail") + result.counted("warn") == len(
        result.findings
    )


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": 1}', b"null", b"\xff"])
def test_what_is_no_result_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (json says in many words that it is none)
        from_bytes(data)


def test_a_result_of_a_newer_release_is_refused_by_its_number() -> None:
    document = json.loads(to_bytes(Result(Subject("r", "b", "k", 1), "f"))) | {"format": 7}
    with pytest.raises(ValueError, match="format 7, this release knows 1"):
        from_bytes(json.dumps(document).encode())


def test_values_are_shown_on_one_line_and_cut() -> None:
    assert shown("a\nb\x1b[31m") == r"a\nb\x1b[31m"
    assert shown("x" * 500) == "x" * 200 + "…"
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more" and listed([]) == "none"
