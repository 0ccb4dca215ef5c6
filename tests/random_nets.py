"""Small random image classifiers: convolutions of every kind, branches, shuffles, dense layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgecomp.importers.onnx import normalise
from edgecomp.model import Model
from tests.random_shapes import RandomShapes

Array = npt.NDArray[Any]
SIDE = 8
CLASSES = 4


@dataclass
class RandomNet:
    """Draws a net, layer by layer; a value is its name and its count of channels."""

    draw: RandomShapes
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def node(self, op: str, *operands: str, outputs: int = 1, **attributes: Any) -> Any:
        """The result of a new node, or all its results."""
        number = len(self.nodes)
        results = [f"v{number}_{i}" for i in range(outputs)]
        made = helper.make_node(op, operands, results, name=f"{op.lower()}{number}", **attributes)
        self.nodes.append(made)
        return results[0] if outputs == 1 else results

    def constant(self, array: Array) -> str:
        """The name of a new constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def weights(self, *shape: int) -> str:
        """Random weights under which values neither vanish nor grow."""
        deviation = (2.0 / np.prod(shape[1:])) ** 0.5
        return self.constant(self.draw.random.normal(0, deviation, shape).astype(np.float32))

    def bias(self, channels: int) -> str:
        """A random bias."""
        return self.constant(self.draw.random.normal(0, 0.3, channels).astype(np.float32))

    def conv(self, x: tuple[str, int], filters: int, side: int, group: int = 1) -> tuple[str, int]:
        """A convolution that keeps the size of the image, with an activation."""
        weights = self.weights(filters, x[1] // group, side, side)
        y = self.node("Conv", x[0], weights, self.bias(filters), pads=[side // 2] * 4, group=group)
        return self.node(self.draw.pick(["Relu", "HardSwish", "LeakyRelu"]), y), filters

    def plain(self, x: tuple[str, int]) -> tuple[str, int]:
        return self.conv(x, 4 * self.draw.size(2, 4), self.draw.pick([1, 3]))

    def depthwise(self, x: tuple[str, int]) -> tuple[str, int]:
        return self.conv(self.conv(x, x[1], 3, group=x[1]), 4 * self.draw.size(2, 4), 1)

    def residual(self, x: tuple[str, int]) -> tuple[str, int]:
        return self.node("Add", x[0], self.conv(self.plain(x), x[1], 3)[0]), x[1]

    def branches(self, x: tuple[str, int]) -> tuple[str, int]:
        left, right = self.plain(x), self.plain(x)
        return self.node("Concat", left[0], right[0], axis=1), left[1] + right[1]

    def shuffled(self, x: tuple[str, int]) -> tuple[str, int]:
        """Channels in two groups, every second of which goes to the other."""
        apart = self.constant(np.array([1, 2, x[1] // 2, SIDE, SIDE], np.int64))
        y = self.node("Reshape", x[0], apart)
        y = self.node("Transpose", y, perm=[0, 2, 1, 3, 4])
        y = self.node("Reshape", y, self.constant(np.array([1, x[1], SIDE, SIDE], np.int64)))
        halves = self.node("Split", y, outputs=2, axis=1, num_outputs=2)
        changed = self.plain((halves[0], x[1] // 2))
        return self.node("Concat", halves[1], changed[0], axis=1), x[1] // 2 + changed[1]

    def classifier(self, x: str, features: int) -> str:
        """Scores of `CLASSES` classes."""
        hidden = 8 * self.draw.size(1, 2)
        y = self.node("Gemm", x, self.weights(hidden, features), self.bias(hidden), transB=1)
        y = self.node("Relu", y)
        y = self.node("Gemm", y, self.weights(CLASSES, hidden), self.bias(CLASSES), transB=1)
        return str(self.node("Softmax", y))


def random_net(seed: int) -> Model:
    """A net from images float32 [1,2,8,8] called "x" to probabilities of four classes."""
    net = RandomNet(RandomShapes(np.random.default_rng(seed)))
    value = net.plain(("x", 2))
    for _ in range(net.draw.size(1, 2)):
        block = net.draw.pick([net.plain, net.depthwise, net.residual, net.branches, net.shuffled])
        value = block(value)
    if net.draw.pick([True, False]):
        flat = net.node("Flatten", net.node("GlobalAveragePool", value[0]))
        scores = net.classifier(flat, value[1])
    else:
        pooled = net.node("MaxPool", value[0], kernel_shape=[4, 4], strides=[4, 4])
        scores = net.classifier(net.node("Flatten", pooled), value[1] * (SIDE // 4) ** 2)
    graph = helper.make_graph(
        net.nodes,
        f"net{seed}",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, SIDE, SIDE])],
        [helper.make_tensor_value_info(scores, onnx.TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in net.constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return normalise(proto, {}, {}, graph.name)
