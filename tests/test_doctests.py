"""Every example in a docstring gives what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for package in ("pipeline", "cluster")
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
"""Found by their text, so that nothing is imported that has none."""


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried, "an example that nobody runs is a comment"
    assert not failed


def test_there_are_examples_where_they_teach() -> None:
    assert {"pipeline.plan.periods", "pipeline.plan.utm", "pipeline.plan.fingerprint"} < {*MODULES}
