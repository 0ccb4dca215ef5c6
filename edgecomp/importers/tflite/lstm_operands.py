"""The operands of an integer LSTM: their places, and whether their types and shapes fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integer_operands import require
from edgecomp.importers.tflite.sequence import FORGET, INPUT, OUTPUT

WEIGHTS, RECURRENT, BIASES, NORMS = 1, 5, 12, 20
"""Where the operands begin that each gate has one of."""
PEEPHOLES: Mapping[int, int] = {INPUT: 9, FORGET: 10, OUTPUT: 11}
"""The operand that is the peephole of each gate that may have one."""
PROJECTION, PROJECTION_BIAS, HIDDEN, MEMORY = 16, 17, 18, 19

Wanted = tuple[int, str, tuple[int, ...]]
"""An operand's place, element type and shape."""


def require_operands(context: Context, gates: Sequence[int]) -> None:
    """Raise unless the operands of an LSTM with `gates` fit its int8 input and each other."""
    if len(context.shape(0)) not in (2, 3):
        raise context.refusal("its input is no matrix and no sequence of them")
    for place, dtype, shape in _wanted(context, gates):
        if dtype != "int32":
            require(context, {place: dtype})
        if context.dtype(place) != dtype or context.shape(place) != shape:
            has = f"{context.dtype(place)}{list(context.shape(place))}"
            raise context.refusal(
                f"its operand {place} is {has}, {dtype}{list(shape)} fits the others",
                "convert the model again",
            )
    units, outputs = _sizes(context)
    if context.has(PROJECTION) and context.has(PEEPHOLES[OUTPUT]) and outputs > units:
        raise context.refusal(
            f"peepholes and a projection of {units} cells to {outputs} outputs have no meaning",
            "project to fewer outputs",
        )


def _sizes(context: Context) -> tuple[int, int]:
    """Units and outputs."""
    units = context.shape(WEIGHTS + FORGET)[0]
    return units, context.shape(PROJECTION)[0] if context.has(PROJECTION) else units


def _wanted(context: Context, gates: Sequence[int]) -> Iterator[Wanted]:
    units, outputs = _sizes(context)
    source = context.shape(0)
    batch = source[1] if len(source) == 3 and context.option("TimeMajor", False) else source[0]
    yield HIDDEN, "int8", (batch, outputs)
    yield MEMORY, "int16", (batch, units)
    for gate in gates:
        yield WEIGHTS + gate, "int8", (units, source[-1])
        yield RECURRENT + gate, "int8", (units, outputs)
        yield BIASES + gate, "int32", (units,)
        if context.has(NORMS + FORGET):
            yield NORMS + gate, "int16", (units,)
        if gate in PEEPHOLES and context.has(PEEPHOLES[OUTPUT]):
            yield PEEPHOLES[gate], "int16", (units,)
    if context.has(PROJECTION):
        yield PROJECTION, "int8", (outputs, units)
    if context.has(PROJECTION_BIAS):
        yield PROJECTION_BIAS, "int32", (outputs,)
