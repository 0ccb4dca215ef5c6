"""Samples held out: half of a file to work on, and the other half to judge by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.passes.judge import Judge, judge_of
from edgecomp_runtime.manifest import TensorSpec


@dataclass(frozen=True)
class Half(CalibrationData):
    """One half of the samples of a file, drawn at random, always the same; `which` is 0 or 1."""

    which: int = 0

    def count(self, specs: Sequence[TensorSpec]) -> int:
        """How many there are; see `CalibrationData.count`."""
        return len(half(super().count(specs), self.which, str(self.path)))

    def samples(
        self, specs: Sequence[TensorSpec], limit: int | None = None
    ) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """These samples; see `CalibrationData.samples`."""
        rows = half(super().count(specs), self.which, str(self.path))
        taken = min(len(rows), limit or len(rows))
        wanted = {int(rows[place * len(rows) // taken]) for place in range(taken)}
        for index, sample in enumerate(CalibrationData(self.path, self.preprocess).samples(specs)):
            if index in wanted:
                yield sample


def half(count: int, which: int, where: str) -> npt.NDArray[np.int64]:
    """Indices of one half of `count` samples, ascending; the other half is that of 1 - `which`.

    Drawn, since files may alternate between sources, as that of MNIST does.

    Raises:
        EdgecompError: there is one sample only; the reason names `where`.
    """
    if count < 2:
        raise EdgecompError(Reason("one sample cannot be split in two", where, "give more"))
    return np.sort(np.random.default_rng(0).permutation(count)[which::2])


def halves(model: Model, context: Context, name: str) -> tuple[Context, Judge]:
    """What the pass called `name` works on, and a judge on the samples that it does not see.

    Raises:
        EdgecompError: there are no samples, or only one.
    """
    data = context.need_data(name)
    judge = judge_of(model, Half(data.path, data.preprocess, 1), context)
    if judge.batch is not None:
        rows = half(len(judge.batch), 1, str(data.path))
        judge = replace(judge, batch=judge.batch.take(rows))
    return replace(context, data=Half(data.path, data.preprocess, 0)), judge
