"""One object against one rule: its size, checksum and format, and then its data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.checks.checksums import Checksum, compare
from pipeline.checks.result import VERSION, Finding, Result, Subject
from pipeline.checks.sniff import fits_suffix, sniff, suffixes
from pipeline.checks.tally import Rule, Tally
from pipeline.config.checks import ArrayConfig, CheckConfig, Kind, RasterConfig
from pipeline.config.columns import TableConfig
from pipeline.types import Json

Found = tuple[tuple[Finding, ...], dict[str, Json]]
"""Findings and facts."""


class UnreadableError(ValueError):
    """The bytes are not what their beginning says; says what was found."""


class Reader(Protocol):
    """What checks data of one kind."""

    def run(self, path: Path, kind: str, scratch: Path) -> Found:
        """Read all of it. kind: its format. Raises UnreadableError where it cannot be read to its end."""
        ...


def fingerprint(config: CheckConfig) -> str:
    """Equal for all checks that find the same of the same object."""
    said = json.dumps([VERSION, config.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


@dataclass
class Checker:
    """The check of one rule; what it is made of is prepared once."""

    config: CheckConfig
    _readers: dict[Kind, Reader] = field(default_factory=dict)
    _fingerprint: str = ""

    def run(self, subject: Subject, path: Path, checksums: Sequence[Checksum], scratch: Path) -> Result:
        """Everything that is wrong with an object; path: its bytes on this machine. Raises OSError only for that."""
        config = self.config
        self._fingerprint = self._fingerprint or fingerprint(config)
        tally = Tally(config.examples)
        _judge_size(subject.size_bytes, config, tally)
        compare(path, checksums, config.checksum, tally)
        found = sniff(path)
        if found.kind is not None and config.suffix != "pass" and not fits_suffix(found.type, subject.key):
            name = subject.key.rsplit("/", 1)[-1]
            tally.note(Rule("suffix", "", config.suffix, f"{suffixes(found.type)} for {found.type}"), name)
        findings: tuple[Finding, ...] = ()
        facts: dict[str, Json] = {}
        if found.kind is None or found.kind not in config.kinds:
            tally.note(Rule("format", "", "fail", _formats(config.kinds)), found.type)
        else:
            try:
                findings, facts = self._reader(found.kind).run(path, found.type, scratch)
            except UnreadableError as error:
                tally.note(
                    Rule("readable", "", "fail", f"{found.type} that can be read to its end"), _said(error, path)
                )
        all_of_them = (*tally.findings(0), *findings)
        return Result(
            subject, self._fingerprint, found.kind or "none", found.type if found.kind else "", all_of_them, facts
        )

    def _reader(self, kind: Kind) -> Reader:
        if kind not in self._readers:
            self._readers[kind] = _make_reader(kind, self.config)
        return self._readers[kind]


def _make_reader(kind: Kind, config: CheckConfig) -> Reader:
    """The reader of a kind; its libraries are imported with the first object of it."""
    if kind == "table":
        from pipeline.checks.tables import TableCheck  # noqa: PLC0415 (polars and pandera take a second)

        return TableCheck(config.table or TableConfig(), config.examples)
    if kind == "raster":
        from pipeline.checks.rasters import RasterCheck  # noqa: PLC0415 (GDAL)

        return RasterCheck(config.raster or RasterConfig(georeferenced=False), config.examples)
    from pipeline.checks.arrays import ArrayCheck  # noqa: PLC0415 (xarray and pandera)

    return ArrayCheck(config.array or ArrayConfig(), config.examples)


def _judge_size(size_bytes: int, config: CheckConfig, tally: Tally) -> None:
    least, most = config.size
    low = "" if least is None else f"at least {least:,}"
    high = "" if most is None else f"at most {most:,}"
    if (least is not None and size_bytes < least) or (most is not None and size_bytes > most):
        words = " and ".join(filter(None, (low, high)))
        tally.note(Rule("size", "", "fail", f"{words} bytes"), f"{size_bytes:,} bytes")


def _said(error: Exception, path: Path) -> str:
    """A library's words, without the place where the object lay on this machine."""
    return str(error).replace(str(path), path.name)


def oversized(config: CheckConfig, subject: Subject) -> Result | None:
    """The verdict on an object that is larger than its rule allows, for which it need not be fetched."""
    most = config.size[1]
    if most is None or subject.size_bytes <= most:
        return None
    tally = Tally(0)
    _judge_size(subject.size_bytes, config, tally)
    return Result(subject, fingerprint(config), findings=tally.findings(0))


_OF_KIND: dict[Kind, str] = {"table": "CSV or Parquet", "raster": "GeoTIFF or JPEG 2000", "array": "NetCDF or Zarr"}


def _formats(kinds: Sequence[Kind]) -> str:
    return ", ".join(_OF_KIND[kind] for kind in kinds)
