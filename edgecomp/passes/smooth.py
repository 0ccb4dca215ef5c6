"""SmoothQuant: wide channels of activations become narrow, and the weights that read them wide.

What layers read is divided by a factor for each channel in what makes it, as in the scale of a
normalization, and their weights are multiplied by it: the same function. Source: Xiao et al. 2022,
"SmoothQuant", arXiv 2211.10438, equations 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.calibration import CalibrationData
from edgecomp.graph.edit import only_reader
from edgecomp.graph.values import constant_input, input_at, is_constant, shape_of
from edgecomp.model import Model
from edgecomp.passes.equalize import TRANSPARENT, content_of, made_axis, read_axis, store
from edgecomp.passes.quantize_observe import channel_range
from edgecomp.progress import Progress
from edgecomp.reference import Executor

Array = npt.NDArray[np.float64]

LAYERS = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True, eq=False)
class Share:
    """A constant input of a node that is divided by the factors.

    Attributes:
        node, index: where it is read, and nowhere else.
        shape: of the factors, for them to broadcast with it.
    """

    node: ir.Node
    index: int
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Seam:
    """A value between what can make its channels narrower and the layers that read it.

    Attributes:
        value: the value.
        axis: of its channels.
        makers: what is divided.
        readers: the layers whose weights are multiplied; there are no other readers.
    """

    value: ir.Value
    axis: int
    makers: tuple[Share, ...]
    readers: tuple[ir.Node, ...]


def smoothed(
    model: Model, strength: float, data: CalibrationData, samples: int, progress: Progress
) -> Model:
    """`model` with ranges moved from activations to weights: the same function up to rounding.

    Args:
        model: a float model.
        strength: how much of the ranges moves: 0 nothing, 1 all; 0.5 shares them.
        data: samples to find the ranges on.
        samples: how many of them at most.
        progress: who is told how far it is.

    Raises:
        EdgecompError: the data does not fit the model.
    """
    graph = model.graph.clone()
    seams = list(seams_of(graph.graph))
    if not seams:
        return model
    ranges = _ranges(model, seams, data, samples, progress)
    for seam in seams:
        factor = _factor(ranges[str(seam.value.name)], _weight_ranges(seam), strength)
        for share in seam.makers:
            content = content_of(share.node, share.index)
            store(graph.graph, share.node, share.index, content / factor.reshape(share.shape))
        for node in seam.readers:
            weights = content_of(node, 1)
            along = factor.reshape(_along(read_axis(node), weights.ndim))
            store(graph.graph, node, 1, weights * along)
    return model.with_graph(graph)


def seams_of(graph: ir.Graph) -> Iterator[Seam]:
    """Every value whose channels' ranges can be moved into the weights of what reads it."""
    values = dict.fromkeys(
        node.inputs[0] for node in graph if node.op_type in LAYERS and node.domain == ""
    )
    for value in values:
        if value is None or value.is_graph_output():
            continue
        uses = list(value.uses())
        if not all(use.idx == 0 and _is_layer(use.node) for use in uses):
            continue
        rank = len(shape_of(value))
        axes = {1 if use.node.op_type == "Conv" else rank - 1 for use in uses}
        if len(axes) == 1 and (makers := _makers(value, axis := axes.pop())) is not None:
            yield Seam(value, axis, tuple(makers), tuple(use.node for use in uses))


def _is_layer(node: ir.Node) -> bool:
    """Whether channels of what `node` reads have weights of their own, which only it reads."""
    if node.domain != "" or node.op_type not in LAYERS or not _is_own(node, 1):
        return False
    if node.op_type == "MatMul":
        return len(shape_of(node.inputs[1])) == 2  # type: ignore[arg-type]
    if node.op_type == "Gemm":
        return not node.attributes.get_int("transA", 0)
    return node.attributes.get_int("group", 1) == 1


def _is_own(node: ir.Node, index: int) -> bool:
    """Whether the input is a constant that nothing else reads."""
    value = input_at(node, index)
    return value is not None and is_constant(value) and len(list(value.uses())) == 1


def _makers(value: ir.Value, axis: int) -> list[Share] | None:
    """What to divide for the channels of `value` to become smaller; None where that cannot be."""
    node, rank = value.producer(), len(shape_of(value))
    if node is None or node.domain != "":
        return None
    trailing = (-1,) + (1,) * (rank - 1 - axis)
    if node.op_type == "LayerNormalization" and axis == rank - 1:
        alone = node.attributes.get_int("axis", -1) in (-1, rank - 1)
        return _all_own(node, [(1, (-1,)), (2, (-1,))]) if alone else None
    if node.op_type in ("Mul", "Add"):
        return _of_pair(node, axis, trailing)
    if node.op_type in TRANSPARENT:
        return _inner(node.inputs[0], axis)
    if _is_layer(node):
        weights = _along(made_axis(node), len(shape_of(node.inputs[1])))  # type: ignore[arg-type]
        return _all_own(node, [(1, weights), (2, (-1,))])
    return None


def _of_pair(node: ir.Node, axis: int, trailing: tuple[int, ...]) -> list[Share] | None:
    """A product is divided in one factor, a sum in both terms."""
    constants = [index for index in (0, 1) if constant_input(node, index) is not None]
    if len(constants) != 1 or not _is_own(node, constants[0]):
        return None
    other = node.inputs[1 - constants[0]]
    # a single number becomes one for each channel, so that the other operand gives the shape
    if other is None or shape_of(other) != shape_of(node.outputs[0]):
        return None
    own = [Share(node, constants[0], trailing)]
    if node.op_type == "Mul":
        return own
    rest = _inner(other, axis)
    return None if rest is None else [*own, *rest]


def _inner(value: ir.Value | None, axis: int) -> list[Share] | None:
    """Like `_makers`, of a value that one node alone reads."""
    if value is None or only_reader(value) is None:
        return None
    return _makers(value, axis)


def _all_own(node: ir.Node, places: list[tuple[int, tuple[int, ...]]]) -> list[Share] | None:
    given = [(index, shape) for index, shape in places if input_at(node, index) is not None]
    if not all(_is_own(node, index) for index, _ in given):
        return None
    return [Share(node, index, shape) for index, shape in given]


def _along(axis: int, rank: int) -> tuple[int, ...]:
    return tuple(-1 if place == axis else 1 for place in range(rank))


def _ranges(
    model: Model, seams: list[Seam], data: CalibrationData, samples: int, progress: Progress
) -> dict[str, Array]:
    """The largest magnitude of each channel of the values."""
    axes = {str(seam.value.name): seam.axis for seam in seams}
    found = {name: np.zeros(()) for name in axes}
    executor = Executor(model.graph, list(axes))
    with progress.task("ranges", total=min(samples, data.count(model.inputs))) as step:
        for feed in data.samples(model.inputs, samples):
            values = executor.run(feed)
            for name, axis in axes.items():
                found[name] = np.maximum(found[name], channel_range(values[name], axis))
            step()
    return found


def _weight_ranges(seam: Seam) -> Array:
    """The largest weight of each channel that the layers read."""
    each = []
    for node in seam.readers:
        weights = np.moveaxis(np.abs(content_of(node, 1)), read_axis(node), 0)
        each.append(weights.reshape(len(weights), -1).max(axis=1))
    return np.asarray(np.max(each, axis=0))


def _factor(activations: Array, weights: Array, strength: float) -> Array:
    """By which channels get smaller: equation 4; 1 where either is empty."""
    known = (activations > 0.0) & (weights > 0.0)
    one, other = np.where(known, activations, 1.0), np.where(known, weights, 1.0)
    return np.asarray(one**strength / other ** (1.0 - strength))
