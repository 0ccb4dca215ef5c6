"""Small int8 and int4 networks with the layers of the reference models, the same in every run.

Instructions of the reference models can be counted only where their files are; those of these
networks anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]

SCALE = np.float32(0.05)
"""Of every activation."""


class _Network:
    """QDQ nodes one after the other; the value at hand is always dequantized.

    Weights lie in [-`limit`, `limit`].
    """

    def __init__(self, shape: tuple[int, ...], seed: int, limit: int = 127) -> None:
        self.shape = shape
        self.limit = limit
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.value = "x"
        self._requantize(0)

    def _constant(self, array: Array) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def _add(self, op: str, operands: list[str], **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, operands, [name], name, **attributes))
        return name

    def _requantize(self, zero_point: int) -> None:
        grid = [self._constant(SCALE), self._constant(np.int8(zero_point))]
        steps = self._add("QuantizeLinear", [self.value, *grid])
        self.value = self._add("DequantizeLinear", [steps, *grid])

    def _weights(self, *shape: int) -> list[str]:
        """Weights and bias, dequantized: one scale for each output channel."""
        depth = int(np.prod(shape[1:]))
        spread = self.random.uniform(0.5, 2, shape[0])
        usual = 40 * self.limit / 127
        scales = (spread / (usual * np.sqrt(depth))).astype(np.float32)
        drawn = self.random.normal(0, usual, shape).round()
        weights = np.clip(drawn, -self.limit, self.limit).astype(np.int8)
        bias = self.random.integers(-2000, 2000, shape[0]).astype(np.int32)
        return [
            self._add("DequantizeLinear", [self._constant(array), self._constant(scale)], axis=0)
            for array, scale in ((weights, scales), (bias, scales * SCALE))
        ]

    def conv(self, filters: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        """A convolution over all channels, "same" border."""
        weights = self._weights(filters, self.shape[1], kernel, kernel)
        self._convolve(weights, filters, stride, 1, relu)

    def depthwise(self, stride: int = 1) -> None:
        """A 3x3 convolution of every channel by itself."""
        channels = self.shape[1]
        self._convolve(self._weights(channels, 1, 3, 3), channels, stride, channels, True)

    def _convolve(
        self, operands: list[str], filters: int, stride: int, group: int, relu: bool
    ) -> None:
        attributes = {"strides": [stride] * 2, "group": group, "auto_pad": "SAME_UPPER"}
        self.value = self._add("Conv", [self.value, *operands], **attributes)
        if relu:
            self.value = self._add("Relu", [self.value])
        self._requantize(-128 if relu else 0)
        sizes = [-(-extent // stride) for extent in self.shape[2:]]
        self.shape = (1, filters, *sizes)

    def dense(self, units: int, relu: bool = True) -> None:
        """A dense layer."""
        weights, bias = self._weights(units, self.shape[1])
        self.value = self._add("Gemm", [self.value, weights, bias], transB=1)
        if relu:
            self.value = self._add("Relu", [self.value])
        self._requantize(-128 if relu else 0)
        self.shape = (1, units)

    def residual(self) -> None:
        """A convolution whose input is added to its output."""
        before = self.value
        self.conv(self.shape[1], 3, relu=False)
        self.value = self._add("Relu", [self._add("Add", [self.value, before])])
        self._requantize(-128)

    def mean(self) -> None:
        """The mean of all pixels."""
        self.value = self._add("GlobalAveragePool", [self.value])
        self._requantize(-128)
        self.value = self._add("Flatten", [self.value])
        self._requantize(-128)
        self.shape = self.shape[:2]

    def save(self, path: Path, shape: tuple[int, ...]) -> None:
        """Write the network to `path`; `shape` is that of its input."""
        real = onnx.TensorProto.FLOAT
        x = helper.make_tensor_value_info("x", real, shape)
        y = helper.make_tensor_value_info(self.value, real, self.shape)
        graph = helper.make_graph(self.nodes, "network", [x], [y], self.constants)
        opset = [helper.make_opsetid("", 21)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


def separable(path: Path) -> None:
    """Depthwise and pointwise convolutions, as in a MobileNet."""
    shape = (1, 3, 36, 36)
    network = _Network(shape, 1)
    network.conv(8, 3, stride=2)
    network.depthwise()
    network.conv(16, 1)
    network.depthwise(stride=2)
    network.conv(32, 1)
    network.depthwise()
    network.conv(20, 1)
    network.mean()
    network.dense(5, relu=False)
    network.save(path, shape)


def residual(path: Path, limit: int = 127) -> None:
    """3x3 convolutions and sums, as in a ResNet."""
    shape = (1, 3, 16, 16)
    network = _Network(shape, 2, limit)
    network.conv(16, 3)
    network.residual()
    network.conv(32, 3, stride=2)
    network.residual()
    network.mean()
    network.dense(10, relu=False)
    network.save(path, shape)


def dense(path: Path, limit: int = 127) -> None:
    """Dense layers, as in an autoencoder."""
    shape = (1, 160)
    network = _Network(shape, 3, limit)
    for units in (64, 8, 64):
        network.dense(units)
    network.dense(160, relu=False)
    network.save(path, shape)


NETWORKS: Mapping[str, Callable[[Path], None]] = {
    "separable": separable,
    "residual": residual,
    "dense": dense,
    "residual, int4": partial(residual, limit=7),
    "dense, int4": partial(dense, limit=7),
}
"""What writes each network to an ONNX file."""
