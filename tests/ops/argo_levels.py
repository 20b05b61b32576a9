"""Small columns of levels, and what became of a level in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.argo_best import Best
from pipeline.plan.argo_rules import LEVEL_RULES


def floats(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def flags(values: Sequence[int]) -> NDArray[np.int8]:
    return np.array(values, np.int8)


def reasons(best: Best, row: int = 0) -> set[str]:
    return {name for bit, name in enumerate(LEVEL_RULES) if best.why[row] >> bit & 1}


def seen(best: Best, row: int = 0) -> tuple[float | None, int, float | None, bytes]:
    """Value, flag, error and mode; None for null."""
    value, error = float(best.value[row]), float(best.error[row])
    return (None if np.isnan(value) else value, int(best.qc[row]), None if np.isnan(error) else error, best.mode[row])
