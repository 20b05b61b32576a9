"""Laws of the deflate of noise: any zlib reads back what was given, and it is as small as Huffman's code can be."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.write import deflate as module
from pipeline.write.deflate import deflate, room

rng = np.random.default_rng(0)
SIZE = 64 * 1024
SPARSE = np.where(rng.random(SIZE) < 0.4, rng.integers(0, 256, SIZE), 0)
RUNS = rng.integers(0, 256, SIZE)
for start, length in zip(rng.integers(0, SIZE - 4000, 20), rng.integers(1, 4000, 20), strict=True):
    RUNS[start : start + length] = 0
BLOCKS = {
    "every byte as often": rng.integers(0, 256, SIZE),
    "half zeros": SPARSE,
    "runs of zeros of every length": RUNS,
    "no zeros": rng.integers(1, 256, SIZE),
    "one byte": np.full(SIZE, 7),
    "zeros": np.zeros(SIZE),
    "bytes ever rarer": np.minimum(rng.geometric(0.05, SIZE), 255),
    "two bytes": rng.integers(0, 2, SIZE) * 255,
    "eight bytes": rng.integers(0, 256, 8),
}


def coded(block: np.ndarray[Any, Any]) -> bytes:
    data = block.astype(np.uint8)
    return bytes(deflate(data, room(data.size)))


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_every_inflater_reads_it_back(block: np.ndarray[Any, Any]) -> None:
    """Both zlib and libdeflate give the bytes, and check the sum at the end."""
    expected = block.astype(np.uint8).tobytes()
    assert zlib.decompress(coded(block)) == expected
    assert bytes(imagecodecs.deflate_decode(coded(block), out=len(expected), raw=False)) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0, 0, 0, 1, 200, 255]), min_size=1, max_size=600), st.integers(0, 2**32 - 1))
def test_any_mixture_of_zeros_and_noise_comes_back(runs: list[int], seed: int) -> None:
    """Where zeros begin and end, and how long they last, never matters."""
    noise = np.random.default_rng(seed)
    parts = [np.zeros(seed % 67, np.uint8) if each == 0 else noise.integers(0, each + 1, 97) for each in runs]
    data = np.concatenate(parts).astype(np.uint8)
    data = np.resize(data, -(-max(data.size, 8) // 8) * 8)
    assert zlib.decompress(coded(data)) == data.tobytes()


def test_noise_is_as_small_as_its_entropy_allows() -> None:
    """Within a hundredth of the entropy of its bytes, so not larger than zlib makes it at its default level."""
    data = np.rint(rng.normal(0, 20, SIZE)).astype(np.int8).view(np.uint8)
    share = np.unique(data, return_counts=True)[1] / data.size
    entropy = -(share * np.log2(share)).sum() * data.size / 8
    assert len(coded(data)) < 1.01 * entropy
    assert len(coded(data)) < 1.01 * len(zlib.compress(data.tobytes()))


def test_what_is_not_noise_is_searched() -> None:
    """Rows that stand there twice, as those of coarser bands, are found; areas of one code take next to nothing."""
    coarse = np.repeat(rng.integers(0, 256, (64, 512)), 2, axis=0).astype(np.uint8)
    assert len(coded(coarse.ravel())) < 1.05 * len(zlib.compress(coarse.tobytes(), 6)) < 0.6 * coarse.size
    codes = np.kron(rng.integers(0, 5, (16, 64)), np.ones((8, 8)))
    assert len(coded(codes.ravel())) < codes.size / 20


def test_codes_longer_than_allowed_are_shortened() -> None:
    """Counts that grow as Fibonacci's numbers ask for a code of 40 bits; what is made is complete and within 13."""
    counts = np.zeros(module.SYMBOLS, np.int64)
    one, two = 1, 1
    for symbol in range(40):
        counts[symbol] = one
        one, two = two, one + two
    lengths = module._code_lengths(counts)
    used = lengths[:40]
    assert used.min() >= 1
    assert used.max() == module.LONGEST_CODE
    assert sum(2.0 ** -int(length) for length in used) == 1
    assert np.all(np.diff(used) <= 0), "a more frequent symbol has a longer code"
    assert np.all(lengths[40:] == 0)


def test_the_bytes_are_the_same_in_every_process() -> None:
    """They follow from the block alone."""
    program = (
        "import hashlib, numpy as np; from pipeline.write.deflate import deflate, room;"
        "data = np.random.default_rng(5).normal(0, 9, 32768).astype(np.int8).view(np.uint8);"
        "print(hashlib.sha256(deflate(data, room(data.size))).hexdigest())"
    )
    runs = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout}
    data = np.random.default_rng(5).normal(0, 9, 32768).astype(np.int8).view(np.uint8)
    used = room(data.size)
    used[:] = 0xFFFFFFFF
    runs.add(hashlib.sha256(deflate(data, used)).hexdigest() + "\n")
    assert len(runs) == 1
