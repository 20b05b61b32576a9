"""Rows of results in a real PostgreSQL: one an object, always that of the newest commit."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from pipeline.checks.result import Example, Finding, Result, Subject
from pipeline.errors import PreflightError, StoreError
from pipeline.events.event import Ended
from pipeline.events.jobs.check_rows import CheckRows
from pipeline.events.jobs.checking import check_objects
from tests.events.jobs.test_checking import BAD, GOOD, Arrivals
from tests.servers.databases import Postgres

pytestmark = pytest.mark.long

FINDING = Finding("range", "temp", "warn", "1 of 2 values", "0 to 1", 1, 2, (Example("row 1", "é\x00"),))


def rows(postgres: Postgres, columns: str) -> list[tuple[object, ...]]:
    with psycopg.connect(postgres.dsn) as connection:
        return connection.execute(f"SELECT {columns} FROM groundswell_checks.results ORDER BY rule, key").fetchall()  # noqa: S608 (columns of this file)


@pytest.fixture(autouse=True)
def fresh(postgres: Postgres) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("DROP SCHEMA IF EXISTS groundswell_checks CASCADE")


def result(key: str, *findings: Finding, etag: str = "e") -> Result:
    return Result(Subject("rule", "bucket", key, 2**40, etag, "v"), "print", "table", "CSV", findings)


def test_a_row_is_that_of_the_newest_result_and_goes_with_it(postgres: Postgres) -> None:
    with CheckRows(postgres.dsn) as table:
        table.put(result("a\x00é", FINDING), "out/a.json")
        table.put(result("b"), "out/b.json")
        table.put(result("b", etag="f"), "out/b.json")
        found = rows(postgres, "key, etag, size_bytes, verdict, warnings, failures, findings->0->>'found', result")
        assert found == [
            ("a\\0é", "e", 2**40, "warn", 1, 0, "1 of 2 values", "out/a.json"),
            ("b", "f", 2**40, "pass", 0, 0, None, "out/b.json"),
        ]
        before = rows(postgres, "checked_at")
        table.put(result("b", etag="f"), "out/b.json")
        assert rows(postgres, "checked_at") == before, "what is written already is not written again"
        table.remove("rule", "bucket", "b")
        table.remove("rule", "bucket", "b")
    assert len(rows(postgres, "key")) == 1


def test_several_may_begin_at_once(postgres: Postgres) -> None:
    errors: list[BaseException] = []

    def one(number: int) -> None:
        try:
            with CheckRows(postgres.dsn) as table:
                for k in range(20):
                    table.put(result(f"k{k}", etag=str(number)), "x")
        except BaseException as error:  # noqa: BLE001 (told to the test)
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(rows(postgres, "key")) == 20


def test_a_lost_connection_fails_one_row_and_the_next_is_written(postgres: Postgres) -> None:
    with CheckRows(postgres.dsn) as table:
        table.put(result("a"), "x")
        with psycopg.connect(postgres.dsn) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND application_name = 'groundswell'"
            )
        with pytest.raises(StoreError):
            table.put(result("b"), "x")
        table.put(result("b"), "x")
    assert len(rows(postgres, "key")) == 2


def test_a_table_of_a_newer_release_is_left_alone(postgres: Postgres) -> None:
    with CheckRows(postgres.dsn):
        pass
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("INSERT INTO groundswell_checks.version VALUES (99)")
    with pytest.raises(StoreError, match="found version 99"), CheckRows(postgres.dsn):
        pass


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    with (
        pytest.raises(PreflightError) as refusal,
        CheckRows("postgresql://user:canary@127.0.0.1:9/nowhere?connect_timeout=1"),
    ):
        pass
    assert "canary" not in str(refusal.value)


def test_checks_write_their_rows_after_the_commit_and_make_up_for_lost_ones(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_S3_ROOT", str(tmp_path / "s3"))
    arrivals = Arrivals(tmp_path, f"database: {postgres.dsn}")
    good, bad = arrivals.put("good.csv", GOOD), arrivals.put("bad.csv", BAD)
    arrivals.check(good, bad)
    assert rows(postgres, "key, verdict, failures") == [("bad.csv", "fail", 2), ("good.csv", "pass", 0)]
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("DELETE FROM groundswell_checks.results WHERE key = 'bad.csv'")
    (arrivals.bucket / "good.csv").unlink()
    ended: list[Ended] = []
    check_objects(arrivals.config, "buoys", [good, bad], ended.append)
    assert rows(postgres, "key, verdict, failures") == [("bad.csv", "fail", 2)]
    assert sorted(each.note[:9] for each in ended) == ["skipped: ", "withdrawn"]
