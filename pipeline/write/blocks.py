"""A layer cut into the blocks of a tiled TIFF, each compressed by itself, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pipeline.write.deflate import deflate, room

Array = NDArray[Any]
Compress = Callable[[NDArray[np.uint8]], bytes | bytearray]


def compressor(codec: str, level: int | None, block_bytes: int) -> Compress:
    """How blocks of so many bytes are compressed; for one thread.

    level: of libdeflate or zstd; None, for deflate alone: noise is coded without a search, all else searched.
    """
    if codec == "zstd":
        return partial(imagecodecs.zstd_encode, level=level)
    if level is None:
        return partial(deflate, words=room(block_bytes))
    return partial(imagecodecs.deflate_encode, level=level, raw=False)


def encode(layer: Array, block_px: int, compress: Compress) -> Iterator[bytes | bytearray]:
    """The blocks of a layer (y, x) row by row, those at its edges filled up with zeros.

    Each number is told as its difference from the one to the left (TIFF's predictor 2; 3 for floats, byte by byte).
    """
    predict = imagecodecs.floatpred_encode if layer.dtype.kind == "f" else imagecodecs.delta_encode
    across = -(-layer.shape[1] // block_px)
    strip = np.zeros((block_px, across, block_px), layer.dtype)
    flat = strip.reshape(block_px, across * block_px)
    for row in range(0, layer.shape[0], block_px):
        rows = layer[row : row + block_px]
        flat[: rows.shape[0], : layer.shape[1]] = rows
        flat[rows.shape[0] :] = 0
        for number in range(across):
            told = predict(np.ascontiguousarray(strip[:, number]), axis=-1)
            yield compress(told.reshape(-1).view(np.uint8))
