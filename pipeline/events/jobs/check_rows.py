"""A row in PostgreSQL for each result of a check: schema `groundswell_checks`, table `results`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from types import TracebackType
from typing import LiteralString, Self

import psycopg
from psycopg.types.json import Jsonb

from pipeline.checks.result import Result
from pipeline.errors import PreflightError, StoreError
from pipeline.stores.postgres import Connection, connect, named
from pipeline.types import Json

SCHEMA = "groundswell_checks"
_LOCK = 7_071_955
"""Of this module, among the advisory locks of the database."""
_VERSION = 1
_TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS groundswell_checks.version (number integer PRIMARY KEY);
CREATE TABLE IF NOT EXISTS groundswell_checks.results (
    rule text NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    etag text NOT NULL,
    version text NOT NULL,
    size_bytes bigint NOT NULL,
    kind text NOT NULL,
    type text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('pass', 'warn', 'fail')),
    warnings integer NOT NULL,
    failures integer NOT NULL,
    findings jsonb NOT NULL,
    result text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (rule, bucket, key)
);
CREATE INDEX IF NOT EXISTS results_verdict ON groundswell_checks.results (verdict, checked_at);
COMMENT ON TABLE groundswell_checks.results IS 'What the newest check of each object found, one row a rule and object.';
COMMENT ON COLUMN groundswell_checks.results.result IS 'Address of the JSON document that says the same.';
"""
_UPSERT: LiteralString = """
INSERT INTO groundswell_checks.results AS held
    (rule, bucket, key, etag, version, size_bytes, kind, type, verdict, warnings, failures, findings, result)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (rule, bucket, key) DO UPDATE SET
    etag = excluded.etag, version = excluded.version, size_bytes = excluded.size_bytes, kind = excluded.kind,
    type = excluded.type, verdict = excluded.verdict, warnings = excluded.warnings, failures = excluded.failures,
    findings = excluded.findings, result = excluded.result, checked_at = now()
WHERE (held.etag, held.version, held.size_bytes, held.findings, held.result)
    IS DISTINCT FROM (excluded.etag, excluded.version, excluded.size_bytes, excluded.findings, excluded.result)
"""
_SETTINGS = "-c timezone=UTC -c lock_timeout=10000 -c statement_timeout=30000"


class CheckRows:
    """The table, by one connection; one that was lost is made anew with the next row."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        """Raises PreflightError where the database cannot be reached, StoreError where its table is a newer one."""
        self._connected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def put(self, result: Result, address: str) -> None:
        """Make an object's row that of its newest result. Raises StoreError; TransientStoreError may pass."""
        subject = result.subject
        row = (
            *(_stored(each) for each in (subject.rule, subject.bucket, subject.key, subject.etag, subject.version)),
            subject.size_bytes,
            result.kind,
            result.type,
            result.verdict,
            result.counted("warn"),
            result.counted("fail"),
            Jsonb(_clean([asdict(finding) for finding in result.findings])),
            _stored(address),
        )
        with self._told(f"row of {subject.key}"):
            self._connected().execute(_UPSERT, row)

    def remove(self, rule: str, bucket: str, key: str) -> None:
        """Have no row of an object. Raises as `put`."""
        with self._told(f"row of {key}"):
            self._connected().execute(
                "DELETE FROM groundswell_checks.results WHERE (rule, bucket, key) = (%s, %s, %s)",
                (rule, bucket, _stored(key)),
            )

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            with named(what):
                yield
        except StoreError:
            self._drop()
            raise

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                connection = connect(self._dsn, _SETTINGS)
            except PreflightError as error:
                raise PreflightError(str(error).replace("stores.postgres.dsn", "database")) from None
            try:
                _migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def _migrate(connection: Connection) -> None:
    """Have the table; of several at once one makes it. Raises StoreError where it is of a newer release."""
    with named(f"tables of schema {SCHEMA}"):
        there = connection.execute("SELECT to_regclass('groundswell_checks.version') IS NOT NULL").fetchone()
        if there is None or not there[0]:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                connection.execute("CREATE SCHEMA IF NOT EXISTS groundswell_checks")
                connection.execute(_TABLE)
                connection.execute(
                    "INSERT INTO groundswell_checks.version VALUES (%s) ON CONFLICT DO NOTHING", (_VERSION,)
                )
        found = connection.execute("SELECT max(number) FROM groundswell_checks.version").fetchone()
    if found is not None and isinstance(found[0], int) and found[0] > _VERSION:
        raise StoreError(
            f"PostgreSQL, schema {SCHEMA}: found version {found[0]}, this release knows {_VERSION}; use a newer release"
        )


def _stored(text: str) -> str:
    """Text that PostgreSQL takes: without NUL and halves of characters."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _clean(value: Json) -> Json:
    """JSON with texts that PostgreSQL takes."""
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return _stored(value) if isinstance(value, str) else value
