"""What a graph says of its quantization."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from edgecomp.graph import qdq

TEXT = """<ir_version: 10, opset_import: ["" : 21]>
g (float[1,2] x) => (float[1,2] y)
<float s = {0.5}, int8 z = {3}, int8[2,2] w = {1,-2,3,-4}, float[2] ws = {0.5, 0.25},
 int8[2] wz = {0, 0}, float bare = {2}, uint8 uz = {7}>
{
  xq = QuantizeLinear(x, s, z)
  xd = DequantizeLinear(xq, s, z)
  wd = DequantizeLinear<axis=-1>(w, ws, wz)
  m = MatMul(xd, wd)
  mq = QuantizeLinear(m, bare, uz)
  md = DequantizeLinear(mq, bare, uz)
  plain = Relu(md)
  y = Neg(plain)
}"""


@pytest.fixture
def values():
    """Every value of the graph by name."""
    proto = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(TEXT))
    graph = ir.from_proto(proto).graph
    found = {value.name: value for value in (*graph.inputs, *graph.initializers.values())}
    return found | {value.name: value for node in graph for value in node.outputs}


def test_parameters_per_tensor(values):
    found = qdq.dequantization_of(values["xd"])
    assert found is not None
    assert found.per_tensor
    assert (float(found.scale), int(found.zero_point), found.dtype) == (0.5, 3, "int8")
    assert found.scale.dtype == np.float32
    assert found.same_as(qdq.quantization_of(values["xq"].producer()))


def test_parameters_per_channel(values):
    content, found = qdq.quantized_constant(values["wd"])
    assert found.axis == 1
    np.testing.assert_array_equal(content, [[1, -2], [3, -4]])
    np.testing.assert_array_equal(found.dequantize(content), [[0.5, -0.5], [1.5, -1.0]])


def test_quantized_type_is_that_of_the_zero_point(values):
    assert qdq.quantization_of(values["mq"].producer()).dtype == "uint8"
    assert not qdq.dequantization_of(values["md"]).same_as(qdq.dequantization_of(values["xd"]))


def test_what_surrounds_a_value(values):
    assert qdq.quantized_source(values["xd"]) is values["xq"]
    assert qdq.quantized_source(values["wd"]) is values["w"]
    assert qdq.quantized_source(values["m"]) is None
    assert qdq.is_quantized(values["xq"])
    assert not qdq.is_quantized(values["xd"])
    assert qdq.requantizer_of(values["m"]) is values["mq"].producer()
    assert qdq.requantizer_of(values["plain"]) is None
    assert qdq.qdq_pair(values["m"]) == (values["mq"].producer(), values["md"].producer())
    assert qdq.qdq_pair(values["plain"]) is None


def test_what_is_no_quantized_constant(values):
    assert qdq.quantized_constant(values["xd"]) is None
    assert qdq.quantized_constant(values["m"]) is None
    assert qdq.quantized_constant(None) is None


def test_parameters_that_are_not_constant():
    text = (
        '<ir_version: 10, opset_import: ["" : 21]> g (float[2] x, float s) => (int8[2] y)'
        "<int8 z = {0}> { y = QuantizeLinear(x, s, z) }"
    )
    node = ir.from_proto(onnx.parser.parse_model(text)).graph[0]
    assert qdq.quantization_of(node) is None
