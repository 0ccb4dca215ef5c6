"""Convolutions and matrix products seen as weight tensors, and put back as several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.cost import CoreCost
from edgecomp.graph.edit import add_constant, remove_node
from edgecomp.graph.values import constant_input, input_at, shape_of
from edgecomp.passes.quantize_weights import float_weights

Array = npt.NDArray[np.float64]

ROLES: Mapping[str, tuple[str, ...]] = {
    "svd": ("u", "v"),
    "spatial": ("rows", "columns"),
    "tucker": ("first", "core", "last"),
    "cp": ("first", "rows", "columns", "last"),
}
"""By method: what the name of each factor ends in."""


@dataclass(frozen=True)
class Size:
    """What a factor is and computes.

    Attributes:
        places: how often its whole weight is multiplied.
        params: elements of the weight.
        channels: that it makes at each place.
        depthwise: whether each of them is made of one channel.
    """

    places: int
    params: int
    channels: int
    depthwise: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.places * self.params

    def cost(self, core: CoreCost) -> float:
        """Modelled cost on `core`."""
        product = core.depthwise if self.depthwise else core.product
        return product * self.macs + core.output * self.places * self.channels


@dataclass(frozen=True, eq=False)
class Layer:
    """A node that multiplies by a constant weight.

    Attributes:
        node: a Conv without groups, a Gemm or a MatMul.
        weight: float64 [outputs, inputs, *window]; of a Gemm with `alpha` multiplied in.
    """

    node: ir.Node
    weight: Array

    @property
    def name(self) -> str:
        """Name of the node."""
        return str(self.node.name)

    @property
    def is_conv(self) -> bool:
        """Whether it is a convolution; a matrix product otherwise."""
        return self.node.op_type == "Conv"

    @property
    def source(self) -> ir.Value:
        """What it reads."""
        value = self.node.inputs[0]
        assert value is not None, "the operator demands an input"
        return value

    @property
    def places(self) -> int:
        """How often the whole weight is multiplied: places of the output without its channels."""
        shape = shape_of(self.node.outputs[0])
        return int(np.prod(shape, dtype=np.int64)) // self.weight.shape[0]

    def methods(self) -> tuple[str, ...]:
        """The decompositions that its window allows."""
        window = self.weight.shape[2:]
        if all(size == 1 for size in window):
            return ("svd",)
        spatial = ("spatial", "cp") if len(window) == 2 and min(window) > 1 else ()
        return ("svd", "tucker", *spatial)

    def sizes(self, method: str, ranks: Sequence[int]) -> list[Size]:
        """What each factor with `ranks` computes."""
        outputs, inputs, *window = self.weight.shape
        area, places = int(np.prod(window, dtype=np.int64)), self.places
        if method == "svd":
            (rank,) = ranks
            return [
                Size(places, rank * inputs * area, rank),
                Size(places, outputs * rank, outputs),
            ]
        if method == "tucker":
            first, last = ranks
            before = self._input_places()
            return [
                Size(before, inputs * first, first),
                Size(places, first * last * area, last),
                Size(places, last * outputs, outputs),
            ]
        (rank,) = ranks
        between = self._places_between()
        if method == "cp":
            before = self._input_places()
            return [
                Size(before, inputs * rank, rank),
                Size(between, rank * window[0], rank, depthwise=True),
                Size(places, rank * window[1], rank, depthwise=True),
                Size(places, rank * outputs, outputs),
            ]
        return [
            Size(between, inputs * window[0] * rank, rank),
            Size(places, rank * window[1] * outputs, outputs),
        ]

    def _input_places(self) -> int:
        return int(np.prod(shape_of(self.source), dtype=np.int64)) // self.weight.shape[1]

    def _places_between(self) -> int:
        """After the rows of the window, before its columns: the output's rows, all columns."""
        (batch, _, _, columns), rows = shape_of(self.source), shape_of(self.node.outputs[0])[2]
        return batch * rows * columns


def layers_of(graph: ir.Graph) -> list[Layer]:
    """Every node of `graph` that can be decomposed, in execution order."""
    return [Layer(node, weight) for node in graph if (weight := _weight(node)) is not None]


def _weight(node: ir.Node) -> Array | None:
    stored = constant_input(node, 1) if node.op_type in ("Conv", "Gemm", "MatMul") else None
    if node.domain != "" or stored is None or stored.dtype != np.float32:
        return None
    if node.op_type == "Conv":
        return stored.astype(np.float64) if node.attributes.get_int("group", 1) == 1 else None
    if stored.ndim != 2 or node.attributes.get_int("transA", 0) != 0:
        return None
    exact = float_weights(node)
    matrix = exact.weights.astype(np.float64)
    return matrix if exact.axis == 0 else matrix.T


def replace_layer(graph: ir.Graph, layer: Layer, method: str, factors: Sequence[Array]) -> None:
    """Put nodes with `factors` in the place of `layer`; new values have no shapes yet.

    The last one keeps the bias and the output, so that readers and the graph's signature stay.
    """
    node, value = layer.node, layer.source
    bias, last = input_at(node, 2), len(factors) - 1
    for place, (factor, role) in enumerate(zip(factors, ROLES[method], strict=True)):
        name = f"{layer.name}/{role}"
        stored = np.ascontiguousarray(factor if layer.is_conv else factor.T, dtype=np.float32)
        inputs = [value, add_constant(graph, f"{name}/weight", stored)]
        if place == last and bias is not None:
            inputs.append(bias)
        made = ir.node(
            _operator(node, place == last),
            inputs,
            _window(node, factor, method, place) if layer.is_conv else _beta(node, place == last),
            num_outputs=1,
            name=name,
        )
        graph.insert_before(node, made)
        value = made.outputs[0]
        value.name, value.type = f"{name}/out", node.outputs[0].type
    remove_node(node, value)


def _operator(node: ir.Node, last: bool) -> str:
    """A Gemm adds its bias once, at the end."""
    return "MatMul" if node.op_type == "Gemm" and not last else node.op_type


def _beta(node: ir.Node, last: bool) -> dict[str, Any]:
    beta = node.attributes.get_float("beta", 1.0)
    return {"beta": beta} if node.op_type == "Gemm" and last and beta != 1.0 else {}


def _window(node: ir.Node, factor: Array, method: str, place: int) -> dict[str, Any]:
    """Attributes of the Conv with `factor`: what of the original window it slides."""
    rank = factor.ndim - 2
    pads = list(node.attributes.get_ints("pads", [0] * 2 * rank))
    strides = list(node.attributes.get_ints("strides", [1] * rank))
    dilations = list(node.attributes.get_ints("dilations", [1] * rank))
    for axis in range(rank):
        if not _slides(method, place, axis):
            pads[axis] = pads[axis + rank] = 0
            strides[axis] = dilations[axis] = 1
    window = {
        "kernel_shape": list(factor.shape[2:]),
        "pads": pads,
        "strides": strides,
        "dilations": dilations,
    }
    depthwise = method == "cp" and place in (1, 2)
    return {**window, "group": len(factor)} if depthwise else window


def _slides(method: str, place: int, axis: int) -> bool:
    """Whether the factor at `place` does the original's stride, padding and dilation on `axis`."""
    return place == {"svd": 0, "tucker": 1, "spatial": axis, "cp": 1 + axis}[method]
