"""SVDF and LSTM of int8 with 16-bit states: TFLite's integer definition in ONNX's operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.curve_tables import looked_up, table_of
from edgecomp.importers.tflite.fixed_point_curves import logistic, tanh
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

_INT16 = (-(1 << 15), (1 << 15) - 1)
_INT8 = (-128, 127)

_COMPUTED_STEPS = 4
"""Up to so many steps the curves are computed; for more, tables of 64 KiB are smaller."""


def svdf_integer(context: Context) -> None:
    """SVDF of int8 with int16 weights over time and an int16 state; operands as `recurrent.svdf`.

    The fused activation is in the output's range, as the reference kernel has it.
    """
    _require(context, {0: "int8", 1: "int8", 2: "int16", 4: "int16"})
    rank, (filters, memory) = int(context.option("Rank")), context.shape(2)
    emit, batch = context.emit, context.shape(0)[0]
    state_scale = _scale(context, 4)
    centred = _read(context, 0) - _zero_point(context, 0)
    features = _product(context, centred, 1)
    real = _scale(context, 0) * _scale(context, 1) / state_scale
    features = features.scaled(quantize_multiplier(float(real))).clipped(*_INT16)
    newest = emit("Reshape", features.value, context.ints((batch, filters, 1)))
    last = emit("Reshape", _read(context, 4).value, context.ints((batch, filters, memory)))
    bounds = [context.ints([number]) for number in (1, memory, 2)]
    state = emit("Concat", emit("Slice", last, *bounds), newest, axis=2)
    kept = Integers(context, emit("Reshape", state, context.ints((batch, filters * memory))))
    context.values.write_integers(context.output(1), kept.cast("int16").value)
    products = Integers(context, state) * _weights(context, 2)
    shape = context.ints((batch, filters // rank, rank * memory))
    grouped = emit("Reshape", products.value, shape)
    total = Integers(context, emit("ReduceSum", grouped, context.ints([2]), keepdims=0))
    if context.has(3):
        total = total + _weights(context, 3)
    real = state_scale * _scale(context, 2) / _output_scale(context)
    result = total.scaled(quantize_multiplier(float(real))) + _output_zero_point(context)
    context.values.write_integers(context.output(), result.clipped(*_INT8).cast("int8").value)


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
        value = _accumulated(context, source, 1 + number, _zero_point(context, 0), bias)
        value = value.scaled(self.inputs).clipped(*_INT16)
        more = _accumulated(context, hidden, 5 + number, _zero_point(context, 18), None)
        value = (more.scaled(self.hidden) + value).clipped(*_INT16)
        if self.peephole is not None:
            seen = memory * _weights(context, _PEEPHOLES[number])
            value = (seen.scaled(self.peephole) + value).clipped(*_INT16)
        return value


_PEEPHOLES = {INPUT: 9, FORGET: 10, OUTPUT: 11}

_GATE_SCALE = np.float32(2.0**-12)


def _gate(context: Context, number: int) -> _Gate:
    weights, recurrent = _scale(context, 1 + number), _scale(context, 5 + number)
    place, peephole = _PEEPHOLES.get(number, 0), None
    if place and context.has(place):
        _require(context, {place: "int16"})
        real = float(_scale(context, 19)) * float(_scale(context, place)) / float(_GATE_SCALE)
        peephole = quantize_multiplier(float(np.float32(real)))
    return _Gate(
        context,
        number,
        quantize_multiplier(float(weights * _scale(context, 0) / _GATE_SCALE)),
        quantize_multiplier(float(recurrent * _scale(context, 18) / _GATE_SCALE)),
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
        enter = opened[INPUT] if INPUT in opened else -forget + _INT16[1]
        kept = (forget * memory).halved(15)
        memory_next = (kept + (enter * fresh).halved(15 + bits)).clipped(*_INT16)
        limit = self._limit("CellClip", _scale(self.context, 19), _INT16)
        if limit > 0:
            memory_next = memory_next.clipped(-limit, limit)
        if late:
            total = gates[OUTPUT].total(source, hidden, memory_next)
            (opened[OUTPUT],) = self._logistic([total])
        multiplier, zero_point = self.result
        seen = self._tanh("memory", memory_next, bits)
        left = (opened[OUTPUT] * seen).scaled(multiplier) + zero_point
        return self._projected(left.clipped(*_INT8)), memory_next

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
        scale = _scale(context, 16) * _hidden(context)[0] / _scale(context, 18)
        value = value.scaled(quantize_multiplier(float(scale))) + _zero_point(context, 18)
        value = value.clipped(*_INT8)
        limit = self._limit("ProjClip", _output_scale(context), _INT8)
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
    _require(context, int8 | {19: "int16"})
    if context.has(16):
        _require(context, {16: "int8"})
    if context.has(20 + FORGET) or (context.has(16) and context.has(_PEEPHOLES[OUTPUT])):
        raise context.refusal(
            "int8 with layer normalisation, or with both peepholes and a projection, is not known",
            "convert the model without quantization",
        )
    mantissa, exponent = np.frexp(_scale(context, 19))
    exponent = int(exponent) - 1
    if mantissa != 0.5 or not -15 <= exponent <= -9:
        raise context.refusal("the scale of its memory is no power of two from 2^-15 to 2^-9")
    scale, zero_point = _hidden(context)
    real = np.float32(2.0**-30 / float(scale))
    steps = each_step(context, in_steps(context, _read(context, 0).value))
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
    hidden, memory, rows = _read(context, 18), _read(context, 19), []
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
    value = _product(context, rows, place)
    return value + Integers(context, context.put(offset.astype(np.int32)))


def _require(context: Context, dtypes: dict[int, str]) -> None:
    for place, dtype in dtypes.items():
        if context.dtype(place) != dtype:
            raise context.refusal(
                f"its operand {place} is {context.dtype(place)}, only {dtype} is known beside an "
                "int8 input",
                "convert the model again, as float or as full int8",
            )
        if context.quantized(place) is None:
            raise context.refusal(f"its operand {place} has no scale", "convert the model again")


def _scale(context: Context, place: int) -> np.float32:
    scales = context.quantized(place)
    if scales is None or scales.scale.size != 1:
        raise context.refusal(f"its operand {place} has not one scale", "convert the model again")
    return np.float32(scales.scale[0])


def _zero_point(context: Context, place: int) -> int:
    scales = context.quantized(place)
    return 0 if scales is None else int(scales.zero_point[0])


def _output_scale(context: Context) -> np.float32:
    scales = context.values.quantized(context.output())
    if scales is None:
        raise context.refusal("its output has no scale", "convert the model again")
    return np.float32(scales.scale[0])


def _output_zero_point(context: Context) -> int:
    scales = context.values.quantized(context.output())
    return 0 if scales is None else int(scales.zero_point[0])


def _read(context: Context, place: int) -> Integers:
    """An operand's integers, wide enough to compute with."""
    return Integers(context, context.values.integers(context.tensor(place))).cast("int32")


def _weights(context: Context, place: int) -> Integers:
    return Integers(context, context.put(context.constant(place).astype(np.int32)))


def _product(context: Context, rows: Integers, place: int) -> Integers:
    """Rows times a matrix of weights [units, depth]."""
    matrix = context.put(context.constant(place).T.astype(np.int32))
    return Integers(context, context.emit("MatMul", rows.value, matrix))
