"""How far over its operands a kernel may write: from the order in which it reads and writes rows.

The rules hold for the schedules of `schedules.py`; a target that brings a kernel of its own says
itself how that goes, with the same functions.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.lowering.kernels.elementwise import AddWork, MapWork
from edgecomp.lowering.kernels.pool import PoolWork
from edgecomp.program import Overlap


def overlaps_of(work: Any) -> tuple[Overlap, ...]:
    """The overlaps of a general kernel that computes `work`; none where nothing is known."""
    if isinstance(work, AddWork):
        return (Overlap(0, 0), Overlap(1, 0)) if work.a == work.b else ()
    if isinstance(work, MapWork):
        return _by_elements(work)
    if isinstance(work, ConvWork):
        # a border is put around the rows before the output row that reads them is written
        return by_rows(work.shape, rows=1, copied=any(work.shape.pads))
    if isinstance(work, PoolWork) and work.dtype == "int8":
        return by_rows(_as_convolution(work), rows=1, copied=False)
    return ()


def _by_elements(work: MapWork) -> tuple[Overlap, ...]:
    read, written = (np.dtype(element).itemsize for element in work.elements)
    if work.elements[0] != work.elements[1] and 1 not in (read, written):
        return ()  # to a C compiler, elements of two types never share bytes; but characters may
    distance = max(0, (math.prod(work.shape) - 1) * (written - read))
    return tuple(Overlap(operand, distance) for operand in range(work.operands))


def by_rows(shape: ConvShape, rows: int, copied: bool) -> tuple[Overlap, ...]:
    """The overlap of a convolution of one image that makes its output rows from top to bottom.

    Args:
        shape: the geometry; an element takes one byte.
        rows: output rows made together, in any order.
        copied: the input rows they need are read before the first of them is written.
    """
    batch, height, width, channels = shape.x
    if batch != 1:
        return ()
    in_row, out_row = width * channels, shape.output_extent(1) * shape.out_channels
    out_height = shape.output_extent(0)
    distance = 0
    for first in range(0, out_height, rows):
        end = min(first + rows, out_height)
        needed = (end if copied else first) * shape.strides[0] - shape.pads[0]
        if needed < height and not (copied and end == out_height):
            distance = max(distance, end * out_row - max(needed, 0) * in_row)
    return (Overlap(0, distance),)


def by_pixels(shape: ConvShape, pixels: int, copied: bool) -> tuple[Overlap, ...]:
    """The same of a pointwise convolution that makes so many `pixels` together."""
    batch, height, width, channels = shape.x
    column = replace(shape, x=(1, batch * height * width, 1, channels))
    return by_rows(column, pixels, copied)


def _as_convolution(work: PoolWork) -> ConvShape:
    """A convolution that reads the same rows for the same output rows."""
    shape = work.shape
    _, height, width, channels = shape.x
    top, left = shape.pads[:2]
    bottom, right = (
        (shape.out[axis] - 1) * shape.strides[axis] + shape.kernel[axis] - before - extent
        for axis, before, extent in ((0, top, height), (1, left, width))
    )
    pads = (top, left, bottom, right)
    return ConvShape(shape.x, channels, shape.kernel, shape.strides, pads, (1, 1), 1)
