"""Laws of tiles made together: each becomes what it is alone, and a lost input costs it what it costs alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rasterio
from rasterio.windows import Window as Part

from pipeline.products import load_product
from pipeline.read.blocks import Window
from pipeline.session import Session
from pipeline.types import Asset, Grid, Job, Made
from tests.worlds import SmallWorld

pytestmark = pytest.mark.long

AREA = "area.bbox=[11.985, 44.872, 12.018, 44.890]"
GRID = "grid.tile_px=96"


def june(world: SmallWorld, *sets: str) -> tuple[Session, list[Job]]:
    """A session, and the tiles of one zone and month, with those that touch both zones' scenes among them."""
    session = world.session(AREA, GRID, *(f"products.sentinel2.{each}" for each in sets))
    jobs = [job for job in session.plan.jobs if job.period.id == "2024-06" and job.tile.id.startswith("33N")]
    assert len(jobs) >= 4
    return session, jobs


def make(session: Session, jobs: Sequence[Job], folder: Path, **memory: int) -> list[Made]:
    """The tiles, together."""
    assignment = session.assignments()[jobs[0].product]
    folders = [folder / job.tile.id for job in jobs]
    for each in folders:
        each.mkdir(parents=True)
    planned = replace(jobs[0].memory, **memory)
    product = load_product(jobs[0].kind)
    return list(product.make(jobs, assignment.entry, assignment.context, folders, planned))


def described(made: Made) -> tuple[dict[str, str], Any, Any]:
    """Bytes of every file, what the item says, what was lost."""
    return {file.key: file.sha256 for file in made.files}, dict(made.properties), made.losses


@pytest.mark.parametrize("rows", [30, 1000])
@pytest.mark.parametrize(
    "sets",
    [
        ("composite=median", "indices=[ndvi]"),
        ("composite=p20", "mask=null"),
        ("composite=geomedian",),
        ("composite=best_pixel",),
        ("composite=least_cloudy", "mask=null"),
        ("composite=mean", "resampling=bilinear"),
        ("composite=none",),
        ("composite=median", "harmonise={sentinel-2: {red: [1.02, -0.003]}}", "layers=[reasons]"),
    ],
    ids=lambda sets: "-".join(each.partition("=")[2] for each in sets),
)
def test_a_tile_is_the_same_alone_and_among_its_neighbours(
    world: SmallWorld, tmp_path: Path, sets: tuple[str, ...], rows: int
) -> None:
    """Byte by byte, in strips that begin and end anywhere, with blocks carried from one to the next."""
    session, jobs = june(world, *sets)
    together = make(session, jobs, tmp_path / "together", strip_rows=rows, carry_bytes=2**24)
    assert_alone(session, jobs, together, tmp_path)


def test_tiles_together_decode_no_block_twice(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    original = Window._unpack

    def spy(self: Window, data: Any, spot: Any, *rest: Any) -> Any:
        decoded.append(self._key(spot))
        return original(self, data, spot, *rest)

    monkeypatch.setattr(Window, "_unpack", spy)
    session, jobs = june(world, "mask=null", "bands=[red]", "indices=[]")
    for job in jobs:
        make(session, [job], tmp_path / "alone")
    # What a whole scene is asked, its offset, is known from now on.
    decoded.clear()
    for job in jobs:
        make(session, [job], tmp_path / "again")
    alone = len(decoded)
    decoded.clear()
    make(session, jobs, tmp_path / "together", strip_rows=48, carry_bytes=2**26)
    assert len(decoded) == len(set(decoded))
    assert alone > len(decoded)


def test_a_lost_band_is_lost_to_every_tile_that_wants_it_and_to_no_other(world: SmallWorld, tmp_path: Path) -> None:
    session, jobs = june(world)
    jobs = with_red(jobs, jobs[0].items[0].id, Asset("red", str(tmp_path / "gone.tif")))
    together = make(session, jobs, tmp_path / "together", strip_rows=50)
    assert any(made.losses for made in together)
    assert_alone(session, jobs, together, tmp_path)


@pytest.mark.parametrize(
    "sets", [("composite=median",), ("composite=p20", "mask=null"), ("composite=latest", "mask=null"), ()], ids=str
)
def test_a_block_that_is_damaged_costs_the_whole_tile_its_scene_wherever_strips_begin(
    world: SmallWorld, tmp_path: Path, sets: tuple[str, ...]
) -> None:
    """Also what strips above it have read of the scene: so files are the same in any company and any memory."""
    session, jobs = june(world, *(sets or ("composite=none",)))
    box = jobs[0].tile.geobox.boundingbox
    scene, red = next((item.id, item.assets["red"].href) for item in reversed(jobs[0].items) if "33TTK" in item.id)
    path = tmp_path / "damaged.tif"
    with rasterio.open(red) as source:
        profile = {**source.profile, "tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read())
    with rasterio.open(path) as source:
        row, col = source.index((box.left + box.right) / 2, box.bottom + 100)
        start = int(source.get_tag_item(f"BLOCK_OFFSET_{col // 16}_{row // 16}", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    jobs = with_red(jobs, scene, Asset("red", str(path)))
    together = make(session, jobs, tmp_path / "together", strip_rows=48)
    assert [len(made.losses) for made in together] == [1] + [0] * (len(jobs) - 1)
    assert_alone(session, jobs, together, tmp_path)


def test_a_tile_that_a_misplaced_file_does_not_reach_loses_it_whatever_its_neighbours_have(
    world: SmallWorld, tmp_path: Path
) -> None:
    """By the catalogue the file covers all of them: where it ends sooner, nobody may take that for an empty scene."""
    session, jobs = june(world)
    scene, red = next((item.id, item.assets["red"].href) for item in jobs[0].items if "33TTK" in item.id)
    path = tmp_path / "short.tif"
    with rasterio.open(red) as source:
        declared = Grid(str(source.crs), source.transform[:6], source.shape)
        west = sorted({job.tile.geobox.transform.c for job in jobs})[1]
        width = round((west - source.transform.c) / source.transform.a)
        with rasterio.open(path, "w", **{**source.profile, "width": width, "tiled": False}) as target:
            target.write(source.read(window=Part(0, 0, width, source.height)))
    jobs = with_red(jobs, scene, Asset("red", str(path), grid=declared))
    together = make(session, jobs, tmp_path / "together")
    assert {len(made.losses) for made in together} == {0, 1}
    assert_alone(session, jobs, together, tmp_path)


def with_red(jobs: Sequence[Job], scene: str, red: Asset) -> list[Job]:
    """The jobs with another file in place of one scene's red band."""
    return [
        replace(
            job,
            items=tuple(
                replace(item, assets={**item.assets, "red": red}) if item.id == scene else item for item in job.items
            ),
        )
        for job in jobs
    ]


def assert_alone(session: Session, jobs: Sequence[Job], together: Sequence[Made], folder: Path) -> None:
    """What was made together is what each tile is alone."""
    for job, made in zip(jobs, together, strict=True):
        (alone,) = make(session, [job], folder / "alone")
        assert described(made) == described(alone)
