"""What a cluster did is one page that a browser shows without asking anybody for anything."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from cluster import performance
from cluster.backend import open_cluster
from cluster.performance import watch
from cluster.spec import ClusterSpec

SPEC = ClusterSpec("test-here", "local", "here", workers=1, threads=1, worker_memory_bytes=2**30)
FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --virtual-time-budget=20000 --enable-logging=stderr
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of a cluster with one worker."""
    with open_cluster(SPEC) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a cluster that did three tasks, and one before anybody watched."""
    client.submit(int, 7, key="sentinel2-before", pure=False).result(timeout=30)
    watched = watch(client)
    for number in range(3):
        client.submit(int, number, key=f"sentinel2-t{number}", pure=False).result(timeout=30)
    data = watched.page()
    assert data is not None
    path = tmp_path_factory.mktemp("performance") / "page.html"
    path.write_bytes(data)
    return path


def test_the_page_holds_the_task_stream_and_no_address_that_is_loaded(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"number of tasks: (\d+)", text) == ["3"]
    assert all(f"sentinel2-t{number}" in text for number in range(3))
    assert "content=\"default-src 'none'; " in text[:300]
    loaded = re.findall(
        r"<(?:link|script|img|iframe)\b[^>]*(?:src|href)\s*=\s*[\"']?([^\"'> ]+)", text.split("<script")[0]
    )
    assert loaded == []
    assert len(text) < 4e6


def test_a_scheduler_that_cannot_costs_the_page_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(client)

    def sync(*_: object, **__: object) -> None:
        raise ImportError("No module named 'bokeh'")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, performance.__name__):
        patch.setattr(Client, "sync", sync)
        assert watched.page() is None
    assert "no performance report: ImportError: No module named 'bokeh'" in caplog.text


def test_a_cluster_that_is_gone_is_not_asked(client: Client) -> None:
    with Client(client.scheduler_info()["address"], set_as_default=False) as other:
        watched = watch(other)
    assert watched.page() is None


@pytest.mark.long
def test_a_browser_draws_it_and_reports_no_error(page: Path, tmp_path: Path) -> None:
    """Bokeh makes the tabs by script: they are there only when all of it ran, under the policy that asks nobody."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs the program `chromium`")
    command = [browser, *FLAGS.split(), f"--user-data-dir={tmp_path}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert "bk-" in done.stdout
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in console if "rror" in line or "efused" in line] == []
