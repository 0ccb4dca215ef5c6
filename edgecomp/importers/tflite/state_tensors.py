"""Tensors an operator writes though it reads them, as values: read before a run, written after it.

LSTM and SVDF keep their state in tensors marked `is_variable`, which the interpreter fills once,
with what stands for zero. Here an operator gives the next state as one more result, and the graph
takes the last one and gives the next, as it does with variables behind handles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from edgecomp.errors import EdgecompError, Reason
from edgecomp.importers.tflite.file import Array, Operator, Subgraph, Tensor
from edgecomp.importers.tflite.variables import Variable

WRITTEN: Mapping[str, tuple[int, ...]] = {
    "SVDF": (4,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19),
}
"""The operands that an operator writes; the next states become its results in this order."""


def without_state_tensors(graph: Subgraph) -> tuple[Subgraph, tuple[Variable, ...]]:
    """`graph` with its state tensors as inputs and outputs, after those it has.

    Raises:
        EdgecompError: an operator's state is missing or is no state tensor.
    """
    if not any(operator.name in WRITTEN for operator in graph.operators):
        return graph, ()
    scan = _Scan(graph, list(graph.tensors))
    operators = tuple(scan.visited(operator) for operator in graph.operators)
    variables = tuple(
        Variable(read, written, _initial(graph.tensors[read]))
        for read, written in scan.current.items()
    )
    found = Subgraph(
        tuple(scan.tensors),
        (*graph.inputs, *(variable.read for variable in variables)),
        (
            *(scan.current.get(index, index) for index in graph.outputs),
            *(variable.written for variable in variables),
        ),
        operators,
    )
    return found, variables


@dataclass
class _Scan:
    """Walks the operators in their order; `current` is the tensor that holds each state by then."""

    graph: Subgraph
    tensors: list[Tensor]
    current: dict[int, int] = field(default_factory=dict)

    def visited(self, operator: Operator) -> Operator:
        """`operator` reading the states of its moment, and giving those it writes."""
        states = [_state(self.graph, operator, place) for place in WRITTEN.get(operator.name, ())]
        inputs = tuple(None if i is None else self.current.get(i, i) for i in operator.inputs)
        made = []
        for index in states:
            tensor = self.graph.tensors[index]
            self.tensors.append(replace(tensor, name=self._next_name(tensor.name)))
            self.current[index] = len(self.tensors) - 1
            made.append(self.current[index])
        return replace(operator, inputs=inputs, outputs=(*operator.outputs, *made))

    def _next_name(self, name: str) -> str:
        taken, unique = {tensor.name for tensor in self.tensors}, f"{name}_next"
        while unique in taken:
            unique += "_next"
        return unique


def _state(graph: Subgraph, operator: Operator, place: int) -> int:
    """The state tensor that is operand `place`."""
    index = operator.inputs[place] if place < len(operator.inputs) else None
    fits = index is not None and graph.tensors[index].variable and index not in graph.inputs
    if index is None or not fits or graph.tensors[index].data is not None:
        raise EdgecompError(
            Reason(
                f"{operator.name}: operand {place} is no state tensor",
                graph.tensors[operator.outputs[0]].name if operator.outputs else "",
                "convert the model again",
            )
        )
    return index


def _initial(tensor: Tensor) -> Array:
    """What the interpreter fills it with: the zero point of int8, else zeros."""
    start = int(tensor.scales.zero_point[0]) if tensor.scales and tensor.dtype == "int8" else 0
    return np.full(tensor.shape, start, tensor.dtype)
