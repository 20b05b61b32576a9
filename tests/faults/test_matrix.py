"""Every fault of the matrix has a test that is there; each family has one that does not wait for `make test-full`."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MATRIX = Path(__file__).with_name("MATRIX.md")
IDS = [f"F{number:02d}" for number in range(1, 59)]


def families() -> dict[str, dict[str, list[str]]]:
    """Family → fault → tests."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in MATRIX.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            found[line.removeprefix("## ")] = {}
        elif re.match(r"\| F\d\d \|", line):
            cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
            assert len(cells) == 5, line
            rows = next(reversed(found.values()))
            assert cells[0] not in rows, f"{cells[0]} stands twice"
            rows[cells[0]] = re.findall(r"`(\S+?\.py::\w+)`", cells[4])
    return found


@functools.cache
def marks(module: str) -> dict[str, set[str]]:
    """Name → marks of every test of a module."""
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    names: dict[str, set[str]] = {}
    shared: set[str] = set()
    aliases: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            aliases[node.targets[0].id] = set(_marks_in(node.value))
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            given = {mark for one in node.decorator_list for mark in _marks_in(one)}
            named = {one.id for one in node.decorator_list if isinstance(one, ast.Name)}
            names[node.name] = given | {mark for name in named for mark in aliases.get(name, ())}
    shared = aliases.get("pytestmark", set())
    return {name: given | shared for name, given in names.items()}


def _marks_in(node: ast.AST) -> Iterator[str]:
    """`long` and `full` wherever `pytest.mark.long` or `.full` stands."""
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and one.attr in {"long", "full"} and isinstance(one.value, ast.Attribute):
            yield one.attr


def test_every_fault_has_one_row() -> None:
    assert sorted(fault for rows in families().values() for fault in rows) == IDS


@pytest.mark.parametrize("fault", IDS)
def test_every_row_names_tests_that_are_there(fault: str) -> None:
    named = next(rows[fault] for rows in families().values() if fault in rows)
    assert named
    for one in named:
        module, name = one.split("::")
        assert (TESTS / module).is_file(), f"{fault}: no file tests/{module}"
        assert name in marks(module), f"{fault}: no test {one}"


def test_every_family_has_a_row_before_the_full_matrix() -> None:
    for family, rows in families().items():
        tests = [one.split("::") for named in rows.values() for one in named]
        assert any("full" not in marks(module).get(name, {"full"}) for module, name in tests), family
