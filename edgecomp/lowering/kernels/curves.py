"""Functions of one int16, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels.common import scaled, to_element
from edgecomp.lowering.wide_tables import ENTRIES, LOGISTIC_ENTRIES


@dataclass(frozen=True)
class Slopes:
    """A function that is a straight line on each side of zero.

    Attributes:
        input_zero_point, zero_point: of input and output.
        positive, negative: multipliers of arguments from zero on, and below.
        mirrored: whether negative arguments count by their size, as in an absolute value.
        low, high: clamp in output steps.
    """

    input_zero_point: int
    zero_point: int
    positive: Multiplier
    negative: Multiplier
    mirrored: bool
    low: int
    high: int


def slopes(shape: tuple[int, ...], work: Slopes) -> Any:
    """int16 x -> out."""
    x = te.placeholder(shape, "int16", name="x")

    def element(*index: Any) -> Any:
        value = x[index].astype("int32") - work.input_zero_point
        below = scaled(-value if work.mirrored else value, work.negative)
        if work.positive == work.negative and not work.mirrored:
            line = below
        else:
            line = tirx.Select(value >= 0, scaled(value, work.positive), below)
        return to_element(line, work.zero_point, (work.low, work.high), "int16")

    return te.create_prim_func([x, te.compute(shape, element, name="out")])


def interpolate(shape: tuple[int, ...]) -> Any:
    """int16 x, table[513] -> out: between the table's entries, which are 128 steps apart."""
    x = te.placeholder(shape, "int16", name="x")
    table = te.placeholder((ENTRIES,), "int16", name="table")

    def element(*index: Any) -> Any:
        value = x[index].astype("int32")
        place = (value >> 7) + 256
        ends = [table[at].astype("int32") for at in (place, place + 1)]
        return tirx.call_extern("int32", "ec_interpolate", value, *ends).astype("int16")

    return te.create_prim_func([x, table, te.compute(shape, element, name="out")])


def logistic(count: int, multiplier: int, shift: int, tangent: bool) -> Any:
    """int16 x[count], table[256] -> out: the logistic function, or the hyperbolic tangent, in Q15.

    x * multiplier / 2^shift, ties up, is the argument times 3 * 2^12.
    """
    x = te.placeholder((count,), "int16", name="x")
    table = te.placeholder((LOGISTIC_ENTRIES,), "uint16", name="table")

    def call(sources: Any, results: Any) -> Any:
        return tirx.call_extern(
            "void",
            "ec_tanh_s16" if tangent else "ec_logistic_s16",
            *(buffer.data for buffer in (*sources, *results)),
            count,
            multiplier,
            shift,
        )

    out = te.extern([(count,)], [x, table], call, name="out", dtype="int16")
    return te.create_prim_func([x, table, out])


def softmax(rows: int, depth: int, multiplier: Multiplier) -> Any:
    """int16 x[rows, depth], two tables[513] -> out[rows, depth] in Q15."""
    x = te.placeholder((rows, depth), "int16", name="x")
    tables = [te.placeholder((ENTRIES,), "int16", name=name) for name in ("exp", "inverse")]

    def call(sources: Any, results: Any) -> Any:
        return tirx.call_extern(
            "void",
            "ec_softmax_s16",
            *(buffer.data for buffer in (*sources, *results)),
            rows,
            depth,
            multiplier.mantissa,
            multiplier.shift,
        )

    out = te.extern([(rows, depth)], [x, *tables], call, name="out", dtype="int16")
    return te.create_prim_func([x, *tables, out])
