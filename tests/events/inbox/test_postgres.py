"""What is of PostgreSQL alone: rights, restarts, standbys, whoever hangs, and that no message tells a secret."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

from pipeline.errors import PreflightError, TransientStoreError
from pipeline.events.event import Ended, ObjectEvent, Order, Verdict
from pipeline.events.inbox.inbox import Arrival, Inbox, open_inbox
from pipeline.events.inbox.postgres import BUSY_S
from pipeline.events.inbox.tables import MIGRATIONS, Turn
from tests.servers.databases import Postgres

pytestmark = pytest.mark.long
SECRET = "s3cr3t"  # noqa: S105 (of nothing)


def event(number: int) -> Arrival:
    return Arrival(ObjectEvent("data", f"{number}", sequencer="01"))


@pytest.fixture
def inbox(postgres: Postgres) -> Iterator[Inbox]:
    """An empty one."""
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("DROP SCHEMA IF EXISTS groundswell_events CASCADE")
    with open_inbox(postgres.dsn) as opened:
        yield opened


def test_no_message_holds_the_connection_string() -> None:
    for dsn in (
        f"postgresql://user:{SECRET}@127.0.0.1:1/none",
        f"postgresql://user:{SECRET}/none@127.0.0.1:1/none",
        f"postgres://user:{SECRET}@[::1",
    ):
        with pytest.raises(PreflightError, match="inbox: ") as caught:
            open_inbox(dsn)
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in str(error)
            error = error.__cause__


def test_a_connection_that_was_lost_is_made_anew(postgres: Postgres, inbox: Inbox) -> None:
    assert list(inbox.put([event(1)])) == [Verdict.NEW]
    postgres.stop(signal.SIGQUIT)
    with pytest.raises(TransientStoreError):
        inbox.put([event(2)])
    postgres.start()
    assert list(inbox.put([event(1), event(2)])) == [Verdict.DUPLICATE, Verdict.NEW]
    postgres.stop()
    postgres.start()
    # Of a connection that was lost while nobody used it nobody is told.
    assert list(inbox.put([event(3)])) == [Verdict.NEW]
    assert inbox.counts()["events"] == 3


def test_a_server_that_only_reads_is_tried_again_on_a_new_connection(postgres: Postgres, inbox: Inbox) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        inbox.put([event(1)])
        connection.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> ''"
        )
        with pytest.raises(TransientStoreError, match="only reads"):
            inbox.put([event(2)])
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        assert list(inbox.put([event(2)])) == [Verdict.NEW]


def test_who_hangs_in_a_transaction_keeps_nobody_for_long(postgres: Postgres, inbox: Inbox) -> None:
    with psycopg.connect(postgres.dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock(7071954, %s)", (Turn.PUT.value,))
        begun = time.monotonic()
        with pytest.raises(TransientStoreError, match="lock timeout"):
            inbox.put([event(1)])
        assert time.monotonic() - begun < BUSY_S + 5
        # Whoever takes is kept by none who puts.
        inbox.order([Order("rule", "target", 0.0, 0.0)])
        [taken] = inbox.take(1.0, 9.0, 5, {"rule": None})
        assert inbox.finish(taken, Ended("target"), 2.0)
    assert list(inbox.put([event(1)])) == [Verdict.NEW]


def test_an_order_that_another_holds_is_left_out(postgres: Postgres, inbox: Inbox) -> None:
    inbox.order([Order("rule", f"{number}", 0.0, 0.0) for number in range(3)])
    with psycopg.connect(postgres.dsn) as other:
        other.execute("SELECT 1 FROM groundswell_events.orders WHERE target = '1' FOR UPDATE")
        taken = inbox.take(1.0, 9.0, 5, {"rule": None})
        assert [each.order.target for each in taken] == ["0", "2"]
    assert [each.order.target for each in inbox.take(1.0, 9.0, 5, {"rule": None})] == ["1"]


def test_who_may_only_use_the_tables_needs_no_more(postgres: Postgres, inbox: Inbox) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as owner:
        owner.execute("CREATE ROLE worker LOGIN")
        owner.execute("GRANT USAGE ON SCHEMA groundswell_events TO worker")
        owner.execute("GRANT ALL ON ALL TABLES IN SCHEMA groundswell_events TO worker")
        try:
            with open_inbox(postgres.dsn.replace("groundswell@", "worker@")) as theirs:
                assert list(theirs.put([event(1)])) == [Verdict.NEW]
                assert list(inbox.put([event(1)])) == [Verdict.DUPLICATE]
        finally:
            owner.execute("DROP OWNED BY worker")
            owner.execute("DROP ROLE worker")


def test_tables_of_a_newer_release_are_left_alone(postgres: Postgres, inbox: Inbox) -> None:
    inbox.check()
    with psycopg.connect(postgres.dsn) as newer:
        newer.execute("INSERT INTO groundswell_events.migrations VALUES (%s)", (len(MIGRATIONS) + 1,))
    with pytest.raises(
        PreflightError, match=f"groundswell_events: found tables of version {len(MIGRATIONS) + 1}, this"
    ):
        open_inbox(postgres.dsn)


def test_tables_that_were_removed_are_made_again_with_the_next_connection(postgres: Postgres, inbox: Inbox) -> None:
    inbox.put([event(1)])
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("DROP SCHEMA groundswell_events CASCADE")
    postgres.stop()
    postgres.start()
    assert list(inbox.put([event(1)])) == [Verdict.NEW]
