"""LZW is unpacked as libtiff does, and no damaged stream leads the decoder out of its buffers."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import rasterio

from pipeline.read.access import Access
from pipeline.read.geotiff import GeoTiff
from pipeline.read.lzw import lzw_decode
from pipeline.read.raster import open_raster
from pipeline.types import Asset
from tests.read.tiffs import equal, put_together, tags_of

GUARD = 64


def noise(size: int, alphabet: int, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, alphabet, size, dtype=np.uint16).astype(np.uint8).tobytes()


def decoded(stream: bytes, size: int) -> bytes:
    """What is unpacked into a buffer of that size; nothing behind it may change."""
    room = np.full(size + GUARD, 0xA5, np.uint8)
    try:
        return bytes(lzw_decode(stream, out=room[:size]))
    finally:
        assert (room[size:] == 0xA5).all()


def old_encode(data: bytes) -> bytes:
    """LZW of before TIFF 5: codes begin with their lowest bit, and grow one code later."""
    table, text, codes = {bytes([byte]): byte for byte in range(256)}, b"", [(256, 9)]
    following, width = 258, 9
    for byte in data:
        longer = text + bytes([byte])
        if longer in table:
            text = longer
            continue
        codes.append((table[text], width))
        if following == 4094:
            codes.append((256, width))
            table, following, width = {bytes([each]): each for each in range(256)}, 258, 9
        else:
            # The reader knows each string one code later than the writer.
            width = max(9, following.bit_length())
            table[longer], following = following, following + 1
        text = bytes([byte])
    codes += [(table[text], width), (257, max(9, following.bit_length()))]
    number, bits = 0, 0
    for code, size in codes:
        number, bits = number | code << bits, bits + size
    return number.to_bytes(-(-bits // 8), "little")


@pytest.mark.parametrize("alphabet", [1, 2, 20, 256])
@pytest.mark.parametrize("size", [1, 2, 255, 257, 3000, 100_000])
def test_what_was_packed_comes_back(size: int, alphabet: int) -> None:
    data = noise(size, alphabet, size)
    assert decoded(bytes(imagecodecs.lzw_encode(data)), size) == data


def test_more_than_there_is_room_for_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="too small"):
        decoded(bytes(imagecodecs.lzw_encode(noise(300, 4, 0))), 299)


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_leads_out_of_the_buffers(seed: int) -> None:
    """Flipped bits, cut streams, and noise that begins as a stream does: an error, or not more than there is room."""
    rng, refused = np.random.default_rng(seed), 0
    for number in range(2000):
        size = int(rng.integers(1, 5000))
        stream = bytearray(bytes(imagecodecs.lzw_encode(noise(size, int(rng.choice([2, 20, 256])), number))))
        if number % 3 == 0:
            stream = bytearray(b"\x80" + rng.integers(0, 256, int(rng.integers(1, 400)), dtype=np.uint8).tobytes())
            stream[1] &= 0x7F
        elif number % 3 == 1:
            for _ in range(int(rng.integers(1, 6))):
                stream[int(rng.integers(len(stream)))] ^= 1 << int(rng.integers(8))
        else:
            del stream[int(rng.integers(len(stream))) :]
        try:
            assert len(decoded(bytes(stream), size)) <= size
        except RuntimeError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("alphabet", [2, 20, 256])
def test_streams_of_before_tiff_5_are_read_as_gdal_reads_them(tmp_path: Path, alphabet: int) -> None:
    raw = [noise(128 * 128, alphabet, number) for number in range(4)]
    blocks = [old_encode(each) for each in raw]
    path = put_together(tmp_path / "x.tif", tags_of(256, blocks, block=128, compression=5), blocks)
    tiles = [np.frombuffer(each, np.uint8).reshape(128, 128) for each in raw]
    with rasterio.open(path) as dataset:
        truth = dataset.read(1)
    assert equal(truth, np.block([tiles[:2], tiles[2:]]))
    with open_raster(Asset("x", str(path)), Access()) as raster:
        assert isinstance(raster, GeoTiff)
        assert equal(raster.read(slice(0, 256), slice(0, 256)), truth)
