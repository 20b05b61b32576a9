"""Every failure is told as it happens, what one cause keeps from beginning once; all modes tell the same."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from rich.console import Console, ConsoleDimensions

from pipeline.errors import StoreError
from pipeline.execute.listen import Listeners
from pipeline.execute.progress.live import RunConsole, plainly, progress_records, show_progress, speaker
from pipeline.execute.progress.words import line_of, rate, rows_of, size, span, table_of
from pipeline.execute.records.tally import Row, Tally, Totals, View
from pipeline.types import ClusterEvent, Json, Outcome, Status

TOTALS = Totals({("eu-central-1", "sentinel1"): 9, ("us-west-2", "sentinel2"): 1200}, {("us-west-2", "sentinel2"): 30})


def screen(*, terminal: bool = False) -> tuple[io.StringIO, Console]:
    text = io.StringIO()
    return text, Console(file=text, force_terminal=terminal, soft_wrap=True, highlight=False, width=200)


def failed(number: int, region: str, attempts: int) -> Outcome:
    error, cause = "ClusterError", f"region {region}: no quota"
    return Outcome(f"p/t{number}/m", region, "f", Status.FAILED, attempts=attempts, error=error, cause=cause)


def done(number: int, product: str = "sentinel2", region: str = "us-west-2") -> Outcome:
    return Outcome(
        f"{product}/t{number}/m", region, "f", Status.DONE, seconds=2.0, read_bytes=10**9, written_bytes=10**6
    )


def test_failures_are_told_in_every_mode_and_a_region_without_a_cluster_is_one_line() -> None:
    """A hundred thousand of them would hide everything else; what was tried and failed has a line each."""
    for mode in ("bars", "lines", "quiet"):
        text, console = screen(terminal=mode == "bars")
        tally = Tally(Totals({("a", "p"): 50, ("b", "p"): 50, ("c", "p"): 2}))
        with show_progress(console, mode, tally) as progress:
            told = Listeners([tally, progress])
            for number in range(100):
                told.ended(failed(number, "ab"[number % 2], 0))
            for number in range(2):
                told.ended(failed(number, "c", 4))
        lines = [line for line in text.getvalue().splitlines() if "failed: p/" in line]
        assert [line.split("ClusterError: ")[1].strip() for line in lines] == [
            f"region {region}: no quota" for region in ("a", "b", "c", "c")
        ]


def test_thousands_that_fail_alike_do_not_fill_the_log_and_another_kind_is_still_told() -> None:
    text, console = screen()
    with show_progress(console, "lines", Tally(Totals({}))) as progress:
        for number in range(5000):
            progress.ended(failed(number, "a", 4))
        progress.ended(Outcome("p/other/m", "a", "f", Status.FAILED, error="AssetError", cause="gone"))
    lines = text.getvalue().splitlines()
    assert len(lines) < 30
    assert "more jobs of p in a fail by ClusterError" in text.getvalue()
    assert lines[-1] == "failed: p/other/m: AssetError: gone"


@pytest.mark.parametrize("mode", ["auto", "lines"])
def test_lines_come_by_the_clock_also_when_nothing_ends(mode: str) -> None:
    text, console = screen()
    tally = Tally(TOTALS, usd=lambda: 3.416)
    with show_progress(console, mode, tally, every_s=0.02) as progress:
        Listeners([tally, progress]).ended(done(1))
        wait(lambda: text.getvalue().count("\n") >= 3)
    first = text.getvalue().splitlines()[0]
    assert first.startswith("progress: eu-central-1 sentinel1 0/9; us-west-2 sentinel2 ")
    assert "1/1200, 30 skipped, " in text.getvalue()
    assert "$3.42" in first


def test_json_is_a_record_a_line_whatever_a_cause_contains() -> None:
    text, console = screen()
    tally = Tally(TOTALS)
    say = speaker(console, "json")
    with show_progress(console, "json", tally, every_s=60.0) as progress:
        told = Listeners([tally, progress])
        told.cluster(ClusterEvent("us-west-2", 0, "up", workers=3))
        told.ended(done(1))
        told.ended(Outcome("p/t/m", "a", "f", Status.RETRY, error="E", cause="again"))
        told.ended(Outcome("p/t/m", "a", "f", Status.FAILED, error="E", cause="a\nb [red]:smile:" + "x" * 500))
        say("plan: 2 jobs")
    records = [json.loads(line) for line in text.getvalue().splitlines()]
    assert [record["event"] for record in records] == ["cluster", "job", "job", "message", "progress"]
    assert (records[1]["status"], records[1]["job"], "error" in records[1]) == ("done", "sentinel2/t1/m", False)
    assert records[2]["cause"] == "a\nb [red]:smile:" + "x" * 500
    assert records[3]["text"] == "plan: 2 jobs"
    assert records[4]["rows"][1]["done"] == 1
    assert all(record["time"] > 1.7e9 for record in records)


def test_quiet_says_what_went_wrong_and_nothing_else() -> None:
    text, console = screen()
    say = speaker(console, "quiet")
    for line in ("plan: 3 jobs", "warning: no space", "error: no", "stopped: the budget is spent", "output: here"):
        say(line)
    assert text.getvalue().splitlines() == ["warning: no space", "error: no", "stopped: the budget is spent"]


def test_bars_are_for_eyes_whatever_a_log_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR is set by systems that keep logs."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = io.StringIO()
    monkeypatch.setattr("sys.stdout", text)
    with show_progress(RunConsole(), "auto", Tally(TOTALS), every_s=0.01):
        time.sleep(0.1)
    assert "progress: " in text.getvalue()
    assert "\x1b" not in text.getvalue()


@pytest.mark.parametrize("mode", ["lines", "json", "bars"])
def test_a_log_that_nobody_reads_any_more_ends_no_run(mode: str) -> None:
    """In a process of its own, since its standard output is gone afterwards; a reader such as `head` ended."""
    program = f"""
