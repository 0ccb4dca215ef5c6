"""The same net as different quantizers write it: always integers, always the same to a few steps.

NNCF and AIMET keep float weights and quantize them in the graph, ai-edge and onnxruntime store
integers; activations are signed or unsigned; layers and activations are quantized apart or at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.lowering.lower import lower
from edgecomp.pipeline import compile_model
from edgecomp.reference import Executor
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
SHAPE = (1, 3, 12, 12)


@dataclass(frozen=True)
class Style:
    """How a quantizer writes.

    Attributes:
        unsigned: activations are uint8, else int8.
        symmetric: their zero point is in the middle.
        stored: weights are stored as integers, else as floats with a QuantizeLinear.
        per_channel: weights have a scale for each output channel.
        int32_bias: biases are int32 on the scale of the products, else floats.
        apart: a layer's result is quantized before its Relu or Clip too.
    """

    unsigned: bool = False
    symmetric: bool = False
    stored: bool = True
    per_channel: bool = True
    int32_bias: bool = True
    apart: bool = False


STYLES: Mapping[str, Style] = {
    "onnxruntime": Style(unsigned=True, per_channel=False),
    "ai-edge": Style(),
    "nncf": Style(symmetric=True, stored=False, int32_bias=False),
    "aimet": Style(unsigned=True, stored=False, per_channel=False, int32_bias=False, apart=True),
}


class Net:
    """Collects the nodes of a net in one style."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self.random = np.random.default_rng(4)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.scales: dict[str, float] = {}

    def constant(self, array: Any) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def quantized(self, value: str, low: float, high: float) -> str:
        """`value` on a grid from `low` to `high`, real again."""
        style = self.style
        if style.symmetric:
            low = -high
        scale = np.float32((high - low) / 255)
        middle = round(-low / scale)
        zero_point = np.uint8(middle) if style.unsigned else np.int8(middle - 128)
        grid = [self.constant(scale), self.constant(zero_point)]
        real = self.add("DequantizeLinear", [self.add("QuantizeLinear", [value, *grid]), *grid])
        self.scales[real] = float(scale)
        return real

    def layer(self, op: str, source: str, shape: tuple[int, ...], **attributes: Any) -> str:
        """A layer with weights of `shape` and a bias, as the style has them."""
        style = self.style
        content = self.random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        axes = tuple(range(1, len(shape))) if style.per_channel else None
        scale = np.asarray(np.abs(content).max(axis=axes) / 127, np.float32)
        along = {"axis": 0} if style.per_channel else {}
        steps = np.rint(content / scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int8)
        grid = [self.constant(scale), self.constant(np.zeros(scale.shape, np.int8))]
        if style.stored:
            stored = self.constant(steps)
        else:
            stored = self.add(
                "QuantizeLinear", [self.constant(content.astype(np.float32)), *grid], **along
            )
        weights = self.add("DequantizeLinear", [stored, *grid], **along)
        return self.add(op, [source, weights, self.bias(source, shape[0], scale)], **attributes)

    def bias(self, source: str, count: int, scale: Array) -> str:
        real = self.random.normal(0, 0.3, count).astype(np.float32)
        if not self.style.int32_bias:
            return self.constant(real)
        product = np.asarray(np.float32(self.scales[source]) * scale, np.float32)
        along = {"axis": 0} if self.style.per_channel else {}
        steps = self.constant(np.rint(real / product).astype(np.int32))
        return self.add("DequantizeLinear", [steps, self.constant(product)], **along)

    def activated(self, op: str, value: str, *more: str) -> str:
        if self.style.apart:
            value = self.quantized(value, -6, 6)
        return self.quantized(self.add(op, [value, *more]), 0, 6)


