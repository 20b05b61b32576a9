"""The verbs answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from pipeline import cli, run


def test_schema_is_a_json_schema_with_every_product(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    assert "sentinel2" in json.dumps(schema)


def test_a_reader_who_has_seen_enough_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "pipeline.cli", "completion", "bash"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_missing_config_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["no-such.yaml"]) == 2
    assert "no-such.yaml" in capsys.readouterr().err
