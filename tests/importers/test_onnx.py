"""ONNX models come in with one opset, static shapes, folded constants and their own names."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from edgecomp.importers import load
from edgecomp.importers.onnx import normalise
from edgecomp.importers.opset import OPSET
from edgecomp.reference import Executor, run_reference

ONNX_MODELS = (
    "ad_autoencoder",
    "dscnn_kws",
    "dscnn_kws_savedmodel_bn",
    "mnist_cnn",
    "mnist_cnn_dynbatch",
    "mobilenetv1_025_vww",
    "resnet8",
    "resnet8_jpeg",
    "resnet8_jpeg_unfolded",
)
RANDOM = np.random.default_rng(0)


def ops(model):
    return [node.op_type for node in model.graph.graph]


def names(model):
    return [node.name for node in model.graph.graph]


def structure(model):
    """Operators with their attributes, in order."""
    return [
        (node.op_type, {key: attribute.value for key, attribute in node.attributes.items()})
        for node in model.graph.graph
    ]


@pytest.mark.parametrize("name", ONNX_MODELS)
def test_real_models_keep_their_meaning(shared, name):
    model = load(shared / "models" / f"{name}.onnx")
    golden = np.load(shared / "models" / "golden" / f"{name}_onnx.npz")
    (found,) = run_reference(model, [golden["input_0"]])
    np.testing.assert_allclose(found, golden["output_0_ort"], rtol=1e-4, atol=1e-5)
    assert model.name == name
    assert model.graph.opset_imports[""] == OPSET
    onnx.checker.check_model(ir.to_proto(model.graph), full_check=True)


@pytest.mark.parametrize("name", ONNX_MODELS)
def test_every_value_of_a_real_model_is_static(shared, name):
    model = load(shared / "models" / f"{name}.onnx")
    for node in model.graph.graph:
        for value in node.outputs:
            assert value.shape is not None
            assert value.shape.is_static()
            assert value.dtype is not None
    assert all(spec.shape[0] == 1 for spec in (*model.inputs, *model.outputs))


def test_unfolded_model_folds_to_its_twin(shared):
    folded = load(shared / "models" / "resnet8_jpeg.onnx")
    unfolded = load(shared / "models" / "resnet8_jpeg_unfolded.onnx")
    assert ops(folded) == ops(unfolded)
    interesting = ("pads", "strides", "kernel_shape", "group")
    for (_, ours), (_, theirs) in zip(structure(unfolded), structure(folded), strict=True):
        for key in interesting:
            assert ours.get(key) == theirs.get(key)


def test_names_of_real_nodes_survive(shared):
    path = shared / "models" / "resnet8_jpeg_unfolded.onnx"
    before = {node.name for node in onnx.load(path).graph.node}
    assert set(names(load(path))) <= before


def test_importing_an_imported_model_changes_nothing(shared, tmp_path):
    for name in ("resnet8_jpeg_unfolded", "dscnn_kws_savedmodel_bn"):
        first = load(shared / "models" / f"{name}.onnx")
        path = tmp_path / f"{name}.onnx"
        ir.save(first.graph, path)
        second = load(path)
        assert structure(first) == structure(second)
        assert names(first) == names(second)
        assert set(first.graph.graph.initializers) == set(second.graph.graph.initializers)
        assert (first.inputs, first.outputs) == (second.inputs, second.outputs)


def test_signature_names_the_layout(save):
    nchw = load(save("g (float[1,2,4,4] x) => (float y) { y = GlobalAveragePool(x) }"))
    assert nchw.inputs[0].layout == "nchw"
    nhwc = load(
        save(
            "g (float[1,4,4,2] x) => (float y)"
            "{ t = Transpose<perm=[0,3,1,2]>(x) y = GlobalAveragePool(t) }"
        )
    )
    assert nhwc.inputs[0].layout == "nhwc"
    assert load(save("g (float[1,4,4,2] x) => (float y) { y = Relu(x) }")).inputs[0].layout is None


def test_missing_and_repeated_node_names_are_made_unique(save):
    text = "g (float[4] x) => (float[4] y) { [a] b = Relu(x) [a] c = Abs(b) d = Neg(c) y = Exp(d) }"
    assert names(load(save(text))) == ["a", "Abs_c", "Neg_d", "Exp_y"]


def test_dead_nodes_and_initializers_go(save):
    model = load(
        save("g (float[4] x) => (float[4] y) { dead = Add(x, w) y = Relu(x) }", w=np.ones(4, "f4"))
    )
    assert ops(model) == ["Relu"]
    assert not model.graph.graph.initializers


def test_identity_and_dropout_go(save):
    model = load(
        save("g (float[4] x) => (float[4] y) { a = Identity(x) b = Dropout(a) c = Relu(b) "
             "y = Identity(c) }")
    )  # fmt: skip
    assert ops(model) == ["Relu"]
    assert model.outputs[0].name == "y"


def test_shape_arithmetic_folds(save):
    model = load(
        save(
            "g (float[n,3,4] x) => (float[a,b] y) {"
            "s = Shape(x) zero = Constant<value=int64[1]{0}>() first = Gather(s, zero)"
            "rest = Constant<value=int64[1]{-1}>() to = Concat<axis=0>(first, rest)"
            "y = Reshape(x, to) }"
        )
    )
    assert ops(model) == ["Reshape"]
    assert model.outputs[0].shape == (1, 12)


def test_known_condition_is_inlined(save):
    text = (
        "g (float[4] x, bool c) => (float[4] y) { y = If(c)<"
        "then_branch = t () => (float[4] a) { [yes] a = Relu(x) },"
        "else_branch = e () => (float[4] b) { [no] b = Neg(x) }> }"
    )
    assert names(load(save(text), bindings={"c": True})) == ["yes"]
    assert names(load(save(text), bindings={"c": False})) == ["no"]
    assert ops(load(save(text))) == ["If"]


def test_functions_are_inlined_but_for_our_own(save):
    text = (
        '<ir_version: 8, opset_import: ["" : 21, "DOMAIN" : 1]>'
        "g (float[4] x) => (float[4] y) { [call] y = DOMAIN.Twice(x) }"
        '<domain: "DOMAIN", opset_import: ["" : 21]> Twice (a) => (b) { b = Add(a, a) }'
    )
    assert ops(load(save(text.replace("DOMAIN", "custom")))) == ["Add"]
    ours = load(save(text.replace("DOMAIN", "edgecomp")))
    assert names(ours) == ["call"]
    assert ours.outputs[0].shape == (4,)


def test_inputs_with_initializers_are_constants(save):
    old = '<ir_version: 3, opset_import: ["" : 9]>'
    path = save(
        old + "g (float[4] x, float[4] w) => (float[4] y) { y = Add(x, w) }", w=np.ones(4, "f4")
    )
    model = load(path)
    assert [spec.name for spec in model.inputs] == ["x"]
    assert list(model.graph.graph.initializers) == ["w"]


def test_quantized_constants_stay_quantized(save):
    text = (
        "g (float[1,4] x) => (float[1,4] y) {"
        "f = DequantizeLinear(w, s) t = Transpose(f) y = MatMul(x, t) }"
    )
    model = load(save(text, w=np.ones((4, 4), "i1"), s=np.float32(0.5)))
    assert ops(model) == ["DequantizeLinear", "MatMul"]
    weights = model.graph.graph[0].inputs[0]
    assert weights.is_initializer()
    assert weights.dtype == ir.DataType.INT8


def test_folding_does_not_make_the_model_larger(save):
    text = (
        "g (float[1] x) => (float[n] y) { s = Constant<value=int64[1]{10000000}>()"
        "zeros = ConstantOfShape(s) y = Mul(zeros, x) }"
    )
    model = load(save(text))
    assert ops(model) == ["ConstantOfShape", "Mul"]


def test_graph_output_that_is_constant(save):
    text = "g (float[2] x) => (float[2] y, float[2] z) { y = Relu(x) z = Add(w, w) }"
    model = load(save(text, w=np.ones(2, "f4")))
    found = Executor(model.graph).run({"x": np.ones(2, "f4")})
    np.testing.assert_array_equal(found["z"], np.full(2, 2, "f4"))


def test_external_weights_beside_the_model(tmp_path, shared):
    proto = onnx.load(shared / "models" / "mnist_cnn.onnx")
    path = tmp_path / "mnist.onnx"
    onnx.save_model(
        proto, path, save_as_external_data=True, location="mnist.bin", size_threshold=64
    )
    assert structure(load(path)) == structure(load(shared / "models" / "mnist_cnn.onnx"))


def test_model_in_memory():
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> g (float[N,4] x) => (float[N,4] y) {y = Relu(x)}'
    )
    model = normalise(proto, {}, {}, "small")
    assert model.source is None
    assert model.inputs[0].shape == (1, 4)
