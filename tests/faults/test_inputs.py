"""One bad input costs the tiles that need it, by name, and no other: whole runs, and all that must hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.shutil import copy

from pipeline.errors import EXIT_BAD_CONFIG, EXIT_JOBS_FAILED, PermanentAssetError, TransientAssetError
from pipeline.read.access import Access
from pipeline.read.raster import Raster, attempt
from pipeline.types import Asset, Json
from tests.faults._runs import JOBS, Case, Tree, check_same
from tests.faults._worlds import GRID, write_tif
from tests.faults.invariants import Expected, check_invariants
from tests.faults.test_bad_inputs import DAMAGED
from tests.faults.test_hostile import bomb
from tests.servers.faulty import run_faulty

SCENES = ("S2B_32TQQ_20240711_0_L2A", "S2B_33TTK_20240711_0_L2A")
"""Of July. One of its others is damaged already: so June is what has nothing to do with them."""
NO_LOSS = ("--set", "run.missing_assets.max_fraction=0")
NOT_TIFF = "not a TIFF or JPEG 2000"
BOMB_PX = 50_000


@dataclass(frozen=True)
class Scene:
    """One scene of a world; what a test changes of it is put back."""

    folder: Path

    @property
    def item(self) -> Path:
        return self.folder / f"{self.folder.name}.json"

    @property
    def red(self) -> Path:
        return self.folder / "red.tif"

    def change(self, **fields: Json) -> None:
        """Replace fields of the red asset; None removes one."""
        document = json.loads(self.item.read_text())
        asset = {**document["assets"]["red"], **fields}
        document["assets"]["red"] = {name: value for name, value in asset.items() if value is not None}
        self.item.write_text(json.dumps(document))

    def drop(self) -> None:
        """The item has no such asset."""
        document = json.loads(self.item.read_text())
        del document["assets"]["red"]
        self.item.write_text(json.dumps(document))

    def forget_crs(self) -> None:
        """Neither the file nor the catalogue says where it lies."""
        with rasterio.open(self.red) as source:
            pixels = source.read(1)
        write_tif(self.red, pixels, GRID, crs=None, transform=None)
        document = json.loads(self.item.read_text())
        document["properties"].pop("proj:epsg")
        self.item.write_text(json.dumps(document))


@contextmanager
def spoilt(world: Path, spoil: Callable[[Scene], object]) -> Iterator[None]:
    """The scenes are spoilt while the block runs."""
    folders = [world / "s2" / name for name in SCENES]
    before = {path: path.read_bytes() for folder in folders for path in folder.iterdir()}
    try:
        for folder in folders:
            spoil(Scene(folder))
        yield
    finally:
        for path, data in before.items():
            path.write_bytes(data)


def cut(share: float) -> Callable[[Scene], object]:
    """Only the first part of the file is there."""
    return lambda scene: scene.red.write_bytes(scene.red.read_bytes()[: int(share * scene.red.stat().st_size)])


def page(scene: Scene) -> None:
    scene.red.write_text("<!DOCTYPE html><title>Sign in</title>")


def vrt(scene: Scene) -> None:
    scene.red.write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        "<SourceFilename>/vsicurl/http://127.0.0.1:9/x.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def bombed(scene: Scene) -> None:
    """A few megabytes in one tile that unpack to 2.5 GB; the catalogue says where they lie."""
    bomb(scene.red, BOMB_PX, "tile")
    a, b, c, d, e, f = json.loads(scene.item.read_text())["assets"]["red"]["proj:transform"][:6]
    fine = 256 / BOMB_PX
    scene.change(**{"proj:shape": [BOMB_PX] * 2, "proj:transform": [a * fine, b, c, d, e * fine, f]})


ROWS: dict[str, tuple[Callable[[Scene], object], str]] = {
    "F26 nothing of it": (cut(0), "the file is empty"),
    "F26 a thousandth of it": (cut(0.001), DAMAGED),
    "F26 a third of it": (cut(0.3), DAMAGED),
    "F26 nearly all of it": (cut(0.95), DAMAGED),
    "F28 a page": (page, f"{NOT_TIFF} (starts with '<!DO')"),
    "F31 a bomb": (bombed, "one block decodes to 2500000000 bytes"),
    "F32 a VRT": (vrt, NOT_TIFF),
    "F32 /vsicurl/": (lambda scene: scene.change(href="/vsicurl/http://127.0.0.1:9/x.tif"), "href refused"),
    "F32 /etc/passwd": (lambda scene: scene.change(href="file:///etc/passwd"), NOT_TIFF),
    "F32 the metadata service": (lambda scene: scene.change(href="http://169.254.169.254/x.tif"), "href refused"),
    "F33 no asset": (Scene.drop, "the item has no asset for red"),
    "F33 no file": (lambda scene: scene.red.unlink(), "no such file"),
    "F36 no CRS": (Scene.forget_crs, "no usable CRS"),
}


def check_costs_itself(case: Case, calm: Tree, cause: str) -> None:
    """Jobs that need the scenes fail and name them and the cause; all others are done, as in a calm run."""
    finished = case.run(*NO_LOSS)
    expected = Expected(EXIT_JOBS_FAILED, (SCENES[0], cause), not_made=JOBS // 2)
    told = check_invariants(case, calm, finished, expected)
    for job_id, record in told.items():
        assert (record["status"] == "failed") == job_id.endswith("/2024-07")
        if record["status"] == "failed":
            assert record["error"] == "MissingAssetsError"
            assert SCENES[0] in record["cause"] and cause in record["cause"], record["cause"]


@pytest.mark.full
@pytest.mark.parametrize("row", ROWS)
def test_a_bad_input_costs_the_tiles_that_need_it(case: Case, calm: Tree, row: str) -> None:
    spoil, cause = ROWS[row]
    with spoilt(case.world, spoil):
        check_costs_itself(case, calm, cause)


@pytest.mark.long
def test_once_the_input_is_whole_the_next_run_makes_the_rest(case: Case, calm: Tree) -> None:
    spoil, cause = ROWS["F26 a third of it"]
    with spoilt(case.world, spoil):
        check_costs_itself(case, calm, cause)
    finished = case.run()
    check_invariants(case, calm, finished, Expected())
    assert finished.counts() == {"done": JOBS // 2, "skipped": JOBS // 2, "failed": 0, "not started": 0}
    check_same(case, calm)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.95])
def test_a_cut_file_is_no_file_even_where_its_overviews_are_whole(tmp_path: Path, share: float) -> None:
    """Overviews come first: GDAL serves them of a file of which a third is there."""
    grid = GeoBox((512, 512), GRID.transform, GRID.crs)
    pixels = np.random.default_rng(0).integers(1, 9000, grid.shape).astype(np.uint16)
    write_tif(tmp_path / "plain.tif", pixels, grid)
    copy(tmp_path / "plain.tif", tmp_path / "cog.tif", driver="COG", compress="deflate", blocksize=128)
    whole = (tmp_path / "cog.tif").read_bytes()

    def read(raster: Raster) -> tuple[int, int]:
        level = raster.overview(4.0)
        level.read(slice(0, 128), slice(0, 128))
        return level.grid.shape

    path = tmp_path / "cut.tif"
    asset = Asset("red", str(path))
    path.write_bytes(whole)
    assert attempt(asset, Access(), "item", read) == (128, 128), "of an overview"
    path.write_bytes(whole[: int(share * len(whole))])
    if share > 0.1:
        with rasterio.open(path, overview_level=1) as other:
            assert other.read(1).any(), "the overview is whole"
    with pytest.raises(PermanentAssetError, match=r"cut\.tif: (the file is empty|damaged or not readable: )"):
        attempt(asset, Access(), "item", read)


def test_a_file_that_was_cut_is_read_once_it_is_whole(tmp_path: Path) -> None:
    """A worker keeps the heads of files: what it knows of one that was on its way must not outlive that."""
    pixels = np.random.default_rng(0).integers(1, 60_000, (512, 512)).astype(np.uint16)
    whole = write_tif(tmp_path / "red.tif", pixels, GRID).read_bytes()
    files = {"/red.tif": whole[:-1000]}

    def read(raster: Raster) -> int:
        return int(raster.read(slice(0, 512), slice(0, 512)).sum())

    with run_faulty(files) as server:
        asset, access = Asset("red", f"{server.address}/red.tif"), Access(local=False, attempts=1)
        with pytest.raises(TransientAssetError, match="the file is cut short"):
            attempt(asset, access, "item", read)
        files["/red.tif"] = whole
        assert attempt(asset, access, "item", read) == pixels.sum()


def test_chunks_that_do_not_fit_the_tiles_are_refused_before_anything_is_made(case: Case) -> None:
    """And a tile's store is its own: no chunk has two writers."""
    finished = case.run("--set", "write.zarr.chunk_px=100")
    assert finished.code == EXIT_BAD_CONFIG, finished.text
    assert "write.zarr.chunk_px" in finished.text and "100" in finished.text
    assert case.tree() == {}
