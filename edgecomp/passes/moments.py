"""Second moments of the channels of a model's values, from calibration samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.model import Model
from edgecomp.progress import Progress
from edgecomp.reference import Executor

Moments = npt.NDArray[np.float64]


def channel_moments(
    model: Model,
    axes: Mapping[str, int],
    data: CalibrationData,
    samples: int,
    progress: Progress,
) -> dict[str, Moments]:
    """E[x x^T] of the channels of values, over samples and all other axes.

    Memory does not grow with the number of samples.

    Args:
        model: a float model.
        axes: the channel axis of each value, by the value's name.
        data: the samples.
        samples: how many of them at most, evenly spread.
        progress: who is told how far it is.

    Returns:
        float64 [channels, channels] by the value's name.

    Raises:
        EdgecompError: the data does not fit the model.
    """
    sums: dict[str, Moments] = {}
    counts = dict.fromkeys(axes, 0)
    executor = Executor(model.graph, list(axes))
    total = min(samples, data.count(model.inputs))
    with progress.task("second moments", total=total) as step:
        for feed in data.samples(model.inputs, samples):
            values = executor.run(feed)
            for name, axis in axes.items():
                rows = np.moveaxis(values[name], axis, -1)
                rows = rows.reshape(-1, rows.shape[-1]).astype(np.float64)
                sums[name] = sums.get(name, 0.0) + rows.T @ rows
                counts[name] += len(rows)
            step()
    return {name: total / max(counts[name], 1) for name, total in sums.items()}