import os, sys
from pipeline.execute.progress.live import RunConsole, show_progress, speaker
from pipeline.execute.records.tally import Tally, Totals
from pipeline.types import Outcome, Status
reader, writer = os.pipe()
os.dup2(writer, 1)
os.close(reader)
console = RunConsole()
with show_progress(console, {mode!r}, Tally(Totals({{("r", "p"): 1}})), every_s=0.01) as listener:
    speaker(console, {mode!r})("plan: 1 job")
    listener.ended(Outcome("p/t/m", "r", "f", Status.FAILED, attempts=1, error="StoreError", cause="K\u00e4se"))
    speaker(console, {mode!r})("done")
sys.exit(7)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (7, "")


def test_a_full_disk_under_the_log_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    console = RunConsole()
    plainly(console, "a")
    plainly(console, "b")
    assert console.quiet


def test_a_signals_message_may_interrupt_another_one() -> None:
    """Both are of the main thread: whoever holds a lock there would wait for itself."""
    text, console = screen()
    say = speaker(console, "json")

    told: list[str] = []

    class Interrupting(io.StringIO):
        def write(self, line: str) -> int:
            if not told:
                told.append(line)
                say("second")
            return text.write(line)

    console.file = Interrupting()
    thread = threading.Thread(target=say, args=("first",), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert "first" in text.getvalue()


def test_records_go_to_the_journal_at_once_now_and_then_and_at_the_end() -> None:
    """Also past one that could not be written."""
    tally, records = Tally(TOTALS), list[Json]()

    def write(record: Json) -> None:
        records.append(record)
        if len(records) == 2:
            raise StoreError("away for a moment")

    with progress_records(write, tally, every_s=0.02):
        assert len(records) >= 1
        wait(lambda: len(records) >= 4)
        tally.ended(done(1))
    assert {record["event"] for record in records} == {"progress"}
    assert records[0]["rows"][1]["done"] == 0
    assert records[-1]["rows"][1]["done"] == 1


def test_bars_fit_into_what_room_there_is() -> None:
    """Rows with open jobs come first where not all fit, and no line is wider than the terminal."""
    rows = [
        Row(f"region-{n}", "sentinel2", 10, done=10 if n < 20 else 3, failed=n // 39, read_bytes=5) for n in range(40)
    ]
    for width, height in ((60, 10), (90, 24), (200, 60)):
        text = io.StringIO()
        console = Console(file=text, width=width, height=height, highlight=False)
        console.print(table_of(View(tuple(rows), 1.0, {"region-1": 4}), 75.0, ConsoleDimensions(width, height)))
        lines = text.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) < height
        if height == 10:
            assert all("10/10" not in line for line in lines[:-1])
            assert "and 33 rows more" in lines[-1]
    assert "4 workers" in lines[-1]
    assert lines[-1].rstrip().endswith("after 75 s")


def test_jobs_that_were_never_begun_are_not_told_as_through() -> None:
    """Of a run that was stopped: `9/9` would say that all is done."""
    view = View((Row("r", "p", total=9, done=2, failed=1, cancelled=6),), workers={"r": 2})
    assert line_of(view) == "r p 3/9, 1 failed, 6 not started; "
    assert list(rows_of(view)) == ["  r  p  3/9, 1 failed, 6 not started"]


def test_words_are_for_people() -> None:
    assert [span(each) for each in (0, 45.4, 100, 3599, 3700, 86_400, 1e6)] == [
        *("0 s", "45 s", "2 min", "1 h", "1 h 2 min", "1 d", "11 d 13 h")
    ]
    assert [rate(each) for each in (12.34, 0.5, 0.001, 1e-5)] == ["12.3/s", "30/min", "3.6/h", "0.036/h"]
    assert [size(each) for each in (0, 999, 1000, 12_345_678, 3 * 10**15)] == [
        *("0 B", "999 B", "1.0 kB", "12.3 MB", "3.0 PB")
    ]
    view = View((Row("r", "dem", 9, done=2, failed=1, rate_per_s=0.2, eta_s=30.0, read_bytes=2000),), 1.5, {"r": 1})
    assert (
        line_of(view) == "r dem 3/9, 1 failed, 12/min, 30 s left; 1 worker, $1.50, 30 s left, 2.0 kB read, 0 B written"
    )
    assert next(rows_of(view)) == "  r  dem  3/9, 1 failed, 12/min, 30 s left, 2.0 kB read, 0 B written"


def wait(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.005)
