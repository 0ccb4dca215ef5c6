"""The samples a pass trains on, in memory, with labels where the file has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError, Reason
from edgecomp_runtime.data import read_samples, to_program
from edgecomp_runtime.errors import RuntimeInputError
from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Samples of a training file.

    Attributes:
        inputs: by name of the model's input, [samples, *shape] with the input's element type.
        labels: class indices, int64 [samples], or None.
        answers: what a teacher makes of the samples, by name of its value; empty where unknown.
    """

    inputs: Mapping[str, Array]
    labels: npt.NDArray[np.int64] | None
    answers: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: npt.NDArray[np.int64]) -> Batch:
        """The samples at `rows`, in that order."""
        labels = None if self.labels is None else self.labels[rows]
        inputs = {name: array[rows] for name, array in self.inputs.items()}
        return Batch(inputs, labels, {name: array[rows] for name, array in self.answers.items()})

    def parts(self, size: int) -> Iterator[Batch]:
        """The samples in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class TrainingData:
    """A data file to train on (the conventions are those of `edgecomp_runtime.data`).

    Attributes:
        samples: the file, and what is done to uint8 arrays.
    """

    samples: CalibrationData

    def load(self, specs: Sequence[TensorSpec]) -> Batch:
        """Every sample, for a model with inputs `specs`.

        Raises:
            EdgecompError: the file cannot be used for these inputs.
        """
        try:
            read = read_samples(self.samples.path, specs, self.samples.preprocess)
            pairs = list(zip(specs, read.arrays, strict=True))
            return Batch({spec.name: to_program(a, spec) for spec, a in pairs}, read.labels)
        except RuntimeInputError as error:
            raise EdgecompError([Reason(reason) for reason in error.reasons]) from error

    def split(self, specs: Sequence[TensorSpec], share: float, seed: int) -> tuple[Batch, Batch]:
        """Training and validation samples; a `share`, drawn at random by `seed`, validates.

        Raises:
            EdgecompError: the file cannot be used for these inputs, or is too small to split.
        """
        return split(self.load(specs), share, seed, str(self.samples.path))


def split(batch: Batch, share: float, seed: int, where: str = "") -> tuple[Batch, Batch]:
    """Training and validation samples of `batch`; a `share`, drawn by `seed`, validates.

    Raises:
        EdgecompError: there are too few to split; the reason names `where` they are from.
    """
    held = round(len(batch) * share)
    if not 0 < held < len(batch):
        reason = f"{len(batch)} samples cannot be split into training and validation"
        raise EdgecompError(Reason(reason, where, "give more samples"))
    order = np.random.default_rng(seed).permutation(len(batch))
    return batch.take(np.sort(order[held:])), batch.take(np.sort(order[:held]))


def unlabelled(data: CalibrationData, specs: Sequence[TensorSpec]) -> Batch:
    """Every calibration sample, in memory, for a model with inputs `specs`.

    Raises:
        EdgecompError: the file cannot be used for these inputs.
    """
    rows = list(data.samples(specs))
    return Batch({spec.name: np.stack([row[spec.name] for row in rows]) for spec in specs}, None)
