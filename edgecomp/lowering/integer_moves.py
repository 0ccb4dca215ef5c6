"""The integer operators that keep or average values: pools, means, and moves of elements."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.unsigned import ROUNDS_UP
from edgecomp.graph.values import shape_of
from edgecomp.lowering import multipliers
from edgecomp.lowering.integer_group import Group, add_constant, integer_node, requantized
from edgecomp.lowering.integer_ops import as_image, four, two


def on_own_grid(group: Group, nodes: list[ir.Node], shape_from: ir.Value) -> list[ir.Node]:
    """`nodes`, whose result is on the input's grid, brought to the output's."""
    source = group.operands[0].quantization
    last = nodes[-1].outputs[0]
    last.shape = shape_from.shape
    if source.same_as(group.result):
        return nodes
    name = f"{group.node.name} requantize"
    return [*nodes, *requantized(last, source, group.result, name)]


def _keeps_grid(group: Group) -> bool:
    return group.operands[0].quantization.same_as(group.result)


def _window(group: Group) -> dict[str, list[int]] | None:
    """Kernel, strides and pads of a pool; None when it does something int8 has no meaning for."""
    attributes, shape = group.node.attributes, shape_of(group.operands[0].value)
    if group.node.op_type in ("GlobalAveragePool", "GlobalMaxPool"):
        return {"kernel": two(shape[2:]), "strides": [1, 1], "pads": [0, 0, 0, 0]}
    pads = attributes.get_ints("pads", [0] * (2 * (len(shape) - 2)))
    dilated = any(d != 1 for d in attributes.get_ints("dilations", [1]))
    counts_border = attributes.get_int("count_include_pad", 0) == 1 and any(pads)
    if dilated or (counts_border and group.node.op_type == "AveragePool"):
        return None
    kernel = attributes.get_ints("kernel_shape", [])
    strides = attributes.get_ints("strides", [1] * len(kernel))
    return {"kernel": two(kernel), "strides": two(strides), "pads": four(pads)}


def pool(group: Group) -> list[ir.Node] | None:
    """Largest or average value of a window; the border does not count."""
    if group.node.op_type == "GlobalAveragePool" and not _keeps_grid(group):
        return mean(group)
    window = _window(group)
    if window is None:
        return None
    op_type = "MaxPool" if "Max" in group.node.op_type else "AveragePool"
    name = group.node.name or op_type
    attributes = {**window, "rounds_up": int(ROUNDS_UP in group.node.metadata_props)}

    def build(image: ir.Value) -> ir.Node:
        return integer_node(op_type, [image], name, group.label, attributes)

    x, out = group.operands[0].value, group.quantizer.outputs[0]
    if len(shape_of(x)) == 3:
        return on_own_grid(group, as_image(group, x, build), out)
    return on_own_grid(group, [build(x)], out)


def global_pool(group: Group) -> list[ir.Node] | None:
    """Average of an image: TFLite's AVERAGE_POOL_2D on the input's grid, else its MEAN.

    Averaging first and requantizing then would leave the average the input's few steps.
    """
    own_grid = group.operands[0].quantization.same_as(group.result)
    return mean(group) if not own_grid and _is_image(group) else pool(group)


def _is_image(group: Group) -> bool:
    return len(shape_of(group.operands[0].value)) == 4


def mean(group: Group) -> list[ir.Node]:
    """Mean over both spatial axes, with a multiplier of its own."""
    x = group.operands[0]
    count = int(np.prod(shape_of(x.value)[2:]))
    factor = multipliers.mean_multiplier(x.scale, group.result.scale, count)
    attributes = {
        "input_zero_point": x.zero_point,
        "mantissa": factor.mantissa,
        "shift": factor.shift,
        "zero_point": group.zero_point,
    }
    name = group.node.name or "ReduceMean"
    node = integer_node("Mean", [x.value], name, group.label, attributes)
    batch, channels = shape_of(x.value)[:2]
    node.outputs[0].shape = ir.Shape([batch, channels, 1, 1])
    out = shape_of(group.quantizer.outputs[0])
    if out == (batch, channels, 1, 1):
        return [node]
    target = add_constant(group.graph, f"{name} shape", np.array(out, np.int64))
    last = integer_node("Reshape", [node.outputs[0], target], f"{name} shape", "Reshape", domain="")
    return [node, last]


def move(group: Group) -> list[ir.Node]:
    """The same ONNX operator on int8."""
    node = group.node
    attributes = {key: attribute.value for key, attribute in node.attributes.items()}
    inputs = [group.operands[0].value, *node.inputs[1:]]
    name = node.name or node.op_type
    moved = integer_node(node.op_type, inputs, name, node.op_type, attributes, domain="")
    return on_own_grid(group, [moved], group.quantizer.outputs[0])


def concat(group: Group) -> list[ir.Node]:
    """Inputs joined along an axis, each brought to the output's grid first."""
    name = group.node.name or "Concat"
    nodes: list[ir.Node] = []
    values: list[ir.Value] = []
    for index, operand in enumerate(group.operands):
        value = operand.value
        if not operand.quantization.same_as(group.result):
            extra = requantized(
                value, operand.quantization, group.result, f"{name} requantize {index}"
            )
            nodes += extra
            value = extra[-1].outputs[0]
        values.append(value)
    axis = group.node.attributes.get_int("axis", 0)
    rank = len(shape_of(group.quantizer.outputs[0]))
    joined = integer_node("Concat", values, name, group.label, {"axis": axis % rank}, domain="")
    return [*nodes, joined]
