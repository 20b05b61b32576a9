"""Pressure of a B-file is its core file's, or has no flag."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.ops.argo_best import Best, LevelKeys, core_pressure
from pipeline.plan.argo_rules import quality_rule
from pipeline.types.levels import KINDS, MISSING, NO_FLAG
from tests.ops.argo_levels import flags, floats, reasons, seen

EXPERT, STANDARD = quality_rule("expert"), quality_rule("standard")


def keys_of(profiles: Sequence[tuple[int, str, str, int]], sizes: Sequence[int]) -> LevelKeys:
    """Profiles of float 2902269 as (cycle, direction, kind, index), with so many levels each."""
    cycle, direction, kind, index = zip(*profiles, strict=True)
    return LevelKeys(
        np.full(len(profiles), 2902269, np.int32),
        np.array(cycle, np.int32),
        np.array([each.encode() for each in direction], "S1"),
        np.array([KINDS.index(each) for each in kind], np.int8),
        np.array(index, np.int32),
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
    )


def pressures(raw: Sequence[float], mark: Sequence[int]) -> Best:
    """A best pressure that can be told from the raw one, with its row as error."""
    size = len(raw)
    return Best(
        floats(raw) + np.float32(0.5),
        flags(mark),
        np.arange(size, dtype=np.float32),
        np.full(size, b"D", "S1"),
        np.zeros(size, np.uint16),
    )


def test_pressure_of_a_b_file_is_that_of_its_own_core_profile() -> None:
    """Same cycle, direction and index; a shorter one, one that differs at a level, and one that has no core profile."""
    profiles = [
        (1, "A", "bgc", 0),
        (1, "D", "bgc", 0),
        (1, "A", "core", 1),
        (1, "A", "core", 0),
        (1, "A", "synthetic", 0),
        (1, "A", "bgc", 1),
    ]
    raw = [5, 10, 15, 7, 5, 10, 5, 11, 15, 5, MISSING, 10]
    keys = keys_of(profiles, [3, 1, 2, 2, 1, 3])
    best = core_pressure(keys, floats(raw), pressures(raw, [0, 0, 0, 0, 1, 2, 3, 4, 5, 0, 9, 0]), EXPERT)
    assert [seen(best, row) for row in (0, 1, 2, 3)] == [
        (5.5, 3, 6.0, b"D"),  # of the core profile with its index, not of the first one
        (10.0, NO_FLAG, None, b"R"),  # the core profile says 11 there
        (15.0, NO_FLAG, None, b"R"),  # the core profile ends before; what follows it is another one
        (7.0, NO_FLAG, None, b"R"),  # nothing descends but this
    ]
    assert [reasons(best, row) for row in (0, 1, 2, 3)] == [
        set(),
        {"core_pressure_differs"},
        {"core_pressure_differs"},
        {"no_core_pressure"},
    ]
    assert [seen(best, row)[:2] for row in (4, 5, 6, 7, 8)] == [(5.5, 1), (10.5, 2), (5.5, 3), (11.5, 4), (15.5, 5)]
    assert seen(best, 9) == (5.5, 1, 4.0, b"D")
    assert best.qc[10] == 9
    assert reasons(best, 11) == {"core_pressure_differs"}


def test_a_pressure_without_a_flag_is_no_good_pressure() -> None:
    keys = keys_of([(1, "A", "bgc", 0)], [2])
    raw = floats([5, np.nan])
    best = core_pressure(keys, raw, pressures([5, 5], [0, 0]), STANDARD)
    assert seen(best) == (None, NO_FLAG, None, b"R") and reasons(best) == {"no_core_pressure", "flag"}
    assert seen(best, 1) == (None, 4, None, b"R") and reasons(best, 1) == {"no_core_pressure", "not_finite"}


def test_two_core_profiles_of_one_identity_are_refused() -> None:
    keys = keys_of([(7, "A", "core", 0), (7, "A", "core", 0)], [1, 1])
    with pytest.raises(ValueError, match=r"float 2902269, cycle 7, index 0"):
        core_pressure(keys, floats([1, 1]), pressures([1, 1], [1, 1]), STANDARD)
