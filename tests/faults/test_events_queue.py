"""F49 and F50: what a queue tells of is done once, though messages come again, consumers die, and some are poison."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pipeline.events.inbox.inbox import open_inbox
from tests.events.conftest import postgres
from tests.events.consuming import BUCKET, Arrivals, csv, expected, told
from tests.servers.consumer import ConsumerProcess, run_consumer, until
from tests.servers.databases import Postgres
from tests.servers.sns import s3_message
from tests.servers.sqs import Sqs, run_sqs

__all__ = ["postgres"]

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sqs() -> Iterator[Sqs]:
    with run_sqs() as server:
        yield server


@pytest.fixture
def arrivals(tmp_path: Path) -> Arrivals:
    return Arrivals(tmp_path)


def counted(arrivals: Arrivals) -> dict[str, int]:
    with open_inbox(str(arrivals.inbox)) as inbox:
        return dict(inbox.counts())


def begun(consumer: ConsumerProcess) -> Callable[[], bool]:
    return lambda: "begun, such as" in consumer.log()


def big_csv(rows: int) -> str:
    return "a,b\n" + "\n".join(f"{number},{number}" for number in range(rows)) + "\n"


@pytest.fixture
def database(postgres: Postgres) -> str:
    """A connection string of an empty database."""
    name = f"f49_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return postgres.dsn.replace("/postgres?", f"/{name}?")


def test_f49_a_consumer_that_is_killed_at_work_loses_nothing_and_does_nothing_twice(
    sqs: Sqs, arrivals: Arrivals, database: str
) -> None:
    """Its messages come back when they are hidden no longer, its orders when its lease is over."""
    queue = sqs.queue("killed", receipts=10)
    numbers = range(24)
    for number in numbers:
        arrivals.put(f"{number}.csv", csv(number))
    config = arrivals.write(queue.config(visibility_s=6), jobs={"batch": 6}, database="${DATABASE_URL}")
    environ = arrivals.environ | {"DATABASE_URL": database}
    queue.send([told(f"{number}.csv") for number in numbers])
    with run_consumer(config, environ=environ) as consumer:
        until(lambda: bool(arrivals.results()), 60, "the first results")
        consumer.kill()
    first = {path: path.read_bytes() for path in (arrivals.folder / "out").rglob("*.json")}
    assert len(first) < len(numbers), "it was killed too late"
    with run_consumer(config, environ=environ) as consumer:
        until(lambda: queue.empty and len(arrivals.results()) == len(numbers), 90, "the rest")
        assert consumer.stop() == 0
    assert arrivals.results() == expected(numbers)
    assert all(path.read_bytes() == content for path, content in first.items())
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT key, verdict FROM groundswell_checks.results").fetchall()
    assert sorted(rows) == sorted(expected(numbers).items())
    assert queue.depth(queue.dead_url) == (0, 0)
    assert (counted(arrivals)["done"], counted(arrivals)["events"]) == (len(numbers), len(numbers))


def test_f49_a_message_is_hidden_for_as_long_as_its_work_goes_on(sqs: Sqs, arrivals: Arrivals) -> None:
    """Though it is hidden for two seconds only, and another consumer waits for it."""
    queue = sqs.queue("hidden", receipts=10)
    arrivals.put("slow.csv", big_csv(3_000_000))
    config = arrivals.write(queue.config(visibility_s=2))
    queue.send([told("slow.csv")])
    with (
        run_consumer(config, environ=arrivals.environ) as one,
        run_consumer(config, environ=arrivals.environ) as other,
    ):
        until(lambda: begun(one)() or begun(other)(), 30, "its begin")
        since_s = time.monotonic()
        while not arrivals.results():
            assert time.monotonic() < since_s + 60
            assert queue.depth() == (0, 1)
            time.sleep(0.05)
        until(lambda: queue.empty, 20, "its deletion")
        assert (one.log() + other.log()).count("begun, such as") == 1
        assert (one.stop(), other.stop()) == (0, 0)


def test_f50_a_poisonous_message_is_set_aside_and_others_are_not_held_up(sqs: Sqs, arrivals: Arrivals) -> None:
    queue = sqs.queue("poison", receipts=3)
    poison = [
        "no JSON at all",
        json.dumps({"Records": [{"eventSource": "aws:s3", "eventVersion": "9.0"}]}),
        "[" * 100_000,
        s3_message("a-strangers-bucket", "0.csv", sequencer="01"),
        told("../../etc/passwd.csv"),
    ]
    for number in range(8):
        arrivals.put(f"{number}.csv", csv(number))
    queue.send(poison[:3] + [told(f"{number}.csv") for number in range(8)] + poison[3:])
    config = arrivals.write(queue.config(back_off_s=0.6))
    with run_consumer(config, environ=arrivals.environ) as consumer:
        until(lambda: len(arrivals.results()) == 8, 60, "the others")
        until(lambda: queue.empty, 60, "the end of the poison")
        assert consumer.stop() == 0
    assert queue.depth(queue.dead_url) == (len(poison), 0)
    assert arrivals.results() == expected(range(8))
    assert consumer.log().count("refused: ") == 3 * len(poison)


def test_f50_a_message_whose_work_fails_is_set_aside_and_comes_back_by_redrive(sqs: Sqs, arrivals: Arrivals) -> None:
    """The output cannot be written; when it can again, `redrive` makes what is missing."""
    from argparse import Namespace  # noqa: PLC0415

    from pipeline.verbs import redrive  # noqa: PLC0415

    queue = sqs.queue("failing", receipts=2)
    arrivals.put("0.csv", csv(0))
    blocked = arrivals.folder / "out"
    blocked.write_text("a file, where a folder is to be")
    config = arrivals.write(queue.config(back_off_s=1, visibility_s=5), jobs={"attempts": 2})
    queue.send([told("0.csv")])
    with run_consumer(config, environ=arrivals.environ) as consumer:
        until(lambda: queue.empty and queue.depth(queue.dead_url) == (1, 0), 60, "the dead letter")
        blocked.unlink()
        with open_inbox(str(arrivals.inbox)) as inbox:
            [(order, cause)] = inbox.failed(10)
        assert order.target == f"object/{BUCKET}/0.csv" and cause
        answer = redrive.run(Namespace(config=config, sets=[], rule=None, dry_run=False, json=False))
        assert answer.text == "1 failed jobs were begun anew, 1 dead letters were moved back"
        until(lambda: queue.empty and arrivals.results() == expected(range(1)), 60, "what was missing")
        assert consumer.stop() == 0
    assert queue.depth(queue.dead_url) == (0, 0)
