"""The tables in PostgreSQL, by the steps in which they came to be: a released step is never edited, only followed.

Each is applied once, in one transaction, in the schema that the config names (it is the search path).
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.plan.argo_schema import number_type

_TABLES = """
CREATE TABLE source (
    one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    output text NOT NULL,
    product text NOT NULL
);
COMMENT ON TABLE source IS 'The output that is shown here, and its product.';

CREATE TABLE partitions (
    bucket text PRIMARY KEY,
    fingerprint text NOT NULL,
    generation bigint NOT NULL,
    index_date text NOT NULL,
    size_bytes bigint,
    modified_s double precision,
    profiles integer NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE partitions IS 'What of the committed partitions is here.';
COMMENT ON COLUMN partitions.size_bytes IS 'Of the object that was loaded; null: its profiles lack metadata yet.';
COMMENT ON COLUMN partitions.modified_s IS 'When that was put; null: so late that it may have been replaced since.';

CREATE TABLE floats (
    wmo integer PRIMARY KEY,
    bucket text NOT NULL REFERENCES partitions ON DELETE CASCADE,
    dac text NOT NULL,
    profiles integer NOT NULL,
    first_time timestamptz,
    last_time timestamptz,
    latitude double precision,
    longitude double precision,
    parameters text[] NOT NULL,
    metadata jsonb
);
CREATE INDEX floats_bucket ON floats (bucket);
COMMENT ON COLUMN floats.latitude IS 'Where it was last known to be.';

CREATE TABLE profiles (
    profile_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket text NOT NULL REFERENCES partitions ON DELETE CASCADE,
    wmo integer NOT NULL,
    cycle integer NOT NULL,
    direction text NOT NULL,
    kind text NOT NULL,
    profile_index integer NOT NULL,
    time timestamptz,
    time_qc smallint,
    latitude double precision,
    longitude double precision,
    position_qc smallint,
    data_mode text,
    file text NOT NULL,
    version text NOT NULL,
    levels integer NOT NULL,
    metadata jsonb,
    statistics jsonb,
    generation bigint NOT NULL,
    digest bytea NOT NULL,
    UNIQUE (wmo, cycle, direction, kind, profile_index)
);
CREATE INDEX profiles_bucket ON profiles (bucket);
CREATE INDEX profiles_newest ON profiles
    (coalesce(time, timestamptz '-infinity'), wmo, cycle, direction, kind, profile_index);
CREATE INDEX profiles_of_float ON profiles (wmo, coalesce(time, timestamptz '-infinity'));
CREATE INDEX profiles_place ON profiles USING gist (point(longitude, latitude));
COMMENT ON COLUMN profiles.generation IS 'Of the partition that brought it as it is.';
"""

_MEASUREMENTS = """
CREATE TABLE {table} (
    profile_id bigint NOT NULL REFERENCES profiles ON DELETE CASCADE,
    parameter text NOT NULL,
    mode text,
    value {number}[],
    qc smallint[],
    error {number}[],
    raw {number}[],
    raw_qc smallint[],
    adjusted {number}[],
    adjusted_qc smallint[],
    adjusted_error {number}[],
    PRIMARY KEY (profile_id, parameter)
);
COMMENT ON TABLE {table} IS 'One row a profile and parameter; arrays by level. value, qc and error are the best ones.';

CREATE VIEW {view} AS
SELECT p.wmo, p.cycle, p.direction, p.kind, p.profile_index, p.time, p.latitude, p.longitude, m.parameter, m.mode,
    u.place::integer - 1 AS level,
    u.value, u.qc, u.error, u.raw, u.raw_qc, u.adjusted, u.adjusted_qc, u.adjusted_error
FROM profiles p
JOIN {table} m USING (profile_id),
    unnest(m.value, m.qc, m.error, m.raw, m.raw_qc, m.adjusted, m.adjusted_qc, m.adjusted_error) WITH ORDINALITY
        AS u (value, qc, error, raw, raw_qc, adjusted, adjusted_qc, adjusted_error, place);
COMMENT ON VIEW {view} IS 'One row a level and parameter.';
"""

_HOT = """
CREATE TABLE regions (
    name text PRIMARY KEY,
    west double precision NOT NULL,
    south double precision NOT NULL,
    east double precision NOT NULL,
    north double precision NOT NULL
);
COMMENT ON TABLE regions IS 'Whose latest profiles are kept at hand; west > east crosses the 180th meridian.';

CREATE TABLE pending (
    pending_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target text NOT NULL
);
COMMENT ON TABLE pending IS 'What Redis has yet to forget: written with the change, removed when Redis has.';
"""

MEASUREMENTS = {"measurements": "real", "measurements_wide": "double precision"}
"""The tables of numbers and their type: what Argo stores in 32 bits, and in 64."""


def numbers_table(parameter: str) -> str:
    """Which of them holds a parameter, named in small letters or capitals."""
    return "measurements" if number_type(parameter.upper()) == pa.float32() else "measurements_wide"


MIGRATIONS: tuple[tuple[str, str], ...] = (
    ("floats, profiles and their partitions", _TABLES),
    (
        "measurements as arrays",
        _MEASUREMENTS.format(table="measurements", number="real", view="levels")
        + _MEASUREMENTS.format(table="measurements_wide", number="double precision", view="levels_wide"),
    ),
    ("regions, and what Redis has yet to forget", _HOT),
)
"""What each step is for, and its SQL."""
