"""What is not needed is not fetched, what is carried is not unpacked twice, and damage is named by its block."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pipeline.errors import PermanentAssetError
from pipeline.read import codecs
from pipeline.read.access import Access
from pipeline.read.carry import Carry
from pipeline.read.fetch import ByteSource
from pipeline.read.gdal import GdalRaster
from pipeline.read.geotiff import GeoTiff
from pipeline.read.raster import attempt, open_raster
from pipeline.types import Asset
from tests.read.tiffs import equal, noise, put_together, tags_of, write

ENCODERS: dict[int, Callable[[bytes], Any]] = {
    codecs.NONE: bytes,
    codecs.LZW: imagecodecs.lzw_encode,
    codecs.DEFLATE: zlib.compress,
    codecs.OLD_DEFLATE: zlib.compress,
    codecs.ZSTD: imagecodecs.zstd_encode,
}
SHAPE, BLOCK = (150, 170), (32, 48)
TILED = {"tiled": True, "blockxsize": BLOCK[1], "blockysize": BLOCK[0], "compress": "deflate", "predictor": 2}


@dataclass
class Counted:
    """A source that notes what is asked of it."""

    source: ByteSource
    spans: list[tuple[int, int]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def ranges(self, spans: Sequence[tuple[int, int]]) -> list[memoryview]:
        self.spans += spans
        return self.source.ranges(spans)


@pytest.fixture
def pixels() -> NDArray[np.uint16]:
    return noise(SHAPE, "uint16")


@pytest.fixture
def path(tmp_path: Path, pixels: NDArray[np.uint16]) -> Path:
    return write(tmp_path / "x.tif", pixels, **TILED)


def counted(raster: Any) -> tuple[GeoTiff, Counted]:
    assert isinstance(raster, GeoTiff)
    source = Counted(raster.source)
    return replace(raster, source=source), source  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(12))
def test_only_needed_blocks_are_fetched_and_the_others_are_0(path: Path, pixels: NDArray[np.uint16], seed: int) -> None:
    rng = np.random.default_rng(seed)
    (top, bottom), (left, right) = (sorted(rng.choice(side + 1, 2, replace=False).tolist()) for side in SHAPE)
    rows, cols = np.arange(top, bottom) // BLOCK[0], np.arange(left, right) // BLOCK[1]
    need = rng.random((rows[-1] - rows[0] + 1, cols[-1] - cols[0] + 1)) < 0.5
    expected = np.where(need[np.ix_(rows - rows[0], cols - cols[0])], pixels[top:bottom, left:right], 0)
    with open_raster(Asset("x", str(path)), Access()) as opened:
        raster, source = counted(opened)
        assert equal(raster.read(slice(top, bottom), slice(left, right), need=need), expected)
        assert len(source.spans) == need.sum()
        with pytest.raises(ValueError, match=r"`need` is \(9, 9\); the window touches"):
            raster.read(slice(top, bottom), slice(left, right), need=np.ones((9, 9), bool))


@pytest.mark.parametrize("options", [TILED, {"compress": "lzw", "blockysize": 19}, {"blockysize": 19}], ids=str)
@pytest.mark.parametrize("strip", [20, 32, 50, 150])
def test_what_is_carried_is_fetched_once_and_pixels_stay_the_same(
    tmp_path: Path, pixels: NDArray[np.uint16], strip: int, options: dict[str, Any]
) -> None:
    path = write(tmp_path / "c.tif", pixels, **options)
    carry = Carry(10**6)
    with open_raster(Asset("x", str(path)), Access()) as opened:
        raster, source = counted(opened)
        for top in range(0, SHAPE[0], strip):
            rows = slice(top, min(top + strip, SHAPE[0]))
            found = raster.read(rows, slice(5, 160), carry=carry, below=rows.stop)
            assert equal(found, pixels[rows, 5:160])
        assert len(source.spans) == len(set(source.spans)), "a block was fetched twice"
    assert carry.used_bytes == 0, "something was kept beyond the last strip"


@pytest.mark.parametrize("budget", [0, 32 * 48 * 2, 3 * (32 * 48 * 2 + 1)])
def test_a_budget_that_is_too_small_costs_work_and_no_pixel(
    path: Path, pixels: NDArray[np.uint16], budget: int
) -> None:
    carry = Carry(budget)
    with open_raster(Asset("x", str(path)), Access()) as raster:
        for top in range(0, 150, 50):
            found = raster.read(slice(top, top + 50), slice(0, 170), carry=carry, below=top + 50)
            assert equal(found, pixels[top : top + 50])
            assert carry.used_bytes <= budget


def test_strips_that_overlap_and_blocks_that_are_not_needed_for_now(path: Path, pixels: NDArray[np.uint16]) -> None:
    """A carried block survives a read that does not need it, as long as it reaches into the next one."""
    carry = Carry(10**6)
    with open_raster(Asset("x", str(path)), Access()) as opened:
        raster, source = counted(opened)
        raster.read(slice(0, 60), slice(0, 48), carry=carry, below=34)
        nothing = raster.read(slice(34, 40), slice(0, 48), need=np.zeros((1, 1), bool), carry=carry, below=40)
        assert not nothing.any()
        assert equal(raster.read(slice(40, 60), slice(0, 48), carry=carry), pixels[40:60, :48])
        assert len(source.spans) == 2
    assert carry.used_bytes == 0


@pytest.mark.parametrize("height", [32, 64, 128])
def test_blocks_of_an_older_version_are_not_used(tmp_path: Path, height: int) -> None:
    """A file that is replaced between two strips, by one with other pixels and perhaps other blocks."""
    path, carry, (old, new) = tmp_path / "x.tif", Carry(10**6), (noise((256, 170), "uint16", seed) for seed in (1, 2))
    with open_raster(Asset("x", str(write(path, old, **TILED))), Access()) as raster:
        assert equal(raster.read(slice(0, 40), slice(0, 170), carry=carry, below=40), old[:40])
    assert carry.used_bytes
    with open_raster(Asset("x", str(write(path, new, **TILED | {"blockysize": height}))), Access()) as raster:
        assert equal(raster.read(slice(40, 256), slice(0, 170), carry=carry, below=256), new[40:])


def test_bands_and_levels_do_not_take_each_others_blocks(tmp_path: Path) -> None:
    bands = noise((2, *SHAPE), "uint16")
    path = write(tmp_path / "x.tif", bands, **TILED, interleave="pixel")
    carry = Carry(10**6)
    for band in (1, 2):
        with open_raster(Asset("x", str(path), band), Access()) as raster:
            raster.read(slice(0, 40), slice(0, 170), carry=carry, below=40)
    for band in (1, 2):
        with open_raster(Asset("x", str(path), band), Access()) as raster:
            assert equal(raster.read(slice(40, 64), slice(0, 170), carry=carry), bands[band - 1, 40:64])


def block_places(path: Path) -> list[tuple[int, int]]:
    """Offset and size of every block, as GDAL says; row by row."""
    with rasterio.open(path) as dataset:
        high, wide = dataset.block_shapes[0]
        names = [
            f"BLOCK_OFFSET_{col}_{row}"
            for row in range(-(-dataset.height // high))
            for col in range(-(-dataset.width // wide))
        ]
        pairs = [(name, name.replace("OFFSET", "SIZE")) for name in names]
        return [
            (int(dataset.get_tag_item(a, "TIFF", bidx=1)), int(dataset.get_tag_item(b, "TIFF", bidx=1)))
            for a, b in pairs
        ]


def read_all(path: Path) -> NDArray[Any]:
    return attempt(Asset("x", str(path)), Access(), "item", lambda raster: raster.read(slice(0, 150), slice(0, 170)))


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_in_a_deflate_block_is_named_with_its_block(path: Path, seed: int) -> None:
    """Anywhere but in the two bits of the zlib header that say how hard the writer tried."""
    rng = np.random.default_rng(seed)
    places = block_places(path)
    number = int(rng.integers(len(places)))
    start, length = places[number]
    data = bytearray(path.read_bytes())
    data[start + int(rng.integers(2, length))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    spot = rf"damaged or not readable: block \(row {number // 4}, column {number % 4}\) at byte {start:,}, {length:,}"
    with pytest.raises(PermanentAssetError, match=spot):
        read_all(path)


@pytest.mark.parametrize(
    ("compress", "share"), [("zstd", 0), *((name, share) for name in ("deflate", "lzw") for share in (0, 0.3, 0.9))]
)
def test_a_zeroed_end_of_a_block_is_named(tmp_path: Path, compress: str, share: float) -> None:
    path = write(tmp_path / "z.tif", noise(SHAPE, "uint16"), **TILED | {"compress": compress})
    start, length = block_places(path)[6]
    data = bytearray(path.read_bytes())
    first = int(length * share)
    data[start + first : start + length] = bytes(length - first)
    path.write_bytes(data)
    with pytest.raises(PermanentAssetError, match=r"damaged or not readable: block \(row 1, column 2\) at byte"):
        read_all(path)


@pytest.mark.parametrize("compression", [codecs.NONE, codecs.LZW, codecs.DEFLATE, codecs.OLD_DEFLATE, codecs.ZSTD])
def test_a_block_of_another_size_is_named_with_both_sizes(tmp_path: Path, compression: int) -> None:
    """GDAL takes what is too long for good; here a block is its pixels or none."""
    encode = ENCODERS[compression]
    right = encode(bytes(range(256)))
    cases = {
        255: "unpacks to 255 bytes; expected 256",
        257: "unpacks to more than 256 bytes",
        10**5: "more than 256 bytes",
    }
    for size, said in cases.items():
        blocks = [right, right, encode(bytes(size)), right]
        path = put_together(tmp_path / f"{size}.tif", tags_of(32, blocks, compression=compression), blocks)
        with open_raster(Asset("x", str(path)), Access()) as raster:
            if compression == codecs.NONE:
                assert isinstance(raster, GdalRaster)  # by its index alone, before any block is read
                continue
            assert isinstance(raster, GeoTiff)
            assert (
                raster.read(slice(0, 16), slice(0, 32)).tobytes()
                == np.tile(np.arange(256, dtype=np.uint8).reshape(16, 16), 2).tobytes()
            )
            where = rf"^block \(row 1, column 0\) at byte {8 + 2 * len(right)}, {len(blocks[2])} bytes long: .*{said}"
            with pytest.raises(OSError, match=where):
                raster.read(slice(0, 32), slice(0, 32))


def test_a_block_that_claims_more_bytes_than_it_can_have_is_not_fetched(tmp_path: Path) -> None:
    blocks = [ENCODERS[codecs.DEFLATE](bytes(256)), bytes(10**5)]
    tags = tags_of(16, blocks[:1])
    tags[325] = 4, np.array([90_000], "<u4")
    path = put_together(tmp_path / "x.tif", tags, blocks)
    with open_raster(Asset("x", str(path)), Access()) as opened:
        raster, source = counted(opened)
        with pytest.raises(OSError, match="90,000 bytes long: expected at most 1,536 bytes for 256 of pixels"):
            raster.read(slice(0, 16), slice(0, 16))
        assert source.spans == []


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_file_cut_short_says_where_it_ends(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(PermanentAssetError, match=rf"blocks lie beyond {int(len(whole) * share)} bytes"):
        read_all(path)


def test_a_last_strip_that_its_writer_filled_up_is_read(shared_data: Path) -> None:
    path = shared_data / "raster/bad/libtiff/deflate-last-strip-extra-data.tiff"
    with rasterio.open(path) as dataset, open_raster(Asset("x", str(path)), Access()) as raster:
        assert isinstance(raster, GeoTiff)
        assert equal(raster.read(slice(0, 500), slice(0, 500)), dataset.read(1))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("samples", [1, 3])
def test_differences_are_summed_modulo_their_size(dtype: str, samples: int) -> None:
    """Any rows and columns of a block, to any place of a larger array, and nothing beside them."""
    rng = np.random.default_rng(4)
    info = np.iinfo(dtype)
    stored = rng.integers(0, info.max, (11, 17, samples), dtype=dtype, endpoint=True)
    summed = np.add.accumulate(stored, axis=1, dtype=dtype)
    for sample in range(samples):
        layout = codecs.Layout(
            codecs.DEFLATE, 2, np.dtype(dtype), swapped=False, width=17, samples=samples, sample=sample
        )
        for part in ((0, 11, 0, 17), (3, 4, 5, 6), (2, 9, 1, 17), (10, 11, 16, 17)):
            out = np.full((20, 30), 77, dtype)
            codecs.put(stored.reshape(-1).view(np.uint8), layout, part, out, (4, 6))
            expected = np.full((20, 30), 77, dtype)
            r0, r1, c0, c1 = part
            expected[4 : 4 + r1 - r0, 6 : 6 + c1 - c0] = summed[r0:r1, c0:c1, sample]
            np.testing.assert_array_equal(out, expected)
