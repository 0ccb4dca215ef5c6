"""Dense layers of one row for cores with the DSP extension."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import DenseWork
from edgecomp_targets.cortex_m.dsp_weights import INT4, INT8, Storage, quads
from edgecomp_targets.cortex_m.replacement import Replacement, geometry, output_range
from edgecomp_targets.cortex_m.rescale import Channels, fast_channels
from edgecomp_targets.cortex_m.weight_order import WeightOrder

UNITS_AT_ONCE = 4

Array = npt.NDArray[Any]


def dense(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """A dense layer with weights [O,K]; None when it has more rows, or K is no multiple of 4."""
    return _dense(INT8, work, weights, constants)


def dense_int4(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """The same with weights of four bits; None when they are of more, too."""
    return _dense(INT4, work, weights, constants)


def _dense(
    storage: Storage, work: DenseWork, weights: Array, constants: tuple[Array, ...]
) -> Replacement | None:
    if work.rows != 1 or work.depth % 4:
        return None
    units = fast_channels(weights, constants, work.rescale)
    packed = storage.pack(units.weights) if units is not None else None
    if units is None or packed is None:
        return None
    named, own = unit_constants(units)
    low, high = work.rescale.low, work.rescale.high
    fields = {
        "quads": quads(work.depth),
        "units": work.units,
        "own_rescaling": int(own),
        **output_range(low, high),
    }
    return Replacement(
        f"ec_dsp_dense{storage.suffix}",
        "edgecomp_dsp_dense.h",
        (0,),
        {
            "packed": _interleaved(packed, UNITS_AT_ONCE // storage.channels),
            **named,
            "geometry": geometry(fields),
        },
        weights=storage.name,
        order=WeightOrder(((0, fields["quads"]),), lanes=UNITS_AT_ONCE // 2, pairs=True)
        if storage is INT8
        else None,
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


def _interleaved(packed: npt.NDArray[np.int32], at_once: int) -> npt.NDArray[np.int32]:
    """[groups, quads, 2] as [groups / at_once, quads, 2 * at_once], filled up with 0."""
    filled = np.pad(packed, [(0, -len(packed) % at_once), (0, 0), (0, 0)])
    groups = filled.reshape(-1, at_once, *packed.shape[1:]).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(groups.reshape(len(groups), packed.shape[1], -1))
