"""Deflate for numbers whose low bits are noise: Huffman's code and runs of zeros, without a search for repetitions.

A search finds next to nothing in noise and takes nine tenths of the time. Other blocks are left to libdeflate.
Either way the stream is zlib's (RFC 1950, 1951), and follows from the block alone, not from the processor.
"""

from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

SEARCH_LEVEL = 6
"""Of libdeflate, for what is not noise."""
SAMPLE, WORTH_A_SEARCH = 16 * 1024, 0.85
"""Bytes that are looked at to see whether a block repeats itself, and the share that is left of them where it does."""
GROUP = 8
"""Bytes looked at together; a block is a whole number of them."""
LONGEST_CODE = 13
"""Bits; 15 are allowed, but then a run would not fit into what is put at once."""
LONGEST_RUN = 32
"""Groups of zeros in one match, whose length is the bytes but the first, at most 258."""
END, SYMBOLS = 256, 286
ZLIB_HEADER = b"\x78\x01"


def _lengths() -> NDArray[np.int64]:
    """Symbol, extra bits and their value of the length of each run, (33, 3) by groups (RFC 1951, 3.2.5)."""
    spans, first = [], 3
    for symbol in range(257, 285):
        extra = max(0, (symbol - 261) // 4)
        spans.append((symbol, extra, first))
        first += 1 << extra
    table = np.zeros((LONGEST_RUN + 1, 3), np.int64)
    for groups in range(1, LONGEST_RUN + 1):
        length = groups * GROUP - 1
        symbol, extra, first = max(span for span in spans if span[2] <= length)
        table[groups] = symbol, extra, length - first
    return table


RUN_LENGTHS = _lengths()
SHORT_CODES = np.array([int(f"{value:04b}"[::-1], 2) for value in range(16)], np.int64)
"""In the stream's head every length of a code is told in four bits, first bit first."""


def room(size: int) -> NDArray[np.uint32]:
    """Where blocks of so many bytes are coded, one after another."""
    return np.empty(size * LONGEST_CODE // 32 + SYMBOLS, np.uint32)


def deflate(block: NDArray[np.uint8], words: NDArray[np.uint32]) -> bytes:
    """One block of bytes, (n,) with n a multiple of 8, as a zlib stream. words: its `room`, for this call."""
    if _repeats(block, words):
        return bytes(imagecodecs.deflate_encode(block.tobytes(), SEARCH_LEVEL, raw=False))
    body = words.view(np.uint8)[: _code_noise(block.view(np.int64), words)]
    return b"".join((ZLIB_HEADER, body.data, struct.pack(">I", zlib.adler32(block.data))))


def _repeats(block: NDArray[np.uint8], words: NDArray[np.uint32]) -> bool:
    """Whether even a quick search makes the middle of a block smaller by a good part: it is not noise.

    As of codes, and of coarser bands whose pixels stand there several times, in rows that are alike.
    """
    start = max(0, block.size - SAMPLE) // 2 // GROUP * GROUP
    sample = block[start : start + SAMPLE]
    found = len(imagecodecs.deflate_encode(sample.tobytes(), 1, raw=False))
    return found < WORTH_A_SEARCH * _code_noise(sample.view(np.int64), words)


@compiled("i8[::1], u4[::1]")
def _code_noise(groups: NDArray[np.int64], words: NDArray[np.uint32]) -> int:
    """One deflate block into `words`, without a search; its bytes."""
    lengths = _code_lengths(_count(groups))
    table, runs = _code_tables(lengths)
    at, held, count = _put_head(words, lengths)
    index = 0
    while index < groups.size:
        group = groups[index]
        if group == 0:
            length = _zeros(groups, index)
            index += length
            at, held, count = _put(words, at, held, count, runs[length] >> 8, runs[length] & 255)
            continue
        index += 1
        for _ in range(GROUP // 2):
            one, two = table[group & 255], table[(group >> 8) & 255]
            group >>= 16
            width = one & 255
            at, held, count = _put(words, at, held, count, one >> 8 | two >> 8 << width, width + (two & 255))
    at, held, count = _put(words, at, held, count, table[END] >> 8, table[END] & 255)
    words[at] = held
    return at * 4 + (count + 7) // 8


@compiled()
def _put(words: NDArray[np.uint32], at: int, held: int, count: int, bits: int, width: int) -> tuple[int, int, int]:
    """Add up to 32 bits to those held, of which there are less than 32; whole words leave. Returns where it stands."""
    held |= bits << count
    count += width
    words[at] = held & 0xFFFFFFFF
    full = count >> 5
    return at + full, held >> (full << 5), count & 31


@compiled()
def _zeros(groups: NDArray[np.int64], first: int) -> int:
    """How many groups from `first` on are zeros, at most as many as fit a match."""
    stop = min(first + LONGEST_RUN, groups.size)
    index = first + 1
    while index < stop and groups[index] == 0:
        index += 1
    return index - first


@compiled()
def _count(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each symbol stands in the stream, (286,)."""
    # Four tables: one increment need not wait for the one before it, which is often of the same byte.
    tables = np.zeros((4, 256), np.int64)
    counts = np.zeros(SYMBOLS, np.int64)
    index = 0
    while index < groups.size:
        group = groups[index]
        if group == 0:
            length = _zeros(groups, index)
            counts[0] += 1
            counts[RUN_LENGTHS[length, 0]] += 1
            index += length
            continue
        index += 1
        for _ in range(GROUP // 4):
            tables[0, group & 255] += 1
            tables[1, (group >> 8) & 255] += 1
            tables[2, (group >> 16) & 255] += 1
            tables[3, (group >> 24) & 255] += 1
            group >>= 32
    for byte in range(256):
        counts[byte] += tables[0, byte] + tables[1, byte] + tables[2, byte] + tables[3, byte]
    counts[END] = 1
    return counts


@compiled()
def _code_lengths(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of each symbol in Huffman's code, 0 for those that do not occur; ties go by the symbol's number."""
    order = np.argsort(counts, kind="mergesort")
    order = order[counts[order] > 0]
    leaves = order.size
    weight, parent = np.zeros(2 * leaves, np.int64), np.zeros(2 * leaves, np.int64)
    weight[:leaves] = counts[order]
    leaf, node = 0, leaves
    for made in range(leaves, 2 * leaves - 1):
        for _ in range(2):
            if leaf < leaves and (node >= made or weight[leaf] <= weight[node]):
                lightest = leaf
                leaf += 1
            else:
                lightest = node
                node += 1
            weight[made] += weight[lightest]
            parent[lightest] = made
    depth = np.zeros(2 * leaves, np.int64)
    of_length = np.zeros(LONGEST_CODE + 1, np.int64)
    for each in range(2 * leaves - 3, -1, -1):
        depth[each] = depth[parent[each]] + 1
        if each < leaves:
            of_length[min(depth[each], LONGEST_CODE)] += 1
    _shorten(of_length)
    lengths = np.zeros(counts.size, np.int64)
    rarest_last = leaves - 1
    for length in range(1, LONGEST_CODE + 1):
        for _ in range(of_length[length]):
            lengths[order[rarest_last]] = length
            rarest_last -= 1
    return lengths


@compiled()
def _shorten(of_length: NDArray[np.int64]) -> None:
    """Make a code again of one whose longest words were cut: shorter words grow by a bit until all have a place."""
    taken = np.int64(0)
    for length in range(1, LONGEST_CODE + 1):
        taken += of_length[length] << (LONGEST_CODE - length)
    while taken > 1 << LONGEST_CODE:
        length = LONGEST_CODE - 1
        while of_length[length] == 0:
            length -= 1
        of_length[length] -= 1
        of_length[length + 1] += 2
        of_length[LONGEST_CODE] -= 1
        taken -= 1


@compiled()
def _code_tables(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is put for each symbol, (286,), and for each run of zero groups, (33,): bits << 8 | how many."""
    table, runs = np.zeros(SYMBOLS, np.int64), np.zeros(LONGEST_RUN + 1, np.int64)
    code = 0
    for length in range(1, LONGEST_CODE + 1):
        for symbol in range(SYMBOLS):
            if lengths[symbol] != length:
                continue
            bits = 0
            for place in range(length):
                bits |= ((code >> place) & 1) << (length - 1 - place)
            table[symbol] = bits << 8 | length
            code += 1
        code <<= 1
    for groups in range(1, LONGEST_RUN + 1):
        symbol, extra, value = RUN_LENGTHS[groups]
        width, bits = table[0] & 255, table[0] >> 8
        bits |= (table[symbol] >> 8) << width
        width += table[symbol] & 255
        bits |= value << width
        # One distance, one byte back, has the only code there is: a bit of 0.
        runs[groups] = bits << 8 | (width + extra + 1)
    return table, runs


@compiled()
def _put_head(words: NDArray[np.uint32], lengths: NDArray[np.int64]) -> tuple[int, int, int]:
    """The only and last block, of its own codes: how many there are and how long each is (RFC 1951, 3.2.7)."""
    at, held, count = _put(words, 0, 0, 0, 0b101, 3)
    at, held, count = _put(words, at, held, count, (SYMBOLS - 257) | (19 - 4) << 10, 14)
    for each in range(19):
        # The first three would repeat a length; all others have four bits.
        at, held, count = _put(words, at, held, count, 0 if each < 3 else 4, 3)
    for symbol in range(SYMBOLS):
        at, held, count = _put(words, at, held, count, SHORT_CODES[lengths[symbol]], 4)
    return _put(words, at, held, count, SHORT_CODES[1], 4)