def net(style: Style) -> onnx.ModelProto:
    """Two branches that share one DequantizeLinear, joined twice."""
    made = Net(style)
    image = made.quantized("x", -3, 3)
    first = made.activated("Relu", made.layer("Conv", image, (8, 3, 3, 3), pads=[1] * 4))
    pooled = made.add("MaxPool", [first], kernel_shape=[2, 2], strides=[2, 2])
    shared = made.quantized(pooled, 0, 6)
    limits = (made.constant(np.float32(0)), made.constant(np.float32(6)))
    depthwise = made.layer("Conv", shared, (8, 1, 3, 3), pads=[1] * 4, group=8)
    branch = made.activated("Clip", depthwise, *limits)
    joined = made.quantized(made.add("Add", [branch, shared]), 0, 6)
    both = made.quantized(made.add("Concat", [joined, shared], axis=1), 0, 6)
    mean = made.quantized(made.add("GlobalAveragePool", [both]), 0, 6)
    flat = made.quantized(made.add("Reshape", [mean, made.constant(np.array([1, -1]))]), 0, 6)
    made.quantized(made.layer("Gemm", flat, (5, 16), transB=1), -4, 4)
    made.nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        made.nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 5))],
        made.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def original(path: Path, x: Array) -> Array:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return np.asarray(onnxruntime.InferenceSession(str(path), options).run(None, {"x": x})[0])


def compiled(path: Path, x: Array) -> Array:
    compile_model(load(path), load_device("host"), path.with_suffix(".edge"))
    with Session(open_artifact(path.with_suffix(".edge"))) as session:
        return session.run({"x": x})["y"]


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_integer_and_keeps_its_meaning(style: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(net(STYLES[style]), path)

    model = load(path)
    program = lower(model)

    assert {call.where for call in program.calls} == {"integer"}
    scale = program.outputs[0].scale
    assert scale is not None
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
        got = Executor(model.graph).run({"x": x})["y"]
        assert np.abs(got - original(path, x)).max() <= 3 * scale


def test_dynamic_quantization_keeps_its_meaning(tmp_path: Path) -> None:
    """DynamicQuantizeLinear, MatMulInteger and ConvInteger, as onnxruntime writes them."""
    source, path = tmp_path / "float.onnx", tmp_path / "dynamic.onnx"
    random = np.random.default_rng(2)
    graph = onnx.parser.parse_graph(
        "g (float[1,3,12,12] x) => (float[1,5] y) "
        "{ c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) m = GlobalAveragePool(r) "
        "f = Flatten(m) y = MatMul(f, v) }"
    )
    for name, shape in (("w", (8, 3, 3, 3)), ("v", (8, 5))):
        content = random.normal(0, 0.4, shape).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(content, name))
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source
    )
    quantize_dynamic(source, path, weight_type=QuantType.QUInt8)
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"} <= operators

    x = random.normal(size=SHAPE).astype(np.float32)
    got = compiled(path, x)

    np.testing.assert_allclose(got, original(path, x), rtol=1e-4, atol=1e-4)


def test_attention_with_layer_normalization(tmp_path: Path) -> None:
    """A transformer's block in floats, compiled, is what onnxruntime computes."""
    random = np.random.default_rng(5)
    graph = onnx.parser.parse_graph(
        "g (float[1,6,8] x) => (float[1,6,8] y) "
        "{ n = LayerNormalization<axis=-1>(x, s, b) q = MatMul(n, wq) k = MatMul(n, wk) "
        "v = MatMul(n, wv) qh = Reshape(q, heads) kh = Reshape(k, heads) vh = Reshape(v, heads) "
        "qt = Transpose<perm=[0,2,1,3]>(qh) kt = Transpose<perm=[0,2,3,1]>(kh) "
        "vt = Transpose<perm=[0,2,1,3]>(vh) scores = MatMul(qt, kt) scaled = Div(scores, root) "
        "weights = Softmax<axis=-1>(scaled) mixed = MatMul(weights, vt) "
        "back = Transpose<perm=[0,2,1,3]>(mixed) flat = Reshape(back, whole) "
        "o = MatMul(flat, wo) y = Add(o, x) }"
    )
    matrices = {name: random.normal(0, 0.4, (8, 8)) for name in ("wq", "wk", "wv", "wo")}
    constants = {**matrices, "s": random.normal(1, 0.1, 8), "b": random.normal(0, 0.1, 8)}
    for name, content in {**constants, "root": np.array(2.0)}.items():
        graph.initializer.append(numpy_helper.from_array(content.astype(np.float32), name))
    for name, shape in (("heads", (1, 6, 2, 4)), ("whole", (1, 6, 8))):
        graph.initializer.append(numpy_helper.from_array(np.array(shape), name))
    path = tmp_path / "attention.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )

    x = random.normal(size=(1, 6, 8)).astype(np.float32)
    got = compiled(path, x)

    np.testing.assert_allclose(got, original(path, x), rtol=1e-4, atol=1e-5)
