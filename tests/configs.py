"""Configs and product models that tests of the config share."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.config import DerivedProduct, ProductConfig, RunConfig, Section, SourceProduct, load_config
from pipeline.errors import EXIT_BAD_CONFIG, ConfigError


class Mask(Section):
    """A section of a product."""

    classes: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(3,), description="Classes.")


class Bands(SourceProduct):
    """A product with parameters of every kind."""

    product: Literal["bands"] = Field(description="Bands.")
    bands: tuple[Literal["red", "nir"], ...] = Field(default=("red",), min_length=1, description="Which.")
    mask: Mask | None = Field(default=Mask(), description="Mask.")
    key: SecretStr | None = Field(default=None, description="A secret.")
    label: str = Field(default="", description="Free text.")

    @field_validator("label")
    @classmethod
    def _chatty(cls, label: str) -> str:
        if label.startswith("bad"):
            raise ValueError(f"{label!r} begins with bad")
        return label

    @model_validator(mode="after")
    def _consistent(self) -> Bands:
        if len(set(self.bands)) != len(self.bands):
            raise ValueError("allowed: each band once")
        return self


class Heights(SourceProduct):
    """A second kind."""

    product: Literal["heights"] = Field(description="Heights.")


class Pile(DerivedProduct):
    """One made from others."""

    product: Literal["pile"] = Field(description="Layers of others.")


KINDS: dict[str, type[ProductConfig]] = {"bands": Bands, "heights": Heights}

SMALL = """\
name: po-valley
output: ./out
area: {bbox: [10.9, 44.6, 11.2, 44.8]}          # west, south, east, north
period: {start: 2024-06-01, end: 2024-09-01, every: month}
sources:
  s2: {stac: "https://earth-search.aws.element84.com/v1", collection: sentinel-2-c1-l2a}
products:
  - {product: bands, source: s2, bands: [red, nir]}
"""
LARGE = """\
name: kenya-2024
output: s3://my-bucket/kenya-2024/
storage:
  endpoint: http://127.0.0.1:8333
  profile: campaign
area:
  bbox: [179.5, -17, -179, -16]
grid:
  kind: utm
  tile_px: 512
  resolution_m: 20
period:
  start: 2024-01-01T06:00:00+03:00
  end: 2025-01-01T00:00:00
  every: span
sources:
  s2:
    stac: https://earth-search.aws.element84.com/v1
    collection: sentinel-2-c1-l2a
    region: us-west-2
    sign: requester-pays
  s1:
    items: items/s1.json
    storage:
      anonymous: true
products:
  - product: bands
    source: s2
    mask:
      classes: [0, 1]
    write:
      cog:
        compress: zstd
        level: 19
  - product: bands
    name: bands-plain
    source: s1
    mask: null
    missing_assets:
      policy: fail
  - product: heights
    source: s1
write:
  cog:
    compress: deflate
clusters:
  us-west-2:
    backend: local
    workers: [1, 4]
    threads: 2
    worker_memory: 1.5GiB
  default:
    workers: 2
run:
  retries: 0
  missing_assets:
    max_fraction: 0.5
"""


def load(folder: Path, text: str, *sets: str, output: str | None = None) -> RunConfig:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, KINDS, sets, output)


def faults(folder: Path, text: str, *sets: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *sets)
    assert caught.value.exit_code == EXIT_BAD_CONFIG
    assert caught.value.__cause__ is None and caught.value.__context__ is None, "a cause would show raw values"
    return str(caught.value).replace(str(folder / "run.yaml"), "run.yaml").splitlines()


def plain(text: str) -> Any:
    """The data of a config as JSON has it: dates are text."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def leaves_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [leaf for key, child in children for leaf in leaves_of(child, (*path, key))] if children else [path]


def mappings_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    here = [path] if isinstance(value, dict) else []
    return here + [found for key, child in children for found in mappings_of(child, (*path, key))]


def with_value(config: Any, path: tuple[str | int, ...], value: Any) -> Any:
    changed = copy.deepcopy(config)
    around = changed
    for step in path[:-1]:
        around = around[step]
    around[path[-1]] = value
    return changed
