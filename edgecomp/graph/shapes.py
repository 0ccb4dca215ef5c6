"""Shapes of values that a rewrite made."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common

from edgecomp.errors import EdgecompError, Reason


def infer_shapes(model: ir.Model) -> None:
    """Give every value of `model` its static shape and element type, in place.

    Raises:
        EdgecompError: a shape cannot be found.
    """
    common.ShapeInferencePass(check_type=True, strict_mode=True)(model)
    unknown = [
        Reason("the shape of a value cannot be inferred", str(value.name), "report this")
        for node in model.graph
        for value in node.outputs
        if value.name and (value.shape is None or not value.shape.is_static())
    ]
    if unknown:
        raise EdgecompError(unknown)
