"""Which layers can have int4 weights when the model may lose no more than so much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.passes.quantize_weights import QuantizedWeights
from edgecomp.progress import Progress
from edgecomp.reference import first_outputs
from edgecomp.training.accuracy import accuracy
from edgecomp.training_data import Batch

Weights = Mapping[str, QuantizedWeights]

LOOKED_AT = 32
"""Samples on which layers are compared with each other."""


@dataclass(frozen=True, eq=False)
class Judge:
    """How good a model is.

    Attributes:
        data: samples outputs are compared on.
        batch: labelled samples, or None: then a model is as good as its highest outputs agree with
            the float model's, or, where there is one output only, as its signal is over its noise.
        exact: first outputs of the float model on the samples.
        few: the same on those on which layers are compared with each other.
    """

    data: CalibrationData
    batch: Batch | None
    exact: npt.NDArray[np.float64]
    few: npt.NDArray[np.float64]

    def quality(self, model: Model) -> float:
        """Accuracy, agreement or share of the signal: 0 to 1."""
        if self.batch is not None:
            return accuracy(model, self.batch)
        found = first_outputs(model, self.data)
        if found.shape[1] > 1:
            return float(np.mean(found.argmax(axis=1) == self.exact.argmax(axis=1)))
        return 1 - min(_noise(found, self.exact), 1.0)

    def noise(self, model: Model) -> float:
        """The squared error of a few outputs as a share of their squares."""
        return _noise(first_outputs(model, self.data, LOOKED_AT), self.few)


def _noise(found: npt.NDArray[np.float64], exact: npt.NDArray[np.float64]) -> float:
    return float(np.square(found - exact).sum() / max(np.square(exact).sum(), 1e-30))


def judge_of(model: Model, data: CalibrationData, context: Context) -> Judge:
    """Labelled training samples decide where there are any, calibration samples otherwise."""
    batch = None if context.train is None else context.train.load(model.inputs)
    labelled = batch if batch is not None and batch.labels is not None else None
    few = first_outputs(model, data, LOOKED_AT)
    return Judge(data, labelled, first_outputs(model, data), few)


def mixed(
    eight: Weights,
    four: Weights,
    write: Callable[[Weights], Model],
    judge: Judge,
    max_drop: float,
    progress: Progress,
) -> dict[str, QuantizedWeights]:
    """int4 for as many weights as possible; those layers that harm most for a byte stay int8.

    Layers are ordered by the noise that each alone makes; the number of layers is then halved in,
    since more of them are hardly ever better.

    Args:
        eight, four: the integers of each layer, of 8 and of 4 bits.
        write: the model with such integers.
        judge: says how good it is.
        max_drop: by how much less the quality may be than with `eight`.
        progress: who is told how far it is.
    """
    harm = {}
    with progress.task("compare layers", total=len(four)) as step:
        for name, weights in four.items():
            noise = judge.noise(write({**eight, name: weights}))
            harm[name] = noise / weights.weights.size
            step()
    order = sorted(harm, key=lambda name: (harm[name], name))
    wanted = judge.quality(write(eight)) - max_drop
    low, high = 0, len(order)  # `low` layers are known to be fine
    while low < high:
        middle = (low + high + 1) // 2
        good = judge.quality(write(_mix(eight, four, order[:middle]))) >= wanted - 1e-12
        low, high = (middle, high) if good else (low, middle - 1)
    return _mix(eight, four, order[:low])


def _mix(eight: Weights, four: Weights, narrow: list[str]) -> dict[str, QuantizedWeights]:
    return {**eight, **{name: four[name] for name in narrow}}
