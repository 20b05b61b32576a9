"""Products made from other products: names, circles, grids and formats are checked before anything is searched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from pipeline.config import DerivedProduct, ProductConfig, RunConfig, load_config
from pipeline.errors import ConfigError
from tests.configs import KINDS


class Pile(DerivedProduct):
    """One made from others."""

    product: Literal["pile"] = Field(description="Layers of others.")


MODELS: Mapping[str, type[ProductConfig]] = {**KINDS, "pile": Pile}
TEXT = """\
name: piles
output: ./out
area: {bbox: [10.9, 44.6, 11.2, 44.8]}
period: {start: 2024-06-01, end: 2024-09-01, every: month}
sources:
  s2: {items: s2.json, region: us-west-2}
  dem: {items: dem.json, region: eu-central-1}
products:
  - {product: bands, source: s2}
  - {product: heights, source: dem}
  - {product: pile, inputs: [heights, bands]}
"""


def load(folder: Path, old: str = "", new: str = "") -> RunConfig:
    path = folder / "run.yaml"
    path.write_text(TEXT.replace(old, new) if old else TEXT)
    return load_config(path, MODELS)


def test_a_product_of_products_runs_where_its_first_input_does(tmp_path: Path) -> None:
    config = load(tmp_path)
    bands, heights, pile = config.products
    assert (bands.sources, bands.upstream) == (("s2",), ())
    assert (pile.sources, pile.upstream) == ((), ("heights", "bands"))
    assert [config.region_of(one) for one in (bands, heights, pile)] == ["us-west-2", "eu-central-1", "eu-central-1"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "[heights, bands]",
            "[heights, band]",
            'products.2.inputs.1: found "band" (did you mean bands?); allowed: another',
        ),
        ("[heights, bands]", "[pile]", 'products.2.inputs.0: found "pile"; allowed: another product of this run'),
        ("[heights, bands]", "[]", "products.2.inputs: found a list of 0"),
        (
            "[heights, bands]}",
            "[heap]}\n  - {product: pile, name: heap, inputs: [pile, bands]}",
            'products.2.inputs.0: found "heap", which is itself made from pile; allowed: no circle',
        ),
        ("source: dem}", "source: dem, write: {zarr: {}}}", "heights among the inputs of pile, but it writes no COG"),
        ("source: dem}", "source: dem, grid: {tile_px: 512}}", "heights among the inputs of pile, on another grid"),
        ("inputs: [heights, bands]", "inputs: [bands]", None),
        ("  - {product: heights, source: dem}\n", "", "sources.dem: found a source that no product uses"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path: Path, old: str, new: str, told: str | None) -> None:
    if told is None:
        load(tmp_path, old, new)
        return
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, old, new)
    assert told in str(caught.value), str(caught.value)
