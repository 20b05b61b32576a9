"""Sentinel-2's radiometric offset: decided by baseline and catalogue flags, checked on pixels where those may lie.

From processing baseline 04.00 on, L2A numbers are shifted by +1000; some catalogues remove the shift, some do not, and
some say the wrong thing. The sensing date decides nothing: older scenes are reprocessed with newer baselines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHIFT = -1000
"""BOA_ADD_OFFSET of every band since baseline 04.00 (SentiWiki, "S2 Products")."""
_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Earth Search's word for it, in its catalogues v1 and v0."""
_BASELINES = (
    "s2:processing_baseline",
    "processing:version",
    "sentinel2:processing_baseline",
    "sentinel:processing_baseline",
)
_NAMES = ("s2:product_uri", "sentinel:product_id")
FACTS = (*_FLAGS, *_BASELINES, *_NAMES)
"""Item properties that the decision rests on."""
_DARK_DN = 800
_DARK_SHARE = 0.01
_MIN_SAMPLE = 500


@dataclass(frozen=True)
class OffsetDecision:
    """What is added to a scene's numbers, why, and whether its metadata contradict each other."""

    shift: int
    """0 or -1000, in stored units."""
    reason: str
    doubtful: bool
    """True: the catalogue contradicts itself or is known to be wrong at times, so the pixels must be asked."""


def processing_baseline(item_id: str, properties: Mapping[str, Any]) -> float | None:
    """The baseline as a number (5.1 for "05.10"), from the properties or the product's name; None when unknown."""
    for key in _BASELINES:
        found = re.search(r"(\d{1,2}\.\d{1,2})", str(properties.get(key, "")))
        if found:
            return float(found.group(1))
    for text in (*(properties.get(name) for name in _NAMES), item_id):
        found = re.search(r"_N(\d{2})(\d{2})_", str(text))
        if found:
            return float(f"{found.group(1)}.{found.group(2)}")
    return None


def decide_offset(item_id: str, properties: Mapping[str, Any], declared_offset: float | None) -> OffsetDecision:
    """The shift of one scene from its metadata alone.

    declared_offset: the band's `raster:bands` offset in reflectance (-0.1 means -1000), None when not declared.
    """
    baseline = processing_baseline(item_id, properties)
    flag = next((properties[key] for key in _FLAGS if key in properties), None)
    declares_shift = declared_offset is not None and declared_offset < 0
    if isinstance(flag, bool):
        if flag:
            return OffsetDecision(0, "catalogue: offset already applied", doubtful=declares_shift)
        if baseline is not None and baseline < 4:
            return OffsetDecision(0, f"baseline {baseline:05.2f}: no offset", doubtful=declares_shift)
        # Earth Search is known to say "not applied" of scenes whose numbers are already shifted.
        return OffsetDecision(SHIFT, "catalogue: offset not applied", doubtful=True)
    if baseline is not None:
        shift = SHIFT if baseline >= 4 else 0
        contradicts = declared_offset is not None and declares_shift != (shift != 0)
        return OffsetDecision(shift, f"baseline {baseline:05.2f}", doubtful=contradicts)
    if declares_shift:
        return OffsetDecision(SHIFT, "band offset in the catalogue, baseline unknown", doubtful=True)
    return OffsetDecision(0, "no baseline and no offset in the catalogue", doubtful=False)


def check_offset(decision: OffsetDecision, sample: NDArray[Any]) -> OffsetDecision:
    """The decision after a look at the scene's valid numbers: shifted scenes have hardly any below 800.

    sample: numbers of the whole scene, coarse, nodata left out. More than 1 % below 800 proves that the offset is gone
    from the numbers: reflectances under -0.02 do not occur in that share. The opposite proof does not exist (bright
    land is bright either way), so "already applied" is never overturned, only doubted.
    """
    if sample.size < _MIN_SAMPLE:
        return decision
    dark_share = float(np.count_nonzero(sample < _DARK_DN)) / sample.size
    if decision.shift and dark_share > _DARK_SHARE:
        return OffsetDecision(0, f"{decision.reason}; but {dark_share:.0%} of the numbers are below 800", doubtful=True)
    confirmed = decision.shift != 0 or dark_share > _DARK_SHARE
    return OffsetDecision(
        decision.shift, f"{decision.reason}; pixels agree" if confirmed else decision.reason, not confirmed
    )
