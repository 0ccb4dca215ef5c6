"""Layers with a state: SVDF, and the LSTM that runs over a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.lstm_integer import lstm_integer
from edgecomp.importers.tflite.sequence import (
    CELL,
    FORGET,
    INPUT,
    OUTPUT,
    each_step,
    from_steps,
    in_steps,
)
from edgecomp.importers.tflite.svdf_integer import svdf_integer

_LAYER_NORM_EPSILON = 1e-8
"""What the reference kernel adds to the variance."""


def svdf(context: Context) -> None:
    """SVDF: a dense layer of rank-1 filters over features, then over time.

    Operands: input [batch, features], weights over features [filters, features], weights over time
    [filters, memory], bias [units] or none, state [batch, filters * memory]. `Rank` filters are
    summed to a unit.
    """
    rank = int(context.option("Rank"))
    filters, memory = context.shape(2)
    if rank < 1 or filters % rank:
        raise context.refusal(f"{filters} filters are no multiple of the rank {rank}")
    if context.dtype(0) == "int8":
        svdf_integer(context)
        return
    _require_float(context, (0, 1, 2, 4))
    emit, batch = context.emit, context.shape(0)[0]
    features = context.main("MatMul", context.read(0), _turned(context, 1))
    newest = emit("Reshape", features, context.ints((batch, filters, 1)))
    last = emit("Reshape", context.read(4), context.ints((batch, filters, memory)))
    bounds = [context.ints([number]) for number in (1, memory, 2)]
    state = emit("Concat", emit("Slice", last, *bounds), newest, axis=2)
    context.give(emit("Reshape", state, context.ints((batch, filters * memory))), place=1)
    products = emit("Mul", state, context.read(2))
    grouped = emit("Reshape", products, context.ints((batch, filters // rank, rank * memory)))
    value = emit("ReduceSum", grouped, context.ints([2]), keepdims=0)
    if context.has(3):
        value = emit("Add", value, context.read(3))
    context.give(context.activated(value))


@dataclass(frozen=True)
class _Cell:
    """A float LSTM.

    Attributes:
        context: the operator.
        gates: the gates it has; without an input gate, that is 1 less the forget gate.
        units: cells.
        recurrent: transposed recurrent weights of all gates side by side.
    """

    context: Context
    gates: Sequence[int]
    units: int
    recurrent: str

    def step(self, inputs: str, hidden: str, memory: str) -> tuple[str, str]:
        """Hidden state and memory after one step; `inputs` are multiplied by their weights."""
        emit = self.context.emit
        total = emit("Add", inputs, emit("MatMul", hidden, self.recurrent))
        split = self.context.several("Split", total, self._sizes(), outputs=len(self.gates), axis=1)
        sums = dict(zip(self.gates, split, strict=True))
        forget = self._gate(sums[FORGET], FORGET, 10, memory)
        if INPUT in sums:
            enter = self._gate(sums[INPUT], INPUT, 9, memory)
        else:
            enter = emit("Sub", self.context.like(forget, 1.0), forget)
        fresh = self.context.activated(self._normalised(sums[CELL], CELL))
        memory = emit("Add", emit("Mul", forget, memory), emit("Mul", fresh, enter))
        memory = self._clipped(memory, "CellClip")
        leave = self._gate(sums[OUTPUT], OUTPUT, 11, memory)
        return self._projected(emit("Mul", leave, self.context.activated(memory))), memory

    def _sizes(self) -> str:
        return self.context.ints([self.units] * len(self.gates))

    def _gate(self, value: str, gate: int, peephole_at: int, memory: str) -> str:
        emit, context = self.context.emit, self.context
        if context.has(peephole_at):
            value = emit("Add", value, emit("Mul", context.read(peephole_at), memory))
        return emit("Sigmoid", self._normalised(value, gate))

    def _normalised(self, value: str, gate: int) -> str:
        """The sums of a gate with mean 0 and variance 1, scaled, plus the gate's bias."""
        context, emit = self.context, self.context.emit
        if not context.has(20 + gate):
            return value
        axes = context.ints([1])
        value = emit("Sub", value, emit("ReduceMean", value, axes, keepdims=1))
        variance = emit("ReduceMean", emit("Mul", value, value), axes, keepdims=1)
        variance = emit("Add", variance, context.like(value, _LAYER_NORM_EPSILON))
        value = emit("Div", value, emit("Sqrt", variance))
        return emit("Add", emit("Mul", value, context.read(20 + gate)), context.read(12 + gate))

    def _clipped(self, value: str, option: str) -> str:
        limit = float(self.context.option(option, 0.0))
        if limit <= 0.0:
            return value
        bounds = (self.context.like(value, bound) for bound in (-limit, limit))
        return self.context.emit("Clip", value, *bounds)

    def _projected(self, value: str) -> str:
        context = self.context
        if not context.has(16):
            return value
        value = context.emit("MatMul", value, _turned(context, 16))
        if context.has(17):
            value = context.emit("Add", value, context.read(17))
        return self._clipped(value, "ProjClip")


def unidirectional_sequence_lstm(context: Context) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: one step after another.

    Operands, by place: 0 input; 1 to 4 weights of the input, 5 to 8 of the hidden state, each in
    the order of `sequence.INPUT` ...; 9 to 11 peepholes of all gates but the cell's; 12 to 15
    biases; 16, 17 projection and its bias; 18 hidden state; 19 memory; 20 to 23 layer
    normalisation.
    """
    gates = [gate for gate in range(4) if context.has(1 + gate)]
    if not {FORGET, CELL, OUTPUT} <= set(gates):
        raise context.refusal("weights of a gate are missing", "convert the model again")
    if context.dtype(0) == "int8":
        lstm_integer(context, gates)
        return
    _require_float(context, [place for place in range(20) if context.has(place)])
    emit = context.emit
    source = in_steps(context, context.read(0))
    inputs = emit("MatMul", source, _beside(context, [1 + gate for gate in gates]))
    if not context.has(20 + FORGET):
        biases = [context.read(12 + gate) for gate in gates]
        inputs = emit("Add", inputs, emit("Concat", *biases, axis=0))
    recurrent = _beside(context, [5 + gate for gate in gates])
    cell = _Cell(context, gates, context.shape(2)[0], recurrent)
    hidden, memory, rows = context.read(18), context.read(19), []
    for step in each_step(context, inputs):
        hidden, memory = cell.step(step, hidden, memory)
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
