"""The page stands by itself: it asks for nothing, only its own script can run, and it says what the records say."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shlex
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from pipeline.execute.account.account import read_account
from pipeline.execute.records.replay import read_replay
from pipeline.report.page import render_page
from pipeline.report.page_head import head
from pipeline.report.replay import command_for, replay_lines
from pipeline.report.tables import csv_bytes, document, text
from pipeline.report.write import report_files, write_report
from pipeline.types import Json
from pipeline.types.account import BLOCKED, FAILED, Account, ProgressAt
from pipeline.types.causes import Cause
from pipeline.write.store import FolderStore, open_store
from tests.report.made_runs import RUN, Shape, write_run

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
SHAPE = Shape(60, ("2025-06", "2025-07"), ("sentinel2", "stack"), failed=0.2, skipped=0.1)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return read_account(open_store(str(write_run(tmp_path_factory.mktemp("run"), SHAPE))), RUN)


class Parsed(HTMLParser):
    """Addresses and scripts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def block_of(page: str) -> tuple[Json, bytes]:
    """Header and columns of the data that a page carries."""
    found = re.search(r'id="data">([^<]*)<', page)
    assert found is not None
    block = zlib.decompress(base64.b64decode(found[1]))
    (length,) = struct.unpack("<I", block[:4])
    return json.loads(block[4 : 4 + length]), block[4 + length :]


