"""The samples a pass calibrates on: a data file, read a few samples at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.errors import EdgecompError, Reason
from edgecomp_runtime.data import count_samples, stream_samples, to_program
from edgecomp_runtime.errors import RuntimeInputError
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.preprocess import Preprocess

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CalibrationData:
    """Samples of a data file (the conventions are those of `edgecomp_runtime.data`).

    Memory does not grow with the number of samples: the file is streamed on every use.

    Attributes:
        path: the .npz file.
        preprocess: what is done to uint8 arrays.
    """

    path: Path
    preprocess: Preprocess | None = None

    def count(self, specs: Sequence[TensorSpec]) -> int:
        """How many samples the file has for a model with inputs `specs`; at least one.

        Raises:
            EdgecompError: the file cannot be used for these inputs.
        """
        with _as_edgecomp_error():
            return count_samples(self.path, specs, self.preprocess)

    def samples(
        self, specs: Sequence[TensorSpec], limit: int | None = None
    ) -> Iterator[dict[str, Array]]:
        """The samples, each as the model's inputs by name, of their shapes and element types.

        Args:
            specs: the model's inputs.
            limit: take at most so many, evenly spread over the file.

        Raises:
            EdgecompError: the file cannot be used for these inputs, or a value is infinite or NaN.
        """
        count = self.count(specs)
        taken = min(count, limit or count)
        wanted = {place * count // taken for place in range(taken)}
        index = 0
        with _as_edgecomp_error():
            for rows in stream_samples(self.path, specs, self.preprocess):
                for sample in zip(*rows, strict=True):
                    if index in wanted:
                        yield self._checked(sample, specs, index)
                    index += 1

    def _checked(
        self, sample: Sequence[Array], specs: Sequence[TensorSpec], index: int
    ) -> dict[str, Array]:
        for array, spec in zip(sample, specs, strict=True):
            if not np.isfinite(array).all():
                raise EdgecompError(
                    Reason(
                        f"sample {index} of the input {spec.name!r} holds infinities or NaN",
                        str(self.path),
                        "remove the sample or repair it",
                    )
                )
        pairs = zip(sample, specs, strict=True)
        return {spec.name: to_program(array, spec) for array, spec in pairs}


@contextmanager
def _as_edgecomp_error() -> Iterator[None]:
    """Turn what the runtime says of a data file into the compiler's error, every reason of it."""
    try:
        yield
    except RuntimeInputError as error:
        raise EdgecompError([Reason(reason) for reason in error.reasons]) from error
