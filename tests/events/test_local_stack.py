"""The stack on one machine: what its own command publishes is checked, once, though it comes by both ways."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from pipeline.events.inbox.inbox import open_inbox
from pipeline.events.local_parts import client, notification
from pipeline.events.local_stack import BUCKET, RULE, Addresses, main
from pipeline.events.messages.envelopes import read_message

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
OF_THE_USER = {
    "AWS_PROFILE": "of the user",
    "AWS_DEFAULT_PROFILE": "of the user",
    "AWS_ACCESS_KEY_ID": "of the user",
    "http_proxy": "http://127.0.0.1:9",
    "no_proxy": "",
}
"""An account and a proxy that have nothing to do with the stack."""


@contextmanager
def run_stack(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str], Path]]:
    """The program, the command that it shows, and its log."""
    log = folder.with_suffix(".log")
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.events.local_stack", "--folder", str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **OF_THE_USER},
        )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("  "):
            lines.append(process.stdout.readline())
            assert lines[-1], f"the stack did not start: {log.read_text()[-3000:]}"
        yield process, shlex.split(lines[-1]), log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(WAIT_S)
        finally:
            process.kill()
            if process.stdout is not None:
                process.stdout.close()


def until(what: Callable[[], bool], told: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline, told
        time.sleep(0.1)


@pytest.mark.long
def test_what_is_published_is_checked_once_and_ctrl_c_ends_all(
    tmp_path: Path, need_binary: Callable[[str], str]
) -> None:
    need_binary("weed")
    folder = tmp_path / "stack"
    with run_stack(folder) as (process, command, log):
        addresses = Addresses(**json.loads((folder / "addresses.json").read_text()))
        environ = {**os.environ, **OF_THE_USER}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False, env=environ)
        assert done.returncode == 0, done.stderr + log.read_text()[-3000:]
        put, result = done.stdout.splitlines()
        assert put.startswith(f"put s3://{BUCKET}/") and result.startswith("pass: ")

        # SNS posted it, signed, and it was taken; the queue held it as well, and is empty.
        sqs = client("sqs", addresses.sns_and_sqs)
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        until(lambda: counts(sqs, addresses.queue, names) == [0, 0], "the queue is not empty")
        with closing(open_inbox(str(folder / "inbox.sqlite"))) as inbox:
            assert {key: inbox.counts()[key] for key in ("events", "unrouted", "done")} == {
                "events": 1,
                "unrouted": 0,
                "done": 1,
            }
        place = urlsplit(addresses.listener)
        with urllib.request.urlopen(f"{place.scheme}://{place.netloc}/metrics") as answer:  # noqa: S310 (loopback)
            told = answer.read().decode().lower()
        taken = r'^groundswell_listener_messages_total{outcome="(stored|duplicate)"} 1\.0$'
        assert re.search(taken, told, re.MULTILINE), told

        # What is removed from the bucket takes its result with it.
        key = put.removeprefix(f"put s3://{BUCKET}/")
        client("s3", addresses.s3).delete_object(Bucket=BUCKET, Key=key)
        found = Path(result.removeprefix("pass: "))
        assert found == Path(addresses.output) / "checks" / RULE / BUCKET / f"{key}.json"
        until(lambda: not found.exists(), "the result of a removed object is still there")

        parts = psutil.Process(process.pid).children(recursive=True)
        assert len(parts) >= 3, "an S3 server, a listener and a consumer"
        assert main(["--folder", str(folder)]) == 3, "another stack in the same folder"
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
        _, left = psutil.wait_procs(parts, 5)
        assert left == []
    assert not (folder / "addresses.json").exists()


@pytest.mark.long
def test_parts_end_with_the_stack_however_that_ends() -> None:
    program = (
        "import sys, time\nfrom pipeline.events.local_parts import child\n"
        "with child(['sleep', '600'], 5.0) as part:\n    print(part.pid, flush=True)\n    time.sleep(600)\n"
    )
    stack = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert stack.stdout is not None
    part = psutil.Process(int(stack.stdout.readline()))
    stack.kill()
    stack.communicate()
    _, left = psutil.wait_procs([part], 10)
    assert left == []


def counts(sqs: object, queue: str, names: list[str]) -> list[int]:
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]  # type: ignore[attr-defined]
    return [int(found[name]) for name in names]


def test_a_file_is_put_into_a_stack_that_runs_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path), "put"]) == 3
    assert "expected a stack that runs" in capsys.readouterr().err


def test_a_stack_that_was_killed_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It left its addresses, where nobody listens."""
    addresses = Addresses("http://127.0.0.1:9", *[""] * (len(fields(Addresses)) - 1))
    (tmp_path / "addresses.json").write_text(json.dumps(asdict(addresses)))
    assert main(["--folder", str(tmp_path), "put"]) == 3
    assert "expected a stack that runs" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "created"), [("ObjectCreated:Put", True), ("ObjectRemoved:Delete", False)])
def test_notifications_read_as_those_of_s3(name: str, created: bool) -> None:
    key = "a folder/é+%.csv"
    text = notification("arrivals", name, key, {"size": 3, "eTag": "e"} if created else {})
    later = notification("arrivals", name, key, {})
    (event,), (next_event,) = (read_message(one.encode(), via="sqs").events for one in (text, later))
    assert (event.bucket, event.key, event.created) == ("arrivals", key, created)  # type: ignore[union-attr]
    assert event.sequencer < next_event.sequencer  # type: ignore[union-attr]
