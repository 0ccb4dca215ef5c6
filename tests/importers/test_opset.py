"""Models of every opset arrive at the one opset with the same meaning."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.importers.opset import OPSET
from edgecomp.reference import run_reference

NEWEST = onnx.defs.onnx_opset_version()
RANDOM = np.random.default_rng(2)


def header(opset):
    return f'<ir_version: {4 if opset < 13 else 8}, opset_import: ["" : {opset}]>'


def assert_same_meaning(path, original, **options):
    model = load(path, **options)
    assert model.graph.opset_imports[""] == OPSET
    sample = RANDOM.normal(size=model.inputs[0].shape).astype(np.float32)
    (expected,) = original(path, {"x": sample})
    (found,) = run_reference(model, [sample[None]])
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)
    return model


@pytest.mark.parametrize("opset", range(7, NEWEST + 1))
def test_a_network_of_any_opset(save, original, opset):
    path = save(
        header(opset) + "g (float[batch,3,8,8] x) => (float[batch,k] y) {"
        "[first] a = Conv<pads=[1,1,1,1]>(x, w) [norm] b = BatchNormalization(a, s, t, m, v)"
        "[act] c = Relu(b) [pool] d = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c)"
        "[average] e = GlobalAveragePool(d) [flat] f = Flatten(e) [head] h = Gemm(f, g1, g2)"
        "[soft] y = Softmax<axis=1>(h) }",
        w=RANDOM.normal(size=(4, 3, 3, 3)).astype("f4"),
        s=np.ones(4, "f4"),
        t=np.ones(4, "f4"),
        m=np.zeros(4, "f4"),
        v=np.ones(4, "f4"),
        g1=RANDOM.normal(size=(4, 5)).astype("f4"),
        g2=np.zeros(5, "f4"),
    )
    model = assert_same_meaning(path, original)
    names = [node.name for node in model.graph.graph]
    assert [n for n in names if n in ("first", "act", "pool", "average", "flat", "head")] == [
        "first", "act", "pool", "average", "flat", "head",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "body"),
    [
        (9, "y = Upsample(x, scales)"),
        (9, "y = Slice<starts=[1], ends=[3], axes=[2]>(x)"),
        (10, "y = Resize(x, scales)"),
        (10, "a = Dropout(x) y = TopK<axis=3>(a, two)"),
        (10, "y = Clip<min=-1.0, max=1.0>(x)"),
        (11, "y = Squeeze<axes=[0]>(x)"),
        (11, "y = ReduceSum<axes=[2,3], keepdims=0>(x)"),
        (12, "y = Softmax<axis=1>(x)"),
        (13, "y = ReduceMean<axes=[2,3]>(x)"),
        (17, "y = ReduceMax<axes=[1]>(x)"),
        (22, "y = GlobalMaxPool(x)"),
        (24, "y = Swish(x)"),
        (NEWEST, "y = Sigmoid(x)"),
    ],
)
def test_operators_that_changed(save, original, opset, body):
    outputs = "float[a] y, int64[b] indices" if "TopK" in body else "float[a] y"
    body = body.replace("y = TopK", "y, indices = TopK")
    path = save(
        f"{header(opset)}g (float[1,2,4,4] x) => ({outputs}) {{ {body} }}",
        **({"scales": np.array([1, 1, 2, 2], "f4")} if "scales" in body else {}),
        **({"two": np.array([2])} if "two" in body else {}),
    )
    proto = onnx.load(path)
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    path.write_bytes(proto.SerializeToString())
    model = load(path)
    sample = RANDOM.normal(size=(1, 2, 4, 4)).astype(np.float32)
    expected = original(path, {"x": sample})
    found = run_reference(model, [sample[None]])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one[0], other, rtol=1e-4, atol=1e-5)


def test_newer_operators_are_replaced_by_their_definition(save, original):
    path = save(
        header(23) + "g (float[1,4] x) => (float[1,4] y) { y = RMSNormalization(x, w) }",
        w=np.ones(4, "f4"),
    )
    model = assert_same_meaning(path, original)
    assert "RMSNormalization" not in [node.op_type for node in model.graph.graph]


def test_newer_operator_without_definition_is_named(save):
    path = save(
        header(26) + "g (float[1,4] x) => (float[1,4] y) { [sum] y = CumProd(x, axis) }",
        axis=np.int64(1),
    )
    with pytest.raises(EdgecompError, match="sum: the operator CumProd does not exist in opset 21"):
        load(path)


@pytest.mark.parametrize("opset", [0, NEWEST + 1, 10**6])
def test_unknown_opset(save, opset):
    with pytest.raises(EdgecompError, match=f"opset {opset}"):
        load(save(header(opset) + "g (float[4] x) => (float[4] y) { y = Relu(x) }"))
