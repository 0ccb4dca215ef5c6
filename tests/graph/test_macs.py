"""MACs, parameters and bytes of nodes and models."""

from __future__ import annotations

import onnx.parser
import onnx_ir as ir
import pytest

from edgecomp.graph.macs import macs_of
from edgecomp.graph.params import count_parameters
from edgecomp.graph.summary import summarize
from edgecomp.importers import load


def only_node(text):
    """The last node of a graph with inferred shapes."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> g {text}')
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto)).graph[-1]


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        ("(float[1,3,8,8] x, float[4,3,3,3] w) => (float[1,4,6,6] y) { y = Conv(x, w) }",
         4 * 6 * 6 * 27),
        ("(float[1,4,8,8] x, float[4,1,3,3] w) => (float[1,4,8,8] y)"
         "{ y = Conv<group=4, pads=[1,1,1,1]>(x, w) }", 4 * 8 * 8 * 9),
        ("(float[1,3,4,4] x, float[3,5,2,2] w) => (float[1,5,8,8] y)"
         "{ y = ConvTranspose<strides=[2,2]>(x, w) }", 3 * 4 * 4 * 5 * 4),
        ("(float[2,3] x, float[3,5] w) => (float[2,5] y) { y = Gemm(x, w) }", 2 * 3 * 5),
        ("(float[3,2] x, float[5,3] w) => (float[2,5] y)"
         "{ y = Gemm<transA=1, transB=1>(x, w) }", 2 * 3 * 5),
        ("(float[7,2,3] x, float[3,5] w) => (float[7,2,5] y) { y = MatMul(x, w) }", 7 * 2 * 3 * 5),
        ("(float[3] x, float[3,5] w) => (float[5] y) { y = MatMul(x, w) }", 3 * 5),
        ("(float[6,1,3] x, float[1,16,3] w, float[1,16,4] r) => (float[6,1,1,4] y)"
         "{ y = LSTM<hidden_size=4>(x, w, r) }", 6 * 16 * (3 + 4)),
        ("(float[2,3,4] x, float[4,5] w) => (float[2,3,5] y)"
         '{ y = Einsum<equation="...k,kn->...n">(x, w) }', 2 * 3 * 4 * 5),
        ("(float[2,3] x, float[2,3] w) => (float[2,3] y) { y = Mul(x, w) }", 0),
        ("(float[1,3,8,8] x) => (float[1,3,1,1] y) { y = GlobalAveragePool(x) }", 0),
    ],
)  # fmt: skip
def test_macs_of_a_node(text, macs):
    assert macs_of(only_node(text)) == macs


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("mnist_cnn", 93_322, 2_794_240),
        ("resnet8", 77_706, 12_501_632),
        ("mobilenetv1_025_vww", 210_850, 7_489_664),
        ("dscnn_kws", 22_604, 2_656_768),
        ("dscnn_kws_savedmodel_bn", 22_604, 2_656_768),
        ("ad_autoencoder", 265_864, 264_192),
    ],
)
def test_real_models_cost_what_their_readme_says(shared, name, params, macs):
    summary = summarize(load(shared / "models" / f"{name}.onnx"))
    assert (summary.params, summary.macs) == (params, macs)
    assert summary.bytes == 4 * params
    assert sum(node.macs for node in summary.nodes) == macs
    assert sum(node.params for node in summary.nodes) == params


def test_summary_of_a_real_model(shared):
    summary = summarize(load(shared / "models" / "resnet8.onnx"))
    assert summary.op_counts["Conv"] == 9
    first = summary.nodes[0]
    assert (first.name, first.op, first.shape) == ("conv_1", "Conv", (1, 16, 32, 32))
    assert (first.params, first.macs) == (448, 442_368)
    values = summary.to_json()
    assert values["params"] == 77_706
    assert values["ops"][0]["name"] == "conv_1"


def parameters(text):
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> g {text}')
    return count_parameters(ir.from_proto(proto).graph)


def test_limits_and_shapes_are_no_parameters():
    assert (
        parameters(
            "(float[1,4] x) => (float[4] y)"
            "<float low = {0}, float high = {6}, int64[1] to = {4}>"
            "{ c = Clip(x, low, high) y = Reshape(c, to) }"
        )
        == 0
    )


def test_shared_and_quantized_parameters():
    assert (
        parameters(
            "(float[1,2] x) => (float[1,2] y)"
            "<float[2,2] w = {1,2,3,4}> { a = MatMul(x, w) y = MatMul(a, w) }"
        )
        == 4
    )
    assert (
        parameters(
            "(float[1,2] x) => (float[1,2] y)"
            "<int8[2,2] w = {1,2,3,4}, float s = {0.5}>"
            "{ d = DequantizeLinear(w, s) y = MatMul(x, d) }"
        )
        == 4
    )
