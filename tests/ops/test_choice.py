"""Laws of the choice: the highest score of the clear scenes, the first of equals, whatever came before."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.ops.choice import Choice, choose, claim, note_reasons, tally
from pipeline.ops.mask import CLEAR, OUTSIDE

SHAPE = (4, 6)
seeds = st.integers(0, 2**32 - 1)


def codes(random: np.random.Generator) -> NDArray[np.uint8]:
    """Dropped for some reason, clear at some distance, or outside."""
    return random.choice([0, 3, 9, 12, 15, CLEAR, CLEAR + 1, CLEAR + 49, OUTSIDE - 1, OUTSIDE], SHAPE).astype(np.uint8)


def is_clear(code: np.uint8) -> bool:
    return 16 <= int(code) <= 254


@given(seeds, st.integers(0, 7))
@settings(deadline=None)
def test_claim_marks_what_is_clear_and_not_yet_taken(seed: int, number: int) -> None:
    random = np.random.default_rng(seed)
    scene, taken = codes(random), random.uniform(size=SHAPE) < 0.3
    plane = random.integers(0, 256, SHAPE).astype(np.uint8) & np.uint8(255 ^ (1 << number))
    expected_plane, expected_taken, claimed = plane.copy(), taken.copy(), 0
    for place in np.ndindex(SHAPE):
        if is_clear(np.uint8(scene[place])) and not taken[place]:
            expected_plane[place] |= 1 << number
            expected_taken[place] = True
            claimed += 1
    assert claim(scene, taken, plane, 1 << number) == claimed
    np.testing.assert_array_equal(plane, expected_plane)
    np.testing.assert_array_equal(taken, expected_taken)


@given(seeds, st.integers(0, 8))
@settings(deadline=None)
def test_choose_takes_the_first_of_the_highest_scores(seed: int, scenes: int) -> None:
    """Two scenes a day: both may be chosen, the day counts once."""
    random = np.random.default_rng(seed)
    stack = [codes(random) for _ in range(scenes)]
    scores = random.choice([1, 2, 3, 2**32 - 1], (scenes, 256)).astype(np.uint32)
    choice, taken = Choice.of(SHAPE), np.zeros(SHAPE, np.bool_)
    for number, scene in enumerate(stack):
        if number % 2 == 0:
            taken = np.zeros(SHAPE, np.bool_)
        choose(scene, scores[number], number + 1, taken, choice)
    for place in np.ndindex(SHAPE):
        clear = [number for number, scene in enumerate(stack) if is_clear(np.uint8(scene[place]))]
        ranked = sorted(clear, key=lambda number: (-int(scores[number, stack[number][place]]), number))
        assert choice.source[place] == (ranked[0] + 1 if ranked else 0)
        assert choice.days[place] == len({number // 2 for number in clear})


@given(seeds)
@settings(deadline=None)
def test_tally_counts_and_reasons_are_bits(seed: int) -> None:
    random = np.random.default_rng(seed)
    scenes = [codes(random) for _ in range(3)]
    np.testing.assert_array_equal(tally(scenes[0]), np.bincount(scenes[0].ravel(), minlength=256))
    reasons = np.zeros(SHAPE, np.uint16)
    for scene in scenes:
        note_reasons(scene, reasons)
    for place in np.ndindex(SHAPE):
        dropped = {int(scene[place]) for scene in scenes if scene[place] < 16}
        assert reasons[place] == sum(1 << code for code in dropped)
