"""Real scenes through the real command, on disk and on S3: every output is checked by programs that are not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pipeline.errors import EXIT_DONE
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.session import Options, open_session
from pipeline.types import Asset
from tests.products.plain import plain_clear
from tests.schemas.validate import stac_errors
from tests.servers.weed import S3Server

pytestmark = pytest.mark.long
HERE = Path(__file__).parent
COGS = "raster/s2/e84v1_33TWL_cog"


@pytest.fixture(scope="session")
def slovenia_items(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five items as one list, hrefs made absolute: the folder has no catalogue of its own."""
    items = []
    for path in sorted((shared_data / COGS).glob("*/*.json")):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = str(path.parent / asset["href"])
        items.append(item)
    assert len(items) == 5
    target = tmp_path_factory.mktemp("items") / "items.json"
    target.write_text(json.dumps(items))
    return target


def run(config: Path, items: Path, output: str, *sets: str, **environment: str) -> str:
    """The command as a user types it; its terminal output."""
    options = [part for text in (f"sources.s2.items={items}", *sets) for part in ("--set", text)]
    command = [sys.executable, "-m", "pipeline.run", str(config), "--output", output, *options]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == EXIT_DONE, done.stdout + done.stderr
    return done.stdout


def check_output(shared_data: Path, uri: str, **environment: str) -> None:
    """The independent checker finds no fault and no left-over."""
    script = shared_data.parent / "tools" / "check_output.py"
    done = subprocess.run(
        [sys.executable, str(script), uri],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 faults, 0 left-over data files" in done.stdout


def committed(output: Path) -> list[tuple[Path, dict[str, Any]]]:
    return [(path, json.loads(path.read_text())) for path in sorted(output.glob("items/*/*.json"))]


def raster(item_path: Path, item: dict[str, Any], key: str) -> NDArray[np.generic]:
    with rasterio.open(item_path.parent / item["assets"][key]["href"]) as source:
        return np.asarray(source.read(1))


def test_slovenia_equals_plain_numpy_and_passes_every_checker(
    shared_data: Path, slovenia_items: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    text = run(HERE / "slovenia.yaml", slovenia_items, str(output))
    assert "4 done, 0 skipped, 0 failed" in text
    check_output(shared_data, str(output))
    options = Options(HERE / "slovenia.yaml", sets=[f"sources.s2.items={slovenia_items}"], overwrite=True)
    jobs = {job.id.replace("/", "_"): job for job in open_session(options).plan.jobs}
    for path, item in committed(output):
        assert stac_errors(item) == []
        target = Target.rows_of(jobs[item["id"]].tile.geobox)
        # Every pixel of 120 m is two by two of 60 m here, so the native mask can be carried over by repetition.
        days = []
        for folder in sorted((shared_data / COGS).iterdir(), key=lambda folder: folder.name[10:18]):
            clear = tmp_path / f"{folder.name}.tif"
            with rasterio.open(folder / "SCL.tif") as source, rasterio.open(clear, "w", **source.profile) as sink:
                sink.write(plain_clear(str(folder / "SCL.tif"), (0, 1, 3, 8, 9, 10), 1, 3), 1)
            keep = read_layer(Asset("clear", str(clear)), Access(), "plain", target) == 1
            red = read_layer(Asset("red", str(folder / "B04.tif")), Access(), "plain", target).astype(float)
            # `boa_offset_applied` is true of all five: nothing is subtracted, whatever raster:bands says.
            days.append(np.where(keep & (red > 0), red, np.nan))
        stack = np.stack(days)
        count = (~np.isnan(stack)).sum(axis=0)
        median = np.rint(np.nanmedian(np.where(count == 0, 0, stack), axis=0))
        np.testing.assert_array_equal(raster(path, item, "red"), median.astype(np.uint16))
        assert item["properties"]["groundswell:offsets"] == {"0": 5}


def test_flanders_reads_three_bands_of_one_file(shared_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    collection = shared_data / "raster/s2/openeo_10m_3dates/collection.json"
    run(HERE / "flanders.yaml", collection, str(output))
    check_output(shared_data, str(output))
    seen = 0
    for path, item in committed(output):
        assert stac_errors(item) == []
        transform = rasterio.Affine(*item["assets"]["red"]["proj:transform"])
        files = sorted((shared_data / "raster/s2/openeo_10m_3dates").rglob("*.tif"))
        for number, band in enumerate(("red", "green", "blue"), start=1):
            layers = []
            for file in files:
                with rasterio.open(file) as source:
                    data, corner = (
                        source.read(number).astype(float),
                        ~transform @ (source.transform.c, source.transform.f),
                    )
                layer = np.full((128, 128), np.nan)
                col, row = round(corner[0]), round(corner[1])
                rows, cols = np.mgrid[0 : data.shape[0], 0 : data.shape[1]]
                inside = (rows + row >= 0) & (rows + row < 128) & (cols + col >= 0) & (cols + col < 128)
                layer[(rows + row)[inside], (cols + col)[inside]] = np.where(data == -32768, np.nan, data)[inside]
                layers.append(layer)
            stack = np.stack(layers)
            covered = ~np.isnan(stack).all(axis=0)
            median = np.zeros((128, 128))
            median[covered] = np.rint(np.nanmedian(stack[:, covered], axis=0))
            np.testing.assert_array_equal(raster(path, item, band), median)
            seen += int(covered.sum())
    assert seen == 3 * 73 * 58, "every source pixel is on exactly one tile"


def test_strict_validators_accept_the_cogs(shared_data: Path, slovenia_items: Path, tmp_path: Path) -> None:
    """`rio cogeo validate --strict`, as a user would run it, on a file of each layer, large enough for overviews."""
    output = tmp_path / "out"
    run(HERE / "slovenia.yaml", slovenia_items, str(output), "grid.tile_px=1024", "write={cog: {compress: zstd}}")
    cogs = {path.name: path for path in sorted(output.glob("data/**/*.tif"))}
    assert len(cogs) > 1
    rio = Path(sys.executable).with_name("rio")
    for cog in cogs.values():
        done = subprocess.run(
            [str(rio), "cogeo", "validate", "--strict", str(cog)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "is a valid cloud optimized GeoTIFF" in done.stdout, done.stdout + done.stderr


def test_slovenia_on_s3_equals_slovenia_on_disk(
    shared_data: Path, slovenia_items: Path, tmp_path: Path, s3_server: S3Server
) -> None:
    bucket = "real"
    s3_server.make_bucket(bucket)
    uri, endpoint = f"s3://{bucket}/slovenia", f"storage.endpoint={s3_server.endpoint}"
    run(HERE / "slovenia.yaml", slovenia_items, uri, endpoint, **s3_server.environment)
    again = run(HERE / "slovenia.yaml", slovenia_items, uri, endpoint, **s3_server.environment)
    assert "0 done, 4 skipped" in again
    check_output(shared_data, uri, **s3_server.environment)
    run(HERE / "slovenia.yaml", slovenia_items, str(tmp_path / "out"))
    fs = s3_server.client()
    for path in sorted((tmp_path / "out" / "data").rglob("*.*")):
        key = f"{bucket}/slovenia/{path.relative_to(tmp_path / 'out')}"
        assert fs.cat_file(key) == path.read_bytes(), key
