"""Remove BatchNormalization: into the layer before it where that is exact, else Mul and Add.

With the statistics constant it is y = x * s + t for each channel, where s = scale / sqrt(var +
epsilon) and t = bias - mean * s (ONNX operator specification, BatchNormalization-15). Computed in
float64 and rounded once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.edit import add_constant, only_reader, remove_node
from edgecomp.graph.values import constant_input, dtype_of, input_at, shape_of

Array = npt.NDArray[Any]

BATCH_NORM_SCALE = "batch_norm_scale"
"""Key of `ir.Node.meta`: the scale that was folded into a node, which pruning goes by."""


def fold_batch_norms(graph: ir.Graph) -> None:
    """Remove every BatchNormalization with constant statistics, in place.

    Those in training mode stay, and so do those whose input has no known rank. A layer that
    took one in remembers its scale in `meta`.
    """
    for node in [n for n in graph if n.op_type == "BatchNormalization" and n.domain == ""]:
        affine = _affine(node)
        source = node.inputs[0]
        if affine is None or source is None or source.shape is None:
            continue
        producer = source.producer()
        if (
            producer is not None
            and only_reader(source) is node
            and fold_into(graph, producer, *affine)
        ):
            producer.meta[BATCH_NORM_SCALE] = constant_input(node, 1)
            remove_node(node, source)
        else:
            _as_mul_add(graph, node, source, *affine)


def _affine(node: ir.Node) -> tuple[Array, Array] | None:
    """s and t in float64; None when they are not constant."""
    if node.attributes.get_int("training_mode", 0) or len([o for o in node.outputs if o.name]) > 1:
        return None
    scale, bias, mean, variance = (constant_input(node, index) for index in range(1, 5))
    if scale is None or bias is None or mean is None or variance is None:
        return None
    if not scale.shape == bias.shape == mean.shape == variance.shape:
        return None
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    s = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    return s, bias.astype(np.float64) - mean.astype(np.float64) * s


def fold_into(graph: ir.Graph, layer: ir.Node, s: Array, t: Array) -> bool:
    """Multiply the layer's weights by `s` and add `t` to its bias; False when it has none."""
    weight = constant_input(layer, 1)
    bias = constant_input(layer, 2)
    if layer.domain != "" or weight is None or (bias is None and input_at(layer, 2) is not None):
        return False
    scaled = _scaled_weight(layer, weight.astype(np.float64), s)
    if scaled is None:
        return False
    if layer.op_type == "Gemm":
        alpha_beta = layer.attributes.get_float("beta", 1.0)
        if bias is not None and bias.ndim > 1 and bias.shape[0] != 1:
            # the bias differs from row to row; as a vector it cannot be written
            return False
    else:
        alpha_beta = 1.0
    old = 0.0 if bias is None else np.reshape(bias.astype(np.float64) * alpha_beta, -1)
    if np.size(old) not in (1, t.size):
        return False
    if layer.op_type == "Gemm":
        layer.attributes["beta"] = ir.AttrFloat32("beta", 1.0)
    dtype = weight.dtype
    name = layer.inputs[1].name if layer.inputs[1] is not None else layer.name
    layer.replace_input_with(1, add_constant(graph, f"{name}_folded", scaled.astype(dtype)))
    shifted = add_constant(graph, f"{name}_bias_folded", (old * s + t).astype(dtype))
    if len(layer.inputs) < 3:
        layer.resize_inputs(3)
    layer.replace_input_with(2, shifted)
    return True


def _scaled_weight(layer: ir.Node, weight: Array, s: Array) -> Array | None:
    """The weight with each output channel multiplied by its `s`.

    None for other layers, and for a weight that has not as many channels.
    """
    if output_channels(layer, weight) != s.size:
        return None
    if layer.op_type == "Conv":
        return np.asarray(weight * s.reshape(-1, *[1] * (weight.ndim - 1)))
    if layer.op_type == "ConvTranspose":
        # [in, out / groups, ...]: the output channels of each group follow each other
        groups = layer.attributes.get_int("group", 1)
        grouped = weight.reshape(groups, -1, *weight.shape[1:])
        scaled = grouped * s.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
        return np.asarray(scaled.reshape(weight.shape))
    if layer.op_type == "Gemm":
        rows = layer.attributes.get_int("transB", 0)
        return np.asarray(weight * (s.reshape(-1, 1) if rows else s))
    return None


def output_channels(layer: ir.Node, weight: Array) -> int:
    """How many channels the layer's weight makes; 0 where the weight is malformed."""
    if weight.ndim < 2:
        return 0
    if layer.op_type == "ConvTranspose":
        groups = layer.attributes.get_int("group", 1)
        fits = groups > 0 and weight.shape[0] % groups == 0
        return int(weight.shape[1]) * groups if fits else 0
    across = layer.op_type in ("Gemm", "MatMul") and not layer.attributes.get_int("transB", 0)
    return int(weight.shape[1 if across else 0])


def _as_mul_add(graph: ir.Graph, node: ir.Node, source: ir.Value, s: Array, t: Array) -> None:
    """Replace the node by Mul, which gets a name of its own, and Add, which keeps the node's."""
    dtype = np.dtype(dtype_of(source))
    along = (1, -1, *[1] * (len(shape_of(source)) - 2))
    scale = add_constant(graph, f"{node.name}_scale", s.reshape(along).astype(dtype))
    shift = add_constant(graph, f"{node.name}_shift", t.reshape(along).astype(dtype))
    mul = ir.node("Mul", [source, scale], name=f"{node.name}_scaled")
    mul.outputs[0].name = f"{node.outputs[0].name}_scaled"
    mul.outputs[0].type, mul.outputs[0].shape = source.type, source.shape
    add = ir.node("Add", [mul.outputs[0], shift], name=node.name)
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [mul, add], [node.outputs[0]], [add.outputs[0]]
    )
