"""From a listing to one set of facts: rows of unchanged files are taken over, the other files are read and parsed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.plan.argo_names import bucket_of
from pipeline.plan.argo_rules import RULES
from pipeline.plan.argo_schema import LEDGER, Input
from pipeline.products._argo_facts import Facts, Found, Places, joined, ledger_rows, new_facts, taken_over
from pipeline.products._argo_listing import Candidate, Listing, groups_of, reusable, settled
from pipeline.read.argo import read_profiles
from pipeline.read.levels import flatten
from pipeline.read.netcdf_library import Library
from pipeline.types.profiles import ProfileFile
from pipeline.write.profiles import Partition

logger = logging.getLogger(__name__)

Read = Callable[[Sequence[Candidate]], Iterator[tuple[Candidate, bytes | AssetError]]]
"""The bytes of files, or why they cannot be had, in any order."""
BATCH_BYTES = 32 * 2**20
"""Of files that are parsed before they become columns."""
_HELD_A_NUMBER = 14
"""Bytes: raw, adjusted, error and two flags; a compressed file holds far more of them than its length says."""
_RANK = {"D": 3, "A": 2, "R": 1}


@dataclass
class _State:
    """What became of the candidates so far."""

    states: dict[tuple[str, str], str] = field(default_factory=dict)
    had: set[tuple[str, str]] = field(default_factory=set)
    """Files whose profiles are in `parts`."""
    failed: list[tuple[Candidate, AssetError]] = field(default_factory=list)
    parts: list[Facts] = field(default_factory=list)
    read_bytes: int = 0
    parsed: int = 0

    def fail(self, one: Candidate, error: AssetError) -> None:
        self.states[one.path, one.version] = "lost" if isinstance(error, TransientAssetError) else "refused"
        self.failed.append((one, error))


@dataclass(frozen=True)
class Gathered:
    """Everything that the tables are made of."""

    facts: Facts
    """Each profile once, in the order of identity."""
    ledger: pa.Table
    """What reading and choosing found."""
    inputs: tuple[Input, ...]
    failed: tuple[tuple[Candidate, AssetError], ...]
    parsed: int
    """Files that were read."""
    taken_over: int
    """Files whose rows were in the partition already."""
    read_bytes: int


def gather(bucket: str, listing: Listing, old: Partition | None, parameters: tuple[str, ...], read: Read) -> Gathered:
    """The profiles of everything listed, each once.

    What comes out depends on the set of (path, version) that can be read, not on what the partition was before: rows
    taken over are those that parsing the same file again would give. old: None, or a partition of the same parameters.
    """
    footer = old.footer if old and old.tables else None
    state, known = _State(), reusable(footer)
    waiting = groups_of(listing, footer)
    kept = 0
    while waiting:
        first = {(group[0].path, group[0].version): group for group in waiting}
        same = {
            path: version
            for (path, version), group in first.items()
            if known.get(path) == version or not group[0].roots
        }
        if same and old is not None:
            state.parts.append(taken_over(old.tables, same, parameters))
            kept += len(same)
        state.had |= set(same.items())
        others = [group[0] for key, group in first.items() if key[0] not in same]
        _parse(bucket, others, parameters, read, state)
        bad = {(one.path, one.version) for one, _ in state.failed}
        waiting = [group[1:] for key, group in first.items() if key in bad and len(group) > 1]
    return _chosen(listing, state, joined(state.parts, parameters), kept)


def _parse(bucket: str, wanted: Sequence[Candidate], parameters: tuple[str, ...], read: Read, state: _State) -> None:
    files: list[ProfileFile] = []
    versions: dict[str, str] = {}
    held = 0
    with Library() as library:
        for one, data in read(wanted) if wanted else ():
            if isinstance(data, AssetError):
                state.fail(one, data)
                continue
            state.read_bytes += len(data)
            try:
                file = read_profiles(data, one.path, parameters, library)
                _check_floats(file, one, bucket)
            except AssetError as error:
                state.fail(one, error)
                continue
            files.append(file)
            versions[one.path] = one.version
            state.had.add((one.path, one.version))
            held += max(len(data), _HELD_A_NUMBER * sum(each.raw.size for each in file.measured.values()))
            if held >= BATCH_BYTES:
                state.parts.append(_facts(files, versions, parameters))
                state.parsed += len(files)
                files, held = [], 0
    if files:
        state.parts.append(_facts(files, versions, parameters))
        state.parsed += len(files)


def _facts(files: Sequence[ProfileFile], versions: Mapping[str, str], parameters: tuple[str, ...]) -> Facts:
    logger.debug("parsed %d files: %s", len(files), ", ".join(file.path for file in files[:50]))
    return new_facts(flatten(files, parameters), files, versions, parameters)


def _check_floats(file: ProfileFile, one: Candidate, bucket: str) -> None:
    """A file of another float would put its profiles into two partitions. Raises PermanentAssetError."""
    found = {int(wmo) for wmo in np.unique(file.wmo)}
    expected = f"float {one.wmo}" if one.wmo is not None else f"floats of {bucket}"
    if any(wmo != one.wmo if one.wmo is not None else bucket_of(wmo) != bucket for wmo in found):
        named = ", ".join(map(str, sorted(found)[:3]))
        raise PermanentAssetError(one.path, f"found profiles of float {named}, expected those of {expected}")


def _chosen(listing: Listing, state: _State, facts: Facts, kept: int) -> Gathered:
    """Each profile once, in the order of identity, and what became of the others and of the files."""
    table = facts.profiles
    files, file = _numbered(table["file"])
    best, losers, winners = _compared(table)
    found: list[Found] = [
        ("superseded_profile", losers[file[winners] == number], None, f"by {files[number]}", None)
        for number in np.unique(file[winners])
    ]
    total, lost = (np.bincount(file[rows], minlength=files.size) for rows in (slice(None), losers))
    became = np.where(lost == 0, "used", np.where(lost < total, "partly", "superseded"))[file]
    _settle(state, {(one.path, one.version) for one in listing.candidates}, table, became)
    inputs = settled(listing, state.states)
    ledger = pa.concat_tables([facts.ledger, ledger_rows(table, found), _file_rows(inputs, state.failed)])
    return Gathered(facts.take(best), ledger, inputs, tuple(state.failed), state.parsed, kept, state.read_bytes)


def _compared(table: pa.Table) -> tuple[Places, Places, Places]:
    """Rows of the best version of each profile, in the order of identity; those of all others, and who beats each.

    The best is D before A before R, then of the newer file, then of the greater path.
    """
    mode = np.array([_RANK.get(mode, 0) for mode in table["data_mode"].to_pylist()], np.int8)
    rank = [mode, *(_numbered(table[name])[1] for name in ("version", "file"))]
    down, kind = (_numbered(table[name])[1] for name in ("direction", "kind"))
    wmo, cycle, index = (table[name].to_numpy() for name in ("wmo", "cycle", "profile_index"))
    who = [wmo, cycle, down, kind, index]
    order = np.lexsort([*reversed(rank), *reversed(who)])
    last = np.ones(order.size, np.bool_)
    last[:-1] = np.any([key[order[1:]] != key[order[:-1]] for key in who], axis=0)
    best = order[last]
    group: Places = np.cumsum(last) - last
    return best, order[~last], best[group[~last]]


def _numbered(column: pa.ChunkedArray) -> tuple[NDArray[np.str_], Places]:
    """The words of a column, sorted, and which of them each row has."""
    words, number = np.unique(np.array(column.to_pylist(), np.str_), return_inverse=True)
    return words, number.astype(np.int64)


def _settle(state: _State, listed: set[tuple[str, str]], profiles: pa.Table, became: Iterable[str]) -> None:
    """The states of what was read, or taken over; a file without any profile is used."""
    for key in state.had:
        state.states.setdefault(key, "used" if key in listed else "stale")
    for path, version, each in zip(profiles["file"].to_pylist(), profiles["version"].to_pylist(), became, strict=True):
        state.states[path, version] = str(each) if (path, version) in listed else "stale"


def _file_rows(inputs: Iterable[Input], failed: Iterable[tuple[Candidate, AssetError]]) -> pa.Table:
    """Rows of the ledger about whole files."""
    rule_of = {"superseded": "superseded_file", "refused": "unreadable", "lost": "lost", "stale": "stale"}
    causes = {(one.path, one.version): error.cause for one, error in failed}
    rows = [
        {
            "rule": rule_of[one.state],
            "action": RULES[rule_of[one.state]].effect,
            "file": one.path,
            "version": one.version,
            "note": causes.get((one.path, one.version)),
        }
        for one in inputs
        if one.state in rule_of
    ]
    return pa.Table.from_pylist(rows, schema=LEDGER)
