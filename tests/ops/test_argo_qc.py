"""Letters of profiles, names of tests and statistics are those of the manual and of a plain loop."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ops.argo_qc import decode_tests, profile_qc, profile_qc_differs, statistics, test_names
from pipeline.types.levels import MISSING, NO_FLAG, ODD_FLAG, LevelValues

test_names.__test__ = False  # type: ignore[attr-defined] # pytest takes it for a test


def letters(profiles: list[list[int]], mode: bytes = b"R", other: int = NO_FLAG) -> bytes:
    """The letter of each profile whose flags are these, while those of its other values are all alike."""
    sizes = [len(each) for each in profiles]
    said = np.array([*chain.from_iterable(profiles)], np.int8)
    rest = np.full(said.shape, other, np.int8)
    numbers = np.full(said.shape, MISSING, np.float32)
    count = len(profiles)
    raw, adjusted = (said, rest) if mode == b"R" else (rest, said)
    modes, yes = np.full(count, mode, "S1"), np.ones(count, bool)
    values = LevelValues(numbers, raw, numbers, adjusted, numbers, modes, np.full(count, b" ", "S1"), yes, yes)
    return profile_qc(values, np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)).tobytes()


def plain_letter(flags: list[int]) -> str:
    counted = [flag for flag in flags if flag not in {0, 9, NO_FLAG, ODD_FLAG}]
    if not counted:
        return " "
    share = Fraction(sum(flag in {1, 2, 5, 8} for flag in counted), len(counted))
    steps = (("A", 1), ("B", Fraction(3, 4)), ("C", Fraction(1, 2)), ("D", Fraction(1, 4)))
    return next((letter for letter, least in steps if share >= least), "E" if share else "F")


def test_the_manuals_own_example() -> None:
    """45 levels are good, 5 probably good, 7 bad and 3 missing: 87.7 % of 57, so B."""
    assert letters([[1] * 45 + [2] * 5 + [4] * 7 + [9] * 3]) == b"B"


@given(st.lists(st.lists(st.integers(ODD_FLAG, 9), max_size=12), min_size=1, max_size=5))
@pytest.mark.parametrize("mode", [b"R", b"D"])
def test_letters_are_those_of_a_plain_loop(mode: bytes, profiles: list[list[int]]) -> None:
    """Of adjusted flags in delayed mode, of the raw ones in real time, whatever the others say."""
    expected = "".join(plain_letter(flags) for flags in profiles).encode()
    assert letters(profiles, mode, other=4) == expected


def test_a_letter_differs_unless_it_is_the_same_and_nul_is_blank() -> None:
    computed = np.array([b"A", b"A", b" ", b" ", b" "], "S1")
    stated = np.array([b"A", b"B", b" ", b"", b"A"], "S1")
    assert profile_qc_differs(computed, stated).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", ()),
        ("0", ()),
        ("0000000000000000", ()),
        ("C", (2, 3)),
        ("  940", (6, 8, 11)),
        ("0200000002800240", (6, 9, 23, 25, 57)),
        ("8000000000000240", (6, 9, 63)),
        ("600000 100", (8, 21, 22)),
        ("131072", (17,)),
        ("80000", (19,)),
        ("11110110111111", None),
        ("10000000000000000", None),
        ("-2", None),
        ("spike", None),
    ],
)
def test_tests_are_the_bits_of_a_hexadecimal_number(text: str, numbers: tuple[int, ...] | None) -> None:
    assert decode_tests(text) == numbers


@given(st.sets(st.integers(1, 63)))
def test_whatever_is_written_as_the_manual_says_is_read_back(numbers: set[int]) -> None:
    """But where its digits are also a decimal power of two: those are taken for what they look like."""
    text = f"{sum(2**number for number in numbers):X}"
    if not (text.isdecimal() and len(text) >= 5 and int(text).bit_count() == 1):
        assert decode_tests(text) == tuple(sorted(numbers))


def test_names_say_what_failed_and_what_could_not_be_read() -> None:
    assert test_names("0200000000000240") == ("global range", "spike", "DOXY")
    assert test_names(f"{2**40:X}") == ("test 40",)
    assert test_names(" 11110110111111") == ("not decoded: 11110110111111",)


@given(
    st.lists(
        st.lists(st.sampled_from([np.nan, -2.5, 0.0, 17.25, 1e6]) | st.floats(-3, 40, width=32), max_size=6),
        min_size=1,
        max_size=5,
    )
)
def test_statistics_are_those_of_a_plain_loop(profiles: list[list[float]]) -> None:
    starts = np.concatenate(([0], np.cumsum([len(each) for each in profiles]))).astype(np.int64)
    found = statistics(np.array([*chain.from_iterable(profiles)], np.float32), starts)
    for number, values in enumerate(profiles):
        there = [float(np.float32(value)) for value in values if not np.isnan(value)]
        made = (found.count[number], found.minimum[number], found.maximum[number])
        if there:
            assert made == (len(there), min(there), max(there))
            assert found.mean[number] == pytest.approx(sum(there) / len(there), rel=1e-12, abs=1e-12)
        else:
            assert made[0] == 0 and np.isnan([*made[1:], found.mean[number]]).all()
