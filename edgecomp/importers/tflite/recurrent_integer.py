"""SVDF and LSTM of int8 with 16-bit states: TFLite's integer definition in ONNX's operators."""

from __future__ import annotations

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integers import Integers
from edgecomp.lowering.fixed_point import quantize_multiplier

_INT16 = (-(1 << 15), (1 << 15) - 1)
_INT8 = (-128, 127)


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
