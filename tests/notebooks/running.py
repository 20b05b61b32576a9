"""Runs a notebook as Jupyter would, in a folder that holds what a checkout holds."""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = tuple(sorted((ROOT / "notebooks").glob("*.ipynb")))
TAG = "picture"
"""Of the cell whose figure stands for the notebook."""
_OWN_ERRORS = "--IPKernelApp.capture_fd_output=False"
"""What is said by the process, not by Python, is no output of a cell: it would be lost when the kernel dies."""
_LAST_WORDS_BYTES = 30_000


@dataclass(frozen=True)
class Ran:
    """A notebook after its last cell."""

    cells: tuple[Any, ...]
    output: Path
    """What its run wrote."""

    @property
    def text(self) -> str:
        """All that it printed or gave as plain text."""
        found = [each.get("text", "") + each.get("data", {}).get("text/plain", "") for each in self._outputs()]
        return "\n".join(found)

    @property
    def figures(self) -> list[bytes]:
        """PNG files, in order."""
        return [_png(each) for each in self._outputs() if "image/png" in each.get("data", {})]

    @property
    def picture(self) -> bytes:
        """The PNG file of the tagged cell."""
        (found,) = [
            _png(each)
            for cell in self.cells
            if TAG in cell.metadata.get("tags", ())
            for each in cell.outputs
            if "image/png" in each.get("data", {})
        ]
        return found

    def _outputs(self) -> list[Any]:
        return [output for cell in self.cells for output in cell.get("outputs", [])]


def make_checkout(folder: Path, world: Path) -> Path:
    """Configs and notebooks as they are, beside a demo world that is there already."""
    for name in ("configs", "notebooks"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "demo-world").symlink_to(world)
    return folder


def run_notebook(checkout: Path, name: str) -> Ran:
    """Every cell, from top to bottom, in a kernel of its own.

    Raises what a cell raises, as CellExecutionError, and DeadKernelError; either with what the kernel said last, which
    of a crash is where every thread was. A SIGTERM or SIGINT to this process, as of a time limit, ends the kernel in
    good order, and looks like its death: nbclient handles both so.
    """
    notebook = nbformat.read(checkout / "notebooks" / f"{name}.ipynb", as_version=4)
    place = {"metadata": {"path": str(checkout / "notebooks")}}
    client = NotebookClient(notebook, timeout=300, resources=place, extra_arguments=[_OWN_ERRORS])
    with tempfile.TemporaryFile() as errors:
        try:
            client.execute(stderr=errors, env={**os.environ, "PYTHONFAULTHANDLER": "1"})
        except Exception as error:
            errors.seek(0)
            error.add_note(errors.read()[-_LAST_WORDS_BYTES:].decode(errors="replace") or "the kernel said nothing")
            raise
    return Ran(tuple(notebook.cells), checkout / "out" / "notebooks" / name)


def _png(output: Any) -> bytes:
    return base64.b64decode(output["data"]["image/png"])
