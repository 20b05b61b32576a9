"""A bad file costs at most its own asset or its own job, and what is said of it names job, item, asset, href, cause.

One row for every file of the shared data's `raster/bad`; see its README for what is wrong with each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.errors import RasterioIOError

from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED
from pipeline.products.sentinel2 import QA_LOST
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.types import Asset, Status
from tests.faults._worlds import GRID, World, read_band, read_item, run_command, run_world
from tests.servers.tokens import run_token_server

# Files without a CRS are the subject here; the pipeline silences this where it reads, pytest listens again.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")]

DAMAGED = "damaged or not readable"
NO_CRS = "no usable CRS: the file has none, the catalogue a grid of"
LOST = {
    "derived/bitflips_200.tif": DAMAGED,
    "derived/empty.tif": "the file is empty",
    "derived/jp2_named_tif_no_sidecar_no_crs.tif": NO_CRS,
    "derived/s3_access_denied.tif": "not a TIFF or JPEG 2000 (starts with '<?xm')",
    "derived/truncated_16KiB_ghost+ifd_only.tif": DAMAGED,
    "derived/truncated_60pct.tif": DAMAGED,
    "derived/truncated_half.jp2": DAMAGED,
    "derived/truncated_header_300B.tif": NO_CRS,
    "derived/zeroed_middle_64KiB.tif": DAMAGED,
    "libtiff/test_ifd_loop_subifd.tif": NO_CRS,
    "libtiff/test_ifd_loop_to_first.tif": NO_CRS,
    "libtiff/test_ifd_loop_to_self.tif": NO_CRS,
    "libtiff/testfax3_bug_513.tiff": NO_CRS,
    "odd-but-valid/au-3577-rotated.tif": "are float32",
    "odd-but-valid/au-gcp.tif": "no usable CRS: the file has only ground control points",
    "rasterio/corrupt.tif": DAMAGED,
}
RIGHT = ("derived/ok_reference_B11.tif", "libtiff/deflate-last-strip-extra-data.tiff", "rasterio/all-nodata.tif")
DECLARED = ("derived/jp2_named_tif_no_sidecar_no_crs.tif", "libtiff/test_ifd_loop_to_self.tif")
"""Right pixels once the catalogue says where they lie, since the file cannot."""


@pytest.fixture
def bad(shared_data: Path) -> Path:
    return shared_data / "raster" / "bad"


def grid_of(path: Path) -> GeoBox:
    """A file's own grid, so that every one of its blocks is read; a grid inside it where it is rotated; else GRID."""
    if path.name == "au-3577-rotated.tif":
        return GeoBox((64, 64), Affine(5000, 0, -500_000, 0, -5000, -3_000_000), "EPSG:3577")
    try:
        with rasterio.open(path) as dataset:
            return GeoBox(dataset.shape, dataset.transform, dataset.crs) if dataset.crs else GRID
    except RasterioIOError:
        return GRID


def with_one_bad(folder: Path, asset: str, href: Path | str, grid: GeoBox = GRID) -> World:
    """Four good scenes in June 2024 and a fifth whose `asset` is bad."""
    world = World(folder, grid)
    for day in range(1, 5):
        world.add(f"2024-06-{day:02d}")
    world.add("2024-06-20", {asset: href})
    return world


def test_every_file_of_the_folder_has_a_row(bad: Path) -> None:
    assert {str(path.relative_to(bad)) for path in bad.rglob("*") if path.is_file()} == {*LOST, *RIGHT}


@pytest.mark.parametrize("asset", ["red", "scl"])
@pytest.mark.parametrize("name", LOST)
def test_a_bad_file_costs_its_own_scene_and_the_loss_is_named(tmp_path: Path, bad: Path, name: str, asset: str) -> None:
    path = bad / name
    grid = grid_of(path)
    world = with_one_bad(tmp_path, asset, path, grid)
    mask = {"classes": [9], "open_px": 0, "dilate_px": 0} if asset == "scl" else None
    outcome = run_world(world.config({"mask": mask}), grid)
    assert outcome.status is Status.DONE, outcome
    (loss,) = outcome.losses
    assert (loss.item, loss.asset, loss.href) == ("scene-4-2024-06-20", asset, str(path))
    assert LOST[name] in loss.cause
    (told,) = read_item(world, outcome)["properties"]["groundswell:missing_assets"]
    assert told == {
        "item": loss.item,
        "asset": asset,
        "href": str(path),
        "error": "PermanentAssetError",
        "cause": loss.cause,
    }
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2, 3))
    assert (read_band(world, outcome, "count") == 4).all()
    assert (read_band(world, outcome, "qa") == QA_LOST).all()


@pytest.mark.parametrize("name", LOST)
def test_where_losses_fail_the_job_nothing_is_written_and_the_cause_is_named(
    tmp_path: Path, bad: Path, name: str
) -> None:
    path = bad / name
    grid = grid_of(path)
    world = with_one_bad(tmp_path, "red", path, grid)
    outcome = run_world(world.config({"missing_assets": {"policy": "fail"}}), grid)
    assert (outcome.status, outcome.error) == (Status.FAILED, "MissingAssetsError")
    for part in (outcome.job_id, "scene-4-2024-06-20", "asset red", str(path), LOST[name]):
        assert part in str(outcome.cause)
    assert not world.output.exists()


@pytest.mark.parametrize("name", RIGHT)
def test_a_file_that_reads_gives_the_pixels_that_rasterio_gives(tmp_path: Path, bad: Path, name: str) -> None:
    path = bad / name
    world = World(tmp_path, grid_of(path))
    world.add("2024-06-20", {"red": path})
    outcome = run_world(world.config(), world.grid)
    assert (outcome.status, outcome.losses) == (Status.DONE, ())
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(read_band(world, outcome, "red"), dataset.read(1))


