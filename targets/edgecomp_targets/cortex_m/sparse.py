"""Convolutions and dense layers by those weights only that are not 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvWork, DenseWork
from edgecomp.lowering.overlaps import by_pixels, by_rows
from edgecomp_targets.cortex_m.dsp_conv import flattened, is_row_of_pixels, pointwise
from edgecomp_targets.cortex_m.dsp_dense import unit_constants
from edgecomp_targets.cortex_m.mul_conv import channel_rows, pixel_fields
from edgecomp_targets.cortex_m.replacement import Replacement, geometry, output_range
from edgecomp_targets.cortex_m.rescale import Channels, fast_channels

PIXELS_AT_ONCE = 4
QUAD = 4
MOST_SKIPPED = 255
MOST_PAIRS = (1 << 16) - 1

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Form:
    """How a core's kernel of convolutions takes its operands.

    Attributes:
        function: its name.
        skip: what an element skipped counts.
        element_bytes: of an element of a patch.
    """

    function: str
    skip: int
    element_bytes: int


DSP = Form("ec_sparse_conv_16", 8, 2)
MUL = Form("ec_sparse_conv_32", 1, 4)


def conv(work: ConvWork, form: Form, weights: Array, *constants: Array) -> Replacement | None:
    """A convolution with weights [O,KH,KW,C]; None when it has groups or dilation."""
    if work.shape.group != 1 or work.shape.dilations != (1, 1):
        return None
    channels = fast_channels(weights.reshape(len(weights), -1), constants, work.rescale)
    if channels is None or not (form == DSP or channels.has_usual_addends):
        return None
    packed = _packed(channels.weights, form.skip)
    if packed is None:
        return None
    shape = flattened(work.shape)
    depth = channels.weights.shape[1]
    fields = pixel_fields(shape, work, depth)
    return Replacement(
        form.function,
        "edgecomp_sparse_conv.h",
        (0,),
        {
            **packed,
            "channels": channels.doubled() if form == DSP else channel_rows(channels),
            "geometry": geometry(fields),
        },
        depth * PIXELS_AT_ONCE * form.element_bytes // 4,
        by_pixels(shape, pixels=PIXELS_AT_ONCE, copied=True)
        if is_row_of_pixels(shape)
        else by_rows(shape, rows=1, copied=False),
        weights=_words(channels),
    )


def dense(work: DenseWork, form: Form, weights: Array, *constants: Array) -> Replacement | None:
    """A dense layer with weights [O,K]: a convolution with a pixel for each row, if it has more."""
    if work.rows > 1:
        shape = pointwise(work.rows, work.depth, work.units)
        return conv(ConvWork(shape, 0, work.rescale), form, weights, *constants)
    units = fast_channels(weights, constants, work.rescale)
    packed = _packed(units.weights, 1) if units is not None else None
    return _row("ec_sparse_row", work, units, packed) if units is not None and packed else None


def dense_quads(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """A dense layer of one row by neighbours of four; None for another, or K no multiple of 4."""
    if work.rows > 1 or work.depth % QUAD:
        return None
    units = fast_channels(weights, constants, work.rescale)
    if units is None:
        return None
    return _row("ec_sparse_row_quads", work, units, _packed_quads(units.weights))


def _row(
    function: str, work: DenseWork, units: Channels, packed: Mapping[str, Array]
) -> Replacement:
    named, own = unit_constants(units)
    low, high = work.rescale.low, work.rescale.high
    fields = {
        "units": work.units,
        "own_rescaling": int(own),
        **output_range(low, high),
    }
    return Replacement(
        function,
        "edgecomp_sparse_row.h",
        (0,),
        {**packed, **named, "geometry": geometry(fields)},
        weights=_words(units),
    )


def _words(channels: Channels) -> str:
    """As `Call.weights` says it."""
    return (
        f"sparse, {np.count_nonzero(channels.weights) / channels.weights.size:.0%} of the weights"
    )


def _packed(weights: Array, skip: int) -> dict[str, Array] | None:
    """Entries of two bytes, and the pairs of them each filter has [filters].

    None where a filter of an odd number of weights has no 0 to pair the last with.
    """
    entries, pairs = [], []
    for row in weights:
        places = _places(row, MOST_SKIPPED // skip)
        if places is None:
            return None
        skipped = np.diff(places, prepend=-1) - 1
        pairs.append(len(places) // 2)
        entries.append(np.stack([skipped * skip, row[places].astype(np.uint8)], axis=1))
    stream = np.concatenate(entries).astype(np.uint8).reshape(-1)
    return {
        "entries": stream if stream.size else np.zeros(4, np.uint8),
        "pairs": np.array(pairs, np.uint16),
    }


def _packed_quads(weights: Array) -> dict[str, Array]:
    """Quads, how many to skip before each, and how many each unit has [units]."""
    quads = weights.reshape(len(weights), -1, QUAD)
    places = [_spread(np.flatnonzero(row), MOST_SKIPPED) for row in quads.any(axis=2)]
    kept = [unit[found] for unit, found in zip(quads, places, strict=True)]
    skipped = [np.diff(found, prepend=-1) - 1 for found in places]
    # one more, so that nothing is empty
    return {
        "weights": np.concatenate([*kept, np.zeros((1, QUAD), np.int8)]).reshape(-1),
        "skips": np.concatenate([*skipped, np.zeros(1, np.int64)]).astype(np.uint8),
        "quads": np.array([len(found) for found in places], np.uint16),
    }


def _spread(wanted: Array, most: int) -> npt.NDArray[np.int64]:
    """`wanted` places with others between them where more than `most` would be skipped."""
    skipped = np.diff(wanted, prepend=-1) - 1
    between = [
        np.arange(place - gap + most, place, most + 1)
        for place, gap in zip(wanted, skipped, strict=True)
        if gap > most
    ]
    return np.union1d(wanted, np.concatenate(between)) if between else wanted


def _places(row: Array, most: int) -> npt.NDArray[np.int64] | None:
    """Where one filter has its entries: even many, no more than `most` elements between two."""
    places = _spread(np.flatnonzero(row), most)
    if len(places) % 2:
        free = np.setdiff1d(np.arange(len(row)), places)
        if not free.size:
            return None
        places = np.union1d(places, free[:1])
    return places if len(places) <= 2 * MOST_PAIRS else None
