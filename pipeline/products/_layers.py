"""The layers beside the bands: how many observations, what is missing, which scene, which day, why masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.indices import INDEX_NODATA, STEPS, Index
from pipeline.types import Band, Item

QA_EMPTY, QA_LOST = 1, 2
"""Bits of `qa`: no observation; an input that covers this pixel was lost."""

SOURCES = "groundswell:sources"
"""Item property: the scenes that `source` counts, the first one being 1."""


def _codes(name: str, dtype: str, description: str, flags: tuple[tuple[int, str], ...] = ()) -> Band:
    return Band(name, dtype, None, description=description, overview="nearest", flags=flags)


COUNT = _codes("count", "uint16", "Observations that every band rests on at least")
CHOSEN_FROM = _codes("count", "uint16", "Days on which the pixel was clear, from which one was chosen")
COMPLETE_DAYS = _codes("count", "uint16", "Days on which every band has a number")
QA = _codes(
    "qa", "uint8", "Bits: 1 no observation, 2 an input was lost here", ((QA_EMPTY, "empty"), (QA_LOST, "input_lost"))
)
SOURCE = _codes("source", "uint16", f"Scene that the pixel comes from: its place in {SOURCES}, from 1; 0 none")
DOY = _codes("doy", "uint16", "Day of the year (solar day) of the scene that the pixel comes from; 0 none")


def reasons_band(words: Mapping[int, str]) -> Band:
    """The layer of reasons; words: by mask code, one word each."""
    flags = tuple((1 << code, word) for code, word in words.items())
    said = ", ".join(f"{code} {word.replace('_', ' ')}" for code, word in words.items())
    return _codes("reasons", "uint16", f"Bit n: an observation was dropped for being of class n ({said})", flags)


def index_band(index: Index, ours: dict[str, str]) -> Band:
    """What readers need to know of an index; ours: standard band name → ours."""
    if index.difference is not None:
        plus, minus = (ours[name] for name in index.difference)
        return Band(
            index.name,
            "int16",
            INDEX_NODATA,
            1 / STEPS,
            description=f"({plus} - {minus}) / ({plus} + {minus}) of the composited bands",
        )
    terms = [f"{name} = {ours[name]}" for name in index.bands] + [
        f"{name} = {value:g}" for name, value in index.constants
    ]
    return Band(
        index.name,
        "float32",
        float("nan"),
        description=f"{index.title}: {index.formula} of the composited reflectances, {', '.join(terms)}",
    )


def qa_layer(count: NDArray[np.uint16], lost: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(y, x) bits of `qa`."""
    layer: NDArray[np.uint8] = np.multiply(count == 0, np.uint8(QA_EMPTY)) | np.multiply(lost, np.uint8(QA_LOST))
    return layer


def doy_layer(source: NDArray[np.uint16], items: Sequence[Item]) -> NDArray[np.uint16]:
    """(y, x) day of the year of each pixel's scene, 0 where there is none. source: its number, from 1."""
    days = np.array([0, *(item.solar_day.timetuple().tm_yday for item in items)], np.uint16)
    return days[source]
