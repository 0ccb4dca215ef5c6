"""Programs without their dead channels give the bits of those with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecomp.device import load_device
from edgecomp.graph.values import shape_of
from edgecomp.importers.onnx import normalise
from edgecomp.lowering import lower as lowering
from edgecomp.lowering.dead_channels import fold_dead_channels
from edgecomp.lowering.integer import lower_integer
from edgecomp.model import Model
from edgecomp.pipeline import Options, compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]

IMAGE = (1, 5, 9, 8)
SOURCE = (0.05, 7)
"""Scale and zero point of the input."""


@dataclass(frozen=True)
class Real:
    """A dequantized value: its name, shape, scale and zero point."""

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


@dataclass
class Net:
    """Collects a QDQ model of layers; what is random comes from `generator`."""

    generator: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    outputs: list[Real] = field(default_factory=list)

    def constant(self, array: Any) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{name} node", **attributes))
        return name

    def quantize(self, name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> Real:
        grid = [self.constant(np.float32(scale)), self.constant(np.int8(zero_point))]
        quantized = self.add("QuantizeLinear", [name, *grid])
        made = self.add("DequantizeLinear", [quantized, *grid])
        return Real(made, shape, scale, zero_point)

    def image(self) -> Real:
        return self.quantize("image", IMAGE, *SOURCE)

    def layer(
        self, x: Real, op: str, weights: Array, bias: Array, relu: bool = False, **attributes: Any
    ) -> Real:
        """Conv or Gemm with int8 weights [O, ...] and an int32 bias."""
        scales = self.generator.uniform(0.004, 0.01, len(weights)).astype(np.float32)
        grid = [weights, scales, np.zeros(len(weights), np.int8)]
        taps = self.add("DequantizeLinear", [self.constant(a) for a in grid], axis=0)
        grid = [bias, np.float32(x.scale) * scales, np.zeros(len(bias), np.int32)]
        start = self.add("DequantizeLinear", [self.constant(a) for a in grid], axis=0)
        made = self.add(op, [x.name, taps, start], **attributes)
        if relu:
            made = self.add("Relu", [made])
        pads = attributes.get("pads", [0] * 4)
        strides = attributes.get("strides", [1, 1])
        size = tuple(
            (x.shape[2 + i] + pads[i] + pads[2 + i] - weights.shape[2 + i]) // strides[i] + 1
            for i in range(weights.ndim - 2)
        )
        zero_point = -128 if relu else int(self.generator.integers(-20, 20))
        shape = (x.shape[0], len(weights), *size)
        return self.quantize(made, shape, float(self.generator.uniform(0.03, 0.1)), zero_point)

    def weights(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Random weights and biases, about half of the filters zero, and some of their inputs."""
        taps = self.generator.integers(-127, 128, shape).astype(np.int8)
        taps[self.generator.random(shape[0]) < 0.5] = 0
        if shape[1] > 1:
            taps[:, self.generator.random(shape[1]) < 0.2] = 0
        bias = self.generator.integers(-6000, 6000, shape[0]).astype(np.int32)
        bias[self.generator.random(shape[0]) < 0.3] = 0
        return taps, bias

    def random_layer(self, x: Real) -> Real:
        """One of the operators that make, pass on or read dead channels."""
        channels, height, width = x.shape[1:]
        large = min(height, width) >= 3
        kind = self.generator.choice(["conv", "point", "depthwise", "pool", "table", "add"])
        relu = bool(self.generator.random() < 0.4)
        border = int(self.generator.random() < 0.5 or not large)
        pads, strides = [border] * 4, [int(self.generator.integers(1, 3))] * 2
        if kind == "conv":
            taps, bias = self.weights((int(self.generator.integers(1, 14)), channels, 3, 3))
            return self.layer(x, "Conv", taps, bias, relu, pads=pads, strides=strides)
        if kind == "depthwise":
            times = int(self.generator.integers(1, 3))
            taps, bias = self.weights((channels * times, 1, 3, 3))
            return self.layer(x, "Conv", taps, bias, relu, pads=pads, group=channels)
        if kind == "pool" and large:
            op = str(self.generator.choice(["MaxPool", "AveragePool"]))
            made = self.add(op, [x.name], kernel_shape=[2, 2], strides=[2, 2])
            return self.quantize(
                made, (1, channels, height // 2, width // 2), x.scale, x.zero_point
            )
        if kind == "table":
            return self.quantize(self.add("HardSwish", [x.name]), x.shape, 0.04, -90)
        if kind == "add":
            taps, bias = self.weights((channels, channels, 1, 1))
            other = self.layer(x, "Conv", taps, bias)
            return self.quantize(self.add("Add", [x.name, other.name]), x.shape, 0.06, 3)
        taps, bias = self.weights((int(self.generator.integers(1, 14)), channels, 1, 1))
        return self.layer(x, "Conv", taps, bias, relu)

    def classify(self, x: Real) -> Real:
        """The mean of each channel and a dense layer, or a dense layer of all pixels."""
        if self.generator.random() < 0.7:
            made = self.add("GlobalAveragePool", [x.name])
            x = self.quantize(made, (*x.shape[:2], 1, 1), x.scale, x.zero_point)
        depth = int(np.prod(x.shape[1:]))
        flat = self.quantize(self.add("Flatten", [x.name]), (1, depth), x.scale, x.zero_point)
        taps, bias = self.weights((6, depth))
        hidden = self.layer(flat, "Gemm", taps, bias, transB=1)
        taps, bias = self.weights((3, 6))
        return self.layer(hidden, "Gemm", taps, bias, transB=1)

    def model(self) -> Model:
        def info(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self.nodes,
            "nets",
            [info("image", IMAGE)],
            [info(x.name, x.shape) for x in self.outputs],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 21)]
        proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return normalise(onnx.shape_inference.infer_shapes(proto, strict_mode=True), {}, {}, "nets")


