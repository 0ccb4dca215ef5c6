"""Bilinear resizing of images in fixed point: ten bits of fraction for each axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from edgecomp.lowering.kernels.common import SUM_TYPES, to_element

FRACTION = 10
ONE = 1 << FRACTION


@dataclass(frozen=True)
class Interpolation:
    """How output positions of one axis lie between input positions.

    Attributes:
        size, out: input and output extent.
        align_corners: the centres of the first and last element stay in place.
        half_pixel: element i covers [i, i + 1), its centre is at i + 1/2.
    """

    size: int
    out: int
    align_corners: bool
    half_pixel: bool

    @property
    def step(self) -> int:
        """Input positions from one output position to the next, times 2^10, rounded."""
        if self.align_corners and self.out > 1:
            return ((self.size - 1) * ONE + (self.out - 1) // 2) // (self.out - 1)
        return (self.size * ONE + self.out // 2) // self.out

    def at(self, i: Any) -> tuple[Any, Any, Any]:
        """Input indices below and above output index `i`, and the weight of the one above."""
        position = i * self.step
        if self.half_pixel:
            position = position + (self.step // 2 - ONE // 2)
        last = self.size - 1
        below = te.min(te.floordiv(te.max(position, 0), ONE), last)
        above = te.min(te.floordiv(te.max(position + ONE - 1, 0), ONE), last)
        return below, above, position - below * ONE


def bilinear(
    shape: tuple[int, int, int, int],
    rows: Interpolation,
    columns: Interpolation,
    dtype: str = "int8",
) -> Any:
    """x[N,H,W,C] -> out[N,OH,OW,C], rounded to nearest with ties away from zero."""
    x = te.placeholder(shape, dtype, name="x")
    mean = "ec_rounded_mean" if dtype == "int8" else "ec_rounded_mean_wide"

    def element(n: Any, h: Any, w: Any, c: Any) -> Any:
        top, bottom, down = rows.at(h)
        left, right, along = columns.at(w)

        def wide(row: Any, column: Any) -> Any:
            return x[n, row, column, c].astype(SUM_TYPES[dtype])

        upper = wide(top, left) * (ONE - along) + wide(top, right) * along
        lower = wide(bottom, left) * (ONE - along) + wide(bottom, right) * along
        total = upper * (ONE - down) + lower * down
        value = tirx.call_extern("int32", mean, total, ONE * ONE)
        return to_element(value, 0, element=dtype)

    extent = (shape[0], rows.out, columns.out, shape[3])
    return te.create_prim_func([x, te.compute(extent, element, name="out")])
