"""Every notebook runs from top to bottom, offline, on the demo world."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


@pytest.mark.long
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDSWELL_OUTPUT", str(tmp_path / "out"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)
    assert "dashboard: http://127.0.0.1:" in text
    assert text.count("done sentinel2/") == 2
    assert text.count("done argo/") == text.count("done matchups/") == 2
    assert "flag" in text and "surface, degrees C:" in text, "a ledger and profiles are shown"
    assert any("image/png" in output.get("data", {}) for output in outputs), "a tile is plotted"
