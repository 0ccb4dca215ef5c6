from collections import Counter

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import parser

from edgecomp.importers.onnx import normalise
from edgecomp.lowering.integer import lower_integer
from edgecomp.lowering.layout import assign_layout, moves_nothing, permuted
from edgecomp.model import Model


@given(st.lists(st.integers(1, 3), min_size=4, max_size=4), st.permutations(range(4)))
def test_a_transpose_that_moves_nothing_leaves_memory_as_it_is(
    shape: list[int], permutation: list[int]
) -> None:
    values = np.arange(np.prod(shape)).reshape(shape)
    same = np.array_equal(values.transpose(permutation).reshape(-1), values.reshape(-1))
    assert permuted(shape, permutation) == values.transpose(permutation).shape
    if moves_nothing(shape, permutation):
        assert same


def _quantized(body: str, inputs: str, outputs: str) -> Model:
    """A QDQ network in ONNX's text form; every tensor has scale 0.5 and zero point 3."""
    text = f"""
        <ir_version: 10, opset_import: ["" : 21]>
        net ({inputs}) => ({outputs})
        <float s = {{0.5}}, int8 z = {{3}}, float sw = {{0.25}}, int8 zw = {{0}}>
        {{ {body} }}
    """
    model: onnx.ModelProto = parser.parse_model(text)
    return normalise(model, {}, {}, "net")


TWO_CONVOLUTIONS = """
    q0 = QuantizeLinear (x, s, z)
    d0 = DequantizeLinear (q0, s, z)
    wq = ConstantOfShape <value = int8[1] {2}> (shape)
    wd = DequantizeLinear (wq, sw, zw)
    c0 = Conv <pads = [1, 1, 1, 1]> (d0, wd)
    q1 = QuantizeLinear (c0, s, z)
    d1 = DequantizeLinear (q1, s, z)
    c1 = Conv <pads = [1, 1, 1, 1]> (d1, wd)
    q2 = QuantizeLinear (c1, s, z)
    d2 = DequantizeLinear (q2, s, z)
    f = Flatten (d2)
    q3 = QuantizeLinear (f, s, z)
    d3 = DequantizeLinear (q3, s, z)
    mq = ConstantOfShape <value = int8[1] {1}> (matrix)
    md = DequantizeLinear (mq, sw, zw)
    g = MatMul (d3, md)
    q4 = QuantizeLinear (g, s, z)
    y = DequantizeLinear (q4, s, z)
"""


@pytest.fixture
def model() -> Model:
    constants = """
        shape = Constant <value_ints = [4, 4, 3, 3]> ()
        matrix = Constant <value_ints = [80, 2]> ()
    """
    return _quantized(constants + TWO_CONVOLUTIONS, "float[1,4,5,4] x", "float[1,2] y")


def _operators(model: Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.graph)


def test_only_the_edge_of_the_image_part_is_transposed(model: Model) -> None:
    lowered = assign_layout(lower_integer(model, integer_io=True))
    assert _operators(lowered) == Counter(Transpose=1, Conv=2, Reshape=1, Dense=1)


def test_an_nhwc_caller_pays_for_no_transpose(model: Model) -> None:
    lowered = assign_layout(lower_integer(model, integer_io=True), "nhwc")
    assert _operators(lowered) == Counter(Conv=2, Reshape=1, Dense=1)
    (spec,) = lowered.inputs
    assert (spec.shape, spec.layout, spec.dtype) == ((1, 5, 4, 4), "nhwc", "int8")


def test_float_edges_keep_their_quantize_and_dequantize(model: Model) -> None:
    lowered = lower_integer(model, integer_io=False)
    operators = _operators(lowered)
    assert (operators["QuantizeLinear"], operators["DequantizeLinear"]) == (1, 1)
    assert [spec.dtype for spec in (*lowered.inputs, *lowered.outputs)] == ["float32", "float32"]


def test_the_model_itself_is_not_changed(model: Model) -> None:
    before = _operators(model)
    assign_layout(lower_integer(model, integer_io=True))
    assert _operators(model) == before
