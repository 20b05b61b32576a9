"""Laws of an entry's keys: what has no meaning is refused by name, with what is allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import spyndex  # type: ignore[import-untyped]

from pipeline.config import load_config
from pipeline.errors import ConfigError
from pipeline.products import product_models
from pipeline.products._sentinel2_config import BANDS, Sentinel2Config

ENTRY = """\
name: keys
output: out
area: {bbox: [11.9, 44.8, 12.0, 44.9]}
period: {start: 2024-06-01, end: 2024-07-01, every: span}
sources: {s2: {items: items.json}}
products:
  - {product: sentinel2, source: s2, bands: [red, nir, blue]}
"""
CHOOSES = "only with a composite that chooses (best_pixel, latest, least_cloudy)"
COMPOSITES = (
    "one of median, mean, min, max, best_pixel, latest, least_cloudy, geomedian, none, or a percentile, p1 to p99"
)

REFUSED = [
    ("composite=p0", f'products.0.composite: found "p0"; allowed: {COMPOSITES}'),
    ("composite=p100", f'products.0.composite: found "p100"; allowed: {COMPOSITES}'),
    ("composite=p5.5", f'products.0.composite: found "p5.5"; allowed: {COMPOSITES}'),
    ("composite=avg", f'products.0.composite: found "avg"; allowed: {COMPOSITES}'),
    ("bands=[red, red]", "products.0: allowed: every name once in bands"),
    ("layers=[source]", f"products.0: allowed: source in layers {CHOOSES}"),
    ("layers=[doy]", f"products.0: allowed: doy in layers {CHOOSES}"),
    ("layers=[scores]", 'products.0.layers.0: found "scores"'),
    ("layers=[reasons, reasons]", "products.0: allowed: every name once in layers"),
    ("indices=[ndvi, NDVI]", "products.0: allowed: every name once in indices"),
    ("indices=[ndvi, ndvvi]", 'products.0.indices.1: found "ndvvi"; allowed: a name from the list'),
    ("indices=[bai]", 'products.0.indices.0: found "bai"; allowed: BAI or BaI, written so: they are two indices'),
    ("indices=['../x']", 'products.0.indices.0: found "../x"; allowed: the name of a spectral index'),
    ("indices=[ndmi]", "products.0: allowed: ndmi in indices only where bands has nir and swir16"),
    ("indices=[ndbai]", "NDBaI also needs T"),
    ("indices=[nirvp]", "NIRvP also needs PAR"),
    ("best_pixel={distance_px: 0}", "products.0.best_pixel.distance_px: found 0; allowed: a whole number, at least 1"),
    ("best_pixel={distance_px: 201}", "products.0.best_pixel.distance_px: found 201; allowed: a whole number"),
    ("best_pixel={day_weight: 0, distance_weight: 0}", "allowed: distance_weight or day_weight above 0"),
    ("best_pixel={target_doy: 367}", "products.0.best_pixel.target_doy: found 367"),
    (
        "harmonise={sentinel-2a: {green: [1, 0]}}",
        "products.0: allowed: bands that are made in harmonise (red, nir, blue)",
    ),
    ("harmonise={sentinel-2a: {red: [0, 0]}}", "products.0.harmonise.sentinel-2a.red.0: found 0; allowed: a number"),
    (
        "harmonise={sentinel-2a: {red: [1, 0]}, Sentinel-2A: {red: [2, 0]}}",
        "products.0: allowed: every name once in harmonise, in capitals or small letters",
    ),
    ("harmonise={sentinel-2a: {red: [1]}}", "products.0.harmonise.sentinel-2a.red"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(ENTRY)
    return path


def load(config: Path, *sets: str) -> Sentinel2Config:
    entry = load_config(config, product_models(), [f"products.0.{each}" for each in sets], None).products[0]
    assert isinstance(entry, Sentinel2Config)
    return entry


@pytest.mark.parametrize(("key", "words"), REFUSED)
def test_what_has_no_meaning_is_refused_by_name(config: Path, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(config, key)
    assert words in str(refusal.value)


def test_reasons_need_a_mask(config: Path) -> None:
    assert load(config, "layers=[reasons]").extra_layers == ("reasons",)
    with pytest.raises(ConfigError, match="allowed: reasons in layers only with a mask"):
        load(config, "layers=[reasons]", "mask=null")


@pytest.mark.parametrize(
    "name",
    ["median", "mean", "min", "max", "p1", "p10", "p99", "best_pixel", "latest", "least_cloudy", "geomedian", "none"],
)
def test_every_composite_is_a_key(config: Path, name: str) -> None:
    assert load(config, f"composite={name}").composite == name


@pytest.mark.parametrize("name", ["ndvi", "evi", "savi", "msavi", "NDVI", "BAI", "GNDVI"])
def test_an_index_is_found_by_name(config: Path, name: str) -> None:
    (index,) = load(config, f"indices=[{name}]", "bands=[red, green, nir, blue]").found_indices()
    assert index.name == name


def test_standard_names_are_the_library_s_for_this_sensor() -> None:
    """Each band of the instrument is the one the library knows under that name for Sentinel-2."""
    for band in BANDS.values():
        assert spyndex.bands[band.standard].sentinel2a.band == f"B{band.number[1:].lstrip('0')}"


def test_the_library_of_formulas_is_imported_only_where_it_is_asked_for(config: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.config import load_config;"
        "from pipeline.products import product_models;"
        f"load_config(Path({str(config)!r}), product_models(), sys.argv[1:], None);"
        "print('spyndex' in sys.modules)"
    )
    for sets, expected in (
        ([], "False"),
        (["products.0.indices=[ndvi]"], "False"),
        (["products.0.indices=[evi]"], "True"),
    ):
        done = subprocess.run([sys.executable, "-c", code, *sets], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
