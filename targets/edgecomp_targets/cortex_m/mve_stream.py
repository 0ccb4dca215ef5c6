"""Filters as the stream that `csrc/kernels/edgecomp_mve_matrix.h` reads, and what that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import Rescale
from edgecomp_targets.cortex_m import int4
from edgecomp_targets.cortex_m.weight_order import UNIT, WeightOrder

LANES = 16
LEAST_INT4 = -7
"""Of two weights in a byte: beside -8 in the high bits, no other has room that is less than 0."""
FILTERS_AT_ONCE = 4
CLAMPED, WHOLE, SEGMENTS, ONE, ONE_SCALE = range(5)
SEGMENT_VECTORS = (1, 3, 6)
"""How many vectors a segment may have."""
WHOLE_VECTORS = 4
"""A patch of one row with so many vectors at most needs no words between."""

# Instructions for two pixels and four filters: for a vector, between segments, for the rest.
_VECTOR, _SEGMENT, _BLOCK = 14, 5, 22

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Patch:
    """How the elements of a patch lie in vectors.

    Attributes:
        rows: of elements that follow each other.
        span: elements of a row.
        pitch: from the beginning of a row to the next one's, in bytes.
        segments: of a row.
        vectors: of a segment; the weights of what lies beyond the row are 0.
        alone: it is the only pixel's.
        one_scale: and its filters are of one scale, in whole blocks.
    """

    rows: int
    span: int
    pitch: int
    segments: int
    vectors: int
    alone: bool = False
    one_scale: bool = False

    @property
    def row_bytes(self) -> int:
        """Bytes read for each row."""
        return self.segments * self.vectors * LANES

    @property
    def is_whole(self) -> bool:
        """There is one segment only, and code for it without words between."""
        return self.alone or (self.rows * self.segments == 1 and self.vectors <= WHOLE_VECTORS)

    @property
    def instructions(self) -> int:
        """For two pixels and four filters."""
        parts = self.rows * self.segments
        words = 0 if self.is_whole else _SEGMENT * parts
        return parts * self.vectors * _VECTOR + words + _BLOCK


def patch_of(rows: int, span: int, pitch: int) -> Patch:
    """The cheapest way to read `rows` rows of `span` bytes, `pitch` bytes apart."""
    needed = -(-span // LANES)
    sizes = (*SEGMENT_VECTORS, *range(1, WHOLE_VECTORS + 1)) if rows == 1 else SEGMENT_VECTORS
    ways = [Patch(rows, span, pitch, -(-needed // size), size) for size in sizes]
    usable = [p for p in ways if p.is_whole or p.vectors in SEGMENT_VECTORS]
    return min(usable, key=lambda patch: (patch.instructions, patch.row_bytes))


def one_row(span: int) -> Patch:
    """The patch of a single pixel: `span` bytes in one segment."""
    return Patch(1, span, 0, 1, -(-span // LANES), alone=True)


def has_one_scale(constants: Sequence[Array]) -> bool:
    """Whether all filters have the same multiplier and shift, and there is no rest of a block."""
    _, multiplier, shift = constants
    same = bool(np.all(multiplier == multiplier[0]) and np.all(shift == shift[0]))
    return same and len(multiplier) % FILTERS_AT_ONCE == 0


def form_of(patch: Patch, rescale: Rescale) -> int:
    """The number of the code that multiplies such patches."""
    if patch.alone:
        return 8 * (ONE_SCALE if patch.one_scale else ONE)
    if not patch.is_whole:
        return 8 * SEGMENTS + patch.vectors
    # what is below the zero point need not be rounded as the specification says
    clamped = rescale.low >= rescale.zero_point
    return 8 * (CLAMPED if clamped else WHOLE) + patch.vectors


def blocks_of(filters: int, at_once: int) -> list[tuple[Array, npt.NDArray[np.int32]]]:
    """The filters of each block, and how far the next block's are: [1], 0 for the last block.

    The last block overlaps the one before it, or has its last filter more than once.
    """
    firsts = [*range(0, filters - at_once + 1, at_once)] or [0]
    if filters > firsts[-1] + at_once:
        firsts.append(filters - at_once)
    steps = np.diff(firsts, append=firsts[-1]).astype(np.int32)
    lanes = np.minimum(np.add.outer(firsts, np.arange(at_once)), filters - 1)
    return [(block, step[None]) for block, step in zip(lanes, steps, strict=True)]


def fits_int4(weights: Array) -> bool:
    """Whether weights can be stored in four bits."""
    return int4.fits(weights, LEAST_INT4)


def mixed_bias(bias: Array) -> npt.NDArray[np.int32]:
    """What sums begin with where weights of two filters share a byte: int32, modulo 2^32."""
    wide = bias.astype(np.int64)
    wide[0::2] += 16 * wide[1::2]
    return wide.astype(np.int32)


def mixed_weights(weights: Array) -> npt.NDArray[np.int8]:
    """int8 [..., filters, lanes] -> [..., filters / 2, lanes], two in a byte."""
    both: npt.NDArray[np.int8] = weights[..., 0::2, :] + 16 * weights[..., 1::2, :]
    return both.astype(np.int8)


def stream_of(
    patch: Patch, weights: Array, constants: Sequence[Array], two_in_a_byte: bool = False
) -> npt.NDArray[np.int32]:
    """The stream of int8 `weights` [filters, rows, span] and their bias, multiplier and shift."""
    filters = len(weights)
    vectors = patch.segments * patch.vectors
    wide = np.zeros((filters, patch.rows, patch.row_bytes), np.int8)
    wide[:, :, : patch.span] = weights
    parts = wide.reshape(filters, patch.rows * patch.segments, patch.vectors, LANES)
    ways = _ways(patch, vectors)
    words: list[npt.NDArray[np.int32]] = []
    for block, step in blocks_of(filters, FILTERS_AT_ONCE):
        bias, multiplier, shift = (array[block].astype(np.int32) for array in constants)
        bias = mixed_bias(bias) if two_in_a_byte else bias
        words += [bias] if patch.alone else [bias, bias]
        for part, way in enumerate(ways):
            mixed = np.ascontiguousarray(parts[block, part].transpose(1, 0, 2))
            mixed = mixed_weights(mixed) if two_in_a_byte else mixed
            words += [mixed.reshape(-1).view("<i4").astype(np.int32), way]
        words += [] if patch.one_scale else [multiplier, shift, step]
    return np.concatenate(words)


def order_of(patch: Patch) -> WeightOrder:
    """Where the weights lie in the stream."""
    biases = FILTERS_AT_ONCE if patch.alone else 2 * FILTERS_AT_ONCE
    way = 0 if patch.is_whole else 1
    more = ((way, patch.vectors),) * (patch.rows * patch.segments - 1)
    rescaling = 0 if patch.one_scale else 2 * FILTERS_AT_ONCE + 1
    parts = ((biases, patch.vectors), *more, (way + rescaling, 0))
    return WeightOrder(parts, lanes=FILTERS_AT_ONCE, run=LANES // UNIT)


def _ways(patch: Patch, vectors: int) -> list[npt.NDArray[np.int32]]:
    """The word after each segment; none where there is no need."""
    if patch.is_whole:
        return [np.zeros(0, np.int32)]
    row = [0] * (patch.segments - 1) + [patch.pitch - vectors * LANES]
    words = [2 * way for way in row * patch.rows]
    back = -((patch.rows - 1) * patch.pitch + vectors * LANES)
    words[-1] = 2 * back + 1
    return [np.array([word], np.int32) for word in words]
