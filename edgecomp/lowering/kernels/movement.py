"""Operators that move elements without changing them; any element type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import te, tirx


def transpose(shape: tuple[int, ...], dtype: str, permutation: tuple[int, ...]) -> Any:
    """x -> out with out.shape[i] = x.shape[permutation[i]]."""
    x = te.placeholder(shape, dtype, name="x")
    inverse = [permutation.index(axis) for axis in range(len(permutation))]

    def element(*index: Any) -> Any:
        return x[tuple(index[i] for i in inverse)]

    extent = tuple(shape[axis] for axis in permutation)
    return te.create_prim_func([x, te.compute(extent, element, name="out")])


def pad(
    shape: tuple[int, ...], dtype: str, before: Sequence[int], after: Sequence[int], value: float
) -> Any:
    """x -> out with `before` and `after` elements of `value` around each axis."""
    x = te.placeholder(shape, dtype, name="x")

    def element(*index: Any) -> Any:
        inside = [
            condition
            for i, n, low in zip(index, shape, before, strict=True)
            for condition in (i >= low, i < low + n)
        ]
        source = x[tuple(i - low for i, low in zip(index, before, strict=True))]
        return te.if_then_else(tirx.all(*inside), source, tirx.const(value, dtype))

    extent = tuple(a + n + b for a, n, b in zip(before, shape, after, strict=True))
    return te.create_prim_func([x, te.compute(extent, element, name="out")])


def concat(shapes: Sequence[tuple[int, ...]], dtype: str, axis: int) -> Any:
    """x0, x1 ... -> out, joined along `axis`."""
    xs = [te.placeholder(shape, dtype, name=f"x{i}") for i, shape in enumerate(shapes)]
    starts = [sum(shape[axis] for shape in shapes[:i]) for i in range(len(shapes))]
    extent = list(shapes[0])
    extent[axis] = sum(shape[axis] for shape in shapes)

    def element(*index: Any) -> Any:
        def part(i: int) -> Any:
            moved = list(index)
            moved[axis] = index[axis] - starts[i]
            return xs[i][tuple(moved)]

        value = part(len(xs) - 1)
        for i in range(len(xs) - 2, -1, -1):
            value = te.if_then_else(index[axis] < starts[i + 1], part(i), value)
        return value

    return te.create_prim_func([*xs, te.compute(tuple(extent), element, name="out")])


def copy(shape: tuple[int, ...], dtype: str) -> Any:
    """x -> out, unchanged."""
    x = te.placeholder(shape, dtype, name="x")
    return te.create_prim_func([x, te.compute(shape, lambda *index: x[index], name="out")])
