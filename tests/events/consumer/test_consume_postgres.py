"""A consumer whose inbox goes away: it waits, loses nothing, and lets no message be set aside for it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.events.consuming import Arrivals, csv, expected, told
from tests.servers.consumer import run_consumer, until
from tests.servers.databases import Postgres, find_postgres, run_postgres
from tests.servers.sqs import run_sqs

pytestmark = pytest.mark.long


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that only this test stops."""
    programs = find_postgres()
    if programs is None:
        missing = "needs the programs of PostgreSQL: apt install postgresql, or pip install pgserver"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with run_postgres(programs) as server:
        yield server


def test_while_the_inbox_is_away_messages_wait_in_the_queue(own_postgres: Postgres, tmp_path: Path) -> None:
    arrivals, numbers = Arrivals(tmp_path), range(12)
    for number in numbers:
        arrivals.put(f"{number}.csv", csv(number))
    with run_sqs() as sqs:
        queue = sqs.queue("away", receipts=3)
        environ = arrivals.environ | {"DATABASE_URL": own_postgres.dsn}
        config = arrivals.write(queue.config(back_off_s=1), inbox="${DATABASE_URL}")
        with run_consumer(config, environ=environ) as consumer:
            queue.send([told("0.csv")])
            until(lambda: queue.empty, 40, "the first")
            own_postgres.stop(signal.SIGQUIT)
            queue.send([told(f"{number}.csv") for number in numbers])
            time.sleep(5)
            assert queue.depth(queue.dead_url) == (0, 0)
            own_postgres.start()
            until(lambda: queue.empty, 60, "the rest")
            assert arrivals.results() == expected(numbers)
            assert consumer.stop() == 0
        assert queue.depth(queue.dead_url) == (0, 0)
        assert own_postgres.dsn not in consumer.log()
