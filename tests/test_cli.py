"""The verbs answer, and `--help` answers without loading what a run needs."""

from __future__ import annotations

import json
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
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as verb:
        assert verb.stdout is not None and verb.stderr is not None
        verb.stdout.readline()
        verb.stdout.close()
        said = verb.stderr.read()
    assert (verb.wait(), said) == (141, "")


def test_a_missing_config_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["no-such.yaml"]) == 2
    assert "no-such.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["pipeline.run", "pipeline.cli"])
def test_help_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module} as m; m.parser().format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    heavy = {"numpy", "dask", "distributed", "xarray", "rasterio", "numba", "pydantic", "s3fs"}
    assert heavy.isdisjoint(loaded.split())
