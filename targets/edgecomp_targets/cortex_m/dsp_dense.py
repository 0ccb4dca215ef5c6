"""Dense layers of one row for cores with the DSP extension."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import DenseWork
from edgecomp_targets.cortex_m.dsp_weights import pack_weights, quads
from edgecomp_targets.cortex_m.replacement import Replacement, geometry
from edgecomp_targets.cortex_m.rescale import Channels, fast_channels
from edgecomp_targets.cortex_m.weight_order import WeightOrder

UNITS_AT_ONCE = 4

Array = npt.NDArray[Any]


def dense(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """A dense layer with weights [O,K]; None when it has more rows, or K is no multiple of 4."""
    if work.rows != 1 or work.depth % 4:
        return None
    units = fast_channels(weights, constants, work.rescale)
    packed = pack_weights(units.weights) if units is not None else None
    if units is None or packed is None:
        return None
    named, own = unit_constants(units)
    low, high = work.rescale.low, work.rescale.high
    fields = {
        "quads": quads(work.depth),
        "units": work.units,
        "own_rescaling": int(own),
        "narrow": int((low, high) != (-128, 127)),
        "low": low,
        "high": high,
    }
    return Replacement(
        "ec_dsp_dense",
        "edgecomp_dsp_dense.h",
        (0,),
        {"packed": _interleaved(packed), **named, "geometry": geometry(fields)},
        order=WeightOrder(((0, fields["quads"]),), lanes=UNITS_AT_ONCE // 2, pairs=True),
    )


def unit_constants(units: Channels) -> tuple[dict[str, npt.NDArray[np.int32]], bool]:
    """Twice the bias, and the rescaling of each unit or, where it is the same, of all."""
    doubled = units.doubled()
    rescaling = doubled[:, 1:]
    own = bool((rescaling != rescaling[0]).any())
    return {
        "bias": np.ascontiguousarray(doubled[:, 0]),
        "rescaling": np.ascontiguousarray(rescaling if own else rescaling[:1]),
    }, own


def _interleaved(packed: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """[channel pairs, quads, 2] of `pack_weights` as [channels / 4, quads, 4], filled up with 0."""
    pairs = UNITS_AT_ONCE // 2
    filled = np.pad(packed, [(0, -len(packed) % pairs), (0, 0), (0, 0)])
    groups = filled.reshape(-1, pairs, *packed.shape[1:]).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(groups.reshape(len(groups), packed.shape[1], -1))
