"""The page in a real browser: what a reader clicks does what it says, at any size, and no request leaves it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import s3fs

from pipeline.execute.account.account import read_account
from pipeline.report.page import render_page
from pipeline.report.write import write_report
from pipeline.types.account import BLOCKED, DONE, FAILED, Account
from pipeline.write.store import open_store
from tests.report.browser import Page, open_browser
from tests.report.made_runs import RUN, Shape, write_run
from tests.servers.weed import S3Server

pytestmark = pytest.mark.long
OUTCOME, CAUSE = 4, 12
"""Columns of the list of jobs."""
SHAPE = Shape(60, ("2025-06", "2025-07"), ("sentinel2", "stack"), failed=0.2, skipped=0.1, workers=3)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return read_account(open_store(str(write_run(tmp_path_factory.mktemp("run"), SHAPE))), RUN)


@pytest.fixture(scope="module")
def browser(need_binary: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(need_binary, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def address(account: Account, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render_page(account))
    return path.as_uri()


def test_filtering_to_failed_jobs_shows_exactly_those(browser: Page, address: str, account: Account) -> None:
    browser.open(address)
    total, failed = len(account.jobs), account.jobs.count(FAILED)
    assert browser.text("#shown") == f"{total} jobs"
    browser.click(f'.chip[data-state="{FAILED}"]')
    assert browser.text("#shown") == f"{failed} of {total} jobs"
    rows = browser.rows()
    assert len(rows) == min(25, failed)
    assert {row[OUTCOME] for row in rows} == {"failed"}
    names = {"/".join(row[:3]) for row in rows}
    assert names <= {account.jobs.id(int(row)) for row in np.flatnonzero(account.jobs.state == FAILED)}
    assert all(row[CAUSE] for row in rows)
    browser.click(f'.chip[data-state="{BLOCKED}"]')
    assert browser.text("#shown") == f"{failed + account.jobs.count(BLOCKED)} of {total} jobs"
    browser.click("#clear")
    assert browser.text("#shown") == f"{total} jobs"
    assert browser.complaints() == []
    assert browser.asked() <= {address, "data:,"}


def test_a_cause_shows_its_jobs_and_copies_its_command(browser: Page, address: str, account: Account) -> None:
    browser.open(address)
    for cause in account.causes:
        browser.click(f'.show[data-cause="{cause.number}"]')
        assert browser.text("#shown") == f"{cause.count} of {len(account.jobs)} jobs"
        assert {row[CAUSE].split(":")[0] for row in browser.rows()} == {cause.error}
    browser.click(".causes .copy")
    browser.until("return ['Copied', 'Selected'].includes(document.querySelector('.causes .copy').textContent)")


def test_a_tile_of_the_map_tells_its_jobs(browser: Page, address: str, account: Account) -> None:
    """The middle of the first tile, by the map's own scale: a click there names it, with a row a job."""
    browser.open(address)
    colour = (
        "const map = document.getElementById('map');"
        "return [...map.getContext('2d').getImageData(map.width * arguments[0], map.height / 2, 1, 1).data]"
    )
    assert len({tuple(browser.run(colour, share)) for share in np.linspace(0.2, 0.8, 25)}) > 2
    browser.click("#map")
    told = browser.text("#tile h3")
    tile = told.split()[0]
    assert tile in account.jobs.tiles
    expected = int((account.jobs.tile == account.jobs.tiles.index(tile)).sum())
    assert browser.run("return document.querySelectorAll('#tile tbody tr').length") == expected
    browser.click("#tile button")
    assert {row[1] for row in browser.rows()} == {tile}
    browser.click("#clear")
    browser.run(_CHOSEN, "map-view", "squares")
    for _ in range(3):
        browser.click("#map-in")
    browser.click("#map-fit")
    assert browser.complaints() == []


