"""Laws of configs that are no file: text and keys built in code mean what a file means, and faults say where."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import load_config
from pipeline.config.given import Given, as_set, plain
from pipeline.config.yamlsource import assign, read_document
from pipeline.errors import ConfigError
from pipeline.products import product_models

TEXT = """\
name: small
output: out
area: {bbox: [10.9, 44.6, 11.2, 44.8]}
period: {start: 2024-06-01, end: 2024-08-01, every: month}
sources: {s2: {items: items.json}}
products:
  - {product: sentinel2, source: s2, bands: [red, nir], mask: {dilate_px: 3}}
"""
KEYS: dict[str, Any] = {
    "name": "small",
    "output": "out",
    "area": {"bbox": (10.9, np.float64(44.6), 11.2, 44.8)},
    "period": {"start": date(2024, 6, 1), "end": datetime(2024, 8, 1, tzinfo=UTC), "every": "month"},
    "sources": {"s2": {"items": Path("items.json")}},
    "products": (
        {"product": "sentinel2", "source": "s2", "bands": ("red", "nir"), "mask": {"dilate_px": np.int16(3)}},
    ),
}


@pytest.mark.parametrize("data", [TEXT, KEYS], ids=["text", "keys"])
def test_text_and_keys_are_what_a_file_is(data: str | dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    assert load_config(Given(data, tmp_path), product_models()) == load_config(file, product_models())


def test_paths_count_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(Given(KEYS), product_models()).sources["s2"].items == str(tmp_path / "items.json")


def test_a_fault_of_a_text_has_its_line_and_one_of_keys_has_none() -> None:
    wrong = TEXT.replace("dilate_px: 3", "dilate_px: wide")
    with pytest.raises(ConfigError, match=r"^the config's text:7: products\.0\.mask\.dilate_px: found .wide"):
        load_config(Given(wrong), product_models())
    keys = {**KEYS, "products": [{**KEYS["products"][0], "mask": {"dilate_px": "wide"}}], "perod": {}}
    with pytest.raises(ConfigError) as caught:
        load_config(Given(keys), product_models())
    lines = str(caught.value).splitlines()
    assert any(line.startswith("the config: products.0.mask.dilate_px: found") for line in lines)
    assert any("perod: unknown key (did you mean period?)" in line for line in lines)


def test_variables_count_and_text_that_looks_like_something_else_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIES", "7")
    keys = {"run": {"retries": "${RETRIES}"}, "ids": ["no", "0042", "1:30", "2024-06-01", "1e5", ""], "on": True}
    assert read_document(Given(keys)).data == {**keys, "run": {"retries": 7}}


def test_values_of_numpy_are_values() -> None:
    given = {"yes": np.bool_(1), "box": np.array([10.5, 44.0]), "tiles": [*np.array(["33N", "0042"])]}
    keys = {"yes": True, "box": [10.5, 44.0], "tiles": ["33N", "0042"]}
    assert plain(given) == keys and read_document(Given(given)).data == keys


@pytest.mark.parametrize("value", [np.datetime64("2024-06-01", "ns"), object(), b"bytes", {"a": {1, object()}}])
def test_what_no_yaml_has_is_refused_by_its_key(value: object) -> None:
    with pytest.raises(
        ConfigError, match=r"the config: here.*found a (object|bytes|datetime64); allowed: text, numbers"
    ):
        plain({"here": value})


def test_what_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["endless"] = endless
    with pytest.raises(ConfigError, match="does one hold itself"):
        plain(endless)


@pytest.mark.parametrize(
    "value", ["no", "5", "1e5", "a\x85b\u2028c\x7f", "\U0001f30a", 5, 0.25, None, [1, {"a": "b: c"}]]
)
def test_a_set_says_exactly_the_value(value: object) -> None:
    document = read_document(Given({"key": {"path": 0}}))
    assign(document, as_set("key.path", value))
    assert (document.faults, document.data) == ([], {"key": {"path": value}})
