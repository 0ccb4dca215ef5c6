"""Which parts of a model become cheaper numbers: until a limit is kept, or while quality allows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.progress import Progress
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


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of a model, such as its layers, of which each can be made cheaper.

    Attributes:
        savings: what each saves, in any unit, by its name.
        make: the model with the parts of these names cheaper.
    """

    savings: Mapping[str, float]
    make: Callable[[Collection[str]], Model]

    def by_harm(self, judge: Judge, progress: Progress) -> list[str]:
        """Their names, those first that harm least for what they save.

        The harm is the noise that each alone makes.
        """
        harm = {}
        with progress.task("compare layers", total=len(self.savings)) as step:
            for name, saved in self.savings.items():
                harm[name] = judge.noise(self.make([name])) / max(saved, 1e-30)
                step()
        return sorted(harm, key=lambda name: (harm[name], name))


def within_quality(parts: Parts, judge: Judge, max_drop: float, progress: Progress) -> list[str]:
    """As many parts cheaper as possible, the quality at most `max_drop` less than with none.

    Their number is halved in: more of them are hardly ever better.
    """
    order = parts.by_harm(judge, progress)
    wanted = judge.quality(parts.make([])) - max_drop
    low, high = 0, len(order)  # `low` parts are known to be fine
    while low < high:
        middle = (low + high + 1) // 2
        good = judge.quality(parts.make(order[:middle])) >= wanted - 1e-12
        low, high = (middle, high) if good else (low, middle - 1)
    return order[:low]


@dataclass(frozen=True, eq=False)
class Limit:
    """What a model may cost.

    Attributes:
        option: what the user wrote, as in "bytes=40000".
        most: the figure.
        cost: of a model.
        unit: of the figure, as in "bytes".
    """

    option: str
    most: float
    cost: Callable[[Model], float]
    unit: str

    def holds(self, model: Model) -> bool:
        """Whether the model costs no more."""
        return self.cost(model) <= self.most


def within_limit(
    parts: Parts, judge: Judge, limit: Limit, where: str, progress: Progress
) -> list[str]:
    """The parts to make cheaper for `limit` to hold, with as little harm as may be.

    Args:
        parts: what can be cheaper.
        judge: says which of them harm.
        limit: what must hold.
        where: the pass's name.
        progress: who is told how far it is.

    Raises:
        EdgecompError: it does not hold with all of them cheaper.
    """
    if limit.holds(parts.make([])):
        return []
    if not limit.holds(cheapest := parts.make(list(parts.savings))):
        least = limit.cost(cheapest)
        raise EdgecompError(
            Reason(
                f"{limit.option} cannot be kept; the least possible is {least:,.6g} {limit.unit}",
                where,
                "allow as much, or prune the model before",
            )
        )
    order = parts.by_harm(judge, progress)
    low, high = 1, len(order)  # `high` parts are known to be enough
    while low < high:
        middle = (low + high) // 2
        enough = limit.holds(parts.make(order[:middle]))
        low, high = (low, middle) if enough else (middle + 1, high)
    chosen = order[:low]
    for name in list(chosen):  # the last was perhaps large enough to do without an earlier one
        fewer = [each for each in chosen if each != name]
        if limit.holds(parts.make(fewer)):
            chosen = fewer
    return chosen
