"""Laws of progress in a notebook: bars that say what the tally knows, and one output that ends as the run did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.execute.progress.notebook import Clusters, display_of, progress_html
from pipeline.execute.records.tally import Row, View
from pipeline.types import ClusterEvent
from tests.worlds import SmallWorld

ROWS = (
    Row("west", "sentinel2", 8, done=4, failed=1, blocked=1, skipped=2, rate_per_s=2.0, eta_s=1.0, read_bytes=2_000),
    Row("east", "<dem>", 2, done=2, eta_s=0.0),
)


def test_bars_are_as_long_as_what_ended() -> None:
    page = progress_html(View(ROWS, usd=1.5), [], 90.0)
    assert page.count('class="bar"') == 2
    assert "width:50.00%;background:#009e73" in page and page.count("width:12.50%") == 2
    for told in (
        "6/8",
        "2/2",
        "8/10 jobs",
        "1 failed",
        "1 blocked",
        "2 committed",
        "$1.50",
        "2.0 kB read",
        "&lt;dem&gt;",
    ):
        assert told in page, told


def test_a_cluster_has_a_dashboard_while_it_is_there() -> None:
    clusters = Clusters()
    address = "http://127.0.0.1:8787/status"
    clusters.cluster(ClusterEvent("west", 0, "opening", backend="local"))
    assert "local cluster opening" in clusters.lines()[0] and "dashboard" not in clusters.lines()[0]
    clusters.cluster(ClusterEvent("west", 0, "up", backend="local", workers=1, threads=2, dashboard=address))
    clusters.cluster(ClusterEvent("west", 0, "workers", backend="local", workers=3, threads=2))
    (line,) = clusters.lines()
    assert f'<a href="{address}"' in line and "3 workers of 2 threads" in line
    clusters.cluster(ClusterEvent("west", 0, "closed", backend="local"))
    assert "cluster closed" in clusters.lines()[0] and address not in clusters.lines()[0]


def test_a_program_is_no_notebook() -> None:
    assert display_of() is None


@pytest.mark.long
def test_a_kernel_shows_plan_bars_and_outcomes(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a real kernel: one display that is drawn again, and ends with every job done; nothing of it needs a script."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    sources = (
        f"import pipeline\nrun = pipeline.open_config({str(world.config)!r})\nrun",
        "result = run.run(run.jobs(period='2024-06'))\nresult",
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(notebook, timeout=240).execute()
    planned, ran = (_pages(cell) for cell in notebook.cells)
    jobs = len(world.session("period.end=2024-07-01").plan.skipped)
    assert jobs > 1 and len(planned) == 1 and "<svg" in planned[0]
    bars, outcomes = ran
    assert f"{jobs}/{jobs} jobs" in bars and "local cluster closed" in bars
    assert f"{jobs} done" in outcomes and "report/index.html" in outcomes
    text = "".join(output.text for output in notebook.cells[1].outputs if output.output_type == "stream")
    assert "dashboard: http://127.0.0.1" in text and "progress:" not in text


def _pages(cell: Any) -> list[str]:
    return [output.data["text/html"] for output in cell.outputs if "text/html" in output.get("data", {})]
