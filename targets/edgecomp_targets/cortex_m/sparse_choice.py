"""Which layers leave weights of zero out: where that takes fewer instructions, or less flash."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvWork, DenseWork
from edgecomp_targets.cortex_m import sparse
from edgecomp_targets.cortex_m.replacement import Replacement

LEAST_ZEROS = 0.25
"""Of the weights: with fewer, leaving them out wins nowhere."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DenseCost:
    """Instructions of a kernel that multiplies every weight.

    Attributes:
        product: for each multiply-accumulate.
        output: for each output.
        element: for each element of each output pixel's patch.
    """

    product: float
    output: float
    element: float = 0.0


@dataclass(frozen=True)
class SparseCost:
    """Instructions of the kernels of `sparse.py`.

    Attributes:
        pair: for each pair of entries and four pixels.
        output, element: as of `DenseCost`.
        pixel: for each output pixel.
        row_pair, row_quad, row_unit: of a single row, for each pair or quad, and each unit.
    """

    pair: float
    output: float
    element: float
    pixel: float
    row_pair: float
    row_quad: float
    row_unit: float


@dataclass(frozen=True)
class Family:
    """Cores with the same kernels.

    Attributes:
        form: of the sparse convolutions.
        sparse: what they take.
        dense: what the others take, by how the function's name begins; the general kernels, of
            which nothing is said here, take no less than the last of them.
    """

    form: sparse.Form
    sparse: SparseCost
    dense: Mapping[str, DenseCost]


_DSP = Family(
    sparse.DSP,
    SparseCost(14.96, 15.54, 4.15, 205.0, 8.95, 11.0, 27.0),
    {
        "ec_dsp_wide": DenseCost(0.65, 5.0, 3.0),
        "ec_dsp_dense": DenseCost(1.05, 25.9),
        "ec_dsp_conv": DenseCost(0.76, 12.8, 2.5),
    },
)
FAMILIES: Mapping[str, Family] = {
    "cortex_m0plus": Family(
        sparse.MUL,
        SparseCost(30.99, 51.4, 7.59, 282.0, 18.97, 32.1, 75.4),
        {"ec_mul_dense": DenseCost(3.73, 123.0), "ec_mul_conv": DenseCost(2.69, 53.5, 10.3)},
    ),
    "cortex_m3": Family(
        sparse.MUL,
        SparseCost(17.93, 20.7, 5.19, 215.0, 13.99, 17.4, 32.0),
        {"ec_mul_dense": DenseCost(2.48, 62.6), "ec_mul_conv": DenseCost(1.61, 22.0, 7.5)},
    ),
    "cortex_m4": _DSP,
    "cortex_m7": _DSP,
    "cortex_m33": _DSP,
}
"""Fits to exact counts of random layers, balanced. Helium multiplies zeros faster than it skips."""

CODE_BYTES: Mapping[str, int] = {
    "ec_sparse_row": 250,
    "ec_sparse_row_quads": 250,
    "ec_sparse_conv_16": 900,
    "ec_sparse_conv_32": 1000,
}
"""Flash of each function, about: where flash counts, its layers together must save more."""


@dataclass(frozen=True)
class Layer:
    """One layer's kernels.

    Attributes:
        work: what it computes.
        dense: the kernel that multiplies every weight; None for the general one.
        arrays: its constants.
    """

    work: Any
    dense: Replacement | None
    arrays: Sequence[Array]


def with_sparse(layers: Sequence[Layer], core: str, optimize: str) -> list[Replacement | None]:
    """Of each of `layers` the kernel to take.

    For "speed" it is the one of fewer instructions, for "size" of fewer bytes of flash, and
    "balanced" wants fewer instructions and no more flash.
    """
    family = FAMILIES.get(core)
    if family is None:
        return [layer.dense for layer in layers]
    winners = [_winner(layer, family, optimize) for layer in layers]
    saved = dict.fromkeys(CODE_BYTES, 0)
    for layer, winner in zip(layers, winners, strict=True):
        if winner is not None:
            saved[winner.function] += _bytes_of_dense(layer) - _bytes(winner)
    worth = {f for f, code in CODE_BYTES.items() if optimize == "speed" or saved[f] > code}
    return [
        winner if winner is not None and winner.function in worth else layer.dense
        for layer, winner in zip(layers, winners, strict=True)
    ]


