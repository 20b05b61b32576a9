"""The tables of an Argo partition: their columns, where they lie, and what the footer of each says.

A partition is `data/<product>/<bucket>/static/`: `levels.parquet` (one row a level; its put is the commit), and beside
it `profiles.parquet` (one row a profile) and `ledger.parquet` (one row for whatever is not a plain best value). Names
are in lower case, since engines such as DuckDB do not tell cases apart.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache

import pyarrow as pa

from pipeline.errors import StoreError
from pipeline.types import Json

FORMAT = 1
"""Of the tables and of their footers."""
FOOTER = b"groundswell"
"""Key of the footer's document among a Parquet file's metadata."""
INPUTS = b"groundswell.inputs"
"""Key of the inputs: a JSON list of [path, version, state], deflated, in base64; thousands of them are a few kB."""
TABLES = ("levels", "profiles", "ledger")
IDENTITY = ("wmo", "cycle", "direction", "kind", "profile_index")
"""What a profile is known by, whatever its file, place and time; with `level`, the sort order of the tables."""
ORIGINAL = ("raw", "raw_qc", "adjusted", "adjusted_qc", "adjusted_error")
"""Suffixes of what a file says of a parameter; fill is null, a stored NaN or infinity stays."""
TEXTS = (
    "PLATFORM_TYPE",
    "PROJECT_NAME",
    "PI_NAME",
    "DATA_CENTRE",
    "DATA_STATE_INDICATOR",
    "FLOAT_SERIAL_NO",
    "FIRMWARE_VERSION",
    "WMO_INST_TYPE",
    "POSITIONING_SYSTEM",
    "VERTICAL_SAMPLING_SCHEME",
)
"""Variables of a file that are kept as one text a profile, in columns of the same names in lower case."""

_WORD = pa.dictionary(pa.int32(), pa.string())
"""Of words that every level repeats."""
WHO: tuple[tuple[str, pa.DataType], ...] = (
    ("wmo", pa.int32()),
    ("cycle", pa.int32()),
    ("direction", pa.string()),
    ("kind", pa.string()),
    ("profile_index", pa.int32()),
)
"""Identity of a profile, in every table of profiles."""
WHERE: tuple[tuple[str, pa.DataType], ...] = (
    ("time", pa.timestamp("us", tz="UTC")),
    ("time_qc", pa.int8()),
    ("latitude", pa.float64()),
    ("longitude", pa.float64()),
    ("position_qc", pa.int8()),
    ("data_mode", pa.string()),
)
"""Its time and place, their flags, and its mode."""
LEDGER = pa.schema(
    [
        *WHO,
        ("level", pa.int32()),
        ("parameter", pa.string()),
        ("rule", pa.string()),
        ("action", pa.string()),
        ("levels", pa.int64()),
        ("note", pa.string()),
        ("file", pa.string()),
        ("version", pa.string()),
    ]
)
"""What is not a plain best value, and why. rule, action: see `argo_rules`. levels: how many it speaks of, or null where
it is about a whole profile or file; level: the first of them."""


def number_type(parameter: str) -> pa.DataType:
    """The type of a parameter's numbers: 32 bits, but for those that Argo stores in 64 (MTIME, RAW_...)."""
    return pa.float64() if parameter == "MTIME" or parameter.startswith("RAW_") else pa.float32()


@lru_cache(maxsize=64)
def levels_schema(parameters: tuple[str, ...]) -> pa.Schema:
    """Columns of `levels`: who, where and when, best values first, then what the file says; one row a level.

    parameters: in upper case, PRES first. A profile without a level has one row whose `level` is null.
    """
    best: list[tuple[str, pa.DataType]] = []
    original: list[tuple[str, pa.DataType]] = []
    for parameter in parameters:
        name, number = parameter.lower(), number_type(parameter)
        best += [(name, number), (f"{name}_qc", pa.int8()), (f"{name}_error", number), (f"{name}_mode", pa.string())]
        original += [(f"{name}_{part}", pa.int8() if part.endswith("qc") else number) for part in ORIGINAL]
    columns = [*WHO, ("level", pa.int32()), *WHERE, ("depth", pa.float32()), *best, *original, ("file", pa.string())]
    return pa.schema([(name, _WORD if type_ == pa.string() else type_) for name, type_ in columns])


