"""Products of two int8 activations."""

from __future__ import annotations

from typing import Any

from tvm import te

from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels.common import broadcast_index, broadcast_shape, scaled, to_int8


def batch_matmul(
    a: tuple[int, ...],
    b: tuple[int, ...],
    zero_points: tuple[int, int],
    multiplier: Multiplier,
    zero_point: int,
    limits: tuple[int, int] = (-128, 127),
) -> Any:
    """x[..., M, K], y[..., K, N] -> out[..., M, N]; the leading axes are broadcast."""
    x, y = te.placeholder(a, "int8", name="x"), te.placeholder(b, "int8", name="y")
    depth = te.reduce_axis((0, a[-1]), "k")
    batch = broadcast_shape(a[:-2], b[:-2])

    def element(*index: Any) -> Any:
        stack, row, column = index[:-2], index[-2], index[-1]
        left = x[(*broadcast_index(a[:-2], stack), row, depth)].astype("int32") - zero_points[0]
        right = y[(*broadcast_index(b[:-2], stack), depth, column)].astype("int32") - zero_points[1]
        return te.sum(left * right, axis=depth)

    accumulator = te.compute((*batch, a[-2], b[-1]), element, name="acc")

    def rescaled(*index: Any) -> Any:
        return to_int8(scaled(accumulator[index], multiplier), zero_point, *limits)

    out = te.compute(accumulator.shape, rescaled, name="out")
    return te.create_prim_func([x, y, out])
