"""How much a model's outputs move with values in between: second moments of their gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch

from edgecomp.graph.edit import add_constant
from edgecomp.graph.values import shape_of
from edgecomp.model import Model
from edgecomp.training.determinism import deterministic
from edgecomp.training.executor import Network
from edgecomp.training.objective import Directions, Samples
from edgecomp.training_data import Batch

Moments = npt.NDArray[np.float64]

_AT_ONCE = 16
"""Samples computed together; memory grows with it."""


def output_moments(
    model: Model, batch: Batch, axes: Mapping[str, int], threads: int = 1
) -> dict[str, Moments]:
    """The sum over places of E[g g^T], g being the gradients of the outputs by a value's channels.

    An error e in a value, independent from place to place, moves the model's outputs by e^T M e of
    squares. Gradients are taken of the sum of all outputs, each with a sign drawn at random, whose
    squares average to those of all outputs (Hutchinson 1989).

    Args:
        model: a float model.
        batch: samples.
        axes: the channel axis of each value, by the value's name; none is an input of the model.
        threads: processor threads.

    Returns:
        float64 [channels, channels] by the value's name.

    Raises:
        EdgecompError: an operator is unknown.
    """
    probed = model.graph.clone()
    probes = {name: _probe(probed.graph, name) for name in axes}
    network = Network(model.with_graph(probed), keep_zeros="never")
    objective = Directions.of(model)
    sums: dict[str, Moments] = {}
    with deterministic(threads):
        for part in batch.parts(_AT_ONCE):
            samples = Samples.of(part)
            gates = {
                probe: torch.ones((len(part), *shape), requires_grad=True)
                for probe, shape in probes.values()
            }
            values = network.run(samples.inputs, objective.wanted, gates)
            total = objective.losses(values, samples).sum()
            found = torch.autograd.grad(total, list(gates.values()), allow_unused=True)
            for (name, axis), gradient in zip(axes.items(), found, strict=True):
                size = probes[name][1][axis]
                if gradient is None:
                    gradient = torch.zeros(1, *probes[name][1])
                moved = np.moveaxis(gradient.double().numpy(), axis % (gradient.ndim - 1) + 1, -1)
                rows = moved.reshape(-1, size)
                sums[name] = sums.get(name, 0.0) + rows.T @ rows / len(batch)
    return sums


def _probe(graph: ir.Graph, name: str) -> tuple[str, tuple[int, ...]]:
    """Add ones - 1 to a value, and tell the name and the shape of the ones: factors on these ones
    have the gradients of the value."""
    value = next(v for node in graph for v in node.outputs if v.name == name)
    shape = shape_of(value)
    producer = value.producer()
    assert producer is not None, "made by a node"
    ones = add_constant(graph, f"{name}/ones", np.ones(shape, np.float32))
    one = add_constant(graph, f"{name}/one", np.ones((), np.float32))
    nothing = ir.node("Sub", [ones, one], name=f"{name}/nothing")
    moved = ir.node("Add", [value, nothing.outputs[0]], name=f"{name}/moved")
    for node in (nothing, moved):
        node.outputs[0].type, node.outputs[0].shape = value.type, ir.Shape(shape)
    graph.insert_after(producer, [nothing, moved])
    ir.convenience.replace_all_uses_with(value, moved.outputs[0], replace_graph_outputs=True)
    moved.replace_input_with(0, value)
    value.name, nothing.outputs[0].name = f"{name}/before", f"{name}/nothing/out"
    moved.outputs[0].name = name  # readers, and whoever asks for outputs, find it
    return str(ones.name), shape
