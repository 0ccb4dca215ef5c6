"""What the calibration samples say of a model's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.calibration import Array, CalibrationData
from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.quantizable import RULES, Role
from edgecomp.graph.values import constant_of
from edgecomp.model import Model
from edgecomp.passes.quantize_plan import Plan
from edgecomp.passes.ranges import Histogram
from edgecomp.progress import Progress
from edgecomp.reference import Executor


@dataclass(frozen=True, eq=False)
class Observations:
    """What was seen; its size does not depend on the number of samples.

    Attributes:
        histograms: of all observed values of a group, by the name of the group's first value;
            groups with fixed parameters have none.
        means: mean of each input channel of a weighted node, float64 [channels], by the name of the
            value it reads.
    """

    histograms: Mapping[str, Histogram]
    means: Mapping[str, npt.NDArray[np.float64]]


def observe(
    model: Model, plan: Plan, data: CalibrationData, samples: int, progress: Progress
) -> Observations:
    """Run the float model on at most `samples` samples of `data`.

    Raises:
        EdgecompError: the data does not fit, or a value becomes infinite or NaN.
    """
    groups = [group for group in plan.groups if group.fixed is None]
    group_of = {name: group.values[0] for group in groups for name in group.observed}
    histograms = {group.values[0]: Histogram() for group in groups}
    constants = model.graph.graph.initializers
    for name in set(group_of) & set(constants):
        content = constant_of(constants[name])
        if content is not None:
            histograms[group_of[name]].add(content)
    moving = [name for name in group_of if name not in constants]
    axes = _channel_axes(model.graph.graph, plan)
    means = {name: np.zeros(()) for name in axes}
    executor = Executor(model.graph, [*moving, *axes])
    total = min(samples, data.count(model.inputs))
    with progress.task("calibrate", total=total) as step:
        for index, feed in enumerate(data.samples(model.inputs, samples)):
            values = executor.run(feed)
            for name in moving:
                _add(histograms[group_of[name]], values[name], name, index)
            for name, axis in axes.items():
                means[name] = means[name] + channel_mean(values[name], axis) / total
            step()
    return Observations(histograms, means)


def _add(histogram: Histogram, values: Array, name: str, index: int) -> None:
    try:
        histogram.add(values)
    except ValueError as error:
        raise EdgecompError(
            Reason(
                f"the value becomes infinite or NaN on calibration sample {index}",
                name,
                "check that the data is scaled as the model expects (--preprocess)",
            )
        ) from error


def _channel_axes(graph: ir.Graph, plan: Plan) -> dict[str, int]:
    """The channel axis of what weighted integer nodes read, by the value's name."""
    integer = set(plan.nodes)
    return {
        str(node.inputs[0].name): 1 if node.op_type == "Conv" else -1
        for node in graph
        if node.name in integer
        and RULES[node.op_type].role is Role.WEIGHTED
        and node.inputs[0] is not None
    }


def channel_range(values: Array, axis: int) -> npt.NDArray[np.float64]:
    """The largest magnitude of `values` over all axes but `axis`."""
    others = tuple(place for place in range(values.ndim) if place != axis % values.ndim)
    return np.asarray(np.abs(values).max(axis=others, initial=0.0), np.float64)


def channel_mean(values: Array, axis: int) -> npt.NDArray[np.float64]:
    """The mean of `values` over all axes but `axis`."""
    others = tuple(place for place in range(values.ndim) if place != axis % values.ndim)
    return np.asarray(values.mean(axis=others, dtype=np.float64))
