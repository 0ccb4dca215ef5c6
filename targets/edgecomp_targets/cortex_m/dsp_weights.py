"""Weights in the order of the DSP kernels: two or four channels in each 16-bit number.

See `csrc/kernels/edgecomp_dsp_matrix.h` and `edgecomp_dsp_int4.h` for what kernels do with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_targets.cortex_m import int4
from edgecomp_targets.cortex_m.rescale import sum_bounds

SECOND_SUM_LIMIT = 1 << 23
TOP_SUM_LIMIT = 1 << 19
"""Of channels whose weights are times 4096."""

Array = npt.NDArray[Any]


def quads(depth: int) -> int:
    """Groups of four elements that `depth` elements take."""
    return -(-depth // 4)


def pack_weights(weights: Array) -> npt.NDArray[np.int32] | None:
    """int8 [channels, depth] -> int32 [channel pairs, quads, 2]; odd sizes are filled with 0.

    Returns:
        None when two weights do not fit one number, or the second channel's sum not 24 bits.
    """
    filled = _filled(weights, 2)
    first, second = filled[0::2], filled[1::2]
    both = 256 * second + first
    if both.min() < -(2**15) or not _sums_fit(second, SECOND_SUM_LIMIT):
        return None
    return _words(both)


def pack_int4(weights: Array) -> npt.NDArray[np.int32] | None:
    """int8 [channels, depth] -> int32 [groups of four channels, quads, 2]; filled up with 0.

    Returns:
        None when weights do not fit four bits, or a third channel's sum not 20 bits.
    """
    if not int4.fits(weights):
        return None
    filled = _filled(weights, 4)
    a, b, c, d = (filled[channel::4] for channel in range(4))
    if not _sums_fit(c, TOP_SUM_LIMIT):
        return None
    return _words(4096 * c + 256 * (d + 8) + 16 * (a + 8) + b + 8)


def _filled(weights: Array, channels_at_once: int) -> Array:
    """`weights` as int64, with zeros up to whole groups of channels, and whole quads."""
    channels, depth = weights.shape
    rest = (0, -channels % channels_at_once), (0, -depth % 4)
    filled: Array = np.pad(weights.astype(np.int64), rest)
    return filled


def _sums_fit(weights: Array, limit: int) -> bool:
    low, high = sum_bounds(weights)
    return bool(low.min() >= -limit and high.max() < limit)


def _words(numbers: Array) -> npt.NDArray[np.int32]:
    """16-bit numbers [groups, elements] -> int32 [groups, quads, 2]: elements 0 and 2, 1 and 3."""
    groups = (numbers & 0xFFFF).reshape(len(numbers), -1, 4)
    words = groups[:, :, :2] | groups[:, :, 2:] << 16
    return words.astype(np.uint32).view(np.int32)


@dataclass(frozen=True)
class Storage:
    """How kernels take weights.

    Attributes:
        name: as in `Call.weights`.
        suffix: of the kernels' names.
        pack: int8 weights [channels, depth] to int32 [groups, quads, 2]; None where it cannot.
        channels: in a group.
        block_words: what `ec_dsp_conv` overwrites behind expanded patches.
    """

    name: str
    suffix: str
    pack: Callable[[Array], npt.NDArray[np.int32] | None]
    channels: int
    block_words: int

    def whole_groups(self, constants: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """[channels, 4] of `Channels.doubled`, with channels of zeros up to whole groups."""
        return np.pad(constants, [(0, -len(constants) % self.channels), (0, 0)])


INT8 = Storage("", "", pack_weights, 2, 6)
INT4 = Storage(int4.NAME, "_int4", pack_int4, 4, 10)
