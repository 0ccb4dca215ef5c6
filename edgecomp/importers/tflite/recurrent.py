"""Layers with a state: SVDF, and the LSTM that runs over a sequence."""

from __future__ import annotations

from collections.abc import Sequence

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.hybrid import is_hybrid
from edgecomp.importers.tflite.lstm_float import FloatCell
from edgecomp.importers.tflite.lstm_hybrid import lstm_hybrid
from edgecomp.importers.tflite.lstm_integer import lstm_integer
from edgecomp.importers.tflite.lstm_operands import (
    BIASES,
    HIDDEN,
    MEMORY,
    NORMS,
    RECURRENT,
    WEIGHTS,
)
from edgecomp.importers.tflite.sequence import (
    CELL,
    FORGET,
    OUTPUT,
    each_step,
    from_steps,
    in_steps,
)
from edgecomp.importers.tflite.svdf_float import filtered
from edgecomp.importers.tflite.svdf_hybrid import svdf_hybrid
from edgecomp.importers.tflite.svdf_integer import svdf_integer
from edgecomp.importers.tflite.svdf_operands import BIAS, FEATURES, STATE, TIME
from edgecomp.importers.tflite.svdf_operands import sizes_of as svdf_sizes_of


def svdf(context: Context) -> None:
    """SVDF: a dense layer of rank-1 filters over features, then over time.

    Operands: input [batch, features], weights over features [filters, features], weights over time
    [filters, memory], bias [units] or none, state [batch, filters * memory]. `Rank` filters are
    summed to a unit. Beside a float input, the weights may be int8: the input is then quantized
    as it comes, and the weights over time are taken as the real numbers they stand for.
    """
    sizes = svdf_sizes_of(context)
    if context.dtype(0) == "int8":
        svdf_integer(context, sizes)
        return
    if is_hybrid(context, FEATURES):
        svdf_hybrid(context, sizes)
        return
    _require_float(context, (0, FEATURES, TIME, STATE))
    features = context.main("MatMul", context.read(0), _turned(context, FEATURES))
    bias = context.read(BIAS) if context.has(BIAS) else ""
    operands = (context.read(STATE), context.read(TIME), bias)
    for place, value in enumerate(filtered(context, sizes, features, *operands)):
        context.give(value, place=place)


def unidirectional_sequence_lstm(context: Context) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: one step after another.

    Operands, by place: 0 input; 1 to 4 weights of the input, 5 to 8 of the hidden state, each in
    the order of `sequence.INPUT` ...; 9 to 11 peepholes of all gates but the cell's; 12 to 15
    biases; 16, 17 projection and its bias; 18 hidden state; 19 memory; 20 to 23 layer
    normalisation.
    """
    gates = [gate for gate in range(4) if context.has(WEIGHTS + gate)]
    if not {FORGET, CELL, OUTPUT} <= set(gates):
        raise context.refusal("weights of a gate are missing", "convert the model again")
    if context.dtype(0) == "int8":
        lstm_integer(context, gates)
    elif is_hybrid(context, WEIGHTS + FORGET):
        lstm_hybrid(context, gates)
    else:
        _lstm_float(context, gates)


def _lstm_float(context: Context, gates: Sequence[int]) -> None:
    _require_float(context, [place for place in range(20) if context.has(place)])
    emit = context.emit
    source = in_steps(context, context.read(0))
    inputs = emit("MatMul", source, _beside(context, [WEIGHTS + gate for gate in gates]))
    if not context.has(NORMS + FORGET):
        biases = [context.read(BIASES + gate) for gate in gates]
        inputs = emit("Add", inputs, emit("Concat", *biases, axis=0))
    recurrent = _beside(context, [RECURRENT + gate for gate in gates])
    sizes = context.ints([context.shape(WEIGHTS + FORGET)[0]] * len(gates))
    cell = FloatCell(context, lambda rows, place: emit("MatMul", rows, _turned(context, place)))
    hidden, memory, rows = context.read(HIDDEN), context.read(MEMORY), []
    for step in each_step(context, inputs):
        total = emit("Add", step, emit("MatMul", hidden, recurrent))
        split = context.several("Split", total, sizes, outputs=len(gates), axis=1)
        hidden, memory = cell.step(dict(zip(gates, split, strict=True)), memory)
        rows.append(hidden)
    context.give(from_steps(context, rows))
    context.give(hidden, place=1)
    context.give(memory, place=2)


def _require_float(context: Context, places: Sequence[int]) -> None:
    for place in places:
        if context.dtype(place) != "float32":
            raise context.refusal(
                f"its operand {place} is {context.dtype(place)}, only float32 is known",
                "convert the model without quantization",
            )


def _turned(context: Context, place: int) -> str:
    """A matrix of weights as the right side of a product."""
    return context.emit("Transpose", context.read(place), perm=(1, 0))


def _beside(context: Context, places: Sequence[int]) -> str:
    """Several matrices of weights as one right side."""
    return context.emit("Concat", *(_turned(context, place) for place in places), axis=1)