def test_nothing_is_asked_for_and_only_its_own_script_may_run(account: Account) -> None:
    page = render_page(account)
    parsed = Parsed(page)
    asked = [
        fields.get(key) or ""
        for tag, fields in parsed.tags
        for key in ("src", "srcset", "data", "action")
        if key in fields
    ]
    assert all(one.startswith("data:") for one in asked)
    links = [fields["href"] or "" for tag, fields in parsed.tags if "href" in fields]
    assert not [one for one in links if "//" in one]
    policy = next(fields["content"] for tag, fields in parsed.tags if fields.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        own = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(own) == 1
        assert base64.b64encode(hashlib.sha256(own[0].encode()).digest()).decode() in policy
    assert "unsafe" not in policy


def test_what_a_message_or_a_name_holds_never_becomes_markup(account: Account) -> None:
    cause = replace(account.causes[0], error=HOSTILE, text=HOSTILE, example=HOSTILE, jobs=(HOSTILE,))
    hostile = replace(
        account,
        name=HOSTILE,
        reason=HOSTILE,
        command=(HOSTILE,),
        causes=(cause, *account.causes[1:]),
        config={"name": HOSTILE},
        environment={"python": HOSTILE},
        estimate={"basis": HOSTILE, "notes": [HOSTILE]},
        messages={0: HOSTILE},
    )
    plain, page = Parsed(render_page(account)), Parsed(render_page(hostile))
    tags, expected = [tag for tag, _ in page.tags], [tag for tag, _ in plain.tags]
    assert tags.count("script") == expected.count("script") == 2
    assert not [fields for _, fields in page.tags if "onerror" in fields]
    assert "img" not in tags


def test_the_data_of_the_page_are_the_columns_of_the_account(account: Account) -> None:
    head, columns = block_of(render_page(account))
    kind, offset, length = head["columns"]["state"]
    np.testing.assert_array_equal(np.frombuffer(columns, kind, length, offset), account.jobs.state)
    kind, offset, length = head["columns"]["seconds"]
    np.testing.assert_array_equal(np.frombuffer(columns, kind, length, offset), account.jobs.seconds)
    assert head["tiles"].split("\n") == list(account.jobs.tiles)
    assert all(offset % 8 == 0 for _, offset, _ in head["columns"].values())


def test_each_cause_has_the_exact_command_and_its_file_has_exactly_its_jobs(account: Account) -> None:
    failed = [one for one in account.causes if one.error != "BlockedError"]
    assert len(failed) == 3
    page = render_page(account)
    for cause in failed:
        words = command_for(account, cause)
        assert words[:4] == ("python", "-m", "pipeline.run", "made up.yaml")
        assert shlex.join(words).replace("'", "&#x27;") in page
        jobs = replayed(account, cause)
        rows = np.flatnonzero((account.jobs.cause == cause.number) & (account.jobs.state == FAILED))
        assert jobs == [account.jobs.id(int(row)) for row in rows]
        assert len(jobs) == cause.count
        assert words[-1] == f"{account.uri}/runs/{RUN}/report/replay-{cause.number + 1:02d}.jsonl"
    every = np.flatnonzero(np.isin(account.jobs.state, (FAILED, BLOCKED)))
    assert replayed(account, None) == [account.jobs.id(int(row)) for row in every]


def replayed(account: Account, cause: Cause | None) -> list[str]:
    return [json.loads(line)["job"] for line in replay_lines(account, cause).splitlines()]


def test_the_table_has_a_line_a_job_and_no_formula(account: Account) -> None:
    hostile = replace(account, messages={0: "=cmd|' /C calc'!A0", 1: 'a "quoted", line\nand another'})
    rows = list(csv.DictReader(io.StringIO(csv_bytes(hostile).decode(), newline="")))
    assert [row["job"] for row in rows] == [account.jobs.id(row) for row in range(len(account.jobs))]
    assert rows[0]["cause"] == "'=cmd|' /C calc'!A0"
    assert rows[1]["cause"] == 'a "quoted", line\nand another'
    assert sum(int(row["read_bytes"]) for row in rows) == account.jobs.read_bytes.sum()
    assert {row["state"] for row in rows} == {"done", "skipped", "failed", "blocked"}


def test_json_and_text_say_the_same(account: Account) -> None:
    told = json.loads(json.dumps(document(account)))
    assert told["jobs"]["planned"] == len(account.jobs) == 240
    assert sum(told["jobs"][word] for word in ("done", "skipped", "failed", "blocked", "open")) == 240
    words = text(account)
    for cause in told["failures"]:
        assert f"{cause['count']:,} x {cause['error']}: {cause['text']}" in words
    assert f"{told['jobs']['failed']:,} failed for 3 causes" in words


def test_of_a_run_that_died_the_dollars_are_those_that_it_last_counted(account: Account) -> None:
    steps = tuple(ProgressAt(time_s, 1, usd, 0, 0) for time_s, usd in ((1.0, 0.5), (2.0, 41.5)))
    assert "$41.50 spent" in text(replace(account, actual=None, progress=steps))
    assert "$41.50" in head(replace(account, actual=None, progress=steps))
    assert replace(account, actual={"usd": 42.0}, progress=steps).usd == 42.0
    assert replace(account, actual=None, progress=()).usd is None


def test_every_file_is_written_twice_and_equal_accounts_give_equal_files(account: Account, tmp_path: Path) -> None:
    write_report(account, FolderStore(str(tmp_path / "out")), copy=str(tmp_path / "copy"))
    made = {path.name: path.read_bytes() for path in (tmp_path / "out" / "runs" / RUN / "report").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()}
    assert made == dict(report_files(account, plots=False))
    again = read_replay(str(tmp_path / "copy" / "replay.jsonl"), open_store)
    assert again == {account.jobs.id(int(row)) for row in np.flatnonzero(account.jobs.state >= BLOCKED)}
    assert {"index.html", "jobs.csv", "report.json", "report.txt", "replay.jsonl", "replay-01.jsonl"} <= made.keys()


def test_pictures_are_png_of_what_there_is(account: Account) -> None:
    pictures = {name: data for name, data in report_files(account, plots=True) if name.endswith(".png")}
    assert pictures.keys() == {"map.png", "timeline.png", "durations.png"}
    assert all(data.startswith(b"\x89PNG") and len(data) > 5_000 for data in pictures.values())


def test_a_run_that_left_nothing_but_its_name_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "runs" / RUN).mkdir(parents=True)
    (tmp_path / "runs" / RUN / "config.json").write_text("no json")
    account = read_account(FolderStore(str(tmp_path)), RUN)
    assert "Nothing was planned" in render_page(account)
    assert text(account).startswith(f"groundswell: run {RUN}: dead")
    assert [name for name, _ in report_files(account, plots=True)] == [
        "jobs.csv",
        "report.json",
        "report.txt",
        "index.html",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_legible_in_both_schemes(scheme: str) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 to 1 between words and what they stand on."""
    style = files("pipeline.report").joinpath("assets/page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    named = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme == "dark"]))
    for words, ground in (
        ("ink", "paper"),
        ("ink", "ground"),
        ("quiet", "paper"),
        ("quiet", "ground"),
        ("quiet", "soft"),
        ("accent", "ground"),
        ("ink", "soft"),
        ("paper", "good"),
        ("paper", "bad"),
        ("quiet", "sea"),
    ):
        high, low = sorted((luminance(named[words]), luminance(named[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (words, ground)


def luminance(colour: str) -> float:
    """Relative luminance of sRGB, as WCAG 2.1 defines it."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
