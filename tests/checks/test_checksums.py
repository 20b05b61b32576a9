"""Checksums: whoever wrote one down, an object with other bytes is found out."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from pipeline.checks.checksums import Checksum, of_etag, of_s3, of_sidecar
from tests.checks.objects import checked, only

DATA = b"a,b\n1,2\n"
SHA256, MD5 = hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("text", "suffix", "expected"),
    [
        (f"{SHA256}  a.csv\n", ".sha256", SHA256),
        (f"{SHA256} *a.csv\n", ".sha256", SHA256),
        (f"SHA256 (a.csv) = {SHA256}\n", ".sha256", SHA256),
        (SHA256.upper(), ".sha256", SHA256),
        (f"{MD5}  ./data/a.csv\n", ".md5", MD5),
        (f"{'0' * 32}  other.csv\n{MD5}  a.csv\n", ".md5", MD5),
        (f"{'0' * 32}  xa.csv\n{MD5}  y.csv\n", ".md5", ""),
        ("not a checksum", ".md5", ""),
        (SHA256, ".md5", ""),
        ("", ".sha256", ""),
    ],
)
def test_files_of_checksums_are_read_as_programs_write_them(text: str, suffix: str, expected: str) -> None:
    assert of_sidecar(text.encode(), suffix, "a.csv", "x") == Checksum(suffix[1:], expected, "x")


def test_only_an_etag_that_can_be_an_md5_is_one() -> None:
    assert of_etag(MD5.upper()) == Checksum("md5", MD5, "its ETag")
    assert of_etag(f"{MD5}-2") is None and of_etag("") is None


def test_what_s3_keeps_of_parts_says_nothing() -> None:
    kept = base64.b64encode(bytes.fromhex(SHA256)).decode()
    found = of_s3(kept)
    assert found is not None and found.hexadecimal == SHA256
    assert of_s3(f"{kept}-3") is None and of_s3("AAAA") is None


def test_an_object_with_its_checksum_passes_and_with_another_fails(tmp_path: Path) -> None:
    (path := tmp_path / "a.csv").write_bytes(DATA)
    good = Checksum("sha256", SHA256, "the object a.csv.sha256"), Checksum("md5", MD5, "its ETag")
    assert checked(path, {}, *good).verdict == "pass"
    path.write_bytes(DATA + b"3,4\n")
    result = checked(path, {"checksum": {"severity": "warn"}}, *good)
    assert result.verdict == "warn" and len(result.findings) == 2
    assert "as the object a.csv.sha256 says" in result.findings[0].expected


def test_a_checksum_that_is_required_must_be_there_and_be_one(tmp_path: Path) -> None:
    (path := tmp_path / "a.csv").write_bytes(DATA)
    said = {"checksum": {"sidecar": [".sha256"], "required": True}}
    assert only(checked(path, said)).text == "found none, expected a checksum to compare with (.sha256)"
    assert only(checked(path, said, Checksum("sha256", "", "the object a.csv.sha256"))).check == "checksum"
