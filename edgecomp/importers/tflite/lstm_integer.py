"""The LSTM of int8 with a 16-bit memory: TFLite's integer definition in ONNX's operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.curve_tables import looked_up, table_of
from edgecomp.importers.tflite.fixed_point_curves import logistic, tanh
from edgecomp.importers.tflite.integer_operands import (
    INT8,
    INT16,
    integers_of,
    output_scale,
    product,
    require,
    scale_of,
    weights_of,
    zero_point_of,
)
from edgecomp.importers.tflite.integers import Integers
from edgecomp.importers.tflite.sequence import (
    CELL,
    FORGET,
    INPUT,
    OUTPUT,
    each_step,
    from_steps,
    in_steps,
)
from edgecomp.lowering.fixed_point import Multiplier, quantize_multiplier

_COMPUTED_STEPS = 4
"""Up to so many steps the curves are computed; for more, tables of 64 KiB are smaller."""


@dataclass(frozen=True)
class _Gate:
    """The sums of one gate, in 16 bits with 3 before the point.

    Attributes:
        inputs, hidden: multipliers of the products with input and hidden state.
        peephole: of the product with the memory, or None.
    """

    context: Context
    number: int
    inputs: Multiplier
    hidden: Multiplier
    peephole: Multiplier | None

    def total(self, source: Integers, hidden: Integers, memory: Integers) -> Integers:
        """Clipped after each of its terms, as the reference kernel does."""
        context, number = self.context, self.number
        bias = context.constant(12 + number)
        value = _accumulated(context, source, 1 + number, zero_point_of(context, 0), bias)
        value = value.scaled(self.inputs).clipped(*INT16)
        more = _accumulated(context, hidden, 5 + number, zero_point_of(context, 18), None)
        value = (more.scaled(self.hidden) + value).clipped(*INT16)
        if self.peephole is not None:
            seen = memory * weights_of(context, _PEEPHOLES[number])
            value = (seen.scaled(self.peephole) + value).clipped(*INT16)
        return value


_PEEPHOLES = {INPUT: 9, FORGET: 10, OUTPUT: 11}

_GATE_SCALE = np.float32(2.0**-12)


def _gate(context: Context, number: int) -> _Gate:
    weights, recurrent = scale_of(context, 1 + number), scale_of(context, 5 + number)
    place, peephole = _PEEPHOLES.get(number, 0), None
    if place and context.has(place):
        require(context, {place: "int16"})
        real = float(scale_of(context, 19)) * float(scale_of(context, place)) / float(_GATE_SCALE)
        peephole = quantize_multiplier(float(np.float32(real)))
    return _Gate(
        context,
        number,
        quantize_multiplier(float(weights * scale_of(context, 0) / _GATE_SCALE)),
        quantize_multiplier(float(recurrent * scale_of(context, 18) / _GATE_SCALE)),
        peephole,
    )


@dataclass(frozen=True)
class _Cell:
    """An LSTM of int8 with a 16-bit memory.

    Attributes:
        gates: by their numbers; without an input gate, that is 1 less the forget gate.
        exponent: of the memory's scale, a power of two.
        result: multiplier and zero point of what leaves the cells.
        tables: constants for the curves "logistic" and "tanh" of 3 integer bits, and "memory";
            empty where they are computed.
    """

    context: Context
    gates: Mapping[int, _Gate]
    exponent: int
    result: tuple[Multiplier, int]
    tables: Mapping[str, str]

    def step(
        self, source: Integers, hidden: Integers, memory: Integers
    ) -> tuple[Integers, Integers]:
        """Hidden state and memory after one step."""
        gates, bits = self.gates, 15 + self.exponent
        late = gates[OUTPUT].peephole is not None  # it sees the next memory
        early = [gate for gate in gates if gate != CELL and not (late and gate == OUTPUT)]
        totals = [gates[gate].total(source, hidden, memory) for gate in early]
        opened = dict(zip(early, self._logistic(totals), strict=True))
        fresh = self._tanh("tanh", gates[CELL].total(source, hidden, memory), 3)
        forget = opened[FORGET]
        enter = opened[INPUT] if INPUT in opened else -forget + INT16[1]
        kept = (forget * memory).halved(15)
        memory_next = (kept + (enter * fresh).halved(15 + bits)).clipped(*INT16)
        limit = self._limit("CellClip", scale_of(self.context, 19), INT16)
        if limit > 0:
            memory_next = memory_next.clipped(-limit, limit)
        if late:
            total = gates[OUTPUT].total(source, hidden, memory_next)
            (opened[OUTPUT],) = self._logistic([total])
        multiplier, zero_point = self.result
        seen = self._tanh("memory", memory_next, bits)
        left = (opened[OUTPUT] * seen).scaled(multiplier) + zero_point
        return self._projected(left.clipped(*INT8)), memory_next

    def _logistic(self, totals: Sequence[Integers]) -> list[Integers]:
        """Of several gates at once: a long curve is computed in a few kernels, not in many."""
        context, count = self.context, len(totals)
        table = self.tables.get("logistic")
        if table is not None:
            return [looked_up("logistic", table, total) for total in totals]
        if count == 1:
            return [logistic(totals[0], 3)]
        beside = context.emit("Concat", *(total.value for total in totals), axis=1)
        values = logistic(Integers(context, beside), 3).value
        sizes = context.ints([context.shape(2)[0]] * count)
        split = context.several("Split", values, sizes, outputs=count, axis=1)
        return [Integers(context, value) for value in split]

    def _tanh(self, which: str, x: Integers, integer_bits: int) -> Integers:
        table = self.tables.get(which)
        return tanh(x, integer_bits) if table is None else looked_up("tanh", table, x)

    def _projected(self, left: Integers) -> Integers:
        context = self.context
        if not context.has(16):
            return left
        bias = context.constant(17) if context.has(17) else None
        value = _accumulated(context, left, 16, self.result[1], bias)
        scale = scale_of(context, 16) * _hidden(context)[0] / scale_of(context, 18)
        value = value.scaled(quantize_multiplier(float(scale))) + zero_point_of(context, 18)
        value = value.clipped(*INT8)
        limit = self._limit("ProjClip", output_scale(context), INT8)
        return value.clipped(-limit, limit) if limit > 0 else value

    def _limit(self, option: str, scale: np.float32, within: tuple[int, int]) -> int:
        limit = np.float32(self.context.option(option, 0.0))
        return int(np.clip(limit / scale, *within)) if limit > 0 else 0


def lstm_integer(context: Context, gates: Sequence[int]) -> None:
    """An LSTM of int8 with an int16 memory; operands as `recurrent.unidirectional_sequence_lstm`.

    Args:
        gates: those it has weights for.
    """
    int8 = dict.fromkeys((*(1 + gate for gate in gates), *(5 + gate for gate in gates), 18), "int8")
    require(context, int8 | {19: "int16"})
    if context.has(16):
        require(context, {16: "int8"})
    if context.has(20 + FORGET) or (context.has(16) and context.has(_PEEPHOLES[OUTPUT])):
        raise context.refusal(
            "int8 with layer normalisation, or with both peepholes and a projection, is not known",
            "convert the model without quantization",
        )
    mantissa, exponent = np.frexp(scale_of(context, 19))
    exponent = int(exponent) - 1
    if mantissa != 0.5 or not -15 <= exponent <= -9:
        raise context.refusal("the scale of its memory is no power of two from 2^-15 to 2^-9")
    scale, zero_point = _hidden(context)
    real = np.float32(2.0**-30 / float(scale))
    steps = each_step(context, in_steps(context, integers_of(context, 0).value))
    tables = {}
    if len(steps) > _COMPUTED_STEPS:
        curves = {
            "logistic": ("logistic", 3),
            "tanh": ("tanh", 3),
            "memory": ("tanh", 15 + exponent),
        }
        tables = {key: context.put(table_of(*curve)) for key, curve in curves.items()}
    cell = _Cell(
        context,
        {gate: _gate(context, gate) for gate in gates},
        exponent,
        (quantize_multiplier(float(real)), zero_point),
        tables,
    )
    hidden, memory, rows = integers_of(context, 18), integers_of(context, 19), []
    for step in steps:
        hidden, memory = cell.step(Integers(context, step), hidden, memory)
        rows.append(hidden.cast("int8").value)
    write = context.values.write_integers
    write(context.output(), from_steps(context, rows))
    write(context.output(1), rows[-1])
    write(context.output(2), memory.cast("int16").value)


def _hidden(context: Context) -> tuple[np.float32, int]:
    """Scale and zero point of what leaves the cells, before a projection."""
    within = context.operator.intermediates
    scales = context.values.tensors[within[4]].scales if len(within) > 4 else None
    if scales is None:
        raise context.refusal("the scale of its hidden state is missing", "convert the model again")
    return np.float32(scales.scale[0]), int(scales.zero_point[0])


def _accumulated(
    context: Context, rows: Integers, place: int, zero_point: int, bias: Array | None
) -> Integers:
    """Rows less their zero point times a matrix of weights, plus the bias."""
    weights = context.constant(place).astype(np.int64)
    offset = -zero_point * weights.sum(axis=1) + (0 if bias is None else bias)
    value = product(context, rows, place)
    return value + Integers(context, context.put(offset.astype(np.int32)))
