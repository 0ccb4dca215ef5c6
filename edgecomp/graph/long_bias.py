"""A bias of more than 32 bits beside int16 activations, which one DequantizeLinear cannot say.

It is the sum of two: of content // 2^31 at 2^31 times the scale, and of the rest at the scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.qdq import Quantization, quantized_constant

PART = 2**31
"""What one step of the first part stands for, in steps of the second."""

Integers = npt.NDArray[np.int64]


def split_bias(content: Integers) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The two parts of `content`, of which no number has more than 62 bits."""
    high = content // PART
    return high.astype(np.int32), (content - high * PART).astype(np.int32)


def constant_bias(value: ir.Value | None) -> tuple[npt.NDArray[Any], Quantization] | None:
    """Integer content and parameters of a dequantized constant, or of a sum of its two parts."""
    producer = None if value is None else value.producer()
    if producer is None or producer.op_type != "Add" or producer.domain != "":
        return quantized_constant(value)
    high, low = (quantized_constant(part) for part in producer.inputs)
    if high is None or low is None:
        return None
    if not np.array_equal(high[1].scale, low[1].scale * np.float32(PART)):
        return None
    return high[0].astype(np.int64) * PART + low[0].astype(np.int64), low[1]