@lru_cache(maxsize=64)
def profiles_schema(parameters: tuple[str, ...]) -> pa.Schema:
    """Columns of `profiles`: one row a profile, with its file, numbers of its levels, and what else the file says."""
    columns = [
        *WHO,
        *WHERE,
        ("quality_status", pa.string()),
        ("adjusted", pa.bool_()),
        ("levels", pa.int32()),
        ("padding", pa.int32()),
        ("max_depth", pa.float32()),
        ("parameters", pa.list_(pa.string())),
        ("unread", pa.list_(pa.string())),
        ("tests_performed", pa.list_(pa.string())),
        ("tests_failed", pa.list_(pa.string())),
    ]
    for parameter in parameters:
        name = parameter.lower()
        columns += [
            (f"{name}_mode", pa.string()),
            (f"{name}_count", pa.int32()),
            (f"{name}_min", pa.float64()),
            (f"{name}_max", pa.float64()),
            (f"{name}_mean", pa.float64()),
            (f"{name}_profile_qc", pa.string()),
            (f"{name}_profile_qc_computed", pa.string()),
        ]
    columns += [(text.lower(), pa.string()) for text in TEXTS]
    columns += [("format_version", pa.string()), ("date_update", pa.string())]
    return pa.schema([*columns, ("file", pa.string()), ("version", pa.string())])


def partition_key(product: str, bucket: str, table: str = "levels") -> str:
    """Where a table of a partition lies: one key for ever, whatever is in it."""
    return f"data/{product}/{bucket}/static/{table}.parquet"


class NoFooterError(StoreError):
    """What lies at a partition's key is none."""


@dataclass(frozen=True)
class Input:
    """One file of a partition's set, and what became of it."""

    path: str
    """Below `dac/`."""
    version: str
    """`date_update` of its row in the index."""
    state: str
    """`used` (every profile of it is in the tables), `partly` (some were superseded), `superseded` (none is, or it was
    not even read), `refused` (not a sound profile file), `lost` (could not be reached), or `stale` (not listed any
    more, but what replaces it cannot be read)."""


@dataclass(frozen=True)
class Footer:
    """What each table of a partition says of itself; equal in all tables of one put."""

    product: str
    bucket: str
    fingerprint: str
    """Of the job that made it."""
    parameters: tuple[str, ...]
    """Columns, in upper case."""
    generation: int
    """1 at the first put, one more at each."""
    index_date: str
    """Of the index that its inputs were listed by: 14 digits."""
    inputs: tuple[Input, ...]
    """Sorted by path."""
    settings: Mapping[str, Json] = field(default_factory=dict)
    """qc_level, flags; version, of the product."""
    license: str = ""
    attribution: str = ""
    doi: str = ""
    format: int = FORMAT
    greylist: tuple[str, ...] = ()
    """Lines of the greylist about its floats, sorted: who sees some of the floats only knows of the others by them."""

    def metadata(self) -> dict[bytes, bytes]:
        """As a Parquet file's key-value metadata."""
        document = asdict(replace(self, inputs=()))
        inputs = [[one.path, one.version, one.state] for one in self.inputs]
        return {FOOTER: _json(document), INPUTS: base64.b64encode(zlib.compress(_json(inputs)))}


def _json(document: Json) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read_footer(metadata: Mapping[bytes, bytes] | None, where: str) -> Footer:
    """The footer in a file's key-value metadata.

    Raises NoFooterError where there is none that can be read, StoreError where a newer release wrote it.
    """
    try:
        document = json.loads((metadata or {})[FOOTER])
        if document["format"] > FORMAT:
            found = document["format"]
            raise StoreError(f"{where}: found format {found}, expected at most {FORMAT}: a newer release wrote it")
        packed = json.loads(zlib.decompress(base64.b64decode((metadata or {})[INPUTS], validate=True)))
        inputs = tuple(Input(*one) for one in packed)
        lists = {"parameters": tuple(document["parameters"]), "greylist": tuple(document.get("greylist", ()))}
        return Footer(**{**document, **lists, "inputs": inputs})
    except (LookupError, TypeError, ValueError, zlib.error) as error:
        raise NoFooterError(
            f"{where}: found no footer of ours ({type(error).__name__}: {error}); "
            f"expected the metadata key {FOOTER.decode()}"
        ) from error


def cast_to(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema, in its order and types; a column that the table lacks is null."""
    rows = table.num_rows
    columns = [
        table.column(each.name).cast(each.type) if each.name in table.column_names else pa.nulls(rows, each.type)
        for each in schema
    ]
    return pa.table(columns, schema=schema)


def names_of(parameters: Iterable[str]) -> tuple[str, ...]:
    """Parameters as columns are made of them: upper case, each once, PRES first."""
    return tuple(dict.fromkeys(("PRES", *(one.upper() for one in parameters))))
