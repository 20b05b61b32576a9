"""The inbox in a SQLite file: for the processes of one machine, on a disk of its own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import GroundswellError, PreflightError, StoreError, TransientStoreError
from pipeline.events.inbox.session import Row, Session
from pipeline.events.inbox.tables import MIGRATIONS, T, TableInbox, Turn

BUSY_S = 10.0
"""For what other processes or threads hold; less than the 15 s after which SNS gives a delivery up."""
_APPLICATION = 0x67736569
"""Tells this file from those of others."""
_TYPES = {"number": "INTEGER PRIMARY KEY AUTOINCREMENT", "text": "TEXT", "real": "REAL"}
_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    # Of a log that is written ahead, FULL is what makes each transaction last through a loss of power.
    "PRAGMA synchronous = FULL",
    f"PRAGMA journal_size_limit = {64 * 2**20}",
)


class _Session:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        # Who writes is alone here: no row needs to be locked.
        return self._connection.execute(statement.partition("FOR UPDATE")[0], tuple(values)).fetchall()

    def each(self, statement: str, values: Sequence[Sequence[object]]) -> list[list[Row]]:
        return [self.rows(statement, each) for each in values]

    def run(self, statement: str, values: Sequence[Sequence[object]]) -> None:
        self._connection.executemany(statement, [tuple(each) for each in values])


class SqliteInbox(TableInbox):
    """Raises PreflightError where there is no such folder, or the file is something else or of a newer release."""

    def __init__(self, place: str | Path, *, busy_s: float = BUSY_S) -> None:
        self._path = Path(place)
        self._busy_s = busy_s
        self._turn = threading.Lock()
        try:
            self._connection = self._open()
        except GroundswellError as error:
            raise PreflightError(str(error)) from error

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        with self._named():
            if not self._path.parent.is_dir():
                raise StoreError(f"inbox {self._path}: found no folder {self._path.parent}; make it, or name another")
            connection = sqlite3.connect(
                self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
            )
            try:
                _set(connection, self._busy_s)
                connection.create_function("greatest", 2, max, deterministic=True)
                connection.create_function("least", 2, min, deterministic=True)
                self._migrate(connection)
                self._inode = self._path.stat().st_ino
            except BaseException:
                connection.close()
                raise
            return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with _transaction(connection, "IMMEDIATE"):
            [(application,)] = connection.execute("PRAGMA application_id")
            [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_schema")
            if application != _APPLICATION and tables:
                raise StoreError(f"inbox {self._path}: found a SQLite file that is no inbox; name another file")
            [(found,)] = connection.execute("PRAGMA user_version")
            if found > len(MIGRATIONS):
                raise StoreError(
                    f"inbox {self._path}: found tables of version {found}, this release knows {len(MIGRATIONS)}; use a "
                    "newer release, or another file"
                )
            for statements in MIGRATIONS[found:]:
                for statement in statements:
                    connection.execute(statement.format(**_TYPES))
            if found < len(MIGRATIONS):
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _read(self, work: Callable[[Session], T]) -> T:
        return self._transaction("DEFERRED", work)

    def _write(self, work: Callable[[Session], T], turn: Turn | None = None) -> T:
        del turn  # Of all that write, one does at a time.
        return self._transaction("IMMEDIATE", work)

    def _transaction(self, kind: str, work: Callable[[Session], T]) -> T:
        if not self._turn.acquire(timeout=self._busy_s):
            raise TransientStoreError(f"inbox {self._path}: other threads held it for {self._busy_s:.0f} s; try again")
        try:
            with self._named():
                if not self._is_there():
                    # What is written into a file that has no name any more is lost.
                    self._connection.close()
                    self._connection = self._open()
                with _transaction(self._connection, kind):
                    return work(_Session(self._connection))
        finally:
            self._turn.release()

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the database, and of the disk, become StoreErrors that name the file."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            # Locked, a full disk, no file handles left: what passes, or what somebody can put right without a restart.
            raise TransientStoreError(f"inbox {self._path}: {error}") from error
        except sqlite3.Error as error:
            raise StoreError(f"inbox {self._path}: {error}") from error


def _set(connection: sqlite3.Connection, busy_s: float) -> None:
    """Of several processes that make a file at once, only one can change its journal; SQLite does not wait then."""
    until = time.monotonic() + busy_s
    while True:
        try:
            for setting in _SETTINGS:
                connection.execute(setting)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
