"""PostgreSQL: connections, migrations, and whose profiles a schema holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pipeline.config.stores import Box, PostgresConfig
from pipeline.errors import PreflightError, StoreError, TransientStoreError
from pipeline.stores.migrations import MIGRATIONS

Connection = psycopg.Connection[tuple[object, ...]]

CONNECT_TIMEOUT_S = 10
LOCK_TIMEOUT_S = 60.0
"""For what another loader holds; several attempts are made."""
_LOCK = 7_071_953
"""Of migrations, among the advisory locks of the database."""
_URL = re.compile(r"postgres(ql)?://([^@/?]*@)?[^@]*")
PASSING = (psycopg.OperationalError, psycopg.errors.UniqueViolation, psycopg.InterfaceError)
"""Errors after which another attempt may succeed: a lost connection, a deadlock, two that insert the same."""


def open_postgres(config: PostgresConfig, *, read_only: bool = False) -> Connection:
    """A connection whose search path is the schema of the config, in UTC.

    Raises PreflightError where there is none; no message holds the connection string.
    """
    return connect(config.dsn.get_secret_value(), settings(config, read_only=read_only))


def settings(config: PostgresConfig, *, read_only: bool) -> str:
    """What a session is begun with, as libpq takes it (`options`)."""
    chosen = {"search_path": config.schema_name, "timezone": "UTC", "extra_float_digits": "1"}
    if read_only:
        chosen |= {"default_transaction_read_only": "on", "statement_timeout": "30s"}
    else:
        chosen["lock_timeout"] = f"{LOCK_TIMEOUT_S * 1000:.0f}ms"
    return " ".join(f"-c {key}={value}" for key, value in chosen.items())


def check_dsn(dsn: str) -> None:
    """Raise PreflightError, without a word of it, for what is no connection string.

    One that only looks like it counts too: of a password with a bare @, / or ? libpq takes a part for host or port, and
    says so where everybody reads it.
    """
    if _URL.fullmatch(dsn) or not dsn.startswith(("postgresql://", "postgres://")):
        with suppress(psycopg.ProgrammingError):
            conninfo_to_dict(dsn)
            return
    raise PreflightError(
        "stores.postgres.dsn: found no connection string; expected postgresql://user@host:port/database, where a "
        "name or password has %40 %2F and %3F for @ / and ?"
    )


def connect(dsn: str, options: str) -> Connection:
    """A connection, or PreflightError without a word of the connection string."""
    check_dsn(dsn)
    try:
        return psycopg.connect(
            dsn,
            autocommit=True,
            options=options,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="groundswell",
        )
    except psycopg.OperationalError as error:
        raise PreflightError(f"stores.postgres: cannot connect: {_told(error)}") from error


@contextmanager
def named(what: str) -> Iterator[None]:
    """Errors of the database become StoreErrors that say what was being done."""
    try:
        yield
    except PASSING as error:
        raise TransientStoreError(f"PostgreSQL, {what}: {_told(error)}") from error
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL, {what}: {_told(error)}") from error


def _told(error: psycopg.Error) -> str:
    """A database's words on one line, without credentials."""
    words = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"(password=)\S+", r"\1***", words)


def migrate(connection: Connection, schema_name: str) -> list[str]:
    """Bring the schema up to this release; returns what was done. Of several at once one does it, the others wait.

    Raises StoreError where the tables are of a newer release.
    """
    done = []
    with named(f"migrations of schema {schema_name}"), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_LOCK, schema_name))
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema_name)))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(number integer PRIMARY KEY, purpose text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        found = int(str(value(connection, "SELECT coalesce(max(number), 0) FROM migrations")))
        if found > len(MIGRATIONS):
            raise StoreError(
                f"PostgreSQL, schema {schema_name}: found migration {found}, this release knows {len(MIGRATIONS)}; "
                "use a newer release, or another stores.postgres.schema_name"
            )
        for number, (purpose, statements) in enumerate(MIGRATIONS[found:], start=found + 1):
            connection.execute(statements)
            connection.execute("INSERT INTO migrations (number, purpose) VALUES (%s, %s)", (number, purpose))
            done.append(purpose)
    return done


def drop(connection: Connection, schema_name: str) -> None:
    """Remove the schema and all that is in it."""
    with named(f"dropping schema {schema_name}"), connection.transaction():
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema_name)))


def claim(connection: Connection, output: str, product: str) -> None:
    """Note whose profiles these are. Raises StoreError where they are another output's or product's."""
    with named("claiming the schema"), connection.transaction():
        connection.execute(
            "INSERT INTO source (output, product) VALUES (%s, %s) ON CONFLICT DO NOTHING", (output, product)
        )
        found = row(connection, "SELECT output, product FROM source")
    if found != (output, product):
        held = " of ".join(map(str, reversed(found or ())))
        raise StoreError(
            f"PostgreSQL: found product {held} in this schema, expected {product} of {output}; give each its own "
            "stores.postgres.schema_name, or load it anew (groundswell load CONFIG --anew)"
        )


def set_regions(connection: Connection, regions: Mapping[str, Box]) -> None:
    """Make the table of regions that of the config; whatever Redis holds of one that changed is pending."""
    with named("regions"), connection.transaction():
        connection.execute("LOCK TABLE regions IN EXCLUSIVE MODE")
        rows = connection.execute("SELECT name, west, south, east, north FROM regions").fetchall()
        held = {str(name): tuple(box) for name, *box in rows}
        wanted = {name: tuple(map(float, box)) for name, box in regions.items()}
        for name in sorted(held.keys() | wanted.keys()):
            if held.get(name) != wanted.get(name):
                connection.execute("DELETE FROM regions WHERE name = %s", (name,))
                if name in wanted:
                    connection.execute("INSERT INTO regions VALUES (%s, %s, %s, %s, %s)", (name, *wanted[name]))
                connection.execute("INSERT INTO pending (target) VALUES (%s)", (f"region:{name}",))


def forget_pending(connection: Connection) -> None:
    """There is no Redis that would have to forget anything."""
    with named("removing what was pending"):
        connection.execute("DELETE FROM pending")


def held_partitions(connection: Connection) -> dict[str, tuple[int | None, float | None]]:
    """By bucket, size and time of the object that was loaded."""
    with named("reading the loaded partitions"):
        rows = connection.execute("SELECT bucket, size_bytes, modified_s FROM partitions").fetchall()
    return {str(bucket): (size, modified) for bucket, size, modified in cast("list[tuple[str, int, float]]", rows)}


def row(connection: Connection, statement: LiteralString, values: tuple[object, ...] = ()) -> tuple[object, ...] | None:
    """The first row of an answer."""
    return connection.execute(statement, values).fetchone()


def value(connection: Connection, statement: LiteralString, values: tuple[object, ...] = ()) -> object:
    """The first column of the first row; None where there is no row."""
    found = row(connection, statement, values)
    return None if found is None else found[0]
