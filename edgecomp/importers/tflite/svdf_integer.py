"""SVDF of int8 with a 16-bit state: TFLite's integer definition in ONNX's operators."""

from __future__ import annotations

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integer_operands import (
    INT8,
    INT16,
    integers_of,
    output_scale,
    output_zero_point,
    product,
    require,
    scale_of,
    weights_of,
    zero_point_of,
)
from edgecomp.importers.tflite.integers import Integers
from edgecomp.lowering.fixed_point import quantize_multiplier


def svdf_integer(context: Context) -> None:
    """SVDF of int8 with int16 weights over time and an int16 state; operands as `recurrent.svdf`.

    The fused activation is in the output's range, as the reference kernel has it.
    """
    require(context, {0: "int8", 1: "int8", 2: "int16", 4: "int16"})
    rank, (filters, memory) = int(context.option("Rank")), context.shape(2)
    emit, batch = context.emit, context.shape(0)[0]
    state_scale = scale_of(context, 4)
    centred = integers_of(context, 0) - zero_point_of(context, 0)
    features = product(context, centred, 1)
    real = scale_of(context, 0) * scale_of(context, 1) / state_scale
    features = features.scaled(quantize_multiplier(float(real))).clipped(*INT16)
    newest = emit("Reshape", features.value, context.ints((batch, filters, 1)))
    last = emit("Reshape", integers_of(context, 4).value, context.ints((batch, filters, memory)))
    bounds = [context.ints([number]) for number in (1, memory, 2)]
    state = emit("Concat", emit("Slice", last, *bounds), newest, axis=2)
    kept = Integers(context, emit("Reshape", state, context.ints((batch, filters * memory))))
    context.values.write_integers(context.output(1), kept.cast("int16").value)
    products = Integers(context, state) * weights_of(context, 2)
    shape = context.ints((batch, filters // rank, rank * memory))
    grouped = emit("Reshape", products.value, shape)
    total = Integers(context, emit("ReduceSum", grouped, context.ints([2]), keepdims=0))
    if context.has(3):
        total = total + weights_of(context, 3)
    real = state_scale * scale_of(context, 2) / output_scale(context)
    result = total.scaled(quantize_multiplier(float(real))) + output_zero_point(context)
    context.values.write_integers(context.output(), result.clipped(*INT8).cast("int8").value)
