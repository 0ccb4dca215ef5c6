"""A cell of the LSTM in float, in ONNX's operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.lstm_operands import BIASES, NORMS, PROJECTION, PROJECTION_BIAS
from edgecomp.importers.tflite.sequence import CELL, FORGET, INPUT, OUTPUT

_LAYER_NORM_EPSILON = 1e-8
"""What the reference kernel adds to the variance."""


@dataclass(frozen=True)
class FloatCell:
    """The part of an LSTM after the products with input and hidden state.

    Attributes:
        context: the operator.
        times: a matrix of rows, times the weights that are the operand of that number.
    """

    context: Context
    times: Callable[[str, int], str]

    def step(self, sums: Mapping[int, str], memory: str) -> tuple[str, str]:
        """Hidden state and memory after one step.

        Args:
            sums: of each gate; without an input gate, that is 1 less the forget gate. Biases are
                in them, but before a layer normalisation.
        """
        emit = self.context.emit
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

    def _gate(self, value: str, gate: int, peephole_at: int, memory: str) -> str:
        emit, context = self.context.emit, self.context
        if context.has(peephole_at):
            value = emit("Add", value, emit("Mul", context.read(peephole_at), memory))
        return emit("Sigmoid", self._normalised(value, gate))

    def _normalised(self, value: str, gate: int) -> str:
        """The sums of a gate with mean 0 and variance 1, scaled, plus the gate's bias."""
        context, emit = self.context, self.context.emit
        if not context.has(NORMS + gate):
            return value
        axes = context.ints([1])
        value = emit("Sub", value, emit("ReduceMean", value, axes, keepdims=1))
        variance = emit("ReduceMean", emit("Mul", value, value), axes, keepdims=1)
        variance = emit("Add", variance, context.like(value, _LAYER_NORM_EPSILON))
        value = emit("Div", value, emit("Sqrt", variance))
        value = emit("Mul", value, context.read(NORMS + gate))
        return emit("Add", value, context.read(BIASES + gate))

    def _clipped(self, value: str, option: str) -> str:
        limit = float(self.context.option(option, 0.0))
        if limit <= 0.0:
            return value
        bounds = (self.context.like(value, bound) for bound in (-limit, limit))
        return self.context.emit("Clip", value, *bounds)

    def _projected(self, value: str) -> str:
        context = self.context
        if not context.has(PROJECTION):
            return value
        value = self.times(value, PROJECTION)
        if context.has(PROJECTION_BIAS):
            value = context.emit("Add", value, context.read(PROJECTION_BIAS))
        return self._clipped(value, "ProjClip")
