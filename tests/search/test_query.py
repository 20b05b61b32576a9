"""Laws of limits: each operator as STAC's query extension has it, on times, numbers and texts."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.source import OPERATORS
from pipeline.search.query import within_limits

CASES: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("eq", 5, [5, 5.0], [4, "5", None]),
    ("eq", "Sentinel-2A", ["Sentinel-2A"], ["sentinel-2a", None]),
    ("eq", "2024-06-01T02:00:00+02:00", ["2024-06-01T00:00:00Z", "2024-06-01T00:00:00.000Z"], ["2024-06-01"]),
    ("neq", 5, [4, "x"], [5, None]),
    ("lt", 80, [79.9, -1], [80, 81, None, "79"]),
    ("lt", "2024-06-01T00:00:00Z", ["2024-05-31T23:59:59.9Z"], ["2024-06-01T00:00:00Z", "2024-06-01T00:00:00.1Z"]),
    ("lte", 80, [80, 79], [80.1, None]),
    ("gt", "05.00", ["05.09", "05.10"], ["05.00", "04.00", None]),
    ("gte", 0, [0, 1], [-1, None]),
    ("in", ["a", "b"], ["a", "b"], ["c", None, 1]),
    ("startsWith", "S2A", ["S2A_T33"], ["S2B", None]),
    ("endsWith", "L2A", ["S2A_L2A"], ["L2A_", None]),
    ("contains", "T33", ["S2A_T33TWL"], ["S2A", None]),
    ("contains", "ascending", [["ascending", "x"]], [["x"], None, 5]),
]


@pytest.mark.parametrize(("operator", "value", "meet", "miss"), CASES, ids=[f"{op}-{v}" for op, v, *_ in CASES])
def test_a_limit_holds_or_not(operator: str, value: Any, meet: list[Any], miss: list[Any]) -> None:
    """A property that is not there meets no limit, nor does one of another kind."""
    for found in meet:
        assert within_limits({"p": found}, {"p": {operator: value}}), found
    for found in miss:
        assert not within_limits({"p": found}, {"p": {operator: value}}), found
    assert not within_limits({}, {"p": {operator: value}})


def test_every_operator_is_tested() -> None:
    assert {operator for operator, *_ in CASES} == set(OPERATORS)


def test_all_limits_must_hold() -> None:
    limits: dict[str, dict[str, Any]] = {"a": {"gte": 1, "lt": 3}, "b": {"eq": "x"}}
    assert within_limits({"a": 2, "b": "x"}, limits) and within_limits({}, {})
    assert not within_limits({"a": 3, "b": "x"}, limits) and not within_limits({"a": 2, "b": "y"}, limits)
