"""Index files of an Argo GDAC, bytes to table: every row checked, whatever is wrong with one costs that row by name.

Source: Argo user's manual, chapter 2 (index files). Not one of them holds a checksum, a size or a count of rows.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from pipeline.errors import CatalogError
from pipeline.plan.argo_names import KINDS, PATH

INDEX_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("dac", pa.string(), nullable=False),
        pa.field("wmo", pa.int32(), nullable=False),
        pa.field("cycle", pa.int32()),
        pa.field("direction", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("delayed", pa.bool_(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("latitude", pa.float64()),
        pa.field("longitude", pa.float64()),
        pa.field("ocean", pa.string()),
        pa.field("profiler_type", pa.string()),
        pa.field("institution", pa.string()),
        pa.field("parameters", pa.string()),
        pa.field("parameter_mode", pa.string()),
    ]
)
"""A row is a file, by its path below `dac/`; `version` is the index' `date_update`, 14 digits, UTC.

Cycle and direction are null of a file that holds all profiles of a float. Longitudes are -180..180; time and position
are null where the index has none, a fill value or a place that is nowhere.
"""
_NEEDED = ("file", "date", "latitude", "longitude", "date_update")
_OPTIONAL = ("ocean", "profiler_type", "institution", "parameters", "parameter_data_mode")
_WORD = re.compile(rb"\S")
_STAMP = r"^[0-9]{14}$"
_SHOWN = 5
_BATCH_ROWS = 1 << 18
_HEAD_BYTES = 65_536
MOST_BYTES = 2**31
"""Of an index as text: about seven times the largest there is. What is packed may be a thousand times as small."""


@dataclass(frozen=True)
class ArgoIndex:
    """One index file."""

    table: pa.Table
    """Of INDEX_SCHEMA, sorted by path; a path stands there once, with its newest version."""
    updated: str
    """`Date of update` of its header, 14 digits; empty where it does not say."""
    project: str
    """`Project` of its header: `ARGO`."""
    notes: tuple[str, ...] = ()


def parse_index(data: bytes, place: str) -> ArgoIndex:
    """The rows of an index of profile files, gzipped or not, each for a file that can be where it says.

    place: its address, for messages. Raises CatalogError for what is no such index, or the beginning of one only. A
    text cut at the end of a row cannot be told from a shorter one: whoever transfers it compares lengths.
    """
    text = _inflated(data, place)
    header, columns, rows = _header(text, place)
    if rows and not text.endswith(b"\n"):
        raise CatalogError(f"{place}: cut: its last line has no end ({text[-60:]!r}); expected a whole index")
    raw, notes = _rows(text, len(text) - rows, columns, place)
    del text
    table, more = _checked(raw, place)
    del raw  # each of the three is some hundred megabytes
    once = _newest(table)
    if len(once) < len(table):
        more.append(f"{place}: {len(table) - len(once)} rows stand there more than once; the newest of each counts")
    return ArgoIndex(once, header.get("date of update", ""), header.get("project", ""), (*notes, *more))


def index_date(data: bytes) -> str:
    """`Date of update` in the head of an index, gzipped or not; empty where it cannot be told."""
    head = data[:_HEAD_BYTES]
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD_BYTES)
        except zlib.error:
            return ""
    found = re.search(rb"^# *Date of update *: *([0-9]{14})", head, re.MULTILINE | re.IGNORECASE)
    return found[1].decode() if found else ""


def _inflated(data: bytes, place: str) -> bytes:
    """The text of a gzip file of any number of members, whole and with the right checksums; other bytes as they are."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    parts, rest, room = [], data, MOST_BYTES
    while rest.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(wbits=31)
        try:
            parts.append(member.decompress(rest, room + 1))
        except zlib.error as error:
            raise CatalogError(f"{place}: damaged gzip: {error}") from None
        room -= len(parts[-1])
        if room < 0:
            raise CatalogError(f"{place}: more than {MOST_BYTES:,} bytes of text in {len(data):,}; expected an index")
        if not member.eof:
            raise CatalogError(f"{place}: cut gzip: {len(data)} bytes without its end; expected a whole index")
        rest = member.unused_data
    return b"".join(parts)


def _header(text: bytes, place: str) -> tuple[dict[str, str], list[str], int]:
    """What the lines before the rows say, the names of columns, and how many bytes of rows follow."""
    said: dict[str, str] = {}
    start = 0
    while start < min(len(text), _HEAD_BYTES):
        end = text.find(b"\n", start) % (len(text) + 1)
        line = text[start:end].decode("latin-1").strip()
        start = end + 1
        if line.startswith("#"):
            name, _, value = line.lstrip("# ").partition(":")
            said[name.strip().lower()] = value.strip()
        elif line:
            columns = [column.strip().lower() for column in line.split(",")]
            if missing := [name for name in _NEEDED if name not in columns]:
                raise CatalogError(
                    f"{place}: no index of profile files: it has no column {', '.join(missing)}; it begins with "
                    f"{text[:60]!r}"
                )
            return said, columns, max(len(text) - start, 0)
    raise CatalogError(
        f"{place}: no index: found no line of columns in {len(text)} bytes, which begin with {text[:60]!r}"
    )


