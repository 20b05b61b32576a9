"""Laws of what a notebook shows of a run's end: every outcome counted, failures by cause, where the report lies."""

from __future__ import annotations

from collections import Counter

from pipeline.report.result_html import SCHEMA, Ended, outcome_table, result_html
from pipeline.types import AssetLoss, Finding, Outcome, Quality, Status

LOSS = AssetLoss("item", "red", "https://example.org/red.tif", "HttpError", "HTTP 404", 4)
QUALITY = Quality("warn", (Finding("few_observations", "warn", "found 1, expected 3"),))
OUTCOMES = (
    Outcome("s2/a/2024-06", "west", "f1", Status.DONE, "items/s2/a.json", 2.0, 10, 20, losses=(LOSS,), quality=QUALITY),
    Outcome("s2/b/2024-06", "west", "f2", Status.DONE, "items/s2/b.json", 4.0, 30, 40, quality=Quality()),
    *(
        Outcome(f"s2/{tile}/2024-06", "west", "f3", Status.FAILED, error="AssetError", cause=f"<tag> {tile} is gone")
        for tile in ("c1", "c2")
    ),
    Outcome("stack/c1/2024-06", "east", "f4", Status.BLOCKED, error="BlockedError", cause="s2/c1/2024-06 failed"),
    Outcome("stack/c9/2024-06", "east", "f5", Status.CANCELLED),
)


def ended(**other: str) -> Ended:
    counts = Counter(one.status for one in OUTCOMES)
    return Ended("r1", OUTCOMES, counts, 3, 61.0, other.get("reason"), other.get("report"))


def test_every_outcome_is_counted_and_causes_are_told() -> None:
    page = result_html(ended(report="https://example.org/r1/report/index.html", reason="budget <spent>"))
    for told in ("2 done", "2 failed", "1 blocked", "1 not started", "3 committed before", "1 min 1 s", "1 tile"):
        assert told in page, told
    assert "&lt;tag&gt;" in page and "<tag>" not in page and "budget &lt;spent&gt;; run again to resume" in page
    assert '<a href="https://example.org/r1/report/index.html"' in page
    assert page.count("AssetError") == 2, "messages that differ in more than numbers are two causes"
    assert "<script" not in page and "src=" not in page


def test_a_report_on_a_disk_is_told_and_no_link() -> None:
    page = result_html(ended(report="/out/runs/r1/report/index.html"))
    assert "<code>/out/runs/r1/report/index.html</code>" in page and "<a " not in page


def test_a_table_has_a_row_an_outcome() -> None:
    table = outcome_table(iter(OUTCOMES))
    assert table.schema == SCHEMA and table.num_rows == len(OUTCOMES)
    first, second, third, *_ = table.to_pylist()
    assert (first["product"], first["tile"], first["period"], first["losses"]) == ("s2", "a", "2024-06", 1)
    assert (first["quality"], first["flags"]) == ("warn", ["few_observations"])
    assert (second["quality"], second["flags"], second["error"]) == ("pass", [], None)
    assert (third["quality"], third["cause"], third["item"]) == (None, "<tag> c1 is gone", None)
