"""The inbox in PostgreSQL: for several machines, which share it; tables in a schema of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg

from pipeline.errors import PreflightError, StoreError, TransientStoreError
from pipeline.events.inbox.session import Row, Session
from pipeline.events.inbox.tables import MIGRATIONS, T, TableInbox, Turn
from pipeline.stores.postgres import Connection, check_dsn, named

SCHEMA = "groundswell_events"
CONNECT_TIMEOUT_S = 3
BUSY_S = 5.0
"""For what other connections or threads hold; with what follows less than the 15 s after which SNS gives up."""
_LOCK = 7_071_954
"""Of this module, among the advisory locks of the database."""
_TYPES = {
    "number": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    # Ordered by code points, as in SQLite and in S3, whatever the database's own language.
    "text": 'text COLLATE "C"',
    "real": "double precision",
}
_SETTINGS = {
    "search_path": SCHEMA,
    "lock_timeout": f"{BUSY_S * 1000:.0f}ms",
    "statement_timeout": "10s",
    # Whoever hangs or is cut off in a transaction does not keep the others from theirs.
    "idle_in_transaction_session_timeout": "10s",
    "synchronous_commit": "on",
    "jit": "off",
}
_ATTEMPTS = 3
_COLLIDED = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""Two that waited for each other: one of them was undone, and may begin anew."""


class _Session:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        return self._connection.execute(_placed(statement), values).fetchall()

    def each(self, statement: str, values: Sequence[Sequence[object]]) -> list[list[Row]]:
        if not values:
            return []
        with self._connection.cursor() as cursor:
            # All go at once, and all answers come at once.
            cursor.executemany(_placed(statement), values, returning=True)
            found = [cursor.fetchall()]
            while cursor.nextset():
                found.append(cursor.fetchall())
        return found

    def run(self, statement: str, values: Sequence[Sequence[object]]) -> None:
        if values:
            with self._connection.cursor() as cursor:
                cursor.executemany(_placed(statement), values)


def _placed(statement: str) -> str:
    return statement.replace("?", "%s")


class PostgresInbox(TableInbox):
    """Raises PreflightError where it cannot be reached, or its tables are of a newer release.

    A connection that was lost is made anew by the next call.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._turn = threading.Lock()
        try:
            check_dsn(dsn)
        except PreflightError as error:
            raise PreflightError(str(error).replace("stores.postgres.dsn", "inbox")) from None
        try:
            self._connection = self._connect()
        except StoreError as error:
            raise PreflightError(f"inbox: {error}") from error

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    def _read(self, work: Callable[[Session], T]) -> T:
        return self._write(work)

    def _write(self, work: Callable[[Session], T], turn: Turn | None = None) -> T:
        if not self._turn.acquire(timeout=BUSY_S):
            raise TransientStoreError(f"PostgreSQL, inbox: other threads held it for {BUSY_S:.0f} s; try again")
        try:
            with named("inbox"):
                for _ in range(_ATTEMPTS - 1):
                    with suppress(*_COLLIDED):
                        return self._transaction(work, turn)
                return self._transaction(work, turn)
        finally:
            self._turn.release()

    def _transaction(self, work: Callable[[Session], T], turn: Turn | None) -> T:
        connection = self._begun()
        try:
            if turn is not None:
                connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, turn.value))
            result = work(_Session(connection))
            connection.execute("COMMIT")
        except psycopg.errors.ReadOnlySqlTransaction as error:
            # The server became a standby: the next connection may reach the new primary.
            connection.close()
            raise TransientStoreError("PostgreSQL, inbox: found a server that only reads") from error
        except BaseException:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        return result

    def _begun(self) -> Connection:
        """The connection, in a transaction; a new one where it was lost while nobody used it."""
        if not self._connection.closed:
            try:
                self._connection.execute("BEGIN")
            except psycopg.OperationalError:
                self._connection.close()
            else:
                return self._connection
        self._connection = self._connect()
        self._connection.execute("BEGIN")
        return self._connection

    def _connect(self) -> Connection:
        with named("inbox"):
            connection: Connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                options=" ".join(f"-c {key}={value}" for key, value in _SETTINGS.items()),
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="groundswell",
                keepalives_idle=10,
                keepalives_interval=3,
                keepalives_count=3,
                tcp_user_timeout=10_000,
            )
            try:
                _migrate(connection)
            except BaseException:
                connection.close()
                raise
        return connection


def _migrate(connection: Connection) -> None:
    """Make the schema that of this release. Of several at once one does it, the others wait."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (_LOCK,))
        # Only what is missing is made: whoever only uses the tables needs no right to make any.
        [(schema, table)] = connection.execute(
            "SELECT to_regnamespace(%s)::text, to_regclass(%s)::text", (SCHEMA, f"{SCHEMA}.migrations")
        ).fetchall()
        if schema is None:
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
        if table is None:
            connection.execute("CREATE TABLE migrations (number integer PRIMARY KEY)")
        [(found,)] = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchall()
        if int(str(found)) > len(MIGRATIONS):
            raise StoreError(
                f"PostgreSQL, schema {SCHEMA}: found tables of version {found}, this release knows {len(MIGRATIONS)}; "
                "use a newer release, or another database"
            )
        for number, statements in enumerate(MIGRATIONS[int(str(found)) :], start=int(str(found)) + 1):
            for statement in statements:
                connection.execute(statement.format(**_TYPES))
            connection.execute("INSERT INTO migrations (number) VALUES (%s)", (number,))
