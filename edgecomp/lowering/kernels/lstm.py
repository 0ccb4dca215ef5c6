"""A long short-term memory over a whole sequence, in int8 with a 16-bit memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import te, tirx

Shape = tuple[int, ...]

LSTM_INPUTS = 13
"""What `ec_lstm_s8` reads, parts an LSTM may do without included."""
_ABSENT = 0
"""What C takes for a null pointer."""


def integer_lstm(operands: Sequence[tuple[Shape, str] | None], result: Shape) -> Any:
    """The call of `ec_lstm_s8`.

    Args:
        operands: shape and element type of the constants and the rest that it reads, in its
            order: sequence, hidden state, memory, shape and so on; None for one left out.
        result: the shape of what leaves, int8; the next hidden state and memory follow it.
    """
    present = [
        None if operand is None else te.placeholder(operand[0], operand[1], name=f"x{i}")
        for i, operand in enumerate(operands)
    ]
    given = [tensor for tensor in present if tensor is not None]
    (hidden, _), (memory, _) = _required(operands[1]), _required(operands[2])
    units = memory[-1]

    def call(sources: Any, targets: Any) -> Any:
        pointers = iter(source.data for source in sources)
        passed = [_ABSENT if tensor is None else next(pointers) for tensor in present]
        return tirx.call_extern("void", "ec_lstm_s8", *passed, *(t.data for t in targets))

    shapes = [result, hidden, memory, (4 * units,), (units,)]
    dtypes = ["int8", "int8", "int16", "int16", "int8"]
    made = te.extern(shapes, given, call, name="out", dtype=dtypes)
    return te.create_prim_func([*given, *made[:3]])


def _required(operand: tuple[Shape, str] | None) -> tuple[Shape, str]:
    assert operand is not None, "sequence and states are always there"
    return operand