def test_the_list_is_sorted_turned_and_saved(browser: Page, address: str, account: Account) -> None:
    browser.open(address)
    browser.click("#jobs th:nth-child(7) button")
    longest = [jobs_row[6] for jobs_row in browser.rows()]
    assert (
        longest[0] == browser.run("return arguments[0].toFixed(1) + ' s'", float(account.jobs.seconds.max()))
        or "min" in longest[0]
    )
    first = browser.rows()
    browser.click("#after")
    assert browser.rows()[0] not in first
    assert browser.text("#page") == "page 2 of 10"
    browser.run(_KEPT)
    browser.click("#save")
    browser.until("return window.text")
    lines = browser.run("return window.text").splitlines()
    assert (browser.run("return window.named"), len(lines)) == (f"{RUN}-jobs.csv", len(account.jobs) + 1)
    assert lines[1].split(",")[:3] == first[0][:3]
    assert browser.complaints() == []


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_telephone(browser: Page, address: str, dark: bool) -> None:
    """400 px wide nothing is wider than the screen, but tables that scroll by themselves; dark as light."""
    browser.open(address, 400, dark=dark)
    assert browser.run("return document.documentElement.scrollWidth") <= 400
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    bright = sum(int(value) for value in background.removeprefix("rgb(").removesuffix(")").split(", "))
    assert (bright < 200) == dark


def test_nothing_that_a_record_holds_runs(browser: Page, account: Account, tmp_path: Path) -> None:
    hostile = "</script><script>window.hacked = 1</script><img src='http://127.0.0.1:1/x' onerror='window.hacked = 2'>"
    jobs = replace(account.jobs, regions=(hostile, *account.jobs.regions[1:]), tiles=(hostile, *account.jobs.tiles[1:]))
    page = tmp_path / "index.html"
    page.write_text(render_page(replace(account, name=hostile, jobs=jobs, messages={0: hostile})))
    browser.open(page.as_uri())
    assert browser.run("return window.hacked === undefined && document.images.length === 0")
    assert browser.text("h1") == hostile
    assert browser.asked() <= {page.as_uri(), "data:,"}


def test_it_opens_from_s3(browser: Page, account: Account, s3_environment: S3Server, s3_bucket: str) -> None:
    """By a signed address, as a console gives it; one request, and what is asked for is shown, not saved."""
    store = open_store(f"s3://{s3_bucket}/report", endpoint=s3_environment.endpoint)
    write_report(account, store)
    files = s3fs.S3FileSystem(endpoint_url=s3_environment.endpoint)
    signed = files.sign(f"{s3_bucket}/report/runs/{RUN}/report/index.html")
    browser.open(signed)
    browser.click(f'.chip[data-state="{FAILED}"]')
    assert browser.text("#shown").startswith(f"{account.jobs.count(FAILED)} of ")
    assert browser.asked() <= {signed, "data:,"}


def test_a_hundred_thousand_tiles_stay_usable(browser: Page, tmp_path: Path) -> None:
    """No element a tile; filters, map and list answer within a moment. Prints what it measured."""
    folder = write_run(tmp_path / "out", Shape(100_000, failed=0.0004, skipped=0.02, workers=100))
    started = time.perf_counter()
    account = read_account(open_store(str(folder)), RUN)
    read_s = time.perf_counter() - started
    page = tmp_path / "index.html"
    page.write_text(render_page(account))
    drawn_s = time.perf_counter() - started - read_s
    started = time.perf_counter()
    browser.open(page.as_uri())
    open_s = time.perf_counter() - started
    times = {
        "filter to failed": f"document.querySelector('.chip[data-state=\"{FAILED}\"]').click()",
        "all again": "document.getElementById('clear').click()",
        "colour by duration": _CHOSEN.replace("arguments[0]", "'map-colour'").replace("arguments[1]", "'seconds'"),
        "zoom": "document.getElementById('map-in').click()",
        "sort by duration": "document.querySelector('#jobs th:nth-child(7) button').click()",
    }
    measured = {name: browser.timed(act) for name, act in times.items()}
    nodes = browser.run("return document.querySelectorAll('*').length")
    size = page.stat().st_size
    told = ", ".join(f"{name} {value:.0f} ms" for name, value in measured.items())
    sys.stdout.write(
        f"\n100,000 tiles: records read in {read_s:.1f} s, page of {size / 1e6:.1f} MB made in {drawn_s:.1f} s and "
        f"opened in {open_s:.1f} s, {nodes} elements; {told}\n"
    )
    assert account.jobs.count(DONE) > 90_000
    assert size < 6_000_000
    assert nodes < 2_500
    assert max(measured.values()) < 5_000
    assert browser.complaints() == []


_CHOSEN = """const one = document.getElementById(arguments[0]);
one.value = arguments[1];
one.dispatchEvent(new Event('change'));"""
_KEPT = """HTMLAnchorElement.prototype.click = function () { window.named = this.download; };
URL.createObjectURL = (blob) => { blob.text().then((text) => { window.text = text; }); return 'blob:null/0'; };"""
"""What would be saved stays in the page."""
