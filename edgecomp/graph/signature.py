"""The signature of a graph: name, shape, type and image layout of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from edgecomp.graph.qdq import is_dequantize, is_quantize, quantization_of
from edgecomp.graph.values import dtype_of, shape_of
from edgecomp_runtime.manifest import TensorSpec

_NCHW_OPERATORS = frozenset(
    {
        "Conv",
        "ConvTranspose",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "BatchNormalization",
        "InstanceNormalization",
        "DepthToSpace",
        "SpaceToDepth",
    }
)
"""Operators that read a 4-d tensor as [batch, channels, height, width]."""

_SAME_LAYOUT = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "Cast", "Add", "Sub", "Mul", "Div", "Clip", "Pad"}
)
"""Operators whose output has the layout of their input."""

_TRANSPOSES: Mapping[tuple[int, ...], str] = {(0, 3, 1, 2): "nhwc"}
"""Layout of what a Transpose by these axes reads, when its output is NCHW."""


def input_specs(graph: ir.Graph) -> tuple[TensorSpec, ...]:
    """The signature of every graph input, in order; shapes must be static."""
    return tuple(
        TensorSpec(
            str(value.name),
            shape_of(value),
            dtype_of(value),
            *_grid([use.node for use in value.uses() if is_dequantize(use.node)][:1]),
            layout=_layout(value),
        )
        for value in graph.inputs
    )


def output_specs(graph: ir.Graph) -> tuple[TensorSpec, ...]:
    """The signature of every graph output, in order; shapes must be static."""
    return tuple(
        TensorSpec(
            str(value.name),
            shape_of(value),
            dtype_of(value),
            *_grid([node for node in [value.producer()] if node is not None and is_quantize(node)]),
        )
        for value in graph.outputs
    )


def _grid(nodes: list[ir.Node]) -> tuple[float | None, int | None]:
    """Scale and zero point by which `nodes` (one or none) say what the integers mean."""
    quantization = quantization_of(nodes[0]) if nodes else None
    if quantization is None or not quantization.per_tensor:
        return None, None
    return float(quantization.scale), int(quantization.zero_point)


def _layout(value: ir.Value) -> str | None:
    """ "nchw" or "nhwc" when the nodes that read a 4-d input show it, else None."""
    if len(shape_of(value)) != 4:
        return None
    pending, seen = [value], {value}
    while pending:
        for user in pending.pop().uses():
            node = user.node
            if node.op_type in _NCHW_OPERATORS and user.idx == 0:
                return "nchw"
            if node.op_type == "Transpose":
                layout = _TRANSPOSES.get(tuple(node.attributes.get_ints("perm", ())))
                if layout is not None:
                    return layout
            if node.op_type in _SAME_LAYOUT and node.outputs[0] not in seen:
                seen.add(node.outputs[0])
                pending.append(node.outputs[0])
    return None
