"""One step of the integer LSTM in ONNX's operators: what the function IntegerLstm means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.curve_tables import looked_up, table_of
from edgecomp.importers.tflite.fixed_point_normalisation import normalised
from edgecomp.importers.tflite.integer_operands import INT8, INT16
from edgecomp.importers.tflite.integers import Integers
from edgecomp.importers.tflite.lstm_function import LAST_HIDDEN, LAST_MEMORY, SOURCE
from edgecomp.importers.tflite.lstm_shape import LstmShape
from edgecomp.importers.tflite.sequence import CELL, FORGET, INPUT, OUTPUT


@dataclass(frozen=True)
class LstmStep:
    """A step, over values named like the function's inputs.

    Attributes:
        context: of the graph of the step.
        shape: the LSTM.
        given: the inputs of the function that the LSTM has.
    """

    context: Context
    shape: LstmShape
    given: Collection[str]

    def outputs(self) -> tuple[str, str]:
        """The next hidden state, int8 [batch, outputs], and memory, int16 [batch, units].

        They follow from the step's `source`, int8 [batch, features], and `last_hidden`,
        `last_memory`.
        """
        shape = self.shape
        terms = self._products(SOURCE, "weights", "input_offsets")
        more = self._products(LAST_HIDDEN, "recurrent", "recurrent_offsets")
        memory = self._value(LAST_MEMORY)

        def total(gate: int, seen: Integers) -> Integers:
            place, scales = gate - shape.first_gate, shape.gates[gate]
            value = terms[place].scaled(scales.input).clipped(*INT16)
            value = (more[place].scaled(scales.recurrent) + value).clipped(*INT16)
            if gate != CELL and "peepholes" in self.given:
                product = seen * self._peepholes(place - int(gate == OUTPUT))
                value = (product.scaled(scales.peephole) + value).clipped(*INT16)
            if "norms" in self.given:
                rows = (self._row("norms", place), self._row("norm_biases", place))
                value = normalised(value, *rows, scales)
            return value

        forget = self._logistic(total(FORGET, memory))
        enter = (
            self._logistic(total(INPUT, memory))
            if shape.first_gate == INPUT
            else -forget + INT16[1]
        )
        fresh = self._tanh(total(CELL, memory), 3)
        bits = shape.memory_integer_bits
        kept = (forget * memory).halved(15)
        memory = (kept + (enter * fresh).halved(15 + bits)).clipped(*INT16)
        if shape.memory_limit > 0:
            memory = memory.clipped(-shape.memory_limit, shape.memory_limit)
        leave = self._logistic(total(OUTPUT, memory))
        left = (leave * self._tanh(memory, bits)).scaled(shape.hidden) + shape.hidden_zero_point
        hidden = self._projected(left.clipped(*INT8))
        return hidden.cast("int8").value, memory.cast("int16").value

    def _value(self, name: str) -> Integers:
        return Integers(self.context, name).cast("int32")

    def _row(self, name: str, index: int) -> Integers:
        """One row of a matrix."""
        return self._value(
            self.context.emit("Gather", name, self.context.put(index, "int64"), axis=0)
        )

    def _products(self, rows: str, weights: str, offsets: str) -> Sequence[Integers]:
        """Rows times the weights of each gate, plus the offsets."""
        emit, context = self.context.emit, self.context
        gates, units, depth = context.of(weights)
        flat = emit("Reshape", self._value(weights).value, context.ints((gates * units, depth)))
        matrix = emit("Transpose", flat, perm=(1, 0))
        value = emit("MatMul", self._value(rows).value, matrix)
        value = emit("Add", value, emit("Reshape", offsets, context.ints((gates * units,))))
        sizes = context.ints([units] * gates)
        parts = context.several("Split", value, sizes, outputs=gates, axis=1)
        return [Integers(context, part) for part in parts]

    def _peepholes(self, index: int) -> Integers:
        """The peepholes of a gate for each of [batch, units].

        The specification walks them as if there were as many units as outputs: over the memory of
        the whole batch, or of each entry of it where these are computed one after the other.
        """
        shape, context = self.shape, self.context
        together = shape.batch if shape.time_major else 1
        seen = np.arange(together * shape.units).reshape(together, shape.units)
        inside = (seen < together * shape.outputs).astype(np.int32)
        places = seen % shape.outputs
        row = self._row("peepholes", index)
        taken = context.emit("Gather", row.value, context.put(places, "int64"), axis=0)
        return Integers(context, taken) * Integers(context, context.put(inside))

    def _logistic(self, x: Integers) -> Integers:
        return looked_up("logistic", self.context.put(table_of("logistic", 3)), x)

    def _tanh(self, x: Integers, integer_bits: int) -> Integers:
        return looked_up("tanh", self.context.put(table_of("tanh", integer_bits)), x)

    def _projected(self, left: Integers) -> Integers:
        if "projection" not in self.given:
            return left
        emit, shape = self.context.emit, self.shape
        matrix = emit("Transpose", self._value("projection").value, perm=(1, 0))
        value = emit("Add", emit("MatMul", left.value, matrix), "projection_offsets")
        result = Integers(self.context, value).scaled(shape.projection) + shape.output_zero_point
        result = result.clipped(*INT8)
        limit = shape.output_limit
        return result.clipped(-limit, limit) if limit > 0 else result
