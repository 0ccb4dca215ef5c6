"""Constants of 4 bits, which ONNX packs two in a byte."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.values import constant_of

WIDER = {ir.DataType.INT4: np.int8, ir.DataType.UINT4: np.uint8}


def widen_narrow_constants(model: ir.Model) -> None:
    """Give int4 and uint4 initializers a byte for each element, in place; the numbers stay."""
    for value in model.graph.initializers.values():
        wider = None if value.dtype is None else WIDER.get(value.dtype)
        content = constant_of(value)
        if wider is not None and content is not None:
            value.const_value = ir.tensor(content.astype(wider), name=value.name)
            # a type of its own: clones of a graph share them
            value.type = ir.TensorType(value.const_value.dtype)
