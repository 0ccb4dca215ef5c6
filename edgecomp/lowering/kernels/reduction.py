"""Reductions over any axes; the reduced axes stay, with length 1."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels.common import scaled, to_element


def _reduced(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[tuple[int, ...], list[Any]]:
    """The output's shape, and a reduction axis for each of `axes`."""
    extent = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return extent, [te.reduce_axis((0, shape[axis]), f"k{axis}") for axis in axes]


def _at(index: tuple[Any, ...], axes: tuple[int, ...], inner: list[Any]) -> tuple[Any, ...]:
    where = dict(zip(axes, inner, strict=True))
    return tuple(where.get(i, position) for i, position in enumerate(index))


def total(
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    input_zero_point: int,
    multiplier: Multiplier,
    zero_point: int,
    dtype: str = "int8",
) -> Any:
    """x -> out: the sum over `axes` times `multiplier`, which makes a mean where it divides."""
    x = te.placeholder(shape, dtype, name="x")
    extent, inner = _reduced(shape, axes)
    count = 1
    for axis in axes:
        count *= shape[axis]

    def summed(*index: Any) -> Any:
        return te.sum(x[_at(index, axes, inner)].astype("int32"), axis=inner)

    accumulator = te.compute(extent, summed, name="acc")

    def element(*index: Any) -> Any:
        centred = accumulator[index] - input_zero_point * count
        return to_element(scaled(centred, multiplier), zero_point, element=dtype)

    return te.create_prim_func([x, te.compute(extent, element, name="out")])


def extreme_over(
    shape: tuple[int, ...], axes: tuple[int, ...], largest: bool, dtype: str = "int8"
) -> Any:
    """x -> out: the largest (or the smallest) element over `axes`."""
    x = te.placeholder(shape, dtype, name="x")
    extent, inner = _reduced(shape, axes)
    pick = te.max if largest else te.min

    def element(*index: Any) -> Any:
        return pick(x[_at(index, axes, inner)], axis=inner)

    accumulator = te.compute(extent, element, name="acc")
    out = te.compute(extent, lambda *index: accumulator[index], name="out")
    return te.create_prim_func([x, out])


def index_of_extreme(
    outer: int, extent: int, inner: int, largest: bool, last: bool, dtype: str = "int8"
) -> Any:
    """x[outer, extent, inner] -> int64 out[outer, inner]: where the extreme is.

    Of equal elements the first counts, or the last.
    """
    x = te.placeholder((outer, extent, inner), dtype, name="x")

    def call(sources: Any, results: Any) -> Any:
        return tirx.call_extern(
            "void",
            "ec_index_of_extreme_s8" if dtype == "int8" else "ec_index_of_extreme_s16",
            sources[0].data,
            results[0].data,
            outer,
            extent,
            inner,
            int(largest),
            int(last),
        )

    out = te.extern([(outer, inner)], [x], call, name="out", dtype="int64")
    return te.create_prim_func([x, out])
