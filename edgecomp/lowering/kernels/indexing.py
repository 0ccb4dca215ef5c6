"""Operators whose every output element is an input element, found by its index; any type.

`Walk` says which input index an output index of one axis reads; an axis that no walk describes is
read through a table of indices (`take`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import te, tirx

from edgecomp.lowering.kernels.common import broadcast_index, broadcast_shape


@dataclass(frozen=True)
class Walk:
    """Input index of output index i of one axis: start + step * ((i % period) // repeat).

    Attributes:
        start: of output index 0.
        step: from one input index to the next; may be negative or 0.
        repeat: how often each index is read in a row, as in enlarging an image.
        period: after how many output indices it starts again, as in tiling.
        extent: number of output indices.
    """

    start: int
    step: int
    repeat: int
    period: int
    extent: int

    def indices(self) -> npt.NDArray[np.int64]:
        """All input indices."""
        i = np.arange(self.extent, dtype=np.int64)
        return self.start + self.step * ((i % self.period) // self.repeat)

    def at(self, i: Any) -> Any:
        """The input index as an expression of the output index."""
        if self.step == 0:
            return tirx.const(self.start, "int32")
        if self.period < self.extent:
            i = te.floormod(i, self.period)
        if self.repeat > 1:
            i = te.floordiv(i, self.repeat)
        return self.start + self.step * i


def find_walk(indices: npt.NDArray[np.int64]) -> Walk | None:
    """The walk that gives `indices` (not empty), or None."""
    extent = len(indices)
    changes = np.flatnonzero(np.diff(indices))
    start = int(indices[0])
    if not len(changes):
        return Walk(start, 0, 1, extent, extent)
    repeat = int(changes[0]) + 1
    step = int(indices[repeat]) - start
    back = np.flatnonzero(indices[1:] == start)
    back = back[back + 1 > repeat]
    for period in (extent, *(int(b) + 1 for b in back[:1])):
        walk = Walk(start, step, repeat, period, extent)
        if np.array_equal(walk.indices(), indices):
            return walk
    return None


def walk(shape: tuple[int, ...], dtype: str, walks: Sequence[Walk]) -> Any:
    """x -> out: each axis read by its walk."""
    x = te.placeholder(shape, dtype, name="x")

    def element(*index: Any) -> Any:
        return x[tuple(axis.at(i) for axis, i in zip(walks, index, strict=True))]

    extent = tuple(axis.extent for axis in walks)
    return te.create_prim_func([x, te.compute(extent, element, name="out")])


def take(
    shape: tuple[int, ...],
    dtype: str,
    axis: int,
    indices: tuple[int, ...],
    index_dtype: str,
) -> Any:
    """x, indices -> out with the indices' axes in place of `axis`; negative ones count backwards.

    An index outside the axis reads its first or last element.
    """
    x = te.placeholder(shape, dtype, name="x")
    table = te.placeholder(indices, index_dtype, name="indices")
    rank = len(indices)
    extent = shape[axis]

    def element(*index: Any) -> Any:
        picked = table[tuple(index[axis : axis + rank])].astype("int32")
        counted = te.if_then_else(picked < 0, picked + extent, picked)
        inside = tirx.call_extern("int32", "ec_clamp", counted, 0, extent - 1)
        return x[(*index[:axis], inside, *index[axis + rank :])]

    out = (*shape[:axis], *indices, *shape[axis + 1 :])
    return te.create_prim_func([x, table, te.compute(out, element, name="out")])


def select(condition: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...], dtype: str) -> Any:
    """condition, a, b -> out: a where the condition holds, else b; with broadcasting."""
    mask = te.placeholder(condition, "bool", name="condition")
    x, y = te.placeholder(a, dtype, name="x"), te.placeholder(b, dtype, name="y")

    def element(*index: Any) -> Any:
        holds = mask[broadcast_index(condition, index)]
        return tirx.Select(holds, x[broadcast_index(a, index)], y[broadcast_index(b, index)])

    extent = broadcast_shape(condition, broadcast_shape(a, b))
    return te.create_prim_func([mask, x, y, te.compute(extent, element, name="out")])


def depth_to_space(
    shape: tuple[int, int, int, int], dtype: str, block: int, depth_first: bool
) -> Any:
    """x[N,H,W,C] -> out[N,H*b,W*b,C/b/b].

    `depth_first`: the channels of one output pixel lie together (ONNX "DCR", TFLite); otherwise
    each output channel has its block together ("CRD").
    """
    x = te.placeholder(shape, dtype, name="x")
    depth = shape[3] // block**2

    def element(n: Any, h: Any, w: Any, c: Any) -> Any:
        place = te.floormod(h, block) * block + te.floormod(w, block)
        channel = place * depth + c if depth_first else c * block**2 + place
        return x[n, te.floordiv(h, block), te.floordiv(w, block), channel]

    extent = (shape[0], shape[1] * block, shape[2] * block, depth)
    return te.create_prim_func([x, te.compute(extent, element, name="out")])


def space_to_depth(shape: tuple[int, int, int, int], dtype: str, block: int) -> Any:
    """x[N,H,W,C] -> out[N,H/b,W/b,b*b*C]: the pixels of a block one after the other."""
    x = te.placeholder(shape, dtype, name="x")
    depth = shape[3]

    def element(n: Any, h: Any, w: Any, c: Any) -> Any:
        place = te.floordiv(c, depth)
        row, column = te.floordiv(place, block), te.floormod(place, block)
        return x[n, h * block + row, w * block + column, te.floormod(c, depth)]

    extent = (shape[0], shape[1] // block, shape[2] // block, depth * block**2)
    return te.create_prim_func([x, te.compute(extent, element, name="out")])
