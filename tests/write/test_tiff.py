"""Laws of the file's layout: headers, the smallest overview's blocks, the layer's last; classic or BigTIFF."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from pipeline.write.tiff import Image, Tag, read_tags, whole_number, write_tiff

BLOCK = 512


def image(data: np.ndarray[tuple[int, int], np.dtype[np.uint8]], *, reduced: bool) -> Image:
    """One image of bytes, without a predictor."""
    rows, columns = data.shape
    padded = np.zeros((-(-rows // BLOCK) * BLOCK, -(-columns // BLOCK) * BLOCK), np.uint8)
    padded[:rows, :columns] = data
    blocks = [
        zlib.compress(padded[row : row + BLOCK, column : column + BLOCK].tobytes())
        for row in range(0, rows, BLOCK)
        for column in range(0, columns, BLOCK)
    ]
    numbers = {256: columns, 257: rows, 258: 8, 259: 8, 262: 1, 277: 1, 284: 1, 322: BLOCK, 323: BLOCK, 339: 1}
    tags = {number: whole_number(value) for number, value in numbers.items()}
    if reduced:
        return Image({**tags, 254: whole_number(1, 4)}, blocks)
    return Image({**tags, 33432: Tag(2, 5, b"free\0")}, blocks)


DATA = np.random.default_rng(0).integers(0, 50, (1100, 700)).astype(np.uint8)
IMAGES = [image(DATA, reduced=False), image(DATA[::2, ::2], reduced=True), image(DATA[::4, ::4], reduced=True)]


@pytest.mark.parametrize(("big", "version"), [(None, 42), (False, 42), (True, 43)])
def test_gdal_reads_it_and_finds_it_optimised(tmp_path: Path, *, big: bool | None, version: int) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, IMAGES, big=big)
    assert struct.unpack_from("<2sH", path.read_bytes()) == (b"II", version)
    assert cog_validate(path, strict=True, quiet=True) == (True, [], [])
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read(1), DATA)
        assert source.tags()["TIFFTAG_COPYRIGHT"] == "free"
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.overviews(1) == [2, 4]
    for level, step in enumerate((2, 4)):
        with rasterio.open(path, overview_level=level) as source:
            np.testing.assert_array_equal(source.read(1), DATA[::step, ::step])


def test_blocks_stand_where_the_note_says(tmp_path: Path) -> None:
    """Before each block its size, after it its last four bytes; smallest overview first, and nothing between them."""
    path = tmp_path / "a.tif"
    write_tiff(path, IMAGES)
    file = path.read_bytes()
    at = len(file)
    for one in IMAGES:
        for block in reversed(one.blocks):
            assert file[at - 4 : at] == block[-4:]
            assert file[at - 4 - len(block) : at - 4] == block
            at -= 8 + len(block)
            assert struct.unpack_from("<I", file, at) == (len(block),)
    with rasterio.open(path) as source:
        offset = source.tags(1, ns="TIFF").get(
            "BLOCK_OFFSET_0_0", source.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1)
        )
    assert file[int(offset) :].startswith(IMAGES[0].blocks[0])
    assert at % 2 == 0


def test_tags_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Short ones stand in their entry, long ones elsewhere."""
    path = tmp_path / "a.tif"
    write_tiff(path, IMAGES)
    found = read_tags(path.read_bytes())
    assert {number: found[number] for number in IMAGES[0].tags} == dict(IMAGES[0].tags)
    assert found[256].data == struct.pack("<H", 700)
    assert (found[324].count, found[325].count) == (6, 6)


@pytest.mark.parametrize(("value", "kind"), [(0, 3), (65_535, 3), (65_536, 4)])
def test_numbers_take_the_room_they_need(value: int, kind: int) -> None:
    tag = whole_number(value)
    assert (tag.kind, tag.count, int.from_bytes(tag.data, "little")) == (kind, 1, value)
