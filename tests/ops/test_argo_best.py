"""The best value is what the format manual says, level by level; whatever is changed or withheld has its reason."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.ops.argo_best import Best, best_values, usable_modes, why_counts
from pipeline.plan.argo_rules import LEVEL_RULES, QualityRule, quality_rule
from pipeline.types.levels import MISSING, NO_FLAG, ODD_FLAG, LevelValues
from tests.ops.argo_levels import flags, floats, reasons, seen

EXPERT, STANDARD, RESEARCH = quality_rule("expert"), quality_rule("standard"), quality_rule("research")
NAN = float("nan")


def one_level(
    mode: bytes, raw: tuple[float, int], adjusted: tuple[float, int], error: float = MISSING, *, can: bool = True
) -> LevelValues:
    """One level of one profile."""
    return LevelValues(
        floats([raw[0]]),
        flags([raw[1]]),
        floats([adjusted[0]]),
        flags([adjusted[1]]),
        floats([error]),
        np.array([mode], "S1"),
        np.array([b" "], "S1"),
        np.array([True]),
        np.array([can]),
    )


def best_of(values: LevelValues, rule: QualityRule, parameter: str = "TEMP", listed: int | None = None) -> Best:
    starts = np.array([0, 1], np.int64)
    return best_values(parameter, values, starts, rule, None if listed is None else flags([listed]))


NONE = (MISSING, NO_FLAG)
CASES: dict[str, tuple[LevelValues, tuple[float | None, int, float | None, bytes], set[str]]] = {
    "real time takes raw": (one_level(b"R", (10, 1), (20, 2), 0.5), (10, 1, None, b"R"), set()),
    "no mode takes raw": (one_level(b" ", (10, 1), NONE), (10, 1, None, b" "), set()),
    "adjusted in real time": (one_level(b"A", (10, 1), (20, 2), 0.5), (20, 2, 0.5, b"A"), set()),
    "delayed": (one_level(b"D", (10, 4), (20, 1), 0.5), (20, 1, 0.5, b"D"), set()),
    "an error that is fill or infinite is none": (
        one_level(b"D", (10, 1), (20, 1), np.inf),
        (20, 1, None, b"D"),
        set(),
    ),
    "withheld: raw stands in as bad": (
        one_level(b"D", (10, 1), (MISSING, 4), 0.5),
        (10, 4, None, b"D"),
        {"raw_for_adjusted"},
    ),
    "withheld without a flag: no better": (
        one_level(b"A", (10, 1), NONE),
        (10, 4, None, b"A"),
        {"raw_for_adjusted"},
    ),
    "never measured": (one_level(b"D", (MISSING, 9), (MISSING, 9)), (None, 9, None, b"D"), set()),
    "adjusted without a raw value": (one_level(b"D", (MISSING, 9), (20, 8), 0.5), (20, 8, 0.5, b"D"), set()),
    "a file that adjusts nothing": (one_level(b"D", (10, 2), NONE, can=False), (10, 2, None, b"R"), set()),
    "a stored NaN is no value": (one_level(b"R", (NAN, 1), NONE), (None, 4, None, b"R"), {"not_finite"}),
    "an infinite adjusted value is not replaced": (
        one_level(b"A", (10, 1), (-np.inf, 1), 0.5),
        (None, 4, None, b"A"),
        {"not_finite"},
    ),
    "a NaN of raw beneath a sound adjusted value": (
        one_level(b"D", (NAN, 4), (20, 1), 0.5),
        (20, 1, 0.5, b"D"),
        set(),
    ),
    "a flag that is none": (one_level(b"R", (10, ODD_FLAG), NONE), (10, NO_FLAG, None, b"R"), {"odd_flag"}),
}


@pytest.mark.parametrize("case", CASES)
def test_expert_takes_the_value_of_the_mode(case: str) -> None:
    values, expected, why = CASES[case]
    best = best_of(values, EXPERT)
    assert (seen(best), reasons(best)) == (expected, why)


@pytest.mark.parametrize("flag", [*range(10), NO_FLAG])
@pytest.mark.parametrize("mode", [b"R", b"A", b"D"])
def test_a_level_of_quality_only_takes_values_away(flag: int, mode: bytes) -> None:
    """The flag and the mode stay beside the null, and the reason is told."""
    values = one_level(mode, (10, flag), (10, flag), 0.5)
    plain = best_of(values, EXPERT)
    for rule, taken in (
        (STANDARD, flag in {1, 2, 5, 8}),
        (RESEARCH, flag in {1, 5, 8} and mode == b"D"),
        (quality_rule("standard", (3, 4)), flag in {3, 4}),
    ):
        best = best_of(values, rule)
        assert seen(best) == (seen(plain) if taken else (None, flag, None, mode))
        assert bool(reasons(best)) is not taken
        assert ("flag" in reasons(best)) is (rule.flags is not None and flag not in rule.flags)
        assert ("not_delayed" in reasons(best)) is (rule is RESEARCH and mode != b"D")


@pytest.mark.parametrize(("error", "taken"), [(2.4, True), (19.9, True), (20.0, False), (MISSING, False)])
def test_research_wants_a_small_error_of_the_pressure_and_of_nothing_else(error: float, *, taken: bool) -> None:
    values = one_level(b"D", (10, 1), (10, 1), error)
    pressure = best_of(values, RESEARCH, "PRES")
    assert np.isfinite(pressure.value[0]) == taken
    assert reasons(pressure) == (set() if taken else {"pressure_error"})
    assert np.isfinite(best_of(values, RESEARCH, "TEMP").value[0])
    assert np.isfinite(best_of(values, STANDARD, "PRES").value[0])


@pytest.mark.parametrize(
    ("mode", "flag", "listed", "after"),
    [
        (b"R", 1, 3, 3),
        (b"A", 2, 4, 4),
        (b"R", 0, 2, 2),
        (b"R", 8, 3, 3),
        (b"R", NO_FLAG, 3, 3),
        (b"R", 4, 3, 4),
        (b"R", 3, 2, 3),
        (b"R", 3, 3, 3),
        (b"R", 8, 1, 8),
        (b"R", 9, 4, 9),
        (b"D", 1, 4, 1),
        (b"R", 1, NO_FLAG, 1),
    ],
)
def test_the_greylist_makes_real_time_flags_worse_and_none_better(
    mode: bytes, flag: int, listed: int, after: int
) -> None:
    best = best_of(one_level(mode, (10, flag), (10, flag)), EXPERT, listed=listed)
    assert best.qc[0] == after
    assert reasons(best) == ({"greylist"} if after != flag else set())
    assert best.value[0] == 10
    kept = best_of(one_level(mode, (10, flag), (10, flag)), STANDARD, listed=listed)
    assert np.isfinite(kept.value[0]) == (after in {1, 2, 5, 8})


@st.composite
def many(draw: st.DrawFn) -> tuple[LevelValues, NDArray[np.int64]]:
    """Any profiles, some without levels, with every kind of number and flag."""
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    count = sum(sizes)
    number = st.sampled_from([MISSING, NAN, np.inf, -np.inf, 0.0, 1.5, 99999.0])
    flag = st.integers(ODD_FLAG, 9)

    def column(of: st.SearchStrategy[Any], size: int, dtype: str) -> Any:
        return np.array(draw(st.lists(of, min_size=size, max_size=size)), dtype)

    values = LevelValues(
        column(number, count, "f4"),
        column(flag, count, "i1"),
        column(number, count, "f4"),
        column(flag, count, "i1"),
        column(number, count, "f4"),
        column(st.sampled_from([b"R", b"A", b"D", b" "]), len(sizes), "S1"),
        np.full(len(sizes), b" ", "S1"),
        np.ones(len(sizes), bool),
        column(st.booleans(), len(sizes), "?"),
    )
    return values, np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


@given(many(), st.sampled_from([EXPERT, STANDARD, RESEARCH]))
def test_every_null_of_a_stored_value_has_a_reason_and_nothing_is_made_up(
    drawn: tuple[LevelValues, NDArray[np.int64]], rule: QualityRule
) -> None:
    values, starts = drawn
    best = best_values("PRES", values, starts, rule)
    null = np.isnan(best.value)
    withheld = ("not_finite", "flag", "not_delayed", "pressure_error")
    bits = np.bitwise_or.reduce([np.uint16(1 << LEVEL_RULES.index(name)) for name in withheld])
    mode = np.repeat(usable_modes(values), np.diff(starts))
    looked_at = (values.raw != MISSING) | (np.isin(mode, [b"A", b"D"]) & (values.adjusted != MISSING))
    np.testing.assert_array_equal(null, ~looked_at | ((best.why & bits) != 0))
    assert not np.isinf(best.value).any() and not np.isinf(best.error).any()
    assert not best.why[~looked_at].any()
    assert (best.qc >= NO_FLAG).all() and np.isnan(best.error[null]).all()
    shown = best.value[~null]
    assert ((shown == values.raw[~null]) | (shown == values.adjusted[~null])).all()


@given(many(), st.sampled_from([STANDARD, RESEARCH]))
def test_the_best_of_a_profile_does_not_depend_on_its_neighbours(
    drawn: tuple[LevelValues, NDArray[np.int64]], rule: QualityRule
) -> None:
    values, starts = drawn
    whole = best_values("PRES", values, starts, rule)
    for profile in range(len(starts) - 1):
        rows = slice(starts[profile], starts[profile + 1])
        one = slice(profile, profile + 1)
        of_levels = {"raw", "raw_qc", "adjusted", "adjusted_qc", "adjusted_error"}
        alone = LevelValues(
            **{
                each.name: getattr(values, each.name)[rows if each.name in of_levels else one]
                for each in fields(values)
            }
        )
        part = best_values("PRES", alone, np.array([0, starts[profile + 1] - starts[profile]], np.int64), rule)
        for name in ("value", "qc", "error", "mode", "why"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[rows])


@given(many())
def test_counts_of_reasons_are_those_of_a_plain_loop(drawn: tuple[LevelValues, NDArray[np.int64]]) -> None:
    values, starts = drawn
    why = best_values("PRES", values, starts, RESEARCH).why
    expected = {}
    for bit in range(len(LEVEL_RULES)):
        for profile in range(len(starts) - 1):
            met = [row for row in range(starts[profile], starts[profile + 1]) if int(why[row]) >> bit & 1]
            if met:
                expected[profile, bit] = (len(met), met[0])
    counts = why_counts(why, starts)
    pairs = zip(counts.profile.tolist(), counts.rule.tolist(), strict=True)
    found = zip(counts.count.tolist(), counts.first.tolist(), strict=True)
    assert dict(zip(pairs, found, strict=True)) == expected
