"""What a model would cost on a device, before it is compiled: modelled instructions.

A node costs so many instructions for each multiply-accumulate and so many for each element of its
output. The figures of a core are a fit to the exact counts of the reference models' int8 programs
(`tests/benchmarks/device_costs.py` prints this table); they rank alternatives, no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgecomp.graph.macs import macs_of
from edgecomp.graph.qdq import dequantization_of
from edgecomp.graph.values import elements_of, input_at, shape_of
from edgecomp.model import Model


@dataclass(frozen=True)
class CoreCost:
    """Instructions of an int8 program on one core.

    Attributes:
        product: for each multiply-accumulate of a convolution or matrix product.
        depthwise: for each multiply-accumulate of a depthwise convolution.
        output: for each element that one of these gives.
        element: for each element that any other operator reads or gives, whichever is more.
        lanes: channels its kernels take at a time; the rest of a last, smaller take is wasted.
        wide: how many times as many an operator of int16 activations takes: the demo's model.
    """

    product: float
    depthwise: float
    output: float
    element: float
    lanes: int
    wide: float = 1.0


CORES: Mapping[str, CoreCost] = {
    "cortex_m0plus": CoreCost(5.98, 12.39, 61.90, 20.64, 1, 3.3),
    "cortex_m3": CoreCost(3.03, 5.43, 25.13, 4.14, 1, 3.5),
    "cortex_m4": CoreCost(0.83, 1.49, 15.52, 3.91, 4, 6.6),
    "cortex_m7": CoreCost(0.83, 1.46, 15.78, 3.96, 4, 6.5),
    "cortex_m33": CoreCost(0.83, 1.49, 15.52, 3.91, 4, 6.6),
    "cortex_m55": CoreCost(0.11, 0.25, 3.96, 1.93, 16, 11.0),
    # a Cortex-A53 has the same vectors of 16 bytes
    "cortex_a7": CoreCost(0.61, 1.98, 12.47, 1.07, 16, 2.9),
    "generic_aarch64": CoreCost(0.61, 1.98, 12.47, 1.07, 16, 2.9),
    "x86_64_v2": CoreCost(0.61, 1.98, 12.47, 1.07, 16, 2.9),
    # vectors of 32 bytes
    "x86_64_v3": CoreCost(0.31, 0.99, 6.24, 0.54, 32, 5.8),
    "cortex_a53": CoreCost(0.61, 1.98, 12.47, 1.07, 16, 2.9),
    "cortex_a72": CoreCost(0.64, 2.41, 11.11, 1.03, 16, 3.0),
    "cortex_a76": CoreCost(0.41, 2.12, 14.24, 1.03, 16, 3.6),
}

FREE = frozenset(
    {"Clip", "Flatten", "Identity", "Relu", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Operators that mostly cost nothing: fused into the one before, or the elements stay in place."""

EDGES = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Operators that say what an integer program computes and are not computed themselves."""


def kind_of(node: ir.Node) -> str:
    """What a node costs by: "product", "depthwise", "element" or "free"."""
    if node.op_type in FREE or node.op_type in EDGES or node.domain not in ("", "ai.onnx"):
        return "free"
    if macs_of(node) == 0:
        return "element"
    weight = input_at(node, 1)
    grouped = node.op_type == "Conv" and node.attributes.get_int("group", 1) > 1
    depthwise = grouped and weight is not None and shape_of(weight)[1] == 1
    return "depthwise" if depthwise else "product"


def touched(node: ir.Node) -> int:
    """Elements of the first input or output of `node`, whichever has more."""
    source = input_at(node, 0)
    return max(elements_of(node.outputs[0]), 0 if source is None else elements_of(source))


def node_cost(node: ir.Node, core: CoreCost) -> float:
    """Modelled instructions of `node` as part of an int8 program, or an int16 one if it is that."""
    read = dequantization_of(input_at(node, 0))
    wide = read is not None and read.dtype == "int16"
    return _narrow_cost(node, core) * (core.wide if wide else 1.0)


def _narrow_cost(node: ir.Node, core: CoreCost) -> float:
    kind = kind_of(node)
    if kind == "free":
        return 0.0
    if kind == "element":
        return core.element * touched(node)
    outputs = elements_of(node.outputs[0])
    per_mac = core.depthwise if kind == "depthwise" else core.product
    return per_mac * macs_of(node) + core.output * outputs


def model_cost(model: Model, core: CoreCost) -> float:
    """Modelled instructions of one inference."""
    return sum(node_cost(node, core) for node in model.graph.graph)
