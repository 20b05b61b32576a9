"""Checksums: those that are known of an object against its bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.checks.tally import Rule, Tally
from pipeline.config.checks import ChecksumConfig

_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_CHUNK_BYTES = 1 << 20
SIDECAR_BYTES = 64 * 2**10
"""The most that is read of one."""


@dataclass(frozen=True)
class Checksum:
    """One that somebody wrote down of an object."""

    algorithm: str
    """`md5`, `sha1`, `sha256`, `sha512`."""
    hexadecimal: str
    """In small letters; empty where what is written down is none."""
    source: str
    """Who says so, for people: `its object a.csv.sha256`."""


def of_sidecar(text: bytes, suffix: str, name: str, source: str) -> Checksum:
    """That of the object `name` in a file as sha256sum, shasum (`--tag` too) or md5sum write it, or alone in it."""
    algorithm = suffix.lstrip(".")
    digits = rf"(?<![0-9a-f])([0-9a-f]{{{_DIGITS[algorithm]}}})(?![0-9a-f])"
    lines = str(text[:SIDECAR_BYTES], "utf-8", "replace").splitlines()
    found = [(line, match[1]) for line in lines if (match := re.search(digits, line.lower()))]
    own = [sum_ for line, sum_ in found if re.search(rf"(^|[\s*/(]){re.escape(name)}(\)|\s|$)", line)]
    if not own and len(found) == 1:
        own = [found[0][1]]
    return Checksum(algorithm, own[0] if own else "", source)


def of_s3(kept: str) -> Checksum | None:
    """That of SHA-256 as S3 keeps it, in base64; None for one of parts, which says nothing of the whole."""
    try:
        raw = base64.b64decode(kept, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Checksum("sha256", raw.hex(), "x-amz-checksum-sha256 of S3") if len(raw) == 32 else None


def of_etag(etag: str) -> Checksum | None:
    """The ETag where it can be an MD5; None of an object that came in parts."""
    return Checksum("md5", etag.lower(), "its ETag") if re.fullmatch(r"[0-9a-fA-F]{32}", etag) else None


def compare(path: Path, known: Sequence[Checksum], config: ChecksumConfig, tally: Tally) -> None:
    """Note each checksum that is not that of the file; all are computed in one pass."""
    if config.required and not known:
        named = ", ".join(config.sidecar) or "a checksum that S3 keeps"
        tally.note(Rule("checksum", "", config.severity, f"a checksum to compare with ({named})"), "none")
    if not known or not path.is_file():
        return
    digests = {each.algorithm: hashlib.new(each.algorithm, usedforsecurity=False) for each in known}
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            for digest in digests.values():
                digest.update(chunk)
    for each in known:
        found = digests[each.algorithm].hexdigest()
        rule = Rule(
            "checksum", "", config.severity, f"{each.algorithm} {each.hexadecimal or '?'}, as {each.source} says"
        )
        if not each.hexadecimal:
            tally.note(Rule("checksum", "", config.severity, f"a checksum in {each.source}"), "none that can be read")
        elif found != each.hexadecimal:
            tally.note(rule, f"{each.algorithm} {found}")
