"""The smallest useful config of every product: under ten lines, and what is left out has the default that it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import load_config, redacted
from pipeline.config.example import SMALLEST
from pipeline.products import product_kinds, product_models
from pipeline.session import Options, open_session

AREA = "area: {bbox: [11.985, 44.872, 12.018, 44.890]}"
MONTH = "period: {start: 2024-06-01, end: 2024-07-01}"
POLYGON = '{"type": "Polygon", "coordinates": [[[11.99, 44.875], [12.0, 44.875], [12.0, 44.885], [11.99, 44.875]]]}'
LAKE = "regions: {lake: {bbox: [11.98, 44.87, 12.05, 44.91]}}"

S2, S1, DEM, LANDSAT = (f"{{items: WORLD/{name}/collection.json}}" for name in ("s2", "s1", "dem", "landsat"))
ARGO = "{gdac: WORLD/argo}"

CONFIGS = {
    "sentinel2": f"{AREA}\n{MONTH}\nsources: {{s2: {S2}}}\nproducts: [{{product: sentinel2}}]",
    "sentinel1": f"{AREA}\n{MONTH}\nsources: {{s1: {S1}}}\nproducts: [{{product: sentinel1}}]",
    "landsat": f"{AREA}\n{MONTH}\nsources: {{l8: {LANDSAT}}}\nproducts: [{{product: landsat}}]",
    "dem": f"{AREA}\nsources: {{heights: {DEM}}}\nproducts: [{{product: dem}}]",
    "argo": f"sources: {{gdac: {ARGO}}}\nproducts: [{{product: argo}}]",
    "argo_grid": f"""\
{MONTH}
sources: {{gdac: {ARGO}}}
products:
  - {{product: argo}}
  - {{product: argo_grid, inputs: [argo], {LAKE}}}
""",
    "matchups": f"""\
{MONTH}
sources: {{gdac: {ARGO}, s2: {S2}}}
products:
  - {{product: argo}}
  - {{product: matchups, inputs: [argo], bands: [red], {LAKE}}}
""",
    "glaciers": f"""\
area: {{vector: outline.geojson}}
grid: {{kind: region}}
{MONTH}
sources: {{s2: {S2}}}
products: [{{product: glaciers}}]
""",
    "stack": f"""\
{AREA}
{MONTH}
sources: {{sentinel2: {S2}, dem: {DEM}}}
products: [{{product: sentinel2}}, {{product: dem}}, {{product: stack, inputs: [sentinel2, dem]}}]
""",
    "predict": f"""\
{AREA}
{MONTH}
sources: {{s2: {S2}}}
products:
  - {{product: sentinel2}}
  - {{product: predict, inputs: [sentinel2], model: MODEL, channels: [{{layer: nir}}], results: [{{name: out}}]}}
""",
    "ttc_ard": f"""\
{AREA}
grid: {{kind: ttc}}
period: {{start: 2024-01-01, end: 2025-01-01, every: year}}
sources: {{sentinel2: {S2}, sentinel1: {S1}, dem: {DEM}}}
products:
  - {{product: sentinel2, bands: [blue, green, red, nir, rededge1, nir08, swir16, swir22], composite: none}}
  - {{product: sentinel1, orbits: together}}
  - {{product: dem, layers: [slope, slope_median]}}
  - {{product: ttc_ard, inputs: [sentinel2, sentinel1, dem]}}
""",
}
PLANNED = ("sentinel2", "dem", "argo", "matchups", "glaciers", "stack")
"""Planned over the demo world; of the others this is the same code, and takes seconds."""


def written(folder: Path, world: Path, kind: str) -> Path:
    (folder / "outline.geojson").write_text(f'{{"type": "Feature", "properties": {{}}, "geometry": {POLYGON}}}')
    model = Path(__file__).parents[2] / "configs" / "difference.onnx"
    config = folder / f"my {kind}.yaml"
    config.write_text(CONFIGS[kind].replace("WORLD", str(world)).replace("MODEL", str(model)))
    return config


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_the_smallest_config_of_every_product_has_under_ten_lines(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, tmp_path / "world", kind)
    assert len(path.read_text().splitlines()) < 10
    config = load_config(path, product_models())
    name = f"my-{kind}"
    assert (config.name, config.output) == (name, f"./out/{name}")
    assert kind in [product.product for product in config.products]
    for product in config.products:
        assert all((config.sources[source].gdac is not None) == product.afloat for source in product.sources)
    assert config.period.every == {"ttc_ard": "year", "argo": "span", "dem": "span"}.get(kind, "month")


def test_there_is_one_for_every_kind() -> None:
    assert {*CONFIGS} == {*product_kinds()}


@pytest.mark.parametrize("kind", PLANNED)
def test_it_plans_and_can_be_run(tmp_path: Path, demo_world: Path, kind: str) -> None:
    session = open_session(Options(written(tmp_path, demo_world, kind), output=str(tmp_path / "output")))
    assert kind in {job.kind for job in session.plan.jobs}


def test_what_is_left_out_makes_the_same_jobs_as_when_it_is_written(tmp_path: Path, demo_world: Path) -> None:
    short = open_session(Options(written(tmp_path, demo_world, "sentinel2"), output=str(tmp_path / "output")))
    full = tmp_path / "full.yaml"
    entry = "{product: sentinel2, name: sentinel2, source: s2, bands: [blue, green, red, nir], composite: median}"
    text = CONFIGS["sentinel2"].replace("WORLD", str(demo_world)).replace("{product: sentinel2}", entry)
    grid = "grid: {kind: utm, tile_px: 2048, resolution_m: 10}"
    full.write_text(f"name: another\n{grid}\nwrite: {{cog: {{}}}}\n{text}\n")
    long = open_session(Options(full, output=str(tmp_path / "output")))
    prints = [{job.id: job.fingerprint for job in session.plan.jobs} for session in (short, long)]
    assert prints[0] == prints[1] != {}


def test_null_counts_as_left_out(tmp_path: Path) -> None:
    path = tmp_path / "po.yaml"
    path.write_text(
        SMALLEST.replace("{product: sentinel2,", "{product: sentinel2, source: null,") + "name: null\noutput: ~\n"
    )
    config = load_config(path, product_models())
    assert (config.name, config.output, config.products[0].sources) == ("po", "./out/po", ("s2",))


def test_a_name_of_the_environment_stays_out_of_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE", "quiet-harbour")
    path = tmp_path / "po.yaml"
    path.write_text(f"name: ${{SITE}}\n{SMALLEST}")
    config = load_config(path, product_models())
    assert config.output == "./out/quiet-harbour"
    shown = redacted(config)
    assert (shown["name"], shown["output"]) == ("${SITE}", "./out/${SITE}")
