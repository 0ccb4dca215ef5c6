"""Weights in the order of the DSP kernels: two channels in each 16-bit number.

See `csrc/dsp/edgecomp_dsp_matrix.h` for what the kernel does with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_targets.cortex_m.rescale import sum_bounds

SECOND_SUM_LIMIT = 1 << 23

Array = npt.NDArray[Any]


def quads(depth: int) -> int:
    """Groups of four elements that `depth` elements take."""
    return -(-depth // 4)


def _even(channels: int) -> int:
    return channels + channels % 2


def pack_weights(weights: Array) -> npt.NDArray[np.int32] | None:
    """int8 [channels, depth] -> int32 [channel pairs, quads, 2]; odd sizes are filled with 0.

    Returns:
        None when two weights do not fit one number, or the second channel's sum not 24 bits.
    """
    channels, depth = weights.shape
    filled = np.zeros((_even(channels), 4 * quads(depth)), np.int64)
    filled[:channels, :depth] = weights
    first, second = filled[0::2], filled[1::2]
    both = 256 * second + first
    low, high = sum_bounds(second)
    if both.min() < -(2**15) or low.min() < -SECOND_SUM_LIMIT or high.max() >= SECOND_SUM_LIMIT:
        return None
    groups = (both & 0xFFFF).reshape(len(both), -1, 4)
    words = groups[:, :, :2] | groups[:, :, 2:] << 16
    return words.astype(np.uint32).view(np.int32)


def even_channels(constants: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """[channels, 4] of `Channels.doubled`, with a channel of zeros where their number is odd."""
    filled = np.zeros((_even(len(constants)), 4), np.int32)
    filled[: len(constants)] = constants
    return filled
