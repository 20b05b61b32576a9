"""Laws of the front door: one list of names, each importable and described; nothing heavy before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from inspect import isclass, isfunction
from pathlib import Path

import pytest

import pipeline

SOURCE = Path(pipeline.__file__ or "")


def test_the_three_lists_of_names_are_one() -> None:
    """What type checkers import, `__all__`, and where each name is found; `__all__` is the one that is read."""
    tree = ast.parse(SOURCE.read_text())
    typed = next(node for node in tree.body if isinstance(node, ast.If)).body
    imported = {(alias.name, node.module) for node in typed if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == {*pipeline._HOME.items()}
    assert pipeline.__all__ == sorted(pipeline.__all__)
    assert {*pipeline.__all__} == {*pipeline._HOME, "__version__"}
    assert dir(pipeline) == pipeline.__all__


@pytest.mark.parametrize("name", pipeline.__all__)
def test_every_name_is_there_and_what_can_be_called_is_described(name: str) -> None:
    found = getattr(pipeline, name)
    if isclass(found) or isfunction(found):
        assert found.__doc__ and found.__name__ == name
    if isfunction(found):
        assert "return" in found.__annotations__


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'open_cofnig'"):
        _ = pipeline.open_cofnig


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; before = {*sys.modules}; import pipeline; print(*({*sys.modules} - before))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in told} <= {*sys.stdlib_module_names, "pipeline"}
    assert {name for name in told if name.startswith("pipeline")} == {"pipeline", "pipeline.version"}