def dense_instructions(work: ConvWork | DenseWork, function: str, family: Family) -> float:
    """Modelled instructions of a layer by the kernel `function`."""
    known = [cost for name, cost in family.dense.items() if function.startswith(name)]
    cost = known[0] if known else [*family.dense.values()][-1]
    pixels, depth, filters = _sizes(work)
    return pixels * (depth * (filters * cost.product + cost.element) + filters * cost.output)


def sparse_instructions(work: ConvWork | DenseWork, made: Replacement, family: Family) -> float:
    """Modelled instructions of a layer by the kernel `made` of `sparse.py`."""
    pixels, depth, filters = _sizes(work)
    cost = family.sparse
    if made.function == "ec_sparse_row_quads":
        return made.constants["skips"].size * cost.row_quad + filters * cost.row_unit
    pairs = int(made.constants["pairs"].astype(np.int64).sum())
    if made.function == "ec_sparse_row":
        return pairs * cost.row_pair + filters * cost.row_unit
    groups = math.ceil(pixels / sparse.PIXELS_AT_ONCE)
    each = depth * cost.element + filters * cost.output + cost.pixel
    return groups * pairs * cost.pair + pixels * each


def _sizes(work: ConvWork | DenseWork) -> tuple[int, int, int]:
    """Output pixels, elements of a patch, filters."""
    if isinstance(work, DenseWork):
        return work.rows, work.depth, work.units
    shape = work.shape
    pixels = shape.x[0] * shape.output_extent(0) * shape.output_extent(1)
    return pixels, shape.kernel[0] * shape.kernel[1] * shape.x[3], shape.out_channels


def _sparse(layer: Layer, family: Family, optimize: str) -> Replacement | None:
    """The layer by its weights that are not 0; None where that cannot win, or is not done."""
    if not isinstance(layer.work, (ConvWork, DenseWork)) or layer.work.rescale.element != "int8":
        return None
    weights, *constants = layer.arrays
    if np.count_nonzero(weights) > (1 - LEAST_ZEROS) * weights.size or weights.dtype == np.int16:
        return None
    plain = weights.astype(np.int8)
    if isinstance(layer.work, ConvWork):
        return sparse.conv(layer.work, family.form, plain, *constants)
    ways = [
        sparse.dense(layer.work, family.form, plain, *constants),
        sparse.dense_quads(layer.work, plain, *constants),
    ]
    made = [way for way in ways if way is not None]
    by_instructions = partial(sparse_instructions, layer.work, family=family)
    return min(made, key=_bytes if optimize == "size" else by_instructions, default=None)


def _winner(layer: Layer, family: Family, optimize: str) -> Replacement | None:
    """The layer by its weights that are not 0, where that is better."""
    other = _sparse(layer, family, optimize)
    return other if other is not None and _wins(layer, other, family, optimize) else None


def _wins(layer: Layer, other: Replacement, family: Family, optimize: str) -> bool:
    name = "" if layer.dense is None else layer.dense.function
    fewer = sparse_instructions(layer.work, other, family) < dense_instructions(
        layer.work, name, family
    )
    smaller = _bytes(other) < _bytes_of_dense(layer)
    return {"speed": fewer, "size": smaller, "balanced": fewer and smaller}[optimize]


def _bytes(made: Replacement) -> int:
    return sum(array.nbytes for array in made.constants.values())


def _bytes_of_dense(layer: Layer) -> int:
    if layer.dense is not None:
        return _bytes(layer.dense)
    return sum(array.nbytes for array in layer.arrays)
