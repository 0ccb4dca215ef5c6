"""How much each channel matters: the less, the sooner it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.channels.trace import Trace, Use
from edgecomp.graph.macs import macs_of
from edgecomp.graph.quantizable import fused_activation
from edgecomp.graph.values import constant_input
from edgecomp.importers.batchnorm import BATCH_NORM_SCALE
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.passes.training import need_torch
from edgecomp.reference import Executor

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layer:
    """A node that makes channels.

    Attributes:
        node: the node.
        numbers: the channel number of each.
        axis: where they are in its weights.
    """

    node: ir.Node
    numbers: npt.NDArray[np.int64]
    axis: int

    @property
    def value(self) -> ir.Value:
        """What it makes, after a fused Relu or Clip."""
        activation = fused_activation(self.node)
        return (self.node if activation is None else activation).outputs[0]

    @property
    def value_axis(self) -> int:
        """Where the channels are in what it makes."""
        return 1 if self.node.op_type in ("Conv", "ConvTranspose") else -1

    @property
    def filters(self) -> Scores:
        """Its weights, [channels, everything else]."""
        weights = constant_input(self.node, 1)
        assert weights is not None, "its weights are constant"
        moved = np.moveaxis(weights.astype(np.float64), self.axis, 0)
        return moved.reshape(len(moved), -1)


def layers_of(trace: Trace) -> list[Layer]:
    """Every node whose weights make channels that may go, in execution order."""
    return [
        Layer(use.node, use.labels.reshape(-1), _axis(use))
        for use in trace.uses
        if use.makes and use.index == 1 and use.labels.any()
    ]


def _axis(use: Use) -> int:
    return max(range(use.labels.ndim), key=lambda axis: use.labels.shape[axis])


@dataclass(frozen=True)
class Asked:
    """What scores are made of beside the model.

    Attributes:
        context: samples for criteria that look at activations or gradients.
        samples: how many of them at most.
        seed: of criterion "random".
    """

    context: Context
    samples: int
    seed: int


def _l1(model: Model, layers: Sequence[Layer], asked: Asked) -> list[Scores]:
    return [np.abs(layer.filters).sum(axis=1) for layer in layers]


def _l2(model: Model, layers: Sequence[Layer], asked: Asked) -> list[Scores]:
    return [np.sqrt(np.square(layer.filters).sum(axis=1)) for layer in layers]


def _median(model: Model, layers: Sequence[Layer], asked: Asked) -> list[Scores]:
    """The sum of distances to all other filters (He et al. 2019, FPGM, equation 5)."""
    found = []
    for layer in layers:
        filters = layer.filters
        squares = np.square(filters).sum(axis=1)
        distances = squares[:, None] + squares[None, :] - 2 * filters @ filters.T
        found.append(np.sqrt(np.maximum(distances, 0.0)).sum(axis=1))
    return found


def _random(model: Model, layers: Sequence[Layer], asked: Asked) -> list[Scores]:
    generator = np.random.default_rng(asked.seed)
    return [generator.random(len(layer.numbers)) for layer in layers]


def _bn_scale(model: Model, layers: Sequence[Layer], asked: Asked) -> list[Scores]:
    """|gamma| of the batch normalization after the layer (Liu et al. 2017, Network Slimming)."""
    scales = [layer.node.meta.get(BATCH_NORM_SCALE) for layer in layers]
    unknown = [
        Reason("no batch normalization follows it", str(layer.node.name))
        for layer, scale in zip(layers, scales, strict=True)
        if scale is None or len(scale) != len(layer.numbers)
    ]
    if unknown:
        fix = "take another criterion, or the model before its batch normalization was folded"
        raise EdgecompError([*unknown, Reason("criterion=bn_scale needs them", "prune", fix)])
    return [np.abs(np.asarray(scale, np.float64)) for scale in scales]


Criterion = Callable[[Model, Sequence[Layer], Asked], list[Scores]]


def _activations(reduce: Callable[[Scores], Scores]) -> Criterion:
    """A criterion of the moments of what a layer makes, [4, channels] of `_moments`."""

    def score(model: Model, layers: Sequence[Layer], asked: Asked) -> list[Scores]:
        data = asked.context.need_data("prune")
        names = [str(layer.value.name) for layer in layers]
        sums: list[Scores | float] = [0.0] * len(layers)
        executor = Executor(model.graph, list(dict.fromkeys(names)))
        total = min(asked.samples, data.count(model.inputs))
        with asked.context.progress.task("activations", total=total) as step:
            for feed in data.samples(model.inputs, asked.samples):
                values = executor.run(feed)
                for place, (layer, name) in enumerate(zip(layers, names, strict=True)):
                    sums[place] = sums[place] + _moments(values[name], layer) / total
                step()
        return [reduce(np.asarray(found)) for found in sums]

    return score


def _moments(values: npt.NDArray[np.float32], layer: Layer) -> Scores:
    """[4, channels]: mean |a|, mean a, mean a^2, share that is not 0."""
    axis = layer.value_axis
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    return np.stack([np.abs(rows).mean(1), rows.mean(1), (rows**2).mean(1), (rows != 0).mean(1)])


def _gradients(kind: str) -> Criterion:
    """A criterion of the gradients of the loss by a factor on each channel."""

    def score(model: Model, layers: Sequence[Layer], asked: Asked) -> list[Scores]:
        need_torch("prune")  # an extra, and so imported here
        from edgecomp.training import gradients

        train = asked.context.need_train("prune")
        batch = train.load(model.inputs)
        spread = np.linspace(0, len(batch) - 1, min(asked.samples, len(batch)))
        batch = batch.take(spread.astype(np.int64))
        axes = {str(layer.value.name): layer.value_axis for layer in layers}
        labelled = batch.labels is not None
        found = gradients.channel_gradients(model, batch, axes, "labels" if labelled else "outputs")
        reduce = gradients.taylor if kind == "taylor" else gradients.fisher
        return [reduce(found[str(layer.value.name)]) for layer in layers]

    return score


CRITERIA: Mapping[str, Criterion] = {
    "l1": _l1,
    "l2": _l2,
    "median": _median,
    "bn_scale": _bn_scale,
    "mean": _activations(lambda moments: moments[0]),
    "variance": _activations(lambda moments: moments[2] - moments[1] ** 2),
    "share": _activations(lambda moments: moments[3]),
    "taylor": _gradients("taylor"),
    "fisher": _gradients("fisher"),
    "random": _random,
}
"""By name: a score for each channel of each layer. Sources: l1 Li et al. 2017; share Hu et al. 2016
(network trimming); mean and variance Molchanov et al. 2017."""


def scores_per_mac(
    model: Model, layers: Sequence[Layer], criterion: str, asked: Asked, trace: Trace
) -> dict[int, float]:
    """The score of each channel number for each multiply-accumulate that goes with it.

    Those of all the channels that it stands for are added up: the criterion has to measure the
    loss, so that layers compare. Source: Theis et al. 2018 (see `fisher`), section 2.3.
    """
    sums = {number: 0.0 for layer in layers for number in layer.numbers.tolist() if number}
    for layer, scores in zip(layers, CRITERIA[criterion](model, layers, asked), strict=True):
        for number, score in zip(layer.numbers.tolist(), scores.tolist(), strict=True):
            if number:
                sums[number] += score
    macs = dict.fromkeys(sums, 1.0)
    for use in trace.uses:
        if use.index == 1:
            labels = use.labels.reshape(-1).tolist()
            for number in filter(None, labels):
                macs[number] += macs_of(use.node) / len(labels)
    return {number: total / macs[number] for number, total in sums.items()}


def scores_of(
    model: Model, layers: Sequence[Layer], criterion: str, asked: Asked
) -> dict[int, float]:
    """The score of each channel number: the mean over the channels that it stands for.

    Those of a layer are divided by their mean first, so that layers compare.

    Raises:
        EdgecompError: samples or statistics that the criterion needs are missing.
    """
    sums: dict[int, float] = {}
    counts: dict[int, int] = {}
    for layer, scores in zip(layers, CRITERIA[criterion](model, layers, asked), strict=True):
        mean = float(scores.mean())
        for number, score in zip(layer.numbers.tolist(), scores.tolist(), strict=True):
            sums[number] = sums.get(number, 0.0) + (score / mean if mean > 0.0 else 0.0)
            counts[number] = counts.get(number, 0) + 1
    return {number: total / counts[number] for number, total in sums.items() if number}
