"""Health, readiness, numbers, and what is answered while the store does not."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipeline.events.listener import app, posts
from tests.events.listening import Stage, keys_of, run_stage, told_of


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with run_stage(tmp_path_factory.mktemp("app")) as made:
        yield made


@pytest.mark.parametrize(("path", "text"), [("/healthz", b"ok\n"), ("/readyz", b"ready\n")])
def test_health_and_readiness_are_told_to_get_and_head(stage: Stage, path: str, text: bytes) -> None:
    got, head = stage.listener.get(path), stage.listener.get(path, "HEAD")
    assert (got.status, got.body, head.status, head.body) == (200, text, 200, b"")
    assert f"content-length: {len(text)}" in head.head
    assert stage.listener.post(b"{}", path=path).status == 405


@pytest.mark.parametrize("path", ["/other", "/sns/", "/SNS", "/healthz/x", "/%2e%2e/healthz", "//sns"])
def test_there_is_nothing_elsewhere(stage: Stage, path: str) -> None:
    assert stage.listener.get(path).status == 404
    assert stage.listener.post(b"{}", path=path).status == 404


def test_numbers_count_what_was_answered_and_what_is_stored(stage: Stage) -> None:
    told = told_of(stage.sns, "counted.csv")
    assert [stage.status(told) for _ in range(3)] == [200] * 3
    assert stage.status({"Type": "none"}) == 400
    time.sleep(1.1)  # what is stored is asked for once a second
    page = stage.listener.get("/metrics")
    assert "text/plain; version=0.0.4" in page.head
    lines = set(page.body.decode().splitlines())
    assert {
        'groundswell_listener_messages_total{outcome="stored"} 1.0',
        'groundswell_listener_messages_total{outcome="duplicate"} 2.0',
        'groundswell_listener_messages_total{outcome="malformed"} 1.0',
        'groundswell_listener_events_total{verdict="new"} 1.0',
        'groundswell_inbox{state="unrouted"} 1.0',
        "groundswell_listener_store_up 1.0",
    } <= lines


def test_a_store_that_does_not_answer_in_time_is_told_so_and_the_message_is_taken_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posts, "ANSWER_S", 0.3)
    told = told_of(stage.sns, "held-up.csv")
    with closing(sqlite3.connect(stage.config.inbox.get_secret_value(), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        answer = stage.post(told)
        assert (answer.status, answer.body) == (503, b"cannot be stored now: come again\n")
        assert f"retry-after: {app.RETRY_AFTER_S}" in answer.head
        assert time.monotonic() - began_s < 5
        assert stage.listener.get("/healthz").status == 200
        other.execute("ROLLBACK")
    monkeypatch.undo()
    assert stage.post(told).body in {b"stored\n", b"duplicate\n"}
    assert keys_of(stage.config).count("held-up.csv") == 1
