"""Integer operators on images: transposed convolution, interpolation, blocks of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.qdq import Quantization
from edgecomp.graph.values import shape_of
from edgecomp.lowering import integer_index, multipliers
from edgecomp.lowering.integer_group import Group, integer_node
from edgecomp.lowering.integer_moves import on_own_grid
from edgecomp.lowering.integer_ops import as_image, four, integer_weights, two, weighted


def conv_transpose(group: Group) -> list[ir.Node] | None:
    """1-d or 2-d transposed convolution with constant weights; None where that is not so."""
    node, attributes = group.node, group.node.attributes
    weights = integer_weights(node)
    if weights is None:
        return None
    content, quantization = weights
    sequence = content.ndim == 3
    if sequence:
        content = content[:, :, None, :]
    groups = attributes.get_int("group", 1)
    filters = _filters(content, groups, two(attributes.get_ints("dilations", [1, 1])))
    scales = _channel_scales(quantization, filters.shape[0], groups)
    if scales is None:
        return None
    strides = two(attributes.get_ints("strides", [1, 1]))
    factors = multipliers.conv_multipliers(group.operands[0].scale, scales, group.result.scale)
    common = weighted(group, _whole_strides(filters, strides), scales, factors, fold=False)
    if common is None:
        return None
    values, shared = common
    geometry = {
        "strides": strides,
        "pads": four(attributes.get_ints("pads", [0, 0, 0, 0])),
        "group": groups,
    }

    def build(image: ir.Value) -> ir.Node:
        name = node.name or node.op_type
        made = integer_node(
            "ConvTranspose", [image, *values], name, group.label, {**geometry, **shared}
        )
        made.outputs[0].shape = group.output.shape
        return made

    x = group.operands[0].value
    return as_image(group, x, build) if sequence else [build(x)]


def _filters(content: npt.NDArray[Any], groups: int, dilations: list[int]) -> npt.NDArray[Any]:
    """ONNX's [C, O/group, KH, KW] as [O, KH, KW, C/group], the gaps of a dilation filled with 0."""
    channels, per_group, height, width = content.shape
    split = content.reshape(groups, channels // groups, per_group, height, width)
    own = split.transpose(0, 2, 3, 4, 1).reshape(groups * per_group, height, width, -1)
    rows, columns = (height - 1) * dilations[0] + 1, (width - 1) * dilations[1] + 1
    spread = np.zeros((own.shape[0], rows, columns, own.shape[3]), content.dtype)
    spread[:, :: dilations[0], :: dilations[1]] = own
    return spread


def _whole_strides(filters: npt.NDArray[Any], strides: list[int]) -> npt.NDArray[Any]:
    """`filters` with zeros after the last row and column, up to a multiple of the stride."""
    missing = [-filters.shape[1 + i] % strides[i] for i in range(2)]
    return np.pad(filters, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))


def _channel_scales(
    quantization: Quantization, channels: int, groups: int
) -> npt.NDArray[np.float32] | None:
    """A weight scale for each output channel; ONNX's channel axis is 1, within a group."""
    if quantization.per_tensor:
        return np.broadcast_to(quantization.scale.reshape(-1), (channels,))
    if quantization.axis != 1:
        return None
    return np.tile(quantization.scale, groups)


def resize(group: Group) -> list[ir.Node] | None:
    """Resize: nearest of any axes, linear of the two axes of a 4-D image."""
    if group.node.attributes.get_string("mode", "nearest") == "nearest":
        return integer_index.nearest(group)
    x = group.operands[0].value
    shape, out = shape_of(x), shape_of(group.output)
    mode = group.node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    if len(shape) != 4 or shape[:2] != out[:2] or mode not in _LINEAR_MODES:
        return None
    attributes: dict[str, Any] = {
        "align_corners": int(mode == "align_corners"),
        "half_pixel": int(mode in ("half_pixel", "pytorch_half_pixel")),
    }
    name = group.node.name or "Resize"
    node = integer_node("ResizeLinear", [x], name, group.label, attributes)
    return on_own_grid(group, [node], group.output)


_LINEAR_MODES = frozenset({"asymmetric", "align_corners", "half_pixel", "pytorch_half_pixel"})


def depth_to_space(group: Group) -> list[ir.Node]:
    """Channels to blocks of pixels."""
    node = group.node
    attributes = {
        "block": node.attributes.get_int("blocksize", 1),
        "depth_first": int(node.attributes.get_string("mode", "DCR") == "DCR"),
    }
    return _blocks(group, "DepthToSpace", attributes)


def space_to_depth(group: Group) -> list[ir.Node]:
    """Blocks of pixels to channels."""
    attributes = {"block": group.node.attributes.get_int("blocksize", 1)}
    return _blocks(group, "SpaceToDepth", attributes)


def _blocks(group: Group, op_type: str, attributes: dict[str, int]) -> list[ir.Node]:
    name = group.node.name or op_type
    made = integer_node(op_type, [group.operands[0].value], name, group.label, attributes)
    return on_own_grid(group, [made], group.output)
