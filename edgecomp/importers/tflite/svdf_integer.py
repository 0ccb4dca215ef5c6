"""SVDF of int8 with a 16-bit state: one node of the function `IntegerSvdf`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integer_operands import (
    INT8,
    INT16,
    output_scale,
    output_zero_point,
    scale_of,
    zero_point_of,
)
from edgecomp.importers.tflite.integers import Integers
from edgecomp.importers.tflite.svdf_node import call_svdf, svdf_function
from edgecomp.importers.tflite.svdf_operands import (
    BIAS,
    FEATURES,
    STATE,
    TIME,
    SvdfSizes,
    require_operands,
)
from edgecomp.lowering.fixed_point import Multiplier, quantize_multiplier

INTEGER_SVDF = svdf_function("IntegerSvdf", ("shape", "features", "offsets", "time", "bias"))
"""Its constants are those of `ec_svdf_s8` in lowering/csrc/edgecomp_svdf.h."""


def svdf_integer(context: Context, sizes: SvdfSizes) -> None:
    """SVDF of int8 with int16 weights over time and an int16 state; operands as `recurrent.svdf`.

    The fused activation is in the output's range, as the reference kernel has it.
    """
    require_operands(context, sizes, time="int16", state="int16", bias="int32")
    state = scale_of(context, STATE)
    to_state = quantize_multiplier(
        float(scale_of(context, 0) * scale_of(context, FEATURES) / state)
    )
    to_result = quantize_multiplier(float(state * scale_of(context, TIME) / output_scale(context)))
    fields = (*astuple(sizes), *astuple(to_state), *astuple(to_result), output_zero_point(context))
    weights = context.constant(FEATURES)
    given = {
        "shape": np.array(fields, np.int32),
        "features": weights,
        "offsets": (-zero_point_of(context, 0) * weights.sum(axis=1, dtype=np.int32)),
        "time": context.constant(TIME),
    }
    operands = [context.values.integers(context.tensor(place)) for place in (0, STATE)]
    scales = (to_state, to_result)

    def body(inner: Context) -> Sequence[str]:
        return _body(inner, sizes, scales)

    call_svdf(context, INTEGER_SVDF, sizes, given, ("int8", "int16"), operands, body)


def _body(
    context: Context, sizes: SvdfSizes, scales: tuple[Multiplier, Multiplier]
) -> Sequence[str]:
    """The function in ONNX's operators; the result and the next state."""
    emit = context.emit

    def read(name: str) -> Integers:
        return Integers(context, name).cast("int32")

    weights = emit("Transpose", read("features").value, perm=(1, 0))
    features = Integers(context, emit("MatMul", read("source").value, weights)) + read("offsets")
    features = features.scaled(scales[0]).clipped(*INT16)
    newest = emit("Reshape", features.value, context.ints((sizes.batch, sizes.filters, 1)))
    shape = context.ints((sizes.batch, sizes.filters, sizes.memory))
    last = emit("Reshape", read("state").value, shape)
    bounds = [context.ints([number]) for number in (1, sizes.memory, 2)]
    state = emit("Concat", emit("Slice", last, *bounds), newest, axis=2)
    flat = context.ints((sizes.batch, sizes.filters * sizes.memory))
    kept = Integers(context, emit("Reshape", state, flat)).cast("int16")
    products = (Integers(context, state) * read("time")).value
    grouped = context.ints((sizes.batch, sizes.units, sizes.rank * sizes.memory))
    rows = emit("Reshape", products, grouped)
    total = Integers(context, emit("ReduceSum", rows, context.ints([2]), keepdims=0))
    if context.has(BIAS):
        total = total + read("bias")
    result = total.scaled(scales[1]) + output_zero_point(context)
    return result.clipped(*INT8).cast("int8").value, kept.value
