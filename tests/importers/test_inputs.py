"""Static shapes and bindings of inputs, and the options that give them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgecomp.errors import EdgecompError
from edgecomp.importers import load, parse_binding, parse_shape
from edgecomp.reference import Executor


def shapes_of(model):
    return {spec.name: spec.shape for spec in model.inputs}


@pytest.mark.parametrize(
    "dims", ["batch,3,4", "N,3,4", "unk_0,3,4", "1,3,4"],
)  # fmt: skip
def test_batch_is_one_by_default(save, dims):
    model = load(save(f"g (float[{dims}] x) => (float[a,b,c] y) {{ y = Relu(x) }}"))
    assert shapes_of(model) == {"x": (1, 3, 4)}


def test_batch_elsewhere_by_its_name(save):
    model = load(save("g (float[5,batch_size,4] x) => (float[a,b,c] y) { y = Relu(x) }"))
    assert shapes_of(model) == {"x": (5, 1, 4)}


def test_every_unknown_dimension_is_listed_with_its_option(save):
    text = "g (float[batch,3,height,width] x, float[n,sequence] z) => (float[a] y) { y = Relu(x) }"
    with pytest.raises(EdgecompError) as caught:
        load(save(text))
    assert len(caught.value.reasons) == 2
    assert "--shape x=1,3,HEIGHT,WIDTH" in str(caught.value)
    assert "--shape z=1,SEQUENCE" in str(caught.value)
    assert "'height'" in str(caught.value)


def test_given_shape_serves_other_inputs_with_the_same_symbols(save):
    text = "g (float[batch,size] x, float[batch,size] z) => (float[a,b] y) { y = Add(x, z) }"
    model = load(save(text), shapes={"x": (2, 7)})
    assert shapes_of(model) == {"x": (2, 7), "z": (2, 7)}
    assert model.outputs[0].shape == (2, 7)


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        ({"x": (1, 4, 5, 5)}, "1,4,5,5 does not fit the input's shape batch,3,height,width"),
        ({"x": (1, 3, 5)}, "does not fit"),
        ({"x": (1, 3, 0, 5)}, "does not fit"),
        ({"x": (1, 3, 5, 5), "q": (1,)}, "--shape q: is no input of the model; inputs are x, z"),
        ({"x": (1, 3, 5, 5), "z": (2, 5)}, "'batch'"),
    ],
)
def test_shapes_that_do_not_fit(save, shapes, what):
    text = (
        "g (float[batch,3,height,width] x, float[batch,height] z) => (float[a,b,c,d] y)"
        "{ y = Relu(x) }"
    )
    with pytest.raises(EdgecompError) as caught:
        load(save(text), shapes=shapes)
    assert what in str(caught.value)


@pytest.mark.parametrize("dims", [[-1, -3, 4], [0, 0, 4], [None, None, 4]])
def test_sizes_that_are_none(tmp_path, dims):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, dims)],
    )
    path = tmp_path / "model.onnx"
    proto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(EdgecompError, match="--shape x=1,SIZE,4"):
        load(path)
    assert shapes_of(load(path, shapes={"x": (2, 3, 4)})) == {"x": (2, 3, 4)}


def test_input_of_unknown_rank(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    path = tmp_path / "model.onnx"
    proto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(EdgecompError, match="--shape x="):
        load(path)
    assert shapes_of(load(path, shapes={"x": (2, 3)})) == {"x": (2, 3)}


RATE = "g (float[1,4] x, int64 rate) => (float[1,4] y) { f = Cast<to=1>(rate) [mul] y = Mul(x, f) }"


def test_bound_input_becomes_a_constant(save):
    model = load(save(RATE), bindings={"rate": 3})
    assert shapes_of(model) == {"x": (1, 4)}
    assert [node.name for node in model.graph.graph] == ["mul"]
    found = Executor(model.graph).run({"x": np.ones((1, 4), "f4")})
    np.testing.assert_array_equal(found["y"], np.full((1, 4), 3, "f4"))


def test_scalar_fills_a_bound_input(save):
    text = "g (float[1,4] x, float[n,4] z) => (float[1,4] y) { y = Add(x, z) }"
    model = load(save(text), bindings={"z": 2})
    np.testing.assert_array_equal(
        model.graph.graph.initializers["z"].const_value.numpy(), np.full((1, 4), 2, "f4")
    )
    model = load(save(text), bindings={"z": np.arange(4, dtype="f8").reshape(1, 4)})
    assert model.graph.graph.initializers["z"].dtype.name == "FLOAT"


@pytest.mark.parametrize(
    "value", [1.5, [1, 2], "text", 2**70, True + 0.25, float("nan")]
)  # fmt: skip
def test_bindings_that_do_not_fit(save, value):
    with pytest.raises(EdgecompError, match="--bind rate"):
        load(save(RATE), bindings={"rate": value})


def test_binding_of_no_input(save):
    with pytest.raises(EdgecompError, match=r"--bind rat: is no input.*inputs are x, rate"):
        load(save(RATE), bindings={"rat": 1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=1,3,224,224", ("x", (1, 3, 224, 224))),
        ("a=b:0=7", ("a=b:0", (7,))),
    ],
)
def test_parse_shape(text, expected):
    assert parse_shape(text) == expected


@pytest.mark.parametrize("text", ["x", "x=", "=1,2", "x=1,two", "x=0", "x=1,-1", "x=1;2", ""])
def test_parse_shape_refuses(text):
    with pytest.raises(EdgecompError, match="write --shape NAME=1,3,224,224"):
        parse_shape(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sr=16000", ("sr", 16000)),
        ("gain=0.5", ("gain", 0.5)),
        ("gain=-1e-3", ("gain", -1e-3)),
        ("flag=true", ("flag", True)),
        ("flag=False", ("flag", False)),
        ("v=1,2,3", ("v", [1, 2, 3])),
    ],
)
def test_parse_binding(text, expected):
    assert parse_binding(text) == expected


@pytest.mark.parametrize("text", ["x", "x=", "=1", "x=word", "x=1,", ""])
def test_parse_binding_refuses(text):
    with pytest.raises(EdgecompError, match="write --bind NAME=VALUE"):
        parse_binding(text)
