"""SVDF of dynamic-range models: one node of the function `HybridSvdf`.

Weights are int8, everything else is float32: the input is quantized as it comes, the weights over
time are taken as the real numbers they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.hybrid import Grid, quantized_at_run_time, run_time_grid
from edgecomp.importers.tflite.integer_operands import scale_of
from edgecomp.importers.tflite.svdf_float import filtered
from edgecomp.importers.tflite.svdf_node import call_svdf, svdf_function
from edgecomp.importers.tflite.svdf_operands import (
    BIAS,
    FEATURES,
    STATE,
    TIME,
    SvdfSizes,
    require_operands,
)

HYBRID_SVDF = svdf_function("HybridSvdf", ("shape", "scales", "features", "time", "bias"))
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
    operands = [context.read(0), context.read(STATE)]
    dtypes = ("float32", "float32")
    call_svdf(
        context, HYBRID_SVDF, sizes, given, dtypes, operands, lambda inner: _body(inner, sizes)
    )


def _body(context: Context, sizes: SvdfSizes) -> Sequence[str]:
    """The function in ONNX's operators; the result and the next state."""
    emit, scales = context.emit, (scale_of(context, FEATURES), scale_of(context, TIME))
    integers, scale = quantized_at_run_time(context, "source", run_time_grid(context), (1,))
    weights = emit("Transpose", emit("Cast", "features", to=1), perm=(1, 0))
    scale = emit("Mul", scale, context.put(scales[0]))
    features = emit("Mul", emit("MatMul", integers, weights), scale)
    time = emit("Mul", emit("Cast", "time", to=1), context.put(scales[1]))
    bias = "bias" if context.has(BIAS) else ""
    return filtered(context, sizes, features, "state", time, bias)
