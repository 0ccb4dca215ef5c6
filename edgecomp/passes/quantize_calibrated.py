"""A float model, what its samples said of it, and every quantization that can be made of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.quantizable import RULES, Role, weight_axis
from edgecomp.model import Model
from edgecomp.passes.quantize_grids import Grids
from edgecomp.passes.quantize_palettes import Indices, restore_palettes
from edgecomp.passes.quantize_rewrite import write_quantization
from edgecomp.passes.quantize_weights import (
    QuantizedWeights,
    float_weights,
    quantize_weights,
    round_bias,
)

Means = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What a quantization is made from.

    Attributes:
        model: the float model.
        means: mean of each channel of what weighted nodes read, by the name of that value.
        indices: of weights that came from palettes.
        per_channel: whether each output channel of weights has a scale of its own.
        bias_correction: whether biases make up for the mean error of the weights.
    """

    model: Model
    means: Means
    indices: Indices
    per_channel: bool
    bias_correction: bool

    def rounded(self, grids: Grids, limit: int) -> dict[str, QuantizedWeights]:
        """The weights of each weighted node to the nearest integer, by its name.

        Args:
            grids: of the activations.
            limit: the largest integer.
        """
        found = {}
        for node in self.model.graph.graph:
            name = str(node.name)
            if name not in grids.plan.makes or RULES[node.op_type].role is not Role.WEIGHTED:
                continue
            source = node.inputs[0]
            assert source is not None, "the rule demands an activation"
            exact = float_weights(node)
            scale = grids.read_by(name, str(source.name)).scale
            rounded = quantize_weights(exact, scale, self.per_channel, limit)
            if self.bias_correction and node.op_type != "MatMul":
                shift = mean_shift(node, rounded.error(exact), self.means[str(source.name)])
                bias = -shift if exact.bias is None else exact.bias - shift
                rounded = replace(rounded, bias=round_bias(bias, rounded.bias_scale))
            found[name] = rounded
        return found

    def written(self, grids: Grids, weights: Mapping[str, QuantizedWeights]) -> Model:
        """The model in QDQ form."""
        graph = self.model.graph.clone()
        integers = write_quantization(graph.graph, grids, weights)
        restore_palettes(graph, integers, self.indices)
        return self.model.with_graph(graph)


def mean_shift(
    node: ir.Node, error: npt.NDArray[np.float64], means: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """By how much an `error` of the weights shifts the mean of each output channel.

    Padding is taken for data. Source: Nagel et al. 2019, Data-Free Quantization, section 4.2, with
    means measured on the calibration samples.

    Args:
        node: a Conv or Gemm.
        error: what rounding added to its weights, of their shape.
        means: the mean of each of its input channels, [channels].
    """
    if node.op_type == "Gemm":
        matrix = error.T if weight_axis(node) == 0 else error
        return np.asarray(means @ matrix)
    groups = node.attributes.get_int("group", 1)
    outputs, inputs = error.shape[:2]
    by_group = error.reshape(groups, outputs // groups, inputs, -1).sum(axis=-1)
    shift = np.einsum("goi,gi->go", by_group, means.reshape(groups, inputs))
    return np.asarray(shift.reshape(-1))
