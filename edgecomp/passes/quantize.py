"""int8 post-training quantization: a float model to QDQ form.

Activations get one scale and zero point a tensor, weights are symmetric with one scale for each
output channel, biases are int32 (TFLite's 8-bit quantization specification). Ranges come from
calibration samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.quantizable import RULES, Role, weight_axis
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.equalize import equalized
from edgecomp.passes.options import option
from edgecomp.passes.quantize_mixed import judge_of, mixed
from edgecomp.passes.quantize_observe import Observations, observe
from edgecomp.passes.quantize_palettes import Indices, restore_palettes, without_palettes
from edgecomp.passes.quantize_plan import Plan, make_plan
from edgecomp.passes.quantize_reconstruct import layer_inputs, reconstructed
from edgecomp.passes.quantize_rewrite import write_quantization
from edgecomp.passes.quantize_weights import (
    INT4_LIMIT,
    QuantizedWeights,
    float_weights,
    quantize_weights,
    round_bias,
)
from edgecomp.passes.ranges import ESTIMATORS, Affine, affine

LIMITS: Mapping[str, int] = {"int8": 127, "int4": INT4_LIMIT}
"""The largest weight of each kind; the smallest is its negative."""


@dataclass(frozen=True)
class Quantize(Pass):
    """Quantize to int8 with calibration data; see the module."""

    name: ClassVar[str] = "quantize"
    summary: ClassVar[str] = "int8 activations and per-channel int8 weights, from calibration data"

    estimator: Literal["mse", "percentile", "minmax", "entropy"] = option(
        "mse", "how the range of an activation is found"
    )
    percentile: float = option(
        99.99, "share of the values kept in range by estimator=percentile", 90.0, 100.0
    )
    samples: int = option(512, "calibration samples used at most, evenly spread over the data", 1)
    per_channel: bool = option(True, "one scale for each output channel of the weights")
    bias_correction: bool = option(True, "let the bias make up for the mean error of the weights")
    exclude: tuple[str, ...] = option((), "name patterns (* ? [...]) of nodes that stay float")
    weights: Literal["int8", "int4", "mixed"] = option(
        "int8", "what weights become; mixed: int4 where max_drop allows"
    )
    max_drop: float = option(
        0.01, "of weights=mixed: loss of accuracy, or of agreement without labels", 0.0, 1.0
    )
    rounding: Literal["nearest", "reconstruct"] = option(
        "nearest", "of weights: to the nearest, or so that the outputs of layers change least"
    )
    equalize: bool = option(False, "scale channels of layers in a row to ranges that suit both")

    def apply(self, model: Model, context: Context) -> Model:
        """The model in QDQ form; see `Pass.apply`."""
        data = context.need_data(self.name)
        model, indices = without_palettes(model)
        if self.equalize:
            model = equalized(model)
        plan = make_plan(model.graph.graph, self.exclude)
        seen = observe(model, plan, data, self.samples, context.progress)
        parameters = self._parameters(plan, seen)

        def write(weights: Mapping[str, QuantizedWeights]) -> Model:
            return _written(model, plan, parameters, weights, indices)

        kinds = tuple(LIMITS) if self.weights == "mixed" else (self.weights,)
        rounded = [
            self._weights(model.graph.graph, plan, parameters, seen, LIMITS[kind]) for kind in kinds
        ]
        if self.rounding == "reconstruct":
            # What layers read with int8 weights: near to what they read when all are reconstructed.
            near = self._weights(model.graph.graph, plan, parameters, seen, LIMITS["int8"])
            near_model, progress = write(near), context.progress
            inputs = layer_inputs(model, near_model, near, data, self.samples, progress)
            rounded = [reconstructed(model, plain, inputs, progress) for plain in rounded]
        weights = rounded[0]
        if self.weights == "mixed":
            eight, four = rounded
            judge = judge_of(model, data, context)
            weights = mixed(eight, four, write, judge, self.max_drop, context.progress)
        return model.with_graph(write(weights).graph, str(self))

    def _parameters(self, plan: Plan, seen: Observations) -> dict[str, Affine]:
        """Scale and zero point of each group, by the name of its first value."""
        estimate = ESTIMATORS[self.estimator]
        return {
            group.values[0]: group.fixed
            or affine(estimate(seen.histograms[group.values[0]], self.percentile))
            for group in plan.groups
        }

    def _weights(
        self,
        graph: ir.Graph,
        plan: Plan,
        parameters: Mapping[str, Affine],
        seen: Observations,
        limit: int,
    ) -> dict[str, QuantizedWeights]:
        """The integer weights of each weighted node, by its name."""
        group_of = {name: group.values[0] for group in plan.groups for name in group.values}
        integer, found = set(plan.nodes), {}
        for node in graph:
            if node.name not in integer or RULES[node.op_type].role is not Role.WEIGHTED:
                continue
            source = node.inputs[0]
            assert source is not None, "the rule demands an activation"
            exact = float_weights(node)
            scale = parameters[group_of[str(source.name)]].scale
            rounded = quantize_weights(exact, scale, self.per_channel, limit)
            if self.bias_correction and node.op_type != "MatMul":
                shift = mean_shift(node, rounded.error(exact), seen.means[str(source.name)])
                bias = -shift if exact.bias is None else exact.bias - shift
                rounded = replace(rounded, bias=round_bias(bias, rounded.bias_scale))
            found[str(node.name)] = rounded
        return found


def _written(
    model: Model,
    plan: Plan,
    parameters: Mapping[str, Affine],
    weights: Mapping[str, QuantizedWeights],
    indices: Indices,
) -> Model:
    graph = model.graph.clone()
    integers = write_quantization(graph.graph, plan, parameters, weights)
    restore_palettes(graph, integers, indices)
    return model.with_graph(graph)


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
