"""Long short-term memories over a whole sequence, by C functions of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import te, tirx

Shape = tuple[int, ...]
Operand = tuple[Shape, str] | None
"""Shape and element type of what a kernel reads; None for what this LSTM does without."""

_ABSENT = 0
"""What C takes for a null pointer."""


def integer_lstm(operands: Sequence[Operand], result: Shape) -> Any:
    """`ec_lstm_s8`: int8 with a 16-bit memory.

    Args:
        operands: sequence, hidden state, memory and constants, in the order of the C function.
        result: the shape of what leaves; the next hidden state and memory follow it.
    """
    units = _shape_of(operands[2])[-1]
    return _call("ec_lstm_s8", operands, result, [((4 * units,), "int16"), ((units,), "int8")])


def hybrid_lstm(operands: Sequence[Operand], result: Shape) -> Any:
    """`ec_lstm_hybrid`: float32 with int8 weights; arguments as `integer_lstm`."""
    units, features = _shape_of(operands[2])[-1], _shape_of(operands[0])[-1]
    rows = features + result[-1] + units
    scratch = [((4 * units,), "float32"), ((rows,), "int8")]
    return _call("ec_lstm_hybrid", operands, result, scratch)


def _call(
    function: str, operands: Sequence[Operand], result: Shape, scratch: Sequence[tuple[Shape, str]]
) -> Any:
    present = [
        None if operand is None else te.placeholder(operand[0], operand[1], name=f"x{i}")
        for i, operand in enumerate(operands)
    ]
    given = [tensor for tensor in present if tensor is not None]
    (source, hidden, memory) = given[:3]

    def call(sources: Any, targets: Any) -> Any:
        pointers = iter(source.data for source in sources)
        passed = [_ABSENT if tensor is None else next(pointers) for tensor in present]
        return tirx.call_extern("void", function, *passed, *(t.data for t in targets))

    shapes = [result, hidden.shape, memory.shape, *(shape for shape, _ in scratch)]
    dtypes = [source.dtype, hidden.dtype, memory.dtype, *(dtype for _, dtype in scratch)]
    made = te.extern(shapes, given, call, name="out", dtype=dtypes)
    return te.create_prim_func([*given, *made[:3]])


def _shape_of(operand: Operand) -> Shape:
    assert operand is not None, "sequence and states are always there"
    return operand[0]
