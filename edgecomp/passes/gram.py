"""What a layer's weights are multiplied by, seen over samples: second moments of whole windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.calibration import CalibrationData
from edgecomp.model import Model
from edgecomp.passes.windows import windows
from edgecomp.progress import Progress
from edgecomp.reference import Executor

Array = npt.NDArray[np.float64]

PLACES = 256
"""Places of an output looked at in each sample, evenly spread: they resemble each other."""


@dataclass(frozen=True, eq=False)
class Gram:
    """Of one layer, over all samples.

    Attributes:
        seen: E[z z^T] of what the quantized model multiplies, [groups, taps, taps].
        cross: E[x z^T], x being what the float model multiplies there.
        mean: E[z], [groups, taps].
        exact_mean: E[x].
    """

    seen: Array
    cross: Array
    mean: Array
    exact_mean: Array

    def centred(self) -> Gram:
        """The same about the means, for layers whose bias makes up for these."""
        return replace(
            self,
            seen=self.seen - self.mean[:, :, None] * self.mean[:, None, :],
            cross=self.cross - self.exact_mean[:, :, None] * self.mean[:, None, :],
        )

    def damped(self) -> Array:
        """`seen` plus a little of the identity: positive definite."""
        return self.seen + _damping(self.seen)

    def plus(self, other: Gram) -> Gram:
        """Both added up."""
        return Gram(
            self.seen + other.seen,
            self.cross + other.cross,
            self.mean + other.mean,
            self.exact_mean + other.exact_mean,
        )

    def divided(self, count: int) -> Gram:
        """All divided by `count`."""
        parts = (self.seen, self.cross, self.mean, self.exact_mean)
        return Gram(*(part / count for part in parts))

    def target(self, weights: Array) -> Array:
        """The weights that bring the quantized model's inputs nearest to the float layer's outputs.

        Args:
            weights: [groups, outputs, taps].
        """
        wanted = weights @ (self.cross + _damping(self.seen))
        solved = np.linalg.solve(self.damped(), wanted.transpose(0, 2, 1))
        return np.asarray(solved.transpose(0, 2, 1))


def _damping(seen: Array, share: float = 0.01) -> Array:
    """A little of the identity: taps that were never seen keep their weights."""
    taps = seen.shape[-1]
    mean = np.trace(seen, axis1=1, axis2=2) / taps
    return share * np.where(mean > 0.0, mean, 1.0)[:, None, None] * np.eye(taps)


def grams(
    model: Model,
    quantized: Model,
    nodes: Mapping[str, str],
    data: CalibrationData,
    samples: int,
    progress: Progress,
) -> dict[str, Gram]:
    """The second moments of every layer in `nodes`.

    Args:
        model: the float model.
        quantized: the same with integers.
        nodes: name of what a layer reads in the quantized model, by name of the layer.
        data: the samples.
        samples: how many at most.
        progress: who is told how far it is.
    """
    layers = {str(n.name): n for n in model.graph.graph if str(n.name) in nodes}
    sources = {name: _source(node) for name, node in layers.items()}
    float_run = Executor(model.graph, list(dict.fromkeys(sources.values())))
    int_run = Executor(quantized.graph, list(dict.fromkeys(nodes.values())))
    sums: dict[str, Gram] = {}
    total = min(samples, data.count(model.inputs))
    with progress.task("layer inputs", total=total) as step:
        for feed in data.samples(model.inputs, samples):
            exact, rounded = float_run.run(feed), int_run.run(feed)
            for name, node in layers.items():
                x = windows(node, exact[sources[name]], PLACES)
                z = windows(node, rounded[nodes[name]], PLACES)
                found = _moments(x, z)
                sums[name] = found if name not in sums else sums[name].plus(found)
            step()
    return {name: found.divided(total) for name, found in sums.items()}


def _moments(x: Array, z: Array) -> Gram:
    count = z.shape[1]
    turned = z.transpose(0, 2, 1)
    return Gram(
        turned @ z / count, x.transpose(0, 2, 1) @ z / count, z.mean(axis=1), x.mean(axis=1)
    )


def _source(node: ir.Node) -> str:
    value = node.inputs[0]
    assert value is not None, "the operator demands an input"
    return str(value.name)


def by_group(node: ir.Node, weights: npt.NDArray[Any], axis: int) -> Array:
    """Weights as [groups, outputs, taps]; `axis` is that of the outputs."""
    groups = node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1
    matrix = np.moveaxis(weights, axis, 0).astype(np.float64)
    return matrix.reshape(groups, len(matrix) // groups, -1)


def from_groups(grouped: npt.NDArray[Any], shape: Sequence[int], axis: int) -> npt.NDArray[Any]:
    """Undoes `by_group`, for weights of `shape`."""
    moved = [shape[axis], *(size for place, size in enumerate(shape) if place != axis)]
    return np.moveaxis(grouped.reshape(moved), 0, axis)