def _rows(text: bytes, start: int, columns: Sequence[str], place: str) -> tuple[pa.Table, list[str]]:
    """All columns as text, from a byte on; lines with another number of values are left out."""
    bad: list[str] = []

    def leave_out(row: csv.InvalidRow) -> str:
        bad.append(str(row.text))
        return "skip"

    names = [*_NEEDED, *(name for name in _OPTIONAL if name in columns)]
    if _WORD.search(text, start) is None:
        return pa.table({name: pa.array([], pa.string()) for name in names}), []
    table = csv.read_csv(
        pa.BufferReader(pa.py_buffer(text).slice(start)),
        csv.ReadOptions(
            column_names=list(columns), encoding="utf8" if text.isascii() else "latin-1", block_size=8 << 20
        ),
        csv.ParseOptions(quote_char=False, invalid_row_handler=leave_out),
        csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    told = (
        f"{place}: {len(bad)} lines without {len(columns)} values are left out, such as {bad[0][:120]!r}" if bad else ""
    )
    return table, [told] if told else []


def _checked(raw: pa.Table, place: str) -> tuple[pa.Table, list[str]]:
    """Rows for profile files in their floats' own folders, with a version."""
    tables, foreign, undated = [INDEX_SCHEMA.empty_table()], list[str](), list[str]()
    for batch in raw.to_batches(_BATCH_ROWS):  # what is between text and table is several times as large as either
        path, version = (pc.utf8_trim_whitespace(batch[name]) for name in ("file", "date_update"))
        named = pc.extract_regex(path, rf"^{PATH}$")
        there = pc.fill_null(pc.equal(_of(named, "folder"), _of(named, "wmo")), fill_value=False)
        stamped = pc.match_substring_regex(version, _STAMP)
        foreign += path.filter(pc.invert(there)).to_pylist()
        undated += path.filter(pc.invert(stamped)).to_pylist()
        tables.append(_typed(batch, path, named, version).filter(pc.and_(there, stamped)))
    notes = [
        f"{place}: {len(bad)} rows {words} and are left out, such as {', '.join(map(repr, bad[:_SHOWN]))}"
        for bad, words in ((foreign, "name no profile file of a float"), (undated, "have no date_update of 14 digits"))
        if bad
    ]
    return pa.concat_tables(tables), notes


def _of(named: pa.StructArray, field: str) -> pa.Array:
    return pc.struct_field(named, field)


def _typed(raw: pa.RecordBatch, path: pa.Array, named: pa.StructArray, version: pa.Array) -> pa.Table:
    latitude, longitude = _position(raw)
    letters = pa.array(list(KINDS))
    kinds = pa.array(list(KINDS.values()))
    descending = pc.equal(_of(named, "descending"), "D")

    def text(name: str) -> pa.Array:
        if name not in raw.schema.names:
            return pa.nulls(len(raw), pa.string())
        column = pc.utf8_trim_whitespace(raw[name])
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)

    return pa.table(
        [
            path,
            pc.fill_null(_of(named, "dac"), ""),
            pc.fill_null(pc.cast(_of(named, "wmo"), pa.int32()), 0),
            pc.cast(_of(named, "cycle"), pa.int32()),
            pc.if_else(descending, "D", "A"),
            pc.fill_null(pc.take(kinds, pc.index_in(_of(named, "kind"), letters)), ""),
            pc.fill_null(pc.equal(_of(named, "mode"), "D"), fill_value=False),
            version,
            _time(raw["date"]),
            latitude,
            longitude,
            *(text(name) for name in _OPTIONAL),
        ],
        schema=INDEX_SCHEMA,
    )


def _time(text: pa.Array) -> pa.Array:
    """Times of 14 digits; null for others and for days that no calendar has."""
    digits = pc.utf8_trim_whitespace(text)
    digits = pc.if_else(pc.match_substring_regex(digits, _STAMP), digits, pa.scalar(None, pa.string()))
    parsed = pc.strptime(digits, format="%Y%m%d%H%M%S", unit="us", error_is_null=True)
    # 30 February is read as 1 March.
    same_day = pc.equal(pc.day(parsed), pc.cast(pc.utf8_slice_codeunits(digits, 6, 8), pa.int64()))
    return pc.assume_timezone(pc.if_else(same_day, parsed, pa.scalar(None, parsed.type)), "UTC")


def _position(raw: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """Both null where either is no number or no place: 99999, and -99.999 with -999.999, stand for none."""
    latitude, longitude = _number(raw["latitude"]), _number(raw["longitude"])
    on_earth = pc.and_(
        pc.and_(pc.greater_equal(latitude, -90), pc.less_equal(latitude, 90)),
        pc.and_(pc.greater_equal(longitude, -180), pc.less_equal(longitude, 360)),
    )
    nothing = pa.scalar(None, pa.float64())
    west = pc.if_else(pc.greater(longitude, 180), pc.subtract(longitude, 360), longitude)
    return pc.if_else(on_earth, latitude, nothing), pc.if_else(on_earth, west, nothing)


def _number(text: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(text)
    plain = pc.match_substring_regex(trimmed, r"^[-+]?[0-9]+(\.[0-9]*)?$")
    return pc.cast(pc.if_else(plain, trimmed, pa.scalar(None, pa.string())), pa.float64())


def _newest(table: pa.Table) -> pa.Table:
    """Sorted by path, one row each. Equal path and version in rows that differ: the first of them in the file."""
    if pc.all(_pairs(table, pc.less), min_count=0).as_py():
        return table.combine_chunks()
    order = pc.sort_indices(table, [("path", "ascending"), ("version", "descending")])
    table = table.take(order)
    differ = _pairs(table, pc.not_equal)
    return table if pc.all(differ).as_py() else table.filter(pa.concat_arrays([pa.array([True]), differ]))


def _pairs(table: pa.Table, compare: Callable[[pa.Array, pa.Array], pa.Array]) -> pa.Array:
    """Each row's path compared with that of the next."""
    paths = table["path"].combine_chunks()
    return compare(paths.slice(0, max(len(paths) - 1, 0)), paths.slice(1))
