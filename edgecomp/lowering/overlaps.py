"""How far over its operands a kernel may write: from the order in which it reads and writes rows.

The rules hold for the schedules of `schedules.py`; a target that brings a kernel of its own says
itself how that goes, with the same functions.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.lowering.kernels.elementwise import AddWork
from edgecomp.program import Overlap


def overlaps_of(work: Any) -> tuple[Overlap, ...]:
    """The overlaps of a general kernel that computes `work`; none where nothing is known."""
    if isinstance(work, AddWork):
        same = work.a == work.b
        return (Overlap(0, 0), Overlap(1, 0)) if same else ()
    if isinstance(work, ConvWork):
        # a border is put around the rows before the output row that reads them is written
        return by_rows(work.shape, rows=1, copied=any(work.shape.pads))
    return ()


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


def by_elements(shape: tuple[int, ...], read: int, written: int) -> int:
    """The distance where elements of `read` bytes become elements of `written` bytes one by one."""
    return max(0, (math.prod(shape) - 1) * (written - read))
