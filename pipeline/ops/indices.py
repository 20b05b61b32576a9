"""Spectral indices by name: formulas, standard band names and constants are those of the library `spyndex`.

Source: Montero et al. 2023, "A standardized catalogue of spectral indices to advance the use of remote sensing in Earth
system research", Scientific Data 10, 197 (Awesome Spectral Indices).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.ops.memory import as_source

INDEX_NODATA = -32768
STEPS = 10_000
"""A normalised difference of 1 is stored as 10 000."""
_BLOCK_PX = 2**18
"""Pixels computed at once in floating point."""
_USUAL = ("ndvi", "evi", "evi2", "savi", "msavi", "gndvi", "ndmi", "ndwi", "mndwi", "nbr", "bsi", "ndsi", "ndbi")
"""Indices that a name near to them probably means, before rarer ones."""
_SYNONYMS = {"bsi": "BI", "ndre": "NDREI"}
"""Usual names that the library does not list, for the same formula."""
_CONSTANTS: Mapping[str, Mapping[str, float]] = {"SAVI": {"L": 0.5}}
"""Where the library's default is not the author's: Huete 1988 gives 0.5 for intermediate vegetation, the library 1."""


@dataclass(frozen=True)
class Index:
    """One formula over standard band names (`R`, `N`, `S1` …)."""

    name: str
    """As it was asked for."""
    entry: str
    """Its name in the library."""
    title: str
    formula: str
    bands: tuple[str, ...]
    constants: tuple[tuple[str, float], ...]

    @property
    def difference(self) -> tuple[str, str] | None:
        """(plus, minus) of a pure normalised difference, (plus - minus) / (plus + minus)."""
        found = re.fullmatch(r"\((\w+)-(\w+)\)/\(\1\+\2\)", self.formula)
        return (found[1], found[2]) if found and set(found.groups()) == set(self.bands) else None


_NDVI = Index("ndvi", "NDVI", "Normalized Difference Vegetation Index", "(N-R)/(N+R)", ("N", "R"), ())


def known_index(name: str) -> str:
    """The library's name of an index, asked for in small letters or as the library writes it.

    Raises ValueError, in words of what is allowed, for an unknown name and one that two indices share but for the case.
    """
    if name == _NDVI.name:
        return _NDVI.entry
    import spyndex  # type: ignore[import-untyped] # noqa: PLC0415 (a list of 280 formulas, for those who ask for one)

    wanted = _SYNONYMS.get(name.lower(), name)
    found = [wanted] if wanted in spyndex.indices else [one for one in spyndex.indices if one.lower() == wanted.lower()]
    if len(found) > 1:
        raise ValueError(f"allowed: {' or '.join(found)}, written so: they are two indices")
    if not found:
        known = [one.lower() for one in spyndex.indices]
        near = get_close_matches(name.lower(), _USUAL, n=1, cutoff=0.7) or get_close_matches(name.lower(), known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ", such as evi"
        raise ValueError(f"allowed: a name from the list of spectral indices of spyndex {spyndex.__version__}{hint}")
    return str(found[0])


def find_index(name: str, bands: Collection[str]) -> Index:
    """The index of a name, whose formula needs no more than `bands`: standard names of what there is.

    Raises ValueError as `known_index` does, and for a formula that needs another band, or a value that must be given.
    """
    entry = known_index(name)
    if name == _NDVI.name:
        index = _NDVI
        missing = {*index.bands} - {*bands}
    else:
        import spyndex  # noqa: PLC0415 (as above)

        listed, defaults = spyndex.indices[entry], spyndex.constants
        needs = tuple(band for band in listed.bands if band not in defaults)
        constants = {band: defaults[band].default for band in listed.bands if band not in needs}
        constants |= _CONSTANTS.get(entry, {})
        missing = {*needs} - {*bands} | {each for each, value in constants.items() if value is None}
        values = tuple(sorted((each, float(value)) for each, value in constants.items() if value is not None))
        index = Index(name, entry, listed.long_name, listed.formula.replace(" ", ""), needs, values)
    if missing:
        words = f"{entry} also needs {', '.join(sorted(missing))}"
        raise ValueError(f"allowed: indices of the bands {', '.join(bands)}; {words}")
    return index


def compute_index(index: Index, bands: Mapping[str, NDArray[Any]], scale: float) -> NDArray[Any]:
    """An index of reflectances: int16 in units of 1e-4 for a pure normalised difference, else float32.

    bands: standard name → (…, x) uint16 stored numbers, 0 = none, reflectance = stored * scale. Where any of its bands
    has no data, or the formula no finite value, there is none: -32768, or NaN.
    """
    if index.difference is not None:
        return normalised_difference(*(bands[name] for name in index.difference))
    import spyndex  # noqa: PLC0415 (as above)

    flat = {name: bands[name].reshape(-1) for name in index.bands}
    shape = bands[index.bands[0]].shape
    out = np.full(int(np.prod(shape)), np.nan, np.float32)
    formula = spyndex.indices[index.entry]
    for first in range(0, out.size, _BLOCK_PX):
        part = {name: band[first : first + _BLOCK_PX] for name, band in flat.items()}
        valid = np.logical_and.reduce([stored != 0 for stored in part.values()])
        reflectance = {name: stored * np.float64(scale) for name, stored in part.items()}
        with np.errstate(all="ignore"):
            values = np.asarray(formula.compute(reflectance | dict(index.constants)), np.float64).astype(np.float32)
        out[first : first + _BLOCK_PX] = np.where(valid & np.isfinite(values), values, np.float32(np.nan))
    return out.reshape(shape)


@compiled("Array(u2, 1, 'C', readonly=True), Array(u2, 1, 'C', readonly=True), i2[::1]")
def _normalised(plus: NDArray[np.uint16], minus: NDArray[np.uint16], out: NDArray[np.int16]) -> None:
    for k in range(out.size):
        a, b = np.int32(plus[k]), np.int32(minus[k])
        # Scaled before the division: the numerator is exact, so the quotient is rounded once and ties are true ties.
        ratio = np.rint(np.float64((a - b) * STEPS) / np.float64(a + b))
        out[k] = np.int16(ratio) if (a != 0) & (b != 0) else np.int16(INDEX_NODATA)


def normalised_difference(plus: NDArray[Any], minus: NDArray[Any]) -> NDArray[np.int16]:
    """(plus - minus) / (plus + minus), stored as int16 in units of 1e-4; -32768 where either band has no data (0).

    plus, minus: (…, x) uint16 reflectances with one common scale and no offset. Source: Rouse et al. 1974 for NDVI with
    plus = near infrared and minus = red.
    """
    out = np.empty(plus.shape, np.int16)
    _normalised(as_source(plus), as_source(minus), out.reshape(-1))
    return out
