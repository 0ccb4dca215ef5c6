"""Products of two activations."""

from __future__ import annotations

from typing import Any

from tvm import te

from edgecomp.lowering.kernels.common import SUM_TYPES, broadcast_index, broadcast_shape, scaled
from edgecomp.lowering.kernels.elementwise import BinaryScales


def batch_matmul(a: tuple[int, ...], b: tuple[int, ...], scales: BinaryScales) -> Any:
    """x[..., M, K], y[..., K, N] -> out[..., M, N]; the leading axes are broadcast."""
    x, y = te.placeholder(a, scales.element, name="x"), te.placeholder(b, scales.element, name="y")
    depth = te.reduce_axis((0, a[-1]), "k")
    batch = broadcast_shape(a[:-2], b[:-2])

    def element(*index: Any) -> Any:
        stack, row, column = index[:-2], index[-2], index[-1]
        left = x[(*broadcast_index(a[:-2], stack), row, depth)]
        right = y[(*broadcast_index(b[:-2], stack), depth, column)]
        wide = [
            (value.astype("int32") - zero_point).astype(SUM_TYPES[scales.element])
            for value, zero_point in zip((left, right), scales.zero_points, strict=True)
        ]
        return te.sum(wide[0] * wide[1], axis=depth)

    accumulator = te.compute((*batch, a[-2], b[-1]), element, name="acc")

    def rescaled(*index: Any) -> Any:
        return scales.placed(scaled(accumulator(*index), scales.output))

    out = te.compute(accumulator.shape, rescaled, name="out")
    return te.create_prim_func([x, y, out])
