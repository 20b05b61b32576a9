"""Checks that events start: what is committed is of the object as it is, whatever came before."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.checks.place import page_key, result_key
from pipeline.checks.readers import end_idle
from pipeline.checks.result import Result, from_bytes
from pipeline.config import EventsConfig, load_events
from pipeline.errors import ConfigError, TransientStoreError
from pipeline.events.buckets.buckets import Buckets
from pipeline.events.event import Ended
from pipeline.events.jobs.checking import check_objects, checked_state
from pipeline.write.folder import FolderStore
from pipeline.write.store import open_store

pytestmark = pytest.mark.long  # objects are read in a process of their own

RULES = """
name: checks
inbox: {folder}/inbox.sqlite
output: {folder}/out
buckets: {{arrivals: {{}}}}
rules:
  buoys:
    match: {{bucket: arrivals}}
    check:
      size: [1, 4096]
      checksum: {{sidecar: [.sha256, .md5]}}
      table: {{key: id, columns: {{id: {{type: integer}}, temp: {{type: number, range: [-2, 40]}}}}}}
      array: {{}}
  runs: {{match: {{bucket: arrivals}}, run: run.yaml}}
{more}
"""
GOOD, BAD = "id,temp\n1,3.5\n2,4\n", "id,temp\n1,3.5\n1,99\n"


class Arrivals:
    """A bucket in a folder, its rules, and the output."""

    def __init__(self, folder: Path, more: str = "") -> None:
        (folder / "events.yaml").write_text(RULES.format(folder=folder, more=more))
        self.config: EventsConfig = load_events(folder / "events.yaml")
        self.bucket = folder / "s3/arrivals"
        self.bucket.mkdir(parents=True)
        self.store = open_store(str(folder / "out"))

    def put(self, key: str, text: str | bytes) -> str:
        """Put an object; its target."""
        path = self.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return f"object/arrivals/{key}"

    def check(self, *targets: str) -> dict[str, Ended]:
        """What was told of each target, each once."""
        ended: list[Ended] = []
        check_objects(self.config, "buoys", targets, ended.append)
        assert sorted(each.target for each in ended) == sorted(targets)
        return {each.target: each for each in ended}

    def result(self, key: str) -> Result:
        """What is committed of an object."""
        return from_bytes(self.store.get_bytes(result_key("buoys", "arrivals", key)))

    def objects(self) -> dict[str, bytes]:
        """All of the output."""
        return {key: self.store.get_bytes(key) for key in self.store.list_keys()}


@pytest.fixture
def arrivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arrivals:
    monkeypatch.setenv("LOCAL_S3_ROOT", str(tmp_path / "s3"))
    return Arrivals(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def no_process_stays() -> Iterator[None]:
    yield
    end_idle()


def test_verdicts_are_successes_and_say_what_was_found(arrivals: Arrivals) -> None:
    good, bad = arrivals.put("2024/good.csv", GOOD), arrivals.put("bad é+%.csv", BAD)
    page, large = arrivals.put("page.csv", "<html>denied"), arrivals.put("large.csv", b"x" * 5000)
    found = arrivals.check(good, bad, page, large)
    assert not any(each.failed for each in found.values())
    assert found[good].note == "pass"
    assert found[bad].note.startswith("fail: temp: found 1 of 2 values, expected -2 to 40 (and 1 more)")
    assert "a page of HTML or XML" in found[page].note
    assert found[large].note == "fail: found 5,000 bytes, expected at least 1 and at most 4,096 bytes"
    assert sorted(arrivals.objects()) == sorted(
        place("buoys", "arrivals", target.removeprefix("object/arrivals/"))
        for target in found
        for place in (result_key, page_key)
    )
    assert arrivals.result("bad é+%.csv").subject.etag == hashlib.md5(BAD.encode(), usedforsecurity=False).hexdigest()
    assert (
        checked_state(arrivals.store, "buoys", "arrivals", "2024/good.csv")
        == arrivals.result("2024/good.csv").subject.state
    )


def test_the_same_object_is_checked_once_and_gives_the_same_bytes(arrivals: Arrivals) -> None:
    target = arrivals.put("a.csv", BAD)
    assert arrivals.check(target)[target].note.startswith("fail: ")
    before = arrivals.objects()
    assert arrivals.check(target)[target].note.startswith("skipped: fail: ")
    for key in before:
        arrivals.store.delete(key)
    arrivals.check(target)
    assert arrivals.objects() == before


def test_an_object_that_changed_is_checked_again_and_one_that_is_gone_loses_its_result(arrivals: Arrivals) -> None:
    target = arrivals.put("a.csv", BAD)
    arrivals.check(target)
    arrivals.put("a.csv", GOOD)
    assert arrivals.check(target)[target].note == "pass"
    (arrivals.bucket / "a.csv").unlink()
    assert arrivals.check(target)[target].note == "withdrawn"
    assert arrivals.objects() == {} and arrivals.check(target)[target].note == "withdrawn: there was no result"


def test_another_rule_or_a_torn_document_checks_again(arrivals: Arrivals, tmp_path: Path) -> None:
    target = arrivals.put("a.csv", BAD)
    arrivals.check(target)
    text = (tmp_path / "events.yaml").read_text()
    (tmp_path / "events.yaml").write_text(text.replace("[-2, 40]", "[-2, 100]").replace("key: id, ", ""))
    arrivals.config = load_events(tmp_path / "events.yaml")
    assert arrivals.check(target)[target].note == "pass"
    arrivals.store.put_bytes(b"torn", result_key("buoys", "arrivals", "a.csv"))
    assert arrivals.check(target)[target].note == "pass" and arrivals.result("a.csv").verdict == "pass"


def test_a_page_that_another_consumer_removed_or_wrote_last_is_made_again(arrivals: Arrivals) -> None:
    target = arrivals.put("a.csv", BAD)
    arrivals.check(target)
    before, page = arrivals.objects(), page_key("buoys", "arrivals", "a.csv")
    arrivals.store.delete(page)
    arrivals.check(target)
    assert arrivals.objects() == before
    arrivals.store.put_bytes(b"of an earlier state", page)
    arrivals.check(target)
    assert arrivals.objects() == before


@pytest.mark.parametrize("change", ["rewrite", "remove"])
def test_what_changes_while_it_is_checked_ends_as_it_is(
    arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The change comes between the fetch and the commit, as another object's put would."""
    target, fetch, times = arrivals.put("a.csv", BAD), Buckets.fetch, list[str]()

    def late(self: Buckets, bucket: str, key: str, folder: Path, *, max_bytes: int | None = None) -> object:
        found = fetch(self, bucket, key, folder, max_bytes=max_bytes)
        if not times:
            copy = shutil.copy(found.path, folder / "copy.csv")
            found = type(found)(Path(copy), found.size_bytes, found.etag)
            (arrivals.bucket / "a.csv").unlink() if change == "remove" else arrivals.put("a.csv", GOOD)
        times.append(key)
        return found

    monkeypatch.setattr(Buckets, "fetch", late)
    assert arrivals.check(target)[target].note == ("withdrawn" if change == "remove" else "pass")
    assert len(arrivals.objects()) == (0 if change == "remove" else 2)


