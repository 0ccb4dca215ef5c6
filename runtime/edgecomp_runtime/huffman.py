"""Canonical Huffman codes of bytes, decoded with numpy: all blocks together, byte by byte.

Codes as in RFC 1951, section 3.2.2 (shorter codes first, among equals the smaller byte first), no
longer than `LONGEST` bits; lengths by D. A. Huffman, "A Method for the Construction of
Minimum-Redundancy Codes" (1952), of counts halved until they keep to that.

Form, little-endian: uint32 number of bytes; the 256 code lengths, four bits each; for each block of
`BLOCK` bytes the uint16 number of its bits; the codes of all blocks, first bit highest.
"""

from __future__ import annotations

import heapq
import struct

import numpy as np
import numpy.typing as npt

LONGEST = 15
BLOCK = 1024
"""Bytes of a block, fewer in the last."""

Array = npt.NDArray[np.int64]


def encode(content: bytes) -> bytes:
    """`content` in Huffman codes of its own."""
    data = np.frombuffer(content, np.uint8)
    lengths = _lengths(np.bincount(data, minlength=256))
    codes = _codes(lengths)
    sizes = lengths[data]
    starts = np.cumsum(sizes) - sizes
    bits = np.zeros(int(sizes.sum()), np.uint8)
    for place in range(LONGEST):
        long = sizes > place
        taken = data[long]
        bits[starts[long] + place] = codes[taken] >> (lengths[taken] - 1 - place) & 1
    ends = np.add.reduceat(sizes, np.arange(0, len(data), BLOCK)) if len(data) else sizes
    nibbles = lengths.astype(np.uint8)
    return b"".join(
        [
            struct.pack("<I", len(content)),
            (nibbles[0::2] | nibbles[1::2] << 4).tobytes(),
            ends.astype("<u2").tobytes(),
            np.packbits(bits).tobytes(),
        ]
    )


def decode(coded: bytes) -> tuple[bytes, int]:
    """What `encode` was given, and how many bytes of `coded` it took.

    Raises:
        ValueError: `coded` is not whole.
    """
    if len(coded) < 4 + 128:
        raise ValueError("the codes end too early")
    (count,) = struct.unpack_from("<I", coded)
    pairs = np.frombuffer(coded, np.uint8, 128, 4)
    lengths = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1).astype(np.int64)
    blocks = -(-count // BLOCK)
    at = 4 + 128
    if len(coded) < at + 2 * blocks:
        raise ValueError("the codes end too early")
    sizes = np.frombuffer(coded, "<u2", blocks, at).astype(np.int64)
    at += 2 * blocks
    end = at + -(-int(sizes.sum()) // 8)
    if len(coded) < end:
        raise ValueError("the codes end too early")
    data = np.frombuffer(coded[at:end] + bytes(4), np.uint8).astype(np.int64)
    return _decoded(data, np.cumsum(sizes) - sizes, lengths, count), end


def _decoded(data: Array, starts: Array, lengths: Array, count: int) -> bytes:
    """All blocks of so many bytes together; `starts` are their first bits."""
    symbols, sizes = _table(lengths)
    out = np.zeros((len(starts), BLOCK), np.uint8)
    places = starts.copy()
    last = len(data) - 3
    for step in range(min(BLOCK, count)):
        byte = np.minimum(places >> 3, last - 1)
        word = data[byte] << 16 | data[byte + 1] << 8 | data[byte + 2]
        index = word >> (24 - LONGEST - (places & 7)) & ((1 << LONGEST) - 1)
        out[:, step] = symbols[index]
        places += sizes[index]
    return out.tobytes()[:count]


def _table(lengths: Array) -> tuple[npt.NDArray[np.uint8], Array]:
    """By the next `LONGEST` bits: the byte that begins there, and the length of its code."""
    symbols = np.zeros(1 << LONGEST, np.uint8)
    sizes = np.ones(1 << LONGEST, np.int64)
    codes = _codes(lengths)
    for byte in np.flatnonzero(lengths):
        free = LONGEST - int(lengths[byte])
        first = int(codes[byte]) << free
        symbols[first : first + (1 << free)] = byte
        sizes[first : first + (1 << free)] = lengths[byte]
    return symbols, sizes


def _codes(lengths: Array) -> Array:
    """The canonical code of each byte, by the lengths of all."""
    codes = np.zeros(256, np.int64)
    code = before = 0
    for length, byte in sorted((int(lengths[b]), int(b)) for b in np.flatnonzero(lengths)):
        code <<= length - before
        codes[byte], before = code, length
        code += 1
    return codes


def _lengths(counts: Array) -> Array:
    """Bits of each byte's code, 0 of bytes that do not occur."""
    lengths = _unlimited(counts)
    while lengths.max(initial=0) > LONGEST:
        counts = np.where(counts > 0, (counts + 1) // 2, 0)
        lengths = _unlimited(counts)
    return lengths


def _unlimited(counts: Array) -> Array:
    """Huffman's own lengths."""
    lengths = np.zeros(256, np.int64)
    heap = [(int(counts[b]), int(b), [int(b)]) for b in np.flatnonzero(counts)]
    heapq.heapify(heap)
    if len(heap) == 1:
        lengths[heap[0][2]] = 1
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        both = first[2] + second[2]
        lengths[both] += 1
        heapq.heappush(heap, (first[0] + second[0], min(first[1], second[1]), both))
    return lengths
