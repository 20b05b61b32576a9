"""A damaged partition of floats goes with its item; the next run reads its files again, and counts generations on."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.demo.argo import mirror_files
from pipeline.errors import EXIT_DONE
from pipeline.plan.argo_schema import read_footer
from pipeline.write.partition import TABLES
from tests.verbs.making import groundswell, make_output

CONFIG = """\
name: floats
output: {folder}/output
period: {{start: 2024-01-01, end: 2025-01-01, every: span}}
sources:
  argo: {{gdac: {folder}/gdac, floats: [9900101]}}
products:
  - {{product: argo, source: argo}}
"""


@pytest.mark.parametrize("name", TABLES)
def test_a_damaged_table_is_made_again_from_its_files(tmp_path: Path, name: str) -> None:
    for key, data in mirror_files().items():
        if "/9900101/" in key or "/" not in key:
            path = tmp_path / "gdac" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG.format(folder=tmp_path))
    make_output(config)
    output = tmp_path / "output"
    folder = output / "data/argo/990010x/static"
    before = {table: pq.read_table(folder / f"{table}.parquet") for table in TABLES}
    assert groundswell("verify", output) == EXIT_DONE

    spoilt = folder / f"{name}.parquet"
    content = bytearray(spoilt.read_bytes())
    content[len(content) // 3] ^= 1
    spoilt.write_bytes(content)
    assert groundswell("verify", output, "--repair") == EXIT_DONE
    assert not spoilt.exists() and not list(output.glob("items/argo/*"))

    (outcome,) = make_output(config)
    assert outcome.read_bytes > 0, "nothing is taken over from what was damaged"
    for table, rows in before.items():
        found = pq.read_table(folder / f"{table}.parquet")
        assert found.replace_schema_metadata(None) == rows.replace_schema_metadata(None)
        assert read_footer(found.schema.metadata, table).generation == 2, "an older one replaces nothing in databases"
    assert groundswell("verify", output) == EXIT_DONE
