"""What does not fit is named and left out, whatever lies beside it is adopted; see `test_files.py` for each fault."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED
from tests.adopt.conftest import Older

pytestmark = pytest.mark.long
JUNE, JULY = "sentinel2/33N-469-3906/2024-06", "sentinel2/33N-469-3906/2024-07"


def rewrite(path: Path, data: Any = None, **profile: Any) -> None:
    """The same file, with something of it changed."""
    with rasterio.open(path) as source:
        kept = {**source.profile, "tiled": True, "blockxsize": 64, "blockysize": 64}
        values = source.read() if data is None else data
    with rasterio.open(path, "w", **{**kept, **profile}) as target:
        target.write(np.asarray(values, dtype=profile.get("dtype", kept["dtype"])))


def test_a_misfit_is_named_and_costs_itself(older: Older, capsys: pytest.CaptureFixture[str]) -> None:
    """And a layer that is missing; once it is there, the same command takes the rest."""
    red, data = older.file("2024-06", "red"), older.file("2024-06", "red").read_bytes()
    rewrite(red, dtype="float32")
    assert older.adopt() == EXIT_JOBS_FAILED
    told = capsys.readouterr().out
    assert f"left out: {JUNE}: 33N-469-3906/2024-06_red.tif: red: dtype: found float32, expected uint16" in told
    assert [one.job_id for one in older.session().plan.skipped] == [JULY]
    red.unlink()
    assert older.adopt() == EXIT_JOBS_FAILED
    assert f"left out: {JUNE}: found nothing at 33N-469-3906/2024-06_red.tif" in capsys.readouterr().out
    red.write_bytes(data)
    assert older.adopt() == EXIT_DONE
    assert "1 adopted, 1 were before, 0 left out" in capsys.readouterr().out
    assert len(older.items()) == 2


def test_a_checksum_beside_a_file_must_be_its_own(older: Older, capsys: pytest.CaptureFixture[str]) -> None:
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in older.folder.glob("*/*.tif")}
    wrong = older.file("2024-06", "red")
    rows = [
        f"{'0' * 64 if path == wrong else sum_}  {path.relative_to(older.folder)}" for path, sum_ in digests.items()
    ]
    (older.folder / "SHA256SUMS").write_text("\n".join(rows))
    assert older.adopt() == EXIT_JOBS_FAILED
    told = capsys.readouterr().out
    assert f"{wrong.relative_to(older.folder)}: found sha256 {digests[wrong]}, expected {'0' * 64}" in told
    assert "are of no job" not in told
    (item,) = older.items().values()
    record = next(older.output.glob("data/sentinel2/*/2024-07/inputs_*.json"))
    rows = json.loads(record.read_text())["adopted"]["files"]
    assert [row["compared_with"] for row in rows] == [["sha256 of SHA256SUMS"]] * 2 and item["id"].endswith("2024-07")


def test_one_file_may_hold_all_bands(older: Older) -> None:
    for month in ("2024-06", "2024-07"):
        red, nir = older.file(month, "red"), older.file(month, "nir")
        with rasterio.open(red) as first, rasterio.open(nir) as second:
            both = np.stack([first.read(1), second.read(1)])
        rewrite(red, both, count=2, interleave="band")
        red.rename(red.with_name(f"{month}.tif"))
        nir.unlink()
    assert older.adopt(template="{tile}/{period}.tif") == EXIT_DONE
    item = next(iter(older.items().values()))
    assert [band["name"] for band in item["assets"]["bands"]["bands"]] == ["red", "nir"]
    older.make()
    assert len(older.items("stack")) == 2
