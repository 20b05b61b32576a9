"""Every failure is told as it happens, and what one cause keeps from beginning is told once."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipeline.execute.progress import show_progress
from pipeline.types import Outcome, Status


def failed(number: int, region: str, attempts: int) -> Outcome:
    error, cause = "ClusterError", f"region {region}: no quota"
    return Outcome(f"p/t{number}/m", region, "f", Status.FAILED, attempts=attempts, error=error, cause=cause)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_region_without_a_cluster_is_one_line(*, terminal: bool) -> None:
    """A hundred thousand of them would hide everything else; what was tried and failed has a line each."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, soft_wrap=True, highlight=False, width=200)
    with show_progress(console, {"a": 50, "b": 50, "c": 2}) as progress:
        for number in range(100):
            progress.update(failed(number, "ab"[number % 2], 0))
        for number in range(2):
            progress.update(failed(number, "c", 4))
    told = [line for line in text.getvalue().splitlines() if "failed: p/" in line]
    assert [line.split("ClusterError: ")[1].strip() for line in told] == [
        f"region {region}: no quota" for region in ("a", "b", "c", "c")
    ]