def _run(model: Model, path: Path, inputs: Sequence[Array]) -> tuple[int, list[list[Array]]]:
    """MACs of the compiled model, and its outputs for each input."""
    manifest = compile_model(model, load_device("host"), path, options=Options())
    with Session(open_artifact(path)) as session:
        outputs = [list(session.run({"image": image}).values()) for image in inputs]
    return sum(op.macs for op in manifest.ops), outputs


@pytest.mark.parametrize("seed", range(3))
def test_folding_keeps_every_bit(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Net(np.random.default_rng(seed))
    source = net.image()
    for _ in range(12):
        x = source
        for _ in range(int(net.generator.integers(2, 6))):
            x = net.random_layer(x)
        net.outputs.append(net.classify(x) if net.generator.random() < 0.8 else x)
    model = net.model()
    steps = net.generator.integers(-128, 128, (3, *IMAGE)) - SOURCE[1]
    images = list((np.float32(SOURCE[0]) * steps).astype(np.float32))
    macs, folded = _run(model, tmp_path / "folded.edge", images)
    monkeypatch.setattr(lowering, "fold_dead_channels", lambda lowered: lowered)
    all_macs, whole = _run(model, tmp_path / "whole.edge", images)
    assert macs < all_macs
    for got, want in zip(folded, whole, strict=True):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


def _folded(net: Net, output: Real) -> dict[str, list[tuple[int, ...]]]:
    """Shapes of the weights of each kind of node after folding, in the model's order."""
    net.outputs.append(output)
    graph = fold_dead_channels(lower_integer(net.model(), True)).graph.graph
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for node in graph:
        if node.op_type in ("Conv", "DepthwiseConv", "Dense"):
            weights, bias = node.inputs[1:3]
            assert weights is not None
            assert bias is not None
            shapes.setdefault(node.op_type, []).append(shape_of(weights))
            assert shape_of(bias) == shape_of(node.outputs[0])[1:2]
    return shapes


def _point(net: Net, x: Real, dead: int, units: int, bias: int) -> Real:
    """A pointwise layer whose first `dead` filters are zero, with a ReLU."""
    taps = net.generator.integers(1, 128, (units, x.shape[1], 1, 1)).astype(np.int8)
    taps[:dead] = 0
    return net.layer(x, "Conv", taps, np.full(units, bias, np.int32), relu=True)


def _three_by_three(net: Net, x: Real, border: int) -> Real:
    taps = net.generator.integers(1, 128, (8, x.shape[1], 3, 3)).astype(np.int8)
    return net.layer(x, "Conv", taps, np.zeros(8, np.int32), pads=[border] * 4)


@pytest.mark.parametrize(
    ("bias", "border", "kept"), [(-500, 1, 8), (500, 0, 8), (-500, 0, 8), (500, 1, 12)]
)
def test_a_border_must_hold_the_constant(bias: int, border: int, kept: int) -> None:
    net = Net(np.random.default_rng(1))
    x = _three_by_three(net, _point(net, net.image(), 4, 12, bias), border)
    assert _folded(net, x) == {"Conv": [(kept, 1, 1, 5), (8, 3, 3, kept)]}


def test_channels_stay_in_whole_blocks() -> None:
    net = Net(np.random.default_rng(1))
    x = _three_by_three(net, _point(net, net.image(), 6, 12, -500), 1)
    assert _folded(net, x) == {"Conv": [(8, 1, 1, 5), (8, 3, 3, 8)]}


def test_channels_go_through_depthwise_layers() -> None:
    net = Net(np.random.default_rng(1))
    x = _point(net, net.image(), 4, 12, -500)
    taps = net.generator.integers(1, 128, (24, 1, 3, 3)).astype(np.int8)
    x = net.layer(x, "Conv", taps, np.full(24, 700, np.int32), pads=[1] * 4, group=12)
    x = _point(net, x, 0, 8, 0)
    wanted = {"Conv": [(8, 1, 1, 5), (8, 1, 1, 16)], "DepthwiseConv": [(3, 3, 16)]}
    assert _folded(net, x) == wanted


def test_channels_nobody_reads_go() -> None:
    net = Net(np.random.default_rng(1))
    x = _point(net, net.image(), 0, 12, 0)
    taps = net.generator.integers(1, 128, (12, 1, 3, 3)).astype(np.int8)
    taps[4:] = 0
    x = net.layer(x, "Conv", taps, np.full(12, 700, np.int32), pads=[1] * 4, group=12)
    x = _point(net, x, 0, 8, 0)
    wanted = {"Conv": [(4, 1, 1, 5), (8, 1, 1, 4)], "DepthwiseConv": [(3, 3, 4)]}
    assert _folded(net, x) == wanted


def test_channels_of_a_residual_addition_stay() -> None:
    net = Net(np.random.default_rng(1))
    x = _point(net, net.image(), 4, 12, -500)
    other = _point(net, x, 0, 12, 0)
    x = net.quantize(net.add("Add", [x.name, other.name]), x.shape, 0.06, 3)
    assert _folded(net, x) == {"Conv": [(12, 1, 1, 5), (12, 1, 1, 12)]}


def test_an_output_keeps_its_dead_channels() -> None:
    net = Net(np.random.default_rng(1))
    assert _folded(net, _point(net, net.image(), 4, 12, -500)) == {"Conv": [(12, 1, 1, 5)]}
