"""How good a model is: by labels, or by what the model it came from makes of the same samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.reference import first_outputs
from edgecomp.training.accuracy import accuracy
from edgecomp.training_data import Batch

LOOKED_AT = 32
"""Samples on which parts are compared with each other."""


@dataclass(frozen=True, eq=False)
class Judge:
    """How good a model is.

    Attributes:
        data: samples outputs are compared on.
        batch: labelled samples, or None: then a model is as good as its highest outputs agree with
            the float model's, or, where there is one output only, as its signal is over its noise.
        exact: first outputs of the float model on the samples.
        few: the same on those on which parts are compared with each other.
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
