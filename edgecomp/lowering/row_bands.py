"""Part of an operator on images: some rows of its output, from the input rows they need.

Rows of an NHWC image of batch 1 are contiguous, so that a band of them is a tensor by itself. A
band at the edge of the image has the border there, one inside has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgecomp.lowering.kernels import conv, elementwise
from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.lowering.kernels.elementwise import AddWork

Rows = tuple[int, int]
"""The first row and the one after the last."""


def has_bands(work: Any) -> bool:
    """Whether an operator can be computed by rows: a 2-d one on one image, each operand one."""
    if isinstance(work, ConvWork):
        return work.shape.x[0] == 1 and work.shape.output_extent(0) > 1
    if isinstance(work, AddWork):
        return work.a == work.b and len(work.a) == 4 and work.a[0] == 1 and work.a[1] > 1
    return False


def image_operands(work: Any) -> int:
    """How many of the first operands are images; constants follow."""
    return 2 if isinstance(work, AddWork) else 1


def output_rows(work: Any) -> int:
    """Height of the output."""
    return int(work.a[1] if isinstance(work, AddWork) else work.shape.output_extent(0))


def rows_read(work: Any, rows: Rows) -> Rows:
    """The rows of every image operand that output `rows` need."""
    if isinstance(work, AddWork):
        return rows
    first, end = _window(work.shape, rows)
    return max(first, 0), min(end, work.shape.x[1])


def band_of(work: Any, rows: Rows) -> Any:
    """The work that makes output `rows`, from the rows `rows_read` gives."""
    if isinstance(work, AddWork):
        shape = (1, rows[1] - rows[0], *work.a[2:])
        return replace(work, a=shape, b=shape)
    shape = work.shape
    first, end = _window(shape, rows)
    low, high = rows_read(work, rows)
    width, channels = shape.x[2:]
    _, left, _, right = shape.pads
    band = replace(
        shape, x=(1, high - low, width, channels), pads=(low - first, left, end - high, right)
    )
    return replace(work, shape=band)


def _window(shape: ConvShape, rows: Rows) -> Rows:
    """The rows that output `rows` read, with those of the border above (negative) and below."""
    stride, top = shape.strides[0], shape.pads[0]
    reach = (shape.kernel[0] - 1) * shape.dilations[0] + 1
    return rows[0] * stride - top, (rows[1] - 1) * stride - top + reach


def function_of(work: Any, schedule_as: str) -> Any:
    """TIR that computes `work`, for the schedule a kernel of it had."""
    if isinstance(work, AddWork):
        return elementwise.add(work.a, work.b, work.scales, work.subtract)
    build = conv.depthwise_conv2d if schedule_as == "depthwise_conv2d" else conv.conv2d
    return build(work.shape, work.input_zero_point, work.rescale)
