"""Laws of the limits: in order, in range, each with its words; a product's keys stand over the run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import QualityConfig, RunConfig, redacted
from tests.configs import SMALL, faults, load


def with_limits(folder: Path, run: str, product: str | None = None) -> RunConfig:
    entry = [] if product is None else [f"products.0.quality={product}"]
    return load(folder, SMALL, f"run.quality={run}", *entry)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("min_valid_fraction.fail", "1.5", "found 1.5; allowed: a number, at least 0, at most 1"),
        ("max_edge_difference.warn", "-1", "found -1; allowed: a number, at least 0"),
        ("offset_in_doubt", "ignore", 'found "ignore"; allowed: one of pass, warn, fail'),
        ("on_fail", "keep", 'found "keep"; allowed: one of refuse, commit'),
        ("min_valid_fraction", "{warn: 0.1, fail: 0.2}", "allowed: fail of at most warn"),
        ("max_cloud_fraction", "{warn: 0.2, fail: 0.1}", "allowed: fail of at least warn"),
        ("band_ranges", "{red: {warn: [1, 0]}}", "allowed: [lowest, highest] with the smaller one first"),
        ("band_ranges", "{red: {warn: [0, 1], fail: [0.1, 2]}}", "allowed: a range of fail that holds that of warn"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, key: str, value: str, words: str) -> None:
    (fault,) = faults(tmp_path, SMALL, f"run.quality.{key}={value}")
    assert f"run.quality.{key.partition('.')[0]}" in fault and words in fault


@pytest.mark.parametrize("name", ["min_valid_fraction", "min_observations", "max_cloud_fraction"])
def test_limits_may_be_equal_and_alone(name: str) -> None:
    for limits in ({"warn": 0.5, "fail": 0.5}, {"fail": 0.5}, {"warn": 0.5}, {}):
        QualityConfig.model_validate({name: limits})


def test_a_product_replaces_the_keys_it_gives_and_no_other(tmp_path: Path) -> None:
    config = with_limits(
        tmp_path,
        "{min_valid_fraction: {warn: 0.5}, max_cloud_fraction: {fail: 0.9}, on_fail: commit}",
        "{max_cloud_fraction: {warn: 0.8}, edges: false}",
    )
    found = config.quality_of(config.products[0])
    assert (found.min_valid_fraction.warn, found.on_fail, found.edges) == (0.5, "commit", False)
    assert (found.max_cloud_fraction.warn, found.max_cloud_fraction.fail) == (0.8, None)
    assert config.run.quality.edges is True


def test_without_limits_of_its_own_those_of_the_run_count(tmp_path: Path) -> None:
    config = with_limits(tmp_path, "{empty: fail}")
    assert config.quality_of(config.products[0]) == config.run.quality


def test_a_run_writes_down_what_was_given(tmp_path: Path) -> None:
    """So that the product's keys can be told from the defaults in the run's own record."""
    config = with_limits(tmp_path, "{empty: fail}", "{edges: false}")
    written: Any = json.loads(json.dumps(redacted(config)))
    assert written["products"][0]["quality"] == {"edges": False}
    again = QualityConfig.model_validate_json(json.dumps(written["products"][0]["quality"]), strict=True)
    assert again.over(config.run.quality) == config.quality_of(config.products[0])
