"""Gradients of a loss, and what they say of the importance of weights and channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from edgecomp.model import Model
from edgecomp.training.answers import class_scores
from edgecomp.training.determinism import deterministic
from edgecomp.training.executor import Network
from edgecomp.training.objective import (
    Directions,
    Labels,
    Objective,
    Samples,
    check_labels,
    make_objective,
)
from edgecomp.training.settings import Loss
from edgecomp.training_data import Batch

Array = npt.NDArray[Any]

_AT_ONCE = 64
"""Samples computed together; memory grows with it, results do not depend on it but for rounding."""


def gradients(
    model: Model,
    batch: Batch,
    loss: Loss = "labels",
    original: Model | None = None,
    threads: int = 2,
) -> dict[str, Array]:
    """The gradient of the mean loss by every learned constant.

    Args:
        model: an imported model.
        batch: samples; without labels, "labels" takes the model's own answers for them.
        loss: as in `Settings`; "logits" and "features" compare with `original`.
        original: the model before compression.
        threads: processor threads.

    Returns:
        float32 arrays of the shape of each constant, by name of the initializer. Quantized
        constants have that of the real numbers they stand for.

    Raises:
        EdgecompError: an operator is unknown, or the loss does not suit model or samples.
    """
    network = Network(model, keep_zeros="never")
    names = list(network.parameters)
    totals = [np.zeros(tuple(network.parameters[name].shape), np.float64) for name in names]
    objective = make_objective(model, original, loss)
    with deterministic(threads):
        for samples in _chunks(model, batch, objective, network):
            losses = objective.losses(network.run(samples.inputs, objective.wanted), samples)
            parameters = [network.parameters[name] for name in names]
            found = torch.autograd.grad(losses.sum(), parameters, allow_unused=True)
            for total, gradient in zip(totals, found, strict=True):
                if gradient is not None:
                    total += gradient.numpy()
    return {n: (t / len(batch)).astype(np.float32) for n, t in zip(names, totals, strict=True)}


def channel_gradients(
    model: Model,
    batch: Batch,
    axes: Mapping[str, int],
    loss: Literal["labels", "outputs"] = "labels",
    threads: int = 2,
) -> dict[str, npt.NDArray[np.float32]]:
    """By how much each sample's loss grows with a factor on a channel, at the factor 1.

    Args:
        model, batch, threads: as in `gradients`.
        axes: the channel axis of each value asked for, by the value's name in the graph.
        loss: "labels" as in `gradients`; "outputs" is the sum of all outputs, each with a sign
            drawn at random, so that squares average to the squared change of the outputs.

    Returns:
        [samples, channels] by name of the value; `taylor` and `fisher` make scores of them.

    Raises:
        EdgecompError: as `gradients`; or the graph has no such value.
    """
    network = Network(model, keep_zeros="never")
    objective = make_objective(model, None, loss) if loss == "labels" else Directions.of(model)
    parts: dict[str, list[Array]] = {name: [] for name in axes}
    with deterministic(threads):
        for samples in _chunks(model, batch, objective, network):
            with torch.no_grad():
                values = network.run(samples.inputs, list(axes))
            gates = {name: _gate(tuple(values[name].shape), axis) for name, axis in axes.items()}
            values = network.run(samples.inputs, objective.wanted, gates)
            losses = objective.losses(values, samples)
            found = torch.autograd.grad(losses.sum(), list(gates.values()), allow_unused=True)
            for name, gate, gradient in zip(gates, gates.values(), found, strict=True):
                known = torch.zeros_like(gate) if gradient is None else gradient
                parts[name].append(known.flatten(1).numpy())
    return {name: np.concatenate(found) for name, found in parts.items()}


def taylor(channels: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """How much the loss changes, to first order, without each channel: the mean over samples.

    Source: Molchanov et al. 2017, Pruning Convolutional Neural Networks for Resource Efficient
    Inference, section 2.2.

    Args:
        channels: [samples, channels] of `channel_gradients`.
    """
    return np.asarray(np.abs(channels).mean(axis=0, dtype=np.float64))


def fisher(channels: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """How much the loss grows, to second order, without each channel.

    Source: Theis et al. 2018, Faster gaze prediction with dense networks and Fisher pruning,
    equation 8.

    Args:
        channels: [samples, channels] of `channel_gradients`.
    """
    return np.asarray(np.square(channels, dtype=np.float64).mean(axis=0) / 2)


def _gate(shape: tuple[int, ...], axis: int) -> Any:
    """Ones for each sample and channel of a value of `shape` [samples, *its own]."""
    place = axis % (len(shape) - 1) + 1
    return torch.ones(
        [size if at in (0, place) else 1 for at, size in enumerate(shape)], requires_grad=True
    )


def _chunks(
    model: Model, batch: Batch, objective: Objective, network: Network
) -> Iterator[Samples]:
    """A few samples at a time, the model's own answers in place of missing labels."""
    if isinstance(objective, Labels) and batch.labels is not None:
        check_labels(batch.labels, class_scores(model))
    for part in batch.parts(_AT_ONCE):
        samples = Samples.of(part)
        if samples.labels is None and isinstance(objective, Labels):
            with torch.no_grad():
                scores = network.run(samples.inputs, objective.wanted)[objective.scores.value]
            samples = replace(samples, labels=scores.flatten(1).argmax(1))
        yield samples
