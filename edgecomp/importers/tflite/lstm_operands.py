"""The operands of an LSTM with int8 weights: their places, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.sequence import FORGET, INPUT, OUTPUT

WEIGHTS, RECURRENT, BIASES, NORMS = 1, 5, 12, 20
"""Where the operands begin that each gate has one of."""
PEEPHOLES: Mapping[int, int] = {INPUT: 9, FORGET: 10, OUTPUT: 11}
"""The operand that is the peephole of each gate that may have one."""
PROJECTION, PROJECTION_BIAS, HIDDEN, MEMORY = 16, 17, 18, 19

Wanted = tuple[int, str, tuple[int, ...]]
"""An operand's place, element type and shape."""


@dataclass(frozen=True)
class OperandTypes:
    """Element types of an LSTM's operands; its weights are int8."""

    hidden: str
    memory: str
    biases: str
    norms: str
    peepholes: str


INTEGER_TYPES = OperandTypes("int8", "int16", "int32", "int16", "int16")
HYBRID_TYPES = OperandTypes("float32", "float32", "float32", "float32", "int8")


def require_operands(context: Context, gates: Sequence[int], types: OperandTypes) -> None:
    """Raise unless the operands of an LSTM with `gates` are of `types` and fit each other."""
    if len(context.shape(0)) not in (2, 3):
        raise context.refusal("its input is no matrix and no sequence of them")
    for place, dtype, shape in _wanted(context, gates, types):
        if context.dtype(place) != dtype or context.shape(place) != shape:
            has = f"{context.dtype(place)}{list(context.shape(place))}"
            raise context.refusal(
                f"its operand {place} is {has}, {dtype}{list(shape)} fits the others",
                "convert the model again",
            )
        if dtype in ("int8", "int16") and context.quantized(place) is None:
            raise context.refusal(f"its operand {place} has no scale", "convert the model again")


def sizes_of(context: Context) -> tuple[int, int]:
    """Units and outputs."""
    units = context.shape(WEIGHTS + FORGET)[0]
    return units, context.shape(PROJECTION)[0] if context.has(PROJECTION) else units


def steps_of(context: Context) -> tuple[int, int]:
    """Steps and batch."""
    shape = context.shape(0)
    if len(shape) == 2:
        return 1, shape[0]
    return (shape[0], shape[1]) if context.option("TimeMajor", False) else (shape[1], shape[0])


def _wanted(context: Context, gates: Sequence[int], types: OperandTypes) -> Iterator[Wanted]:
    (units, outputs), (_, batch) = sizes_of(context), steps_of(context)
    yield HIDDEN, types.hidden, (batch, outputs)
    yield MEMORY, types.memory, (batch, units)
    for gate in gates:
        yield WEIGHTS + gate, "int8", (units, context.shape(0)[-1])
        yield RECURRENT + gate, "int8", (units, outputs)
        yield BIASES + gate, types.biases, (units,)
        if context.has(NORMS + FORGET):
            yield NORMS + gate, types.norms, (units,)
        if gate in PEEPHOLES and context.has(PEEPHOLES[OUTPUT]):
            yield PEEPHOLES[gate], types.peepholes, (units,)
    if context.has(PROJECTION):
        yield PROJECTION, "int8", (outputs, units)
    if context.has(PROJECTION_BIAS):
        yield PROJECTION_BIAS, types.biases, (outputs,)
