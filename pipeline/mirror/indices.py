"""The index files of a GDAC and of its local copy: read where they are new, taken from the copy where they are not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import AssetError, CatalogError, PreflightError
from pipeline.mirror.fetch import Mirrors
from pipeline.mirror.library import S3_INDEX, check_text, read_first, read_index
from pipeline.mirror.manifest import FOLDER
from pipeline.mirror.transports import Gdac, open_transport
from pipeline.plan.argo_index import ArgoIndex, index_date, parse_index
from pipeline.plan.argo_names import GREYLIST_FILE

STAMPS = "indices.json"
"""Beside the manifest: what the first mirror said of each index file of the copy when that was read."""


@dataclass(frozen=True)
class Indices:
    """What was read, and what of it is to be put into the copy."""

    tables: dict[str, ArgoIndex] = field(default_factory=dict)
    """By the name of the index, without `.gz`."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Index files and greylist as they came, by name."""
    stamps: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


async def read_indices(root: Path, names: Iterable[str], mirrors: Mirrors, gdac: Gdac) -> Indices:
    """Indices by their names, none older than that of the copy at `root`; and the greylist, where there is one.

    An index of which the first mirror says what it said when it was copied is taken from the copy. Raises CatalogError
    where no mirror gives all of one.
    """
    found, known = Indices(), _stamps(root)
    for name in names:
        ours = _own(root, f"{name}.gz", name)
        file, told = await _told(gdac, ours, f"{name}.gz")
        if not (told and told == known.get(file) and _taken(found, name, ours)):
            await _read(found, name, ours, mirrors, gdac)
        _stamp(found, file, told)
    ours = _own(root, GREYLIST_FILE)
    file, told = await _told(gdac, ours, GREYLIST_FILE)
    if not (told and told == known.get(file)):
        try:
            greylist = await read_first(mirrors, gdac, (GREYLIST_FILE,), check_text)
        except CatalogError as error:
            found.notes.append(f"the greylist stays as it was: {error}")
        else:
            found.files.update([] if greylist is None else [greylist])
        _stamp(found, file, told)
    return found


def put_beside(root: Path, found: Indices) -> None:
    """Index files and greylist in place of older ones, each in one step. Raises PreflightError."""
    for name, data in found.files.items():
        other = root / (name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz")
        _put(root / name, data)
        other.unlink(missing_ok=True)
    if found.stamps:
        _put(root / FOLDER / STAMPS, json.dumps(_stamps(root) | found.stamps).encode())


async def _read(found: Indices, name: str, ours: _Own | None, mirrors: Mirrors, gdac: Gdac) -> None:
    """One index from a mirror that is not behind the copy; where all are, that of the copy."""
    known, older = index_date(ours.data if ours else b""), list[str]()

    def accept(index: ArgoIndex) -> None:
        if index.updated < known:
            older.append(index.updated)
            raise CatalogError(f"its index is of {index.updated}, that of the copy of {known}")

    try:
        read = await read_index(mirrors, gdac, name, accept)
    except CatalogError:
        if not (older and _taken(found, name, ours)):
            raise
        found.notes.append(f"{name}: no mirror has one as new as the copy's, of {known}; that of the copy is used")
    else:
        found.tables[name], found.files[read.name] = read.index, read.data


def _taken(found: Indices, name: str, ours: _Own | None) -> bool:
    """Whether the copy has the index whole; it is used then."""
    if ours is None:
        return False
    try:
        found.tables[name] = parse_index(ours.data, ours.name)
    except CatalogError as error:
        found.notes.append(f"the copy's index is read again: {error}")
        return False
    return True


def _stamp(found: Indices, file: str, told: str) -> None:
    """Remember what was said of a file that came, if it is of the file that came."""
    if file in found.files and told.endswith(f" {len(found.files[file])}"):
        found.stamps[file] = told


async def _told(gdac: Gdac, ours: _Own | None, other: str) -> tuple[str, str]:
    """(name, what the first mirror says of it, its length last) of our file, or another; nothing but its end is sent.

    Empty where the mirror has no such file, or does not say what tells it from a later one.
    """
    file, size = (other, 1) if ours is None else (ours.name, len(ours.data))
    transport = open_transport(gdac.mirrors[0], gdac)
    try:
        for folder in ("", *((S3_INDEX,) if gdac.mirrors[0].startswith("s3://") else ())):
            try:
                async with transport.open(f"{folder}{file}", size - 1) as body:
                    whole = body.version and body.size_bytes
                    return file, f"{transport.uri} {body.version} {body.size_bytes}" if whole else ""
            except AssetError:
                continue
    finally:
        await transport.close()
    return file, ""


@dataclass(frozen=True)
class _Own:
    """A file of the copy."""

    name: str
    data: bytes


def _own(root: Path, *names: str) -> _Own | None:
    """The first of these files that the copy has."""
    for name in names:
        if (root / name).is_file() and (data := (root / name).read_bytes()):
            return _Own(name, data)
    return None


def _stamps(root: Path) -> dict[str, str]:
    """None where they cannot be read: then everything is new."""
    try:
        known = json.loads((root / FOLDER / STAMPS).read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _put(file: Path, data: bytes) -> None:
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        new.replace(file)
    except OSError as error:
        raise PreflightError(f"{file}: cannot be written: {error.strerror}; make room, and sync again") from error
