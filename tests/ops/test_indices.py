"""Laws of spectral indices: the formula as it is published, and no data where any of its bands has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pipeline.ops.indices import INDEX_NODATA, compute_index, find_index, normalised_difference

SIDES = st.tuples(st.integers(1, 6), st.integers(1, 6))
PAIRS = SIDES.flatmap(lambda shape: st.tuples(arrays.arrays(np.uint16, shape), arrays.arrays(np.uint16, shape)))


@given(PAIRS)
@settings(deadline=None)
def test_the_index_is_the_rounded_quotient(bands: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    """In exact fractions, ties to even: 65535 against 1 does not wrap, equal bands give 0."""
    plus, minus = bands
    found = normalised_difference(plus, minus)
    assert found.dtype == np.int16 and found.shape == plus.shape
    for value, a, b in zip(found.flat, plus.flat, minus.flat, strict=True):
        p, m = int(a), int(b)
        expected = INDEX_NODATA if p == 0 or m == 0 else round(Fraction((p - m) * 10_000, p + m))
        assert value == expected


@given(PAIRS)
@settings(deadline=None)
def test_the_index_is_near_the_float_formula(bands: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    plus, minus = (band.astype(np.float64) for band in bands)
    valid = (plus > 0) & (minus > 0)
    index = normalised_difference(*bands)
    total = np.where(valid, plus + minus, 1)
    assert (np.abs(index * 1e-4 - (plus - minus) / total)[valid] <= 0.5001e-4).all()
    assert (index[~valid] == INDEX_NODATA).all()
    assert (np.abs(index[valid].astype(int)) <= 10_000).all()


@pytest.mark.parametrize(
    ("plus", "minus", "expected"),
    [(3000, 1000, 5000), (1000, 3000, -5000), (7, 7, 0), (65534, 1, 10_000), (0, 5, -32768)],
)
def test_known_values(plus: int, minus: int, expected: int) -> None:
    found = normalised_difference(np.array([[plus]], np.uint16), np.array([[minus]], np.uint16))
    assert found[0, 0] == expected


Reflectance = Mapping[str, NDArray[Any]]
SENSOR = ("A", "B", "G", "R", "RE1", "RE2", "RE3", "N", "N2", "WV", "S1", "S2")
DIFFERENCES = {
    "ndvi": ("N", "R"),
    "ndwi": ("G", "N"),
    "mndwi": ("G", "S1"),
    "ndmi": ("N", "S1"),
    "nbr": ("N", "S2"),
    "gndvi": ("N", "G"),
    "ndre": ("N", "RE1"),
    "ndvi705": ("RE2", "RE1"),
    "nbr2": ("S1", "S2"),
    "ndsi": ("G", "S1"),
}
"""Index → (plus, minus), from the papers they come from."""
FORMULAS: dict[str, Callable[[Reflectance], NDArray[Any]]] = {
    "evi": lambda r: 2.5 * (r["N"] - r["R"]) / (r["N"] + 6 * r["R"] - 7.5 * r["B"] + 1),
    "evi2": lambda r: 2.5 * (r["N"] - r["R"]) / (r["N"] + 2.4 * r["R"] + 1),
    "savi": lambda r: 1.5 * (r["N"] - r["R"]) / (r["N"] + r["R"] + 0.5),
    "bsi": lambda r: ((r["S1"] + r["R"]) - (r["N"] + r["B"])) / ((r["S1"] + r["R"]) + (r["N"] + r["B"])),
    "msavi": lambda r: (2 * r["N"] + 1 - np.sqrt((2 * r["N"] + 1) ** 2 - 8 * (r["N"] - r["R"]))) / 2,
    "arvi": lambda r: (r["N"] - (r["R"] - (r["R"] - r["B"]))) / (r["N"] + (r["R"] - (r["R"] - r["B"]))),
    "aweinsh": lambda r: 4 * (r["G"] - r["S1"]) - 0.25 * r["N"] + 2.75 * r["S2"],
    "cire": lambda r: r["N"] / r["RE1"] - 1,
}


def stored_bands(seed: int) -> dict[str, NDArray[np.uint16]]:
    """Usual reflectances, some missing, some at the ends of the range, some equal; larger than one block."""
    random = np.random.default_rng(seed)
    bands = {}
    for name in SENSOR:
        stored = random.integers(1, 9000, (600, 700)).astype(np.uint16)
        stored[random.uniform(size=stored.shape) < 0.1] = 0
        stored[:2] = random.choice([1, 65_533, 65_534], (2, 700))
        stored[2] = 1234
        bands[name] = stored
    return bands


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_normalised_difference_is_an_exact_integer(name: str) -> None:
    bands, (plus, minus) = stored_bands(1), DIFFERENCES[name]
    index = find_index(name, SENSOR)
    assert index.difference == (plus, minus)
    found = compute_index(index, bands, 1e-4)
    p, m = (bands[band].astype(np.int64) for band in (plus, minus))
    valid = (p > 0) & (m > 0)
    twice = np.where(valid, p + m, 1)
    # Half to even in integers: floor of the doubled quotient, then the odd remainder decides.
    scaled = 10_000 * (p - m)
    whole, rest = np.divmod(scaled, twice)
    expected = whole + ((2 * rest > twice) | ((2 * rest == twice) & (whole % 2 == 1)))
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, np.where(valid, expected, INDEX_NODATA))


@pytest.mark.parametrize("name", FORMULAS)
def test_other_formulas_are_floats_of_reflectances(name: str) -> None:
    bands = stored_bands(2)
    index = find_index(name, SENSOR)
    assert index.difference is None
    found = compute_index(index, bands, 1e-4)
    with np.errstate(all="ignore"):
        expected = FORMULAS[name]({band: stored * 1e-4 for band, stored in bands.items()})
    valid = np.logical_and.reduce([bands[band] > 0 for band in index.bands]) & np.isfinite(expected)
    assert found.dtype == np.float32 and valid.any()
    np.testing.assert_array_equal(np.isnan(found), ~valid)
    # Where a denominator is nearly 0 the last digits of the two ways of writing a formula may differ.
    np.testing.assert_allclose(found[valid], expected[valid], rtol=2e-5, atol=1e-7)


def test_without_a_finite_value_there_is_none() -> None:
    """EVI's denominator can be 0: that is no data, and no infinity."""
    stored = {"N": [5000, 1], "R": [5000, 1], "B": [6000, 1]}
    bands = {name: np.array([values], np.uint16) for name, values in stored.items()}
    found = compute_index(find_index("evi", SENSOR), bands, 1e-4)
    assert np.isnan(found[0, 0]) and np.isfinite(found[0, 1])


@pytest.mark.parametrize(
    ("name", "bands", "words"),
    [
        ("ndvvi", SENSOR, "allowed: a name from the list .* of spyndex .* \\(did you mean ndvi\\?\\)"),
        ("bai", SENSOR, "allowed: BAI or BaI, written so: they are two indices"),
        ("ndbai", SENSOR, "NDBaI also needs T"),
        ("nirvp", SENSOR, "NIRvP also needs PAR"),
        ("evi", ("N", "R"), "allowed: indices of the bands N, R; EVI also needs B"),
        ("dpdd", SENSOR, "DPDD also needs VH, VV"),
        ("kndvi", SENSOR, "kNDVI also needs kNN, kNR"),
    ],
)
def test_what_cannot_be_made_is_refused_in_words(name: str, bands: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_index(name, bands)


@pytest.mark.parametrize(("name", "entry"), [("BAI", "BAI"), ("BaI", "BaI"), ("EVI", "EVI"), ("evi", "EVI")])
def test_a_name_in_small_letters_or_as_the_library_writes_it(name: str, entry: str) -> None:
    assert find_index(name, SENSOR).entry == entry
