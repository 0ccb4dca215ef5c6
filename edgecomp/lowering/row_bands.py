"""Part of an operator on images: some rows of its output, from the input rows they need.

Rows of an NHWC image of batch 1 are contiguous, so that a band of them is a tensor by itself. A
band at the edge of the image has the border there, one inside has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgecomp.lowering.kernels import conv, elementwise
from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.lowering.kernels.elementwise import AddWork, MapWork
from edgecomp.lowering.kernels.pool import PoolShape, PoolWork

Rows = tuple[int, int]
"""The first row and the one after the last."""


def has_bands(work: Any) -> bool:
    """Whether an operator can be computed by rows: a 2-d one on one image, each operand one."""
    if isinstance(work, ConvWork):
        return work.shape.x[0] == 1 and work.shape.output_extent(0) > 1
    if isinstance(work, PoolWork):
        return work.shape.x[0] == 1 and work.shape.out[0] > 1
    if isinstance(work, AddWork) and work.a != work.b:
        return False
    shape = _place_by_place(work)
    return shape is not None and len(shape) == 4 and shape[0] == 1 and shape[1] > 1


def _place_by_place(work: Any) -> tuple[int, ...] | None:
    """The shape of an operator whose rows need the same rows of its operands; None of others."""
    if isinstance(work, AddWork):
        return work.a
    return work.shape if isinstance(work, MapWork) else None


def image_operands(work: Any) -> int:
    """How many of the first operands are images; constants follow."""
    if isinstance(work, MapWork):
        return work.operands
    return 2 if isinstance(work, AddWork) else 1


def output_rows(work: Any) -> int:
    """Height of the output."""
    shape = _place_by_place(work)
    if shape is not None:
        return shape[1]
    return int(work.shape.out[0] if isinstance(work, PoolWork) else work.shape.output_extent(0))


def rows_read(work: Any, rows: Rows) -> Rows:
    """The rows of every image operand that output `rows` need."""
    if _place_by_place(work) is not None:
        return rows
    first, end = _window(work.shape, rows)
    return max(first, 0), min(end, work.shape.x[1])


def band_of(work: Any, rows: Rows) -> Any:
    """The work that makes output `rows`, from the rows `rows_read` gives."""
    whole = _place_by_place(work)
    if whole is not None:
        part = (1, rows[1] - rows[0], *whole[2:])
        fields = ("a", "b") if isinstance(work, AddWork) else ("shape",)
        return replace(work, **dict.fromkeys(fields, part))
    shape = work.shape
    first, end = _window(shape, rows)
    low, high = rows_read(work, rows)
    width, channels = shape.x[2:]
    _, left, _, right = shape.pads
    band = replace(
        shape, x=(1, high - low, width, channels), pads=(low - first, left, end - high, right)
    )
    if isinstance(work, PoolWork):
        band = replace(band, out=(rows[1] - rows[0], shape.out[1]))
        return replace(work, shape=band)
    return replace(work, shape=band, bands=-(-output_rows(work) // (rows[1] - rows[0])))


def _window(shape: ConvShape | PoolShape, rows: Rows) -> Rows:
    """The rows that output `rows` read, with those of the border above (negative) and below."""
    stride, top = shape.strides[0], shape.pads[0]
    dilation = shape.dilations[0] if isinstance(shape, ConvShape) else 1
    reach = (shape.kernel[0] - 1) * dilation + 1
    return rows[0] * stride - top, (rows[1] - 1) * stride - top + reach


def function_of(work: Any, schedule_as: str) -> Any:
    """TIR that computes `work`, for the schedule a kernel of it had."""
    if isinstance(work, MapWork | PoolWork):
        return work.build()
    if isinstance(work, AddWork):
        return elementwise.add(work.a, work.b, work.scales, work.subtract)
    build = conv.depthwise_conv2d if schedule_as == "depthwise_conv2d" else conv.conv2d
    return build(work.shape, work.input_zero_point, work.rescale)
