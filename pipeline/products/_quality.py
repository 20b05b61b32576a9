"""What every product says of a finished tile in numbers: how much of it is there, from how many observations."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.mask import NODATA, OUTSIDE
from pipeline.types import Json

VALID, MEAN, LEAST, CLOUD = (
    f"groundswell:{name}" for name in ("valid_fraction", "observations_mean", "observations_min", "cloud_fraction")
)
IN_DOUBT = "groundswell:offsets_in_doubt"
"""Item property: scenes whose radiometric offset is in doubt."""
MISSING = "groundswell:missing_fraction"
"""Item property: share of the inputs that were lost, where one takes others along; without it they are counted."""


def observed(count: NDArray[np.integer], within: NDArray[np.bool_] | None = None) -> dict[str, Json]:
    """Item properties of a tile from its observations a pixel.

    count: (y, x). within: (y, x), the pixels that were asked for, where those are not all. Without any, nothing is
    valid.
    """
    asked = count if within is None else count[within]
    if asked.size == 0:
        return {VALID: 0.0, MEAN: 0.0, LEAST: 0}
    return {
        VALID: _share(int(np.count_nonzero(asked)), asked.size),
        MEAN: round(float(asked.mean()), 4),
        LEAST: int(asked.min()),
    }


def cloud_share(seen: NDArray[np.int64] | None, clouds: Collection[int]) -> dict[str, Json]:
    """Item property: the share of the observed pixels of all scenes that was masked for cloud; none if none was seen.

    seen: (256,) pixels of each mask code (see `ops/mask.py`), of all scenes together; None: no mask. clouds: the codes
    that mean cloud, its shadow or its margin. A pixel without data, or outside of a scene, is not observed.
    """
    if seen is None:
        return {}
    total = int(seen.sum()) - int(seen[NODATA]) - int(seen[OUTSIDE])
    if total == 0:
        return {}
    return {CLOUD: _share(int(seen[sorted(clouds)].sum()), total)}


def _share(part: int, whole: int) -> float:
    """To six places; 0 and 1 only where it is none and all, since that is what limits and readers ask."""
    return round(part / whole, 6) if part in {0, whole} else min(max(round(part / whole, 6), 1e-6), 1 - 1e-6)
