"""Means over the pixels of an image for cores with the DSP extension."""

from __future__ import annotations

from edgecomp.lowering.kernels.pool import MeanWork
from edgecomp_targets.cortex_m.replacement import Replacement, geometry
from edgecomp_targets.cortex_m.rescale import ADDEND_LIMIT, SUM_LIMIT

CHANNELS_AT_ONCE = 4


def mean(work: MeanWork) -> Replacement | None:
    """A mean over height and width; None when its rescaling needs more than the fast one has."""
    batch, height, width, channels = work.shape
    pixels, right = height * width, -work.multiplier.shift
    if channels % CHANNELS_AT_ONCE or right < 1 or 256 * pixels >= SUM_LIMIT:
        return None
    addend = (1 << (right - 1)) + (work.zero_point << right)
    if abs(addend) >= ADDEND_LIMIT:
        return None
    fields = {
        "batch": batch,
        "pixels": pixels,
        "channels": channels,
        "twice_bias": -2 * work.input_zero_point * pixels,
        "multiplier": work.multiplier.mantissa,
        "addend": addend,
        "shift": right,
    }
    constants = {"geometry": geometry(fields)}
    return Replacement("ec_dsp_mean", "edgecomp_dsp_mean.h", (0,), constants)