def test_a_checksum_beside_an_object_is_compared(arrivals: Arrivals) -> None:
    target = arrivals.put("a.csv", GOOD)
    arrivals.put("a.csv.sha256", f"{hashlib.sha256(GOOD.encode()).hexdigest()}  a.csv\n")
    arrivals.put("b.csv.md5", f"{'0' * 32}  b.csv\n")
    other = arrivals.put("b.csv", GOOD)
    found = arrivals.check(target, other)
    assert found[target].note == "pass" and "as the object b.csv.md5 says" in found[other].note


def test_a_zarr_store_is_one_object(arrivals: Arrivals) -> None:
    arrivals.put("s.zarr/zarr.json", json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
    found = arrivals.check("object/arrivals/s.zarr")["object/arrivals/s.zarr"]
    assert found.note == "pass" and arrivals.result("s.zarr").type == "Zarr"


@pytest.mark.parametrize("target", ["object/arrivals", "object//a.csv", "float/1901234", "", "object/arrivals/"])
def test_a_target_that_is_no_object_fails_for_good(arrivals: Arrivals, target: str) -> None:
    ended = arrivals.check(target)[target]
    assert ended.failed and not ended.passing and "expected object/BUCKET/KEY" in ended.cause


def test_a_bucket_that_is_not_in_the_rules_fails_for_good(arrivals: Arrivals) -> None:
    ended = arrivals.check("object/others/a.csv")["object/others/a.csv"]
    assert ended.failed and not ended.passing and "others" in ended.cause


def test_an_output_that_cannot_be_written_fails_that_target_and_may_pass(
    arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, lost = arrivals.put("good.csv", GOOD), arrivals.put("lost.csv", GOOD)
    put: Callable[[FolderStore, bytes, str], None] = FolderStore.put_bytes

    def broken(self: FolderStore, data: bytes, key: str) -> None:
        if "lost" in key:
            raise TransientStoreError(f"key {key}: cannot be reached")
        put(self, data, key)

    monkeypatch.setattr(FolderStore, "put_bytes", broken)
    found = arrivals.check(good, lost)
    assert found[good].note == "pass"
    assert found[lost].failed and found[lost].passing and "cannot be reached" in found[lost].cause


def test_a_rule_without_a_check_is_refused(arrivals: Arrivals) -> None:
    with pytest.raises(ConfigError, match="rule runs: found no check"):
        check_objects(arrivals.config, "runs", [], print)


def test_nothing_is_left_on_the_disk(arrivals: Arrivals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    arrivals.check(arrivals.put("a.csv", BAD), arrivals.put("b.csv", "<"))
    assert list((tmp_path / "scratch").iterdir()) == []
