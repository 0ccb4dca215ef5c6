"""Softmax and its logarithm of int8, over the last axis."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import Multiplier, quantize_multiplier

# Bits before the point of the exponential's argument, as the specification fixes them.
INPUT_INTEGER_BITS = 5


def _argument(scale: float) -> tuple[Multiplier, int]:
    """Multiplier of the exponential's argument, and the least difference that still counts."""
    real = min(scale * (1 << (31 - INPUT_INTEGER_BITS)), float((1 << 31) - 1))
    multiplier = quantize_multiplier(real)
    radius = ((1 << INPUT_INTEGER_BITS) - 1) * 2.0 ** (31 - INPUT_INTEGER_BITS - multiplier.shift)
    return multiplier, -min(int(radius), 255)  # two int8 are never further apart


def softmax(rows: int, depth: int, scale: float, beta: float = 1.0, result: str = "int8") -> Any:
    """x[rows, depth] of `scale` -> out[rows, depth], the whole range of `result` from 0 to 1."""
    multiplier, least = _argument(scale * beta)
    x = te.placeholder((rows, depth), "int8", name="x")

    def call(sources: Any, results: Any) -> Any:
        return tirx.call_extern(
            "void",
            "ec_softmax_s8" if result == "int8" else "ec_softmax_s8_s16",
            sources[0].data,
            results[0].data,
            rows,
            depth,
            multiplier.mantissa,
            multiplier.shift,
            least,
        )

    out = te.extern([(rows, depth)], [x], call, name="out", dtype=result)
    return te.create_prim_func([x, out])


def log_softmax(rows: int, depth: int, scale: float) -> Any:
    """x[rows, depth] of `scale` -> out[rows, depth] of scale 16/256 and zero point 127."""
    multiplier, least = _argument(scale)
    back = quantize_multiplier(2.0 ** (31 - multiplier.shift) / multiplier.mantissa)
    x = te.placeholder((rows, depth), "int8", name="x")

    def call(sources: Any, results: Any) -> Any:
        return tirx.call_extern(
            "void",
            "ec_log_softmax_s8",
            sources[0].data,
            results[0].data,
            rows,
            depth,
            multiplier.mantissa,
            multiplier.shift,
            back.mantissa,
            back.shift,
            least,
        )

    out = te.extern([(rows, depth)], [x], call, name="out", dtype="int8")
    return te.create_prim_func([x, out])
