"""Write padding one way: explicit `pads`, in the convolution that uses it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgecomp.graph.edit import remove_node
from edgecomp.graph.values import constant_input, input_at, shape_of

SLIDING = frozenset({"Conv", "MaxPool", "AveragePool", "LpPool"})
"""Operators with `auto_pad` whose output size follows from window, stride and pads alone."""

AUTOMATIC = frozenset({"SAME_UPPER", "SAME_LOWER", "VALID"})
"""The values of `auto_pad` that say how much to pad."""


def make_pads_explicit(graph: ir.Graph) -> None:
    """Replace an `AUTOMATIC` padding by `pads`, in place.

    As the ONNX operator specification computes them: ceil(size / stride) outputs, an odd pixel
    at the end for SAME_UPPER and at the beginning for SAME_LOWER.
    """
    for node in graph:
        if node.op_type == "ConvTranspose" and node.domain == "":
            _pad_to_output_shape(node)
            continue
        kind = node.attributes.get_string("auto_pad", "NOTSET")
        if node.domain != "" or node.op_type not in SLIDING or kind not in AUTOMATIC:
            continue
        source = node.inputs[0]
        if source is None or not _is_static(source):
            continue
        sizes = shape_of(source)[2:]
        kernel = _kernel(node)
        ones = [1] * len(sizes)
        strides = node.attributes.get_ints("strides", ones)
        dilations = node.attributes.get_ints("dilations", ones)
        begins, ends = [], []
        for size, window, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
            reach = (window - 1) * dilation + 1
            total = 0
            if kind != "VALID":
                total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            less = total // 2
            begins.append(less if kind == "SAME_UPPER" else total - less)
            ends.append(total - begins[-1])
        del node.attributes["auto_pad"]
        node.attributes["pads"] = ir.AttrInt64s("pads", [*begins, *ends])


def _pad_to_output_shape(node: ir.Node) -> None:
    """Replace `output_shape` of a transposed convolution by the `pads` that give it.

    As the specification of ConvTranspose computes them; what no pads give is an output padding.
    """
    wanted = node.attributes.get_ints("output_shape", [])
    source, weights = input_at(node, 0), input_at(node, 1)
    if not wanted or source is None or weights is None or not _is_static(source):
        return
    sizes, kernel = shape_of(source)[2:], shape_of(weights)[2:]
    ones = [1] * len(sizes)
    strides = node.attributes.get_ints("strides", ones)
    dilations = node.attributes.get_ints("dilations", ones)
    upper = node.attributes.get_string("auto_pad", "NOTSET") == "SAME_UPPER"
    begins, ends, extra = [], [], []
    for i, out in enumerate(wanted[-len(sizes) :]):
        reach = strides[i] * (sizes[i] - 1) + (kernel[i] - 1) * dilations[i] + 1
        total, less = max(reach - out, 0), max(reach - out, 0) // 2
        extra.append(max(out - reach, 0))
        begins.append(less if upper else total - less)
        ends.append(total - begins[-1])
    for name in ("auto_pad", "output_shape"):
        node.attributes.pop(name, None)
    node.attributes["pads"] = ir.AttrInt64s("pads", [*begins, *ends])
    node.attributes["output_padding"] = ir.AttrInt64s("output_padding", extra)


def fold_pads(graph: ir.Graph) -> None:
    """Move zero padding of the spatial dimensions into the Conv that reads it, in place.

    Exact: a convolution pads with zeros itself. Run `make_pads_explicit` before.
    """
    for node in list(graph):
        if node.op_type == "Conv" and node.domain == "" and "auto_pad" not in node.attributes:
            while _fold_pad(node):
                pass


def _fold_pad(node: ir.Node) -> bool:
    """Fold the Pad that a Conv reads, if there is one and it can be."""
    source = node.inputs[0]
    pad = None if source is None else source.producer()
    amounts = None if pad is None else _zero_padding(pad)
    if source is None or pad is None or amounts is None or pad.inputs[0] is None:
        return False
    rank = len(amounts) // 2
    begins, ends = amounts[:rank], amounts[rank:]
    if any(begins[:2]) or any(ends[:2]) or min(amounts) < 0:
        return False
    spatial = [*begins[2:], *ends[2:]]
    own = node.attributes.get_ints("pads", [0] * len(spatial))
    pads = [first + second for first, second in zip(own, spatial, strict=True)]
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    node.replace_input_with(0, pad.inputs[0])
    if not source.uses() and not source.is_graph_output():
        remove_node(pad, pad.inputs[0])
    return True


def _is_static(value: ir.Value) -> bool:
    return value.shape is not None and value.shape.is_static()


def _kernel(node: ir.Node) -> Sequence[int]:
    weight = input_at(node, 1)
    if node.op_type == "Conv" and weight is not None:
        return node.attributes.get_ints("kernel_shape", shape_of(weight)[2:])
    return node.attributes.get_ints("kernel_shape")


def _zero_padding(node: ir.Node) -> list[int] | None:
    """Begins and ends for each dimension of a Pad with zeros; None for any other node."""
    source = input_at(node, 0)
    if node.op_type != "Pad" or node.domain != "" or source is None or not _is_static(source):
        return None
    amounts, axes = constant_input(node, 1), constant_input(node, 3)
    value = constant_input(node, 2)
    if node.attributes.get_string("mode", "constant") != "constant" or amounts is None:
        return None
    if (value is None and input_at(node, 2) is not None) or (value is not None and value.any()):
        return None
    rank = len(shape_of(source))
    if axes is None and input_at(node, 3) is not None:
        return None
    named = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    begins, ends = [0] * rank, [0] * rank
    for index, axis in enumerate(named):
        begins[axis] = int(amounts[index])
        ends[axis] = int(amounts[len(named) + index])
    return [*begins, *ends]
