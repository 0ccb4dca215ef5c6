"""Softmax in int8, over the last axis."""

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from edgecomp.lowering.fixed_point import quantize_multiplier

# Bits before the point of the exponential's argument, as the specification fixes them.
INPUT_INTEGER_BITS = 5


def softmax(rows: int, depth: int, scale: float, beta: float = 1.0) -> Any:
    """x[rows, depth] of `scale` -> out[rows, depth] of scale 1/256 and zero point -128."""
    real = min(beta * scale * (1 << (31 - INPUT_INTEGER_BITS)), float((1 << 31) - 1))
    multiplier = quantize_multiplier(real)
    radius = ((1 << INPUT_INTEGER_BITS) - 1) * (1 << (31 - INPUT_INTEGER_BITS)) / (
        1 << multiplier.shift
    )
    least = -int(radius)

    @T.prim_func(s_tir=True)
    def func(x: T.Buffer((rows, depth), "int8"), out: T.Buffer((rows, depth), "int8")):  # type: ignore[no-untyped-def]
        T.evaluate(
            T.call_extern(
                "void",
                "ec_softmax_s8",
                x.access_ptr("r"),
                out.access_ptr("w"),
                rows,
                depth,
                multiplier.mantissa,
                multiplier.shift,
                least,
            )
        )

    return func
