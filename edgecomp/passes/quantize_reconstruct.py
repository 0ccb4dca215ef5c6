"""Weights rounded so that each layer gives what the float layer gave, on the samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgecomp.calibration import CalibrationData
from edgecomp.model import Model
from edgecomp.passes.gram import Array, Gram, by_group, from_groups, grams
from edgecomp.passes.quantize_weights import (
    INT4_LIMIT,
    SMALLEST_SHARE,
    FloatWeights,
    QuantizedWeights,
    float_weights,
    round_bias,
    with_room_for_bias,
)
from edgecomp.passes.rounding import best_scales, reconstruct
from edgecomp.progress import Progress


def layer_inputs(
    model: Model,
    quantized: Model,
    layers: Iterable[str],
    data: CalibrationData,
    samples: int,
    progress: Progress,
) -> dict[str, Gram]:
    """What each of the `layers` reads, in the float model and in the quantized one.

    Args:
        model: the float model.
        quantized: the same with integers.
        layers: names of nodes with weights.
        data: the samples.
        samples: how many at most.
        progress: who is told how far it is.
    """
    reads = {str(n.name): str(n.inputs[0].name) for n in quantized.graph.graph if n.inputs[0]}
    sources = {name: reads[name] for name in layers}
    return grams(model, quantized, sources, data, samples, progress)


def reconstructed(
    model: Model,
    plain: Mapping[str, QuantizedWeights],
    seen: Mapping[str, Gram],
    progress: Progress,
) -> dict[str, QuantizedWeights]:
    """Better integers for the weights in `plain`.

    Args:
        model: the float model.
        plain: weights rounded to the nearest, by name of the node.
        seen: of `layer_inputs`.
        progress: who is told how far it is.
    """
    nodes = {str(node.name): node for node in model.graph.graph}
    found = {}
    with progress.task("round weights", total=len(plain)) as step:
        for name, before in plain.items():
            found[name] = _layer(nodes[name], before, seen[name])
            step()
    return found


def _layer(node: ir.Node, before: QuantizedWeights, gram: Gram) -> QuantizedWeights:
    exact = float_weights(node)
    takes_bias = node.op_type != "MatMul"
    used = gram.centred() if takes_bias else gram
    weights = by_group(node, exact.weights, exact.axis)
    target, moments = used.target(weights), used.damped()
    scale = _scales(before, exact, target, moments)
    integers = np.stack(
        [
            reconstruct(rows, steps, second, before.limit)
            for rows, steps, second in zip(target, scale, moments, strict=True)
        ]
    )
    stored = from_groups(integers, exact.weights.shape, exact.axis).astype(np.int8)
    flat = scale.reshape(-1).astype(np.float32)
    own = flat if before.scale.ndim else flat[0].reshape(())
    after = replace(before, weights=np.ascontiguousarray(stored), scale=own)
    if not takes_bias:
        return after
    reached = integers * scale[:, :, None]
    bias = _dot(weights, gram.exact_mean) - _dot(reached, gram.mean)
    if exact.bias is not None:
        bias = bias + exact.bias
    return replace(after, bias=round_bias(bias, after.bias_scale))


def _dot(weights: Array, mean: Array) -> Array:
    return np.asarray(np.einsum("got,gt->go", weights, mean).reshape(-1))


def _scales(before: QuantizedWeights, exact: FloatWeights, target: Array, moments: Array) -> Array:
    """[groups, outputs]: those there are for 8 bits; for fewer, the best of plain rounding."""
    groups, outputs = target.shape[:2]
    given = np.broadcast_to(before.scale.astype(np.float64), groups * outputs)
    if before.limit > INT4_LIMIT or not before.scale.ndim:
        return given.reshape(groups, outputs)
    pairs = zip(target, moments, strict=True)
    found = np.concatenate([best_scales(rows, second, before.limit) for rows, second in pairs])
    # outputs of next to no weights stay without, as when rounding to the nearest
    found = np.where(found > 0.0, np.maximum(found, given.max() * SMALLEST_SHARE), given)
    roomy = with_room_for_bias(found, exact.bias, before.input_scale)
    return roomy.astype(np.float64).reshape(groups, -1)
