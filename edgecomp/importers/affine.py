"""Fold constant Mul, Div, Add and Sub into the layer before them.

What other tools leave of batch normalisation and of separate biases: y = layer(x) * s + t for each
output channel is the layer with other weights and another bias. Computed in float64 and rounded
once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.edit import only_reader, remove_node
from edgecomp.graph.values import constant_input, constant_of, shape_of
from edgecomp.importers.batchnorm import fold_into, output_channels

Array = npt.NDArray[Any]
Affine = tuple[Array, Array]

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def _minus(constant: Array, first: bool) -> Affine:
    one = np.ones_like(constant)
    return (-one, constant) if first else (one, -constant)


AFFINE: Mapping[str, Callable[[Array, bool], Affine | None]] = {
    "Mul": lambda constant, first: (constant, np.zeros_like(constant)),
    "Div": lambda constant, first: (
        None if first or not constant.all() else (1 / constant, np.zeros_like(constant))
    ),
    "Add": lambda constant, first: (np.ones_like(constant), constant),
    "Sub": _minus,
}
"""Factor and summand an operator is, given its constant operand and whether that is the first."""


def fold_affine(graph: ir.Graph) -> None:
    """Fold every Mul, Div, Add and Sub that alone reads a layer and is constant by channel."""
    for node in [n for n in graph if n.op_type in AFFINE and n.domain == ""]:
        for place, source in enumerate(node.inputs):
            layer = None if source is None else source.producer()
            if source is None or layer is None or only_reader(source) is not node:
                continue
            affine = _affine(node, layer, constant_of(node.inputs[1 - place]), place == 1)
            if affine is not None and _fold(graph, layer, affine):
                remove_node(node, source)
                break


def _affine(
    node: ir.Node, layer: ir.Node, constant: Array | None, constant_first: bool
) -> Affine | None:
    """Factor and summand of each output channel of `layer`; None when `node` is neither."""
    channels = _channels(layer)
    if constant is None or channels is None or constant.dtype.kind != "f":
        return None
    count, rank, axis = channels
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if len(shape) != rank or any(d != 1 for a, d in enumerate(shape) if a != axis):
        return None
    if shape[axis] not in (1, count):
        return None
    each = np.broadcast_to(constant.astype(np.float64).reshape(-1), (count,))
    return AFFINE[node.op_type](each, constant_first)


def _channels(layer: ir.Node) -> tuple[int, int, int] | None:
    """Output channels, rank and channel axis of a layer's output; None when it is no such layer."""
    weight = constant_input(layer, 1)
    if layer.op_type not in LAYERS or layer.domain != "" or weight is None:
        return None
    count = output_channels(layer, weight)
    if count < 1:
        return None
    if layer.op_type in ("Conv", "ConvTranspose"):
        return count, weight.ndim, 1
    if layer.op_type == "MatMul" and (weight.ndim != 2 or not _reads_matrix(layer)):
        return None
    return count, 2, 1


def _reads_matrix(layer: ir.Node) -> bool:
    source = layer.inputs[0]
    return source is not None and source.shape is not None and len(shape_of(source)) == 2


def _fold(graph: ir.Graph, layer: ir.Node, affine: Affine) -> bool:
    """Change the layer; a MatMul, which has no bias, becomes a Gemm."""
    if layer.op_type == "MatMul":
        layer.op_type = "Gemm"
    return fold_into(graph, layer, *affine)
