"""SVDF of dynamic-range models: one node of the function `HybridSvdf`.

Weights are int8, everything else is float32: the input is quantized as it comes, the weights over
time are taken as the real numbers they stand for.
"""

from __future__ import annotations

from dataclasses import astuple

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.hybrid import Grid, quantized_at_run_time, run_time_grid
from edgecomp.importers.tflite.integer_operands import scale_of
from edgecomp.importers.tflite.own_function import OwnFunction, described, inner_context
from edgecomp.importers.tflite.svdf_float import filtered
from edgecomp.importers.tflite.svdf_operands import (
    BIAS,
    FEATURES,
    STATE,
    TIME,
    SvdfSizes,
    require_operands,
)

HYBRID_SVDF = OwnFunction(
    "HybridSvdf",
    ("source", "state"),
    ("shape", "scales", "features", "time", "bias"),
    ("result", "next_state"),
)
"""Its constants are those of `ec_svdf_hybrid` in lowering/csrc/edgecomp_svdf.h."""


def svdf_hybrid(context: Context, sizes: SvdfSizes) -> None:
    """SVDF of float32 with int8 weights; operands as `recurrent.svdf`."""
    require_operands(context, sizes, time="int8", state="float32", bias="float32")
    asymmetric = int(run_time_grid(context) is Grid.ASYMMETRIC)
    fields = (*astuple(sizes), asymmetric, int(context.option("FusedActivationFunction")))
    given = {
        "shape": np.array(fields, np.int32),
        "scales": np.stack([scale_of(context, FEATURES), scale_of(context, TIME)]),
        "features": context.constant(FEATURES),
        "time": context.constant(TIME),
    }
    if context.has(BIAS):
        given["bias"] = context.constant(BIAS)
    results = {
        "result": ((sizes.batch, sizes.units), "float32"),
        "next_state": ((sizes.batch, sizes.filters * sizes.memory), "float32"),
    }
    known = {"source": (context.shape(0), "float32"), "state": (context.shape(STATE), "float32")}
    inner = inner_context(context, {**known, **described(given)})
    _body(inner, sizes)
    operands = [context.read(0), context.read(STATE)]
    nodes = inner.values.builder.function_nodes()
    made = HYBRID_SVDF.call(context, operands, given, results, nodes)
    for place, value in enumerate(made):
        context.values.write_integers(context.output(place), value)


def _body(context: Context, sizes: SvdfSizes) -> None:
    """The function in ONNX's operators; it makes `result` and `next_state`."""
    emit, scales = context.emit, (scale_of(context, FEATURES), scale_of(context, TIME))
    integers, scale = quantized_at_run_time(context, "source", run_time_grid(context), (1,))
    weights = emit("Transpose", emit("Cast", "features", to=1), perm=(1, 0))
    scale = emit("Mul", scale, context.put(scales[0]))
    features = emit("Mul", emit("MatMul", integers, weights), scale)
    time = emit("Mul", emit("Cast", "time", to=1), context.put(scales[1]))
    bias = "bias" if context.has(BIAS) else ""
    made = filtered(context, sizes, features, "state", time, bias)
    for name, value in zip(HYBRID_SVDF.outputs, made, strict=True):
        context.values.builder.node("Identity", [value], name, [name], {})
