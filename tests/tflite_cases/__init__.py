"""A case for each operator of TFLite, in families."""

from __future__ import annotations

from collections.abc import Mapping

from tests.tflite_cases import elementwise, images, movement, reductions
from tests.tflite_cases.draw import Case

FAMILIES: Mapping[str, Mapping[str, tuple[Case, float | None]]] = {
    "elementwise": elementwise.CASES,
    "images": images.CASES,
    "movement": movement.CASES,
    "reductions": reductions.CASES,
}
"""By family and operator: a case, and by how many steps int8 may differ where onnxruntime computes
it; None where TFLite has no int8 kernel to ask."""

# fmt: off
WIDE = frozenset([
    "ABS", "ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "BATCH_TO_SPACE_ND", "BROADCAST_TO",
    "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "EQUAL", "EXP", "EXPAND_DIMS",
    "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED", "GATHER", "GATHER_ND", "GREATER_EQUAL",
    "LEAKY_RELU", "LESS", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD",
    "MUL", "PACK", "PAD", "PADV2", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "RELU", "RELU6",
    "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SELECT", "SELECT_V2",
    "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE",
    "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV", "UNPACK",
])
# fmt: on
"""Operators of which tflite-runtime 2.14 has an int16 kernel."""
