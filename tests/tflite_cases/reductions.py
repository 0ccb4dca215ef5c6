"""Operators that bring an axis down to one number."""

from __future__ import annotations

import tflite

from tests.tflite_cases.draw import Case, Draw, Spec


def _axes(d: Draw) -> tuple[tuple[int, ...], list[int], bool, tuple[int, ...]]:
    """A shape, some of its axes, whether they stay, and the shape of what is left."""
    shape = d.shape(d.pick((2, 3, 4, 4)))
    count = d.size(1, len(shape))
    axes = sorted(d.random.permutation(len(shape))[:count].tolist())
    if len(shape) == 4 and d.size(0, 1):
        axes = [1, 2]
    keep = bool(d.size(0, 1))
    out = tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)
    return shape, axes, keep, out


def reduce(same: bool = False) -> Case:
    """`same`: the result has the operand's grid."""

    def case(d: Draw) -> Spec:
        shape, axes, keep, out = _axes(d)
        grid = d.grid() if same else None
        operands = (d.feed(shape, grid), d.constant(axes))
        return d.spec(operands, d.tensor(out, grid), "ReducerOptions", {"KeepDims": keep})

    return case


def reduce_logical(d: Draw) -> Spec:
    shape, axes, keep, out = _axes(d)
    d.fed.append(d.random.integers(0, 3, shape).astype(bool))
    operands = (d.operand(shape, dtype="bool"), d.constant(axes))
    return d.spec(operands, d.operand(out, dtype="bool"), "ReducerOptions", {"KeepDims": keep})


def argument(table: str) -> Case:
    def case(d: Draw) -> Spec:
        shape = d.shape(d.size(1, 4))
        axis = d.size(0, len(shape) - 1)
        out = shape[:axis] + shape[axis + 1 :]
        options = {"OutputType": tflite.TensorType.INT32}
        operands = (d.feed(shape), d.constant([axis]))
        return d.spec(operands, d.operand(out, dtype="int32"), table, options)

    return case


def cumulative_sum(d: Draw) -> Spec:
    shape = d.shape()
    options = {"Exclusive": bool(d.size(0, 1)), "Reverse": bool(d.size(0, 1))}
    operands = (d.feed(shape), d.constant(d.size(0, len(shape) - 1)))
    return d.spec(operands, d.tensor(shape), "CumsumOptions", options)


CASES: dict[str, tuple[Case, float | None]] = {
    "ARG_MAX": (argument("ArgMaxOptions"), 0),
    "ARG_MIN": (argument("ArgMinOptions"), 0),
    "CUMSUM": (cumulative_sum, None),
    "MEAN": (reduce(), 1),
    "REDUCE_ALL": (reduce_logical, None),
    "REDUCE_ANY": (reduce_logical, None),
    "REDUCE_MAX": (reduce(same=True), 0),
    "REDUCE_MIN": (reduce(same=True), 0),
    "REDUCE_PROD": (reduce(), None),  # its int8 kernel wraps where it should saturate
    "SUM": (reduce(same=True), None),  # likewise, see tests/lowering/test_reductions_tflite.py
}
"""A case, and by how many steps int8 may differ; None where TFLite has no int8 kernel to ask."""
