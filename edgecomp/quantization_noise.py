"""How much of each value of a quantized model is signal, and how much is noise.

Noise is found twice: as a node makes it by itself, reading the float model's values through its
own rounding, and as it has accumulated at the node when the whole model is quantized.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.calibration import CalibrationData
from edgecomp.graph.qdq import is_dequantize, qdq_pair
from edgecomp.model import Model
from edgecomp.passes.quantize_observe import channel_range
from edgecomp.reference import Executor

Array = npt.NDArray[Any]

MOST_DECIBELS = 150.0
"""More than float32 can tell: a value without noise."""


@dataclass(frozen=True)
class ValueNoise:
    """Of one quantized value, over all samples.

    Attributes:
        node: what makes it; "" for an input of the model.
        op: the operator, or "input".
        value: its name in the float model.
        local_db: signal to noise ratio, in decibels, with this node alone quantized.
        accumulated_db: the same with the whole model quantized.
        spread: by how much the range of its widest channel exceeds the median channel's.
    """

    node: str
    op: str
    value: str
    local_db: float
    accumulated_db: float
    spread: float

    @property
    def label(self) -> str:
        """What people know it by: the node, or the input."""
        return self.node or self.value


@dataclass(frozen=True)
class ModelNoise:
    """Of a quantized model.

    Attributes:
        output_db: signal to noise ratio of its first output, in decibels.
        values: of every quantized value, in the order of the graph.
    """

    output_db: float
    values: tuple[ValueNoise, ...]

    def local(self, value: str) -> float | None:
        """`local_db` of the value of this name; None where it is not quantized."""
        return next((each.local_db for each in self.values if each.value == value), None)


@dataclass
class _Energy:
    """Sums over samples."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, exact: Array, found: Array) -> None:
        wide = exact.astype(np.float64)
        self.signal += float(np.square(wide).sum())
        self.noise += float(np.square(wide - found).sum())

    @property
    def decibels(self) -> float:
        if self.noise == 0.0:
            return MOST_DECIBELS
        ratio = 10 * float(np.log10(max(self.signal / self.noise, 1e-30)))
        return min(ratio, MOST_DECIBELS)


@dataclass
class _Seen:
    """What is summed up of one value."""

    place: _Place
    local: _Energy = field(default_factory=_Energy)
    accumulated: _Energy = field(default_factory=_Energy)
    largest: Array = field(default_factory=lambda: np.zeros(()))

    def noise(self) -> ValueNoise:
        moving = self.largest[self.largest > 0.0]
        spread = float(moving.max() / np.median(moving)) if moving.size else 1.0
        place = self.place
        found = (self.local.decibels, self.accumulated.decibels, spread)
        return ValueNoise(place.node, place.op, place.exact, *found)


@dataclass(frozen=True)
class _Place:
    """A quantized value: its node, and its names in the float graph and in the quantized one."""

    node: str
    op: str
    exact: str
    raw: str
    rounded: str


def model_noise(before: Model, after: Model, data: CalibrationData, samples: int) -> ModelNoise:
    """The noise of `after`, the quantized form of `before`, on at most `samples` samples.

    Memory does not grow with the number of samples.

    Raises:
        EdgecompError: the data does not fit.
    """
    places = _places(before.graph.graph, after.graph.graph)
    output = before.outputs[0].name
    seen = [_Seen(place) for place in places]
    exact_run = Executor(before.graph, [place.exact for place in places])
    whole_run = Executor(after.graph, [place.rounded for place in places])
    alone_run = Executor(*_each_alone(after, places))
    whole = _Energy()
    for feed in data.samples(before.inputs, samples):
        exact, found = exact_run.run(feed), whole_run.run(feed)
        given = {_given(p.raw): exact[p.exact] for p in places if p.node}
        alone = alone_run.run({**feed, **given})
        whole.add(exact[output], found[output])
        for each in seen:
            place, wanted = each.place, exact[each.place.exact]
            each.local.add(wanted, alone[place.rounded])
            each.accumulated.add(wanted, found[place.rounded])
            each.largest = np.maximum(each.largest, _channel_ranges(wanted))
    return ModelNoise(whole.decibels, tuple(each.noise() for each in seen))


def _places(exact: ir.Graph, quantized: ir.Graph) -> list[_Place]:
    """Every value that is quantized when it is made, or where it enters the model."""
    nodes = {str(node.name): node for node in quantized}
    found = []
    for value in exact.inputs:
        twin = next(each for each in quantized.inputs if each.name == value.name)
        if (pair := qdq_pair(twin)) is not None:
            rounded = str(pair[1].outputs[0].name)
            found.append(_Place("", "input", str(value.name), str(twin.name), rounded))
    for node in exact:
        made = nodes.get(str(node.name))
        for value, twin in zip(node.outputs, () if made is None else made.outputs, strict=False):
            if (pair := qdq_pair(twin)) is not None:
                names = (str(value.name), str(twin.name), str(pair[1].outputs[0].name))
                found.append(_Place(str(node.name), node.op_type, *names))
    return found


def _each_alone(model: Model, places: list[_Place]) -> tuple[ir.Model, list[str]]:
    """The quantized graph cut at every value: what reads one reads the float model's, rounded.

    Returns:
        The graph, with an input for each value a node makes, and the names of rounded values.
    """
    clone = model.graph.clone()
    graph = clone.graph
    made = {str(v.name): v for node in graph for v in node.outputs if v.name}
    for place in places:
        if not place.node:
            continue
        value = made[place.raw]
        pair = qdq_pair(value)
        assert pair is not None, "a place is a quantized value"
        quantize = pair[0]
        given = ir.Value(name=_given(place.raw), shape=value.shape, type=value.type)
        graph.inputs.append(given)
        own = _copied(graph, quantize, given)
        for reader in [use.node for use in quantize.outputs[0].uses()]:
            twin = _copied(graph, reader, own) if is_dequantize(reader) else own
            old = reader.outputs[0] if is_dequantize(reader) else quantize.outputs[0]
            for use in list(old.uses()):
                if use.node not in (reader, twin.producer()):
                    use.node.replace_input_with(use.idx, twin)
        for use in list(value.uses()):
            if use.node is not quantize:
                use.node.replace_input_with(use.idx, given)
    return clone, [place.rounded for place in places]


def _copied(graph: ir.Graph, node: ir.Node, source: ir.Value) -> ir.Value:
    """What a copy of a QuantizeLinear or DequantizeLinear makes of `source`."""
    output = node.outputs[0]
    copy = ir.Value(name=f"{output.name} as given", shape=output.shape, type=output.type)
    graph.insert_after(
        node,
        ir.Node(
            "",
            node.op_type,
            [source, *node.inputs[1:]],
            node.attributes.values(),
            outputs=[copy],
            name=f"{node.name} as given",
        ),
    )
    return copy


def _given(name: str) -> str:
    return f"{name} as given"


def _channel_ranges(content: Array) -> Array:
    """The largest magnitude of each channel: axis 1 of images, else the last."""
    if content.ndim < 2:
        return np.asarray(np.abs(content).max(initial=0.0)).reshape(1)
    return channel_range(content, 1 if content.ndim >= 4 else -1)
