"""What must hold for a node to have an integer meaning.

Each predicate's docstring is what a user is told about a node for which it does not hold.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecomp.graph import long_bias
from edgecomp.graph.qdq import dequantization_of, quantized_source
from edgecomp.graph.values import constant_input, elements_of, input_at, is_constant, shape_of


def _known(value: ir.Value | None) -> bool:
    """Whether `value` is constant, or the dequantization of a constant."""
    return is_constant(value) or is_constant(quantized_source(value))


def constant_weights(node: ir.Node) -> bool:
    """its weights are not constant"""
    return _known(input_at(node, 1))


def symmetric_weights(node: ir.Node) -> bool:
    """its weights have a zero point"""
    quantization = dequantization_of(input_at(node, 1))
    return quantization is None or not quantization.zero_point.any()


def constant_bias(node: ir.Node) -> bool:
    """its bias is not constant"""
    bias = input_at(node, 2)
    return bias is None or _known(bias) or long_bias.constant_bias(bias) is not None


def spatial_rank(node: ir.Node) -> bool:
    """it is neither 1-D nor 2-D"""
    return _rank(node) in (3, 4)


def plain_gemm(node: ir.Node) -> bool:
    """it transposes its activations or adds a matrix"""
    bias = input_at(node, 2)
    vector = bias is None or elements_of(bias) in (1, *shape_of(bias)[-1:])
    return node.attributes.get_int("transA", 0) == 0 and vector


def matrix_weights(node: ir.Node) -> bool:
    """its weights are not a matrix"""
    weights = input_at(node, 1)
    return weights is not None and len(shape_of(weights)) == 2


def product_of_activations(node: ir.Node) -> bool:
    """its right operand is a constant matrix"""
    stack = quantized_source(input_at(node, 1)) is not None and not matrix_weights(node)
    return stack or not constant_weights(node)


def last_axis(node: ir.Node) -> bool:
    """it does not work on the last axis"""
    return node.attributes.get_int("axis", -1) in (-1, _rank(node) - 1)


def euclidean(node: ir.Node) -> bool:
    """it divides by another norm than the Euclidean"""
    return node.attributes.get_int("p", 2) == 2


def plain_window(node: ir.Node) -> bool:
    """its window is dilated, or its average counts the border"""
    dilated = any(step != 1 for step in node.attributes.get_ints("dilations", [1]))
    counts = node.attributes.get_int("count_include_pad", 0) == 1
    return not dilated and not (counts and any(node.attributes.get_ints("pads", [0])))


def values_only(node: ir.Node) -> bool:
    """it also returns indices"""
    return len(node.outputs) == 1


def constant_parameters(node: ir.Node) -> bool:
    """its parameters are not constant"""
    return all(value is None or is_constant(value) for value in node.inputs[1:])


def pads_with_zero(node: ir.Node) -> bool:
    """it pads with another value than zero"""
    value = constant_input(node, 2)
    return value is None or not value.any() or node.attributes.get_string("mode", "") == "reflect"


def interpolates_in_steps(node: ir.Node) -> bool:
    """it interpolates otherwise than nearest or linear in an image, or from a part of the input"""
    attributes = node.attributes
    plain = (
        attributes.get_int("antialias", 0) == 0 and attributes.get_int("exclude_outside", 0) == 0
    )
    crops = attributes.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    mode = attributes.get_string("mode", "nearest")
    return plain and not crops and (mode == "nearest" or (mode == "linear" and _rank(node) == 4))


def image_of_blocks(node: ir.Node) -> bool:
    """it is not 4-D"""
    return _rank(node) == 4


def two_operands(node: ir.Node) -> bool:
    """it has not two operands"""
    return len(node.inputs) == 2


def constant_axes(node: ir.Node) -> bool:
    """its axes are not constant"""
    axes = input_at(node, 1)
    return axes is None or is_constant(axes)


def one_kind_of_padding(node: ir.Node) -> bool:
    """it pads with a value that is not constant"""
    return constant_axes(node) and (input_at(node, 2) is None or _known(input_at(node, 2)))


def _rank(node: ir.Node) -> int:
    value = node.inputs[0]
    return 0 if value is None else len(shape_of(value))
