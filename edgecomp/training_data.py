"""The samples a pass trains on, in memory, with labels where the file has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError, Reason
from edgecomp_runtime.data import read_samples
from edgecomp_runtime.errors import RuntimeInputError
from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Samples of a training file.

    Attributes:
        inputs: by name of the model's input, [samples, *shape] with the input's element type.
        labels: class indices, int64 [samples], or None.
    """

    inputs: Mapping[str, Array]
    labels: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: npt.NDArray[np.int64]) -> Batch:
        """The samples at `rows`, in that order."""
        labels = None if self.labels is None else self.labels[rows]
        return Batch({name: array[rows] for name, array in self.inputs.items()}, labels)


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
        except RuntimeInputError as error:
            raise EdgecompError([Reason(reason) for reason in error.reasons]) from error
        arrays = zip(specs, read.arrays, strict=True)
        return Batch({spec.name: array for spec, array in arrays}, read.labels)

    def split(self, specs: Sequence[TensorSpec], share: float, seed: int) -> tuple[Batch, Batch]:
        """Training and validation samples; a `share`, drawn at random by `seed`, validates.

        Raises:
            EdgecompError: the file cannot be used for these inputs, or is too small to split.
        """
        batch = self.load(specs)
        held = round(len(batch) * share)
        if not 0 < held < len(batch):
            reason = f"{len(batch)} samples cannot be split into training and validation"
            raise EdgecompError(Reason(reason, str(self.samples.path), "give more samples"))
        order = np.random.default_rng(seed).permutation(len(batch))
        return batch.take(np.sort(order[held:])), batch.take(np.sort(order[:held]))
