"""The one transaction by which a partition replaces what PostgreSQL held of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from psycopg import Cursor

from pipeline.stores.encode import encode_copy, encode_row, integer
from pipeline.stores.migrations import MEASUREMENTS
from pipeline.stores.partition import Identity, Listed, PartitionFile, Profile
from pipeline.stores.postgres import Connection, named, row

_IDENTITY = "wmo, cycle, direction, kind, profile_index"
_PLACE = "time, time_qc, latitude, longitude, position_qc, data_mode"
_PROFILE = f"{_IDENTITY}, {_PLACE}, file, version, levels, metadata, statistics, digest"
_NUMBERS = "parameter, mode, value, qc, error, raw, raw_qc, adjusted, adjusted_qc, adjusted_error"


@dataclass(frozen=True)
class Written:
    """What the load of one partition changed, in profiles."""

    written: bool = False
    """False: the database held it already, or holds something later."""
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    promoted: int = 0
    """Of the updated, those that are delayed mode now and were not."""
    refused: str = ""
    """Why nothing was written although it should: the database holds a later state, or the partition is damaged."""


def remove_partition(bucket: str, connection: Connection) -> int:
    """Forget a partition that is not in the output any more; returns the number of its profiles."""
    with named(f"removing partition {bucket}"), connection.transaction():
        connection.execute("SELECT 1 FROM partitions WHERE bucket = %s FOR UPDATE", (bucket,))
        gone = _ids(connection.execute("SELECT profile_id FROM profiles WHERE bucket = %s", (bucket,)))
        _note(connection, gone)
        connection.execute("DELETE FROM partitions WHERE bucket = %s", (bucket,))
    return len(gone)


def write_partition(connection: Connection, listed: Listed, file: PartitionFile) -> Written:
    """Make the database hold exactly the profiles of a partition: one transaction, in which only what differs is sent.

    An older generation never replaces a newer one, whatever the order in which they arrive and whoever else is loading
    the same: the row of the partition is locked, and each profile is guarded by its generation.
    """
    footer = file.footer
    with named(f"loading partition {listed.bucket}"), connection.transaction():
        connection.execute(
            "INSERT INTO partitions (bucket, fingerprint, generation, index_date, profiles) VALUES (%s, '', 0, '', 0) "
            "ON CONFLICT DO NOTHING",
            (listed.bucket,),
        )
        held = row(
            connection,
            "SELECT generation, fingerprint, size_bytes IS NOT NULL FROM partitions WHERE bucket = %s FOR UPDATE",
            (listed.bucket,),
        )
        generation, fingerprint, whole = cast("tuple[int, str, bool]", held)
        same = (generation, fingerprint) == (footer.generation, footer.fingerprint)
        if not same and generation >= footer.generation:
            other = "" if generation > footer.generation else " of another"
            return Written(
                refused=f"partition {listed.bucket} is of generation {footer.generation}, the database holds "
                f"{generation}{other}; where the output was made anew: --anew"
            )
        # What was loaded between the puts of its tables lacks metadata, and is loaded again.
        written = Written() if same and whole else _replace(connection, listed.bucket, file)
        connection.execute(
            """
            UPDATE partitions SET fingerprint = %s, generation = %s, index_date = %s, size_bytes = %s, modified_s = %s,
                profiles = (SELECT count(*) FROM profiles WHERE bucket = partitions.bucket), loaded_at = now()
            WHERE bucket = %s
            """,
            (
                footer.fingerprint,
                footer.generation,
                footer.index_date,
                listed.size_bytes if file.whole else None,
                listed.modified_s,
                listed.bucket,
            ),
        )
    return written


def _replace(connection: Connection, bucket: str, file: PartitionFile) -> Written:
    rows = connection.execute(
        f"SELECT {_IDENTITY}, profile_id, digest, data_mode FROM profiles WHERE bucket = %s",
        (bucket,),
    ).fetchall()
    held = {cast("Identity", each[:5]): cast("tuple[int, bytes, str | None]", each[5:]) for each in rows}
    _stage(connection)
    ordinals, seen, changed = itertools.count(), set[Identity](), dict[Identity, str | None]()
    for profiles in file.profiles():
        seen.update(one.identity for one in profiles)
        differing = [one for one in profiles if one.identity not in held or held[one.identity][1] != one.digest]
        _copy(connection, differing, ordinals)
        changed |= {one.identity: one.mode for one in differing}
    gone = [held[identity][0] for identity in held.keys() - seen]
    before = [held[identity][0] for identity in changed.keys() & held.keys()]
    _note(connection, [*gone, *before])
    connection.execute("DELETE FROM profiles WHERE profile_id = ANY(%s)", (gone,))
    _merge(connection, bucket, file.footer.generation)
    _note(connection, _ids(connection.execute("SELECT profile_id FROM merged")))
    wmos = {identity[0] for identity in (*changed, *(held.keys() - seen))}
    _refresh_floats(connection, sorted(wmos))
    promoted = sum(mode == "D" and identity in held and held[identity][2] != "D" for identity, mode in changed.items())
    return Written(
        written=True,
        inserted=len(changed) - len(before),
        updated=len(before),
        deleted=len(gone),
        promoted=promoted,
    )


def _stage(connection: Connection) -> None:
    """Tables of this transaction alone; COPY goes there, and what it finds is compared in one statement."""
    connection.execute(
        f"CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT 0 AS ordinal, {_PROFILE} FROM profiles WITH NO DATA"
    )
    connection.execute("CREATE TEMP TABLE merged (ordinal integer, profile_id bigint) ON COMMIT DROP")
    for table in MEASUREMENTS:
        connection.execute(
            f"CREATE TEMP TABLE staged_{table} ON COMMIT DROP AS "
            f"SELECT 0 AS ordinal, {_NUMBERS} FROM {table} WITH NO DATA"
        )


def _copy(connection: Connection, profiles: Iterable[Profile], ordinals: Iterator[int]) -> None:
    numbered = list(zip(profiles, ordinals, strict=False))
    if not numbered:
        return
    heads = [encode_row([integer(ordinal), *one.row, one.digest]) for one, ordinal in numbered]
    _send(connection, "staged", f"ordinal, {_PROFILE}", heads)
    for table in MEASUREMENTS:
        rows = (
            encode_row([integer(ordinal), *numbers])
            for one, ordinal in numbered
            for numbers in one.measured.get(table, ())
        )
        _send(connection, f"staged_{table}", f"ordinal, {_NUMBERS}", rows)


def _send(connection: Connection, table: str, columns: str, rows: Iterable[bytes]) -> None:
    statement = f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encode_copy(rows))


def _merge(connection: Connection, bucket: str, generation: int) -> None:
    """Put what was staged in the place of what has its identity; `merged` holds what came through the guard."""
    columns = (one for one in f"bucket, generation, {_PROFILE}".split(", ") if one not in _IDENTITY.split(", "))
    changes = ", ".join(f"{one} = excluded.{one}" for one in columns)
    connection.execute(
        f"""
            WITH put AS (
                INSERT INTO profiles AS held (bucket, generation, {_PROFILE})
                SELECT %s, %s, {_PROFILE} FROM staged
                ON CONFLICT ({_IDENTITY}) DO UPDATE SET {changes} WHERE held.generation <= excluded.generation
                RETURNING profile_id, {_IDENTITY}
            )
            INSERT INTO merged SELECT ordinal, profile_id FROM put JOIN staged USING ({_IDENTITY})
            """,
        (bucket, generation),
    )
    for table in MEASUREMENTS:
        connection.execute(f"DELETE FROM {table} AS held USING merged WHERE held.profile_id = merged.profile_id")
        connection.execute(
            f"INSERT INTO {table} (profile_id, {_NUMBERS}) "
            f"SELECT profile_id, {_NUMBERS} FROM staged_{table} JOIN merged USING (ordinal)"
        )


def _note(connection: Connection, profile_ids: Sequence[int]) -> None:
    """Redis is to forget what shows these profiles as they are now: their floats, and the regions they lie in."""
    connection.execute(
        """
        WITH changed AS (SELECT wmo, latitude, longitude FROM profiles WHERE profile_id = ANY(%s))
        INSERT INTO pending (target)
        SELECT 'float:' || wmo FROM changed
        UNION
        SELECT 'region:' || name FROM changed JOIN regions ON latitude BETWEEN south AND north AND CASE
            WHEN west < east THEN longitude BETWEEN west AND east ELSE longitude >= west OR longitude <= east END
        """,
        (list(profile_ids),),
    )


def _refresh_floats(connection: Connection, wmos: Sequence[int]) -> None:
    """The rows of these floats, made anew from their profiles."""
    connection.execute("DELETE FROM floats WHERE wmo = ANY(%s)", (list(wmos),))
    connection.execute(
        """
        INSERT INTO floats
            (wmo, bucket, dac, profiles, first_time, last_time, latitude, longitude, parameters, metadata)
        SELECT wmo, newest.bucket, split_part(newest.file, '/', 1), of_all.profiles, of_all.first_time,
            of_all.last_time, placed.latitude, placed.longitude, measured.parameters, newest.metadata
        FROM (
            SELECT wmo, count(*) AS profiles, min(time) AS first_time, max(time) AS last_time
            FROM profiles WHERE wmo = ANY(%s) GROUP BY wmo
        ) AS of_all
        CROSS JOIN LATERAL (
            SELECT bucket, file, metadata FROM profiles WHERE wmo = of_all.wmo
            ORDER BY coalesce(time, timestamptz '-infinity') DESC, cycle DESC, direction DESC, kind DESC, profile_index
            LIMIT 1
        ) AS newest
        LEFT JOIN LATERAL (
            SELECT latitude, longitude FROM profiles WHERE wmo = of_all.wmo AND latitude IS NOT NULL
            ORDER BY coalesce(time, timestamptz '-infinity') DESC, cycle DESC, direction DESC, kind DESC, profile_index
            LIMIT 1
        ) AS placed ON true
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(DISTINCT parameter ORDER BY parameter), '{}') AS parameters
            FROM profiles, LATERAL (
                SELECT parameter FROM measurements AS m WHERE m.profile_id = profiles.profile_id
                UNION ALL SELECT parameter FROM measurements_wide AS m WHERE m.profile_id = profiles.profile_id
            ) AS every
            WHERE wmo = of_all.wmo AND parameter <> 'depth'
        ) AS measured
        """,
        (list(wmos),),
    )


def _ids(answer: Cursor[tuple[object, ...]]) -> list[int]:
    return [cast("int", profile_id) for (profile_id,) in answer.fetchall()]