@pytest.mark.parametrize("name", RIGHT[:2])
def test_a_file_in_another_projection_gives_the_nearest_pixels_that_pyproj_says(bad: Path, name: str) -> None:
    with rasterio.open(bad / name) as dataset:
        data, crs, (size, _, west, _, _, north) = dataset.read(1), dataset.crs, dataset.transform[:6]
    corner = Transformer.from_crs(crs, "EPSG:3857", always_xy=True).transform(west + 60 * size, north - 60 * size)
    grid = GeoBox((200, 200), Affine(size, 0, corner[0], 0, -size, corner[1]), "EPSG:3857")
    layer = read_layer(Asset("red", str(bad / name)), Access(), "item", Target.rows_of(grid))
    columns, rows = np.meshgrid(np.arange(200) + 0.5, np.arange(200) + 0.5)
    back = Transformer.from_crs("EPSG:3857", crs, always_xy=True)
    x, y = back.transform(corner[0] + size * columns, corner[1] - size * rows)
    column, row = (x - west) / size, (north - y) / size
    near_a_tie = np.minimum(abs(column - np.rint(column)), abs(row - np.rint(row))) < 0.05
    expected = data[np.floor(row).astype(int), np.floor(column).astype(int)]
    assert near_a_tie.mean() < 0.25
    np.testing.assert_array_equal(layer[~near_a_tie], expected[~near_a_tie])


@pytest.mark.parametrize("name", DECLARED)
def test_a_file_without_a_crs_takes_the_catalogues_grid_and_says_so(tmp_path: Path, bad: Path, name: str) -> None:
    with rasterio.open(bad / name) as dataset:
        data = dataset.read(1)
    world = World(tmp_path, GeoBox(data.shape, GRID.transform, GRID.crs))
    world.add("2024-06-20", {"red": bad / name})
    outcome = run_world(world.config(), world.grid)
    assert outcome.status is Status.DONE
    np.testing.assert_array_equal(read_band(world, outcome, "red"), data)
    assert outcome.warnings == (f"{bad / name}: no CRS in the file; the catalogue's EPSG:32633 was used",)


def test_ground_control_points_are_no_grid_whatever_the_catalogue_declares(tmp_path: Path, bad: Path) -> None:
    world = World(tmp_path, GeoBox((124, 133), GRID.transform, GRID.crs))
    world.add("2024-06-19")
    world.add("2024-06-20", {"red": bad / "odd-but-valid/au-gcp.tif"})
    outcome = run_world(world.config(), world.grid)
    assert [loss.item for loss in outcome.losses] == ["scene-1-2024-06-20"]
    assert "only ground control points" in outcome.losses[0].cause


@pytest.mark.parametrize(
    ("name", "cause"), [("gone.tif", "HTTP 404"), ("page.tif", "not a TIFF or JPEG 2000 (starts with '<!DO')")]
)
def test_what_a_server_says_instead_of_a_file_is_the_cause(tmp_path: Path, name: str, cause: str) -> None:
    (tmp_path / "page.tif").write_text("<!DOCTYPE html><title>Sign in</title>")
    with run_token_server(tmp_path) as server:
        world = with_one_bad(tmp_path, "red", server.address + name)
        outcome = run_world(world.config())
    assert [(loss.href, loss.cause, loss.attempts) for loss in outcome.losses] == [(server.address + name, cause, 1)]
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2, 3))


def test_more_loss_than_allowed_fails_the_job_and_names_every_loss(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add("2024-06-01")
    for day in (2, 3):
        world.add(f"2024-06-{day:02d}", {"red": tmp_path / f"gone-{day}.tif"})
    outcome = run_world(world.config())
    assert (outcome.status, outcome.error) == (Status.FAILED, "MissingAssetsError")
    for part in (outcome.job_id, "2 of 3 assets", "50%", "scene-1-2024-06-02/red", "gone-2.tif", "gone-3.tif"):
        assert part in str(outcome.cause)
    assert not world.output.exists()


def test_the_command_ends_with_0_and_a_named_warning_within_the_allowed_loss(tmp_path: Path, bad: Path) -> None:
    path = bad / "derived/s3_access_denied.tif"
    world = with_one_bad(tmp_path, "red", path)
    done = run_command(world.config(), tmp_path / "state")
    assert done.returncode == EXIT_DONE, done.stdout + done.stderr
    named = f"lost scene-4-2024-06-20/red ({path}): {LOST['derived/s3_access_denied.tif']}"
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: sentinel2/") and line.endswith(named)
    assert "1 done, 0 skipped, 0 failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_command_ends_with_1_when_a_job_fails_and_commits_the_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    for day in ("06-01", "06-02", "07-02"):
        world.add(f"2024-{day}")
    path = tmp_path / world.items[1]["assets"]["red"]["href"]
    path.write_bytes(path.read_bytes()[:3000])
    done = run_command(world.config({"missing_assets": {"policy": "fail"}}), tmp_path / "state")
    assert done.returncode == EXIT_JOBS_FAILED, done.stdout + done.stderr
    (line,) = {line for line in done.stdout.splitlines() if line.startswith("failed: ")}
    for part in ("/2024-06: MissingAssetsError", "item scene-1-2024-06-02, asset red", str(path), DAMAGED):
        assert part in line
    assert "1 done, 0 skipped, 1 failed" in done.stdout
    (item,) = (world.output / "items" / "sentinel2").iterdir()
    assert "_2024-07_" in item.name
    assert "Traceback" not in done.stdout + done.stderr
