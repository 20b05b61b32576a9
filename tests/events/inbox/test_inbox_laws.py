"""Both kinds of inbox do what the model does."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from pipeline.events.inbox.inbox import Inbox, open_inbox
from tests.events.laws import InboxMachine
from tests.servers.databases import Postgres

TABLES = "events, objects, orders, begun"
QUIET = tuple(HealthCheck)


def run(machine: type[InboxMachine], examples: int, steps: int = 50) -> None:
    how = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(machine, settings=how)


class SqliteMachine(InboxMachine):
    """In a file of its own."""

    def opened(self, *, empty: bool) -> Inbox:
        if empty:
            self.folder = tempfile.TemporaryDirectory()
        return open_inbox(str(Path(self.folder.name, "inbox.db")))

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def test_sqlite_is_the_model() -> None:
    run(SqliteMachine, 6, 25)


@pytest.mark.long
def test_sqlite_is_the_model_in_many_runs() -> None:
    run(SqliteMachine, 50)


@pytest.mark.long
def test_postgres_is_the_model(postgres: Postgres) -> None:
    class PostgresMachine(InboxMachine):
        def opened(self, *, empty: bool) -> Inbox:
            inbox = open_inbox(postgres.dsn)
            if empty:
                with psycopg.connect(postgres.dsn, options="-c search_path=groundswell_events") as connection:
                    connection.execute(f"TRUNCATE {TABLES}")
            return inbox

    run(PostgresMachine, 12)
