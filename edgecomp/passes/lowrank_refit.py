"""Factors fitted again to what the layer made before, from what it reads now.

Layer by layer, first to last: the errors of earlier layers are made good as far as a linear map
can, where the decomposition of a weight alone adds to them. Source: Zhang et al. 2015,
"Accelerating Very Deep Convolutional Networks", section 3.3 (asymmetric reconstruction).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.calibration import CalibrationData
from edgecomp.graph.edit import add_constant
from edgecomp.graph.values import constant_input, input_at
from edgecomp.model import Model
from edgecomp.passes.lowrank_factors import Array
from edgecomp.passes.lowrank_plan import Plan, Unfolded
from edgecomp.passes.windows import windows
from edgecomp.progress import Progress
from edgecomp.reference import Executor

RIDGE = 1e-2
"""What holds a factor to what it was, as a share of the mean square of what it reads."""

FITTED = {"svd": ("u", "v"), "spatial": ("columns",), "tucker": ("core", "last"), "cp": ("last",)}
"""By method: the factors that a linear system gives, in the order they are fitted."""
UNKNOWNS = 1024
"""Weights of an output at most, for a system to be worth its time and its samples."""


@dataclass(frozen=True)
class Samples:
    """What factors are fitted on: at most `limit` of the samples in `data`."""

    data: CalibrationData
    limit: int


def refit(
    model: Model,
    small: Model,
    layers: Sequence[Unfolded],
    chosen: Plan,
    samples: Samples,
    progress: Progress,
) -> ir.Model:
    """The graph of `small` with its factors fitted to the outputs that `model` had.

    Layers that were left whole are fitted too, where earlier ones were not.

    Args:
        model: before the decomposition.
        small: after it; its factors are called as `lowrank_layers.ROLES` says.
        layers: what was decomposed.
        chosen: how.
        samples: what is fitted on.
        progress: who is told how far it is.
    """
    graph = small.graph.clone()
    nodes = {str(node.name): node for node in graph.graph}
    first = min((p for p, each in enumerate(layers) if each.layer.name in chosen), default=0)
    with progress.task("fit factors", total=len(layers) - first) as step:
        for each in layers[first:] if chosen else ():
            output = str(each.layer.node.outputs[0].name)
            fitted = [nodes[name] for name in _fitted(each, chosen)]
            for node in fitted:
                if len(_matrix(node)) > UNKNOWNS:
                    continue
                last = fitted[-1]
                system = _System(node, node is last, None if node is last else _inner(each, last))
                wanted, read = Executor(model.graph, [output]), Executor(graph, [system.source])
                for feed in samples.data.samples(model.inputs, samples.limit):
                    system.add(read.run(feed)[system.source], wanted.run(feed)[output])
                system.solve(graph.graph)
            step()
    return graph


def _fitted(each: Unfolded, chosen: Plan) -> list[str]:
    """The names of the nodes to fit, in order: of a layer left whole, itself."""
    name, choice = each.layer.name, chosen.get(each.layer.name)
    return [name] if choice is None else [f"{name}/{role}" for role in FITTED[choice.method]]


def _inner(each: Unfolded, last: ir.Node) -> Callable[[Array], Array]:
    """From rows of the layer's outputs to those of what the last factor reads."""
    weight, bias = _matrix(last).T, _bias(last)
    matter = each.weighted.matter
    back = np.linalg.pinv(matter @ weight) @ matter
    return lambda rows: (rows - bias) @ back.T


class _System:
    """The equations of one factor: its weights, and its bias where it has one.

    Args:
        node: the factor.
        biased: whether its bias is fitted too.
        target: from rows of the layer's outputs to what the factor should make.
    """

    def __init__(
        self, node: ir.Node, biased: bool, target: Callable[[Array], Array] | None
    ) -> None:
        self.source = str(node.inputs[0].name) if node.inputs[0] is not None else ""
        self._node, self._target = node, target
        self._biased = biased and input_at(node, 2) is not None
        self._was = _matrix(node)
        if self._biased:
            self._was = np.concatenate([self._was, _bias(node)[None]])
        self._left = np.zeros((len(self._was), len(self._was)))
        self._right = np.zeros_like(self._was)

    def add(self, read: npt.NDArray[np.float32], made: npt.NDArray[np.float32]) -> None:
        """One sample: what the factor reads, and what the layer made."""
        rows = windows(self._node, read)[0]
        moved = np.moveaxis(made, 1, -1) if self._node.op_type == "Conv" else made
        wanted = moved.reshape(-1, moved.shape[-1]).astype(np.float64)
        if self._target is not None:
            wanted = self._target(wanted)
        if self._biased:
            rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
        self._left += rows.T @ rows
        self._right += rows.T @ wanted

    def solve(self, graph: ir.Graph) -> None:
        """Give the factor the weights of the least squared error."""
        mean = float(np.trace(self._left)) / len(self._left)
        if mean == 0.0:
            return
        ridge = RIDGE * mean
        left = self._left + ridge * np.eye(len(self._left))
        found = np.linalg.solve(left, self._right + ridge * self._was)
        node, name = self._node, str(self._node.name)
        if self._biased:
            beta = node.attributes.get_float("beta", 1.0)
            bias = (found[-1] / beta).astype(np.float32)
            node.replace_input_with(2, add_constant(graph, f"{name}/bias", bias))
            found = found[:-1]
        before = constant_input(node, 1)
        assert before is not None, "a factor is a constant"
        found = found / node.attributes.get_float("alpha", 1.0)
        turned = node.op_type == "Conv" or node.attributes.get_int("transB", 0) == 1
        matrix = found.T.reshape(before.shape) if turned else found
        weight = np.ascontiguousarray(matrix, np.float32)
        node.replace_input_with(1, add_constant(graph, f"{name}/weight", weight))


def _matrix(node: ir.Node) -> Array:
    """The weight of a factor as [unknowns, outputs]."""
    weight = constant_input(node, 1)
    assert weight is not None, "a factor is a constant"
    if node.op_type == "Conv":
        matrix = weight.reshape(len(weight), -1).T
    else:
        matrix = weight.T if node.attributes.get_int("transB", 0) else weight
    return node.attributes.get_float("alpha", 1.0) * matrix.astype(np.float64)


def _bias(node: ir.Node) -> Array:
    """What a factor adds to each output."""
    outputs, bias = _matrix(node).shape[1], constant_input(node, 2)
    if bias is None:
        return np.zeros(outputs)
    beta = node.attributes.get_float("beta", 1.0)
    return np.broadcast_to(beta * bias.reshape(-1).astype(np.float64), (outputs,))
