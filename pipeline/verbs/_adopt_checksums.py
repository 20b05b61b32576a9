"""Checksums that lie beside files: sidecars as `a.tif.sha256`, lists as SHA256SUMS, manifests as CSV or JSON."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.checks.checksums import Checksum, of_sidecar
from pipeline.errors import ConfigError
from pipeline.write.store import Store

SUFFIXES = (".sha256", ".sha1", ".md5", ".sha512")
_LISTS = {"sha256sums": ".sha256", "sha1sums": ".sha1", "md5sums": ".md5", "sha512sums": ".sha512"}
_MANIFESTS = {"manifest.csv", "manifest.json"}
_PATHS = ("path", "file", "filename", "key", "name", "href")
_SUMS = ("sha256", "sha1", "md5", "sha512", "checksum", "file:checksum", "digest")
_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_CHUNK_BYTES = 1 << 20
_MOST_BYTES = 256 * 2**20
"""Of a list or manifest."""


class Checksums:
    """What is written down of the files below a folder."""

    def __init__(self, store: Store, sizes: Mapping[str, int]) -> None:
        """Read lists and manifests; sidecars are read when they are asked for. Raises ConfigError."""
        self._store, self._sizes = store, sizes
        self._known: dict[str, list[Checksum]] = {}
        for key in sorted(sizes):
            name = posixpath.basename(key).lower()
            suffix = _LISTS.get(name.removesuffix(".txt"))
            if suffix is None and name not in _MANIFESTS:
                continue
            if sizes[key] > _MOST_BYTES:
                raise ConfigError(f"{key}: found {sizes[key]} bytes of checksums; allowed: {_MOST_BYTES}")
            data = store.get_bytes(key)
            rows = _listed(data) if suffix else _manifest(data, key)
            for path, checksum in rows:
                folder = posixpath.dirname(key)
                for place in {posixpath.normpath(posixpath.join(folder, path)), posixpath.normpath(path)}:
                    if place not in sizes:
                        continue
                    algorithm = suffix.lstrip(".") if suffix else _algorithm(checksum)
                    self._known.setdefault(place, []).append(Checksum(algorithm, _digits(checksum), key))

    def of(self, key: str) -> list[Checksum]:
        """All that is known of a file."""
        return [*self._known.get(key, ()), *self._sidecars(key)]

    def _sidecars(self, key: str) -> Iterator[Checksum]:
        stem = posixpath.splitext(key)[0]
        for suffix in SUFFIXES:
            for place in (f"{key}{suffix}", f"{stem}{suffix}"):
                if place in self._sizes:
                    yield of_sidecar(self._store.get_bytes(place), suffix, posixpath.basename(key), place)


def is_checksum(key: str) -> bool:
    """Whether a file holds checksums of others, and no data."""
    name = posixpath.basename(key).lower()
    return name.endswith(SUFFIXES) or name.removesuffix(".txt") in _LISTS or name in _MANIFESTS


def fetch(store: Store, key: str, path: Path, known: Sequence[Checksum]) -> list[str]:
    """Copy a file to this machine; every checksum that is not its own, in words."""
    path.write_bytes(store.get_bytes(key))
    digests = {each.algorithm: hashlib.new(each.algorithm, usedforsecurity=False) for each in known}
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            for digest in digests.values():
                digest.update(chunk)
    wrong = []
    for each in known:
        found = digests[each.algorithm].hexdigest()
        if found != each.hexadecimal:
            expected = each.hexadecimal or "none that can be read"
            wrong.append(f"{key}: found {each.algorithm} {found}, expected {expected}, as {each.source} says")
    return wrong


def _listed(data: bytes) -> Iterator[tuple[str, str]]:
    """(path, digits) as sha256sum and its like write them."""
    for line in data.decode("utf-8", "replace").splitlines():
        match = re.fullmatch(r"\\?([0-9a-fA-F]{32,128})[ \t]+\*?(.+)", line.strip())
        if match is not None:
            yield match[2], match[1]


def _manifest(data: bytes, key: str) -> Iterator[tuple[str, str]]:
    """(path, checksum) of a table with a column of each, or of JSON that is one, or an object of them by path."""
    try:
        rows = _rows_of_json(json.loads(data)) if key.lower().endswith(".json") else _rows_of_csv(data)
        for row in rows:
            path = next((str(row[name]) for name in _PATHS if row.get(name)), None)
            checksum = next((str(row[name]) for name in _SUMS if row.get(name)), None)
            if path and checksum:
                yield path, checksum
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise ConfigError(f"{key}: found no manifest ({type(error).__name__}: {error}); mend or remove it") from error


def _rows_of_csv(data: bytes) -> Iterator[Mapping[str, Any]]:
    for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"))):
        yield {str(name).strip().lower(): value.strip() for name, value in row.items() if isinstance(value, str)}


def _rows_of_json(document: Any) -> Iterator[Mapping[str, Any]]:
    for name in ("files", "objects", "assets"):
        if isinstance(document, dict) and isinstance(document.get(name), (list, dict)):
            document = document[name]
            break
    if isinstance(document, dict):
        for path, said in document.items():
            yield {"path": path, **said} if isinstance(said, dict) else {"path": path, "checksum": said}
        return
    yield from document


def _digits(checksum: str) -> str:
    """The hexadecimal digits of `sha256:…`, of a multihash, or alone; empty where there are none."""
    digits = checksum.strip().lower().rpartition(":")[2]
    if len(digits) == 68 and digits.startswith("1220"):
        digits = digits[4:]
    return digits if re.fullmatch(r"[0-9a-f]+", digits) and len(digits) in _BY_LENGTH else ""


def _algorithm(checksum: str) -> str:
    return _BY_LENGTH.get(len(_digits(checksum)), "sha256")
