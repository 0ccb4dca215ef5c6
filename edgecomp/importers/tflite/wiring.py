"""Whether the operators of a TFLite graph fit together."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgecomp.errors import Reason
from edgecomp.importers.tflite.file import Operator, Subgraph


def miswired(graph: Subgraph) -> Iterator[Reason]:
    """Reasons why the operators, in their order, cannot be run one after the other."""
    known = {i for i, t in enumerate(graph.tensors) if t.data is not None or t.variable}
    known |= set(graph.inputs)
    made: set[int] = set(graph.inputs)
    later = {index for operator in graph.operators for index in operator.outputs}
    for operator in graph.operators:
        label = _label(graph, operator)
        for index in operator.inputs:
            if index is None or index in known:
                continue
            name = graph.tensors[index].name
            if index in later:
                what = f"its input {name} is made after it is read, so the graph has a cycle"
            elif not math.prod(graph.tensors[index].shape):
                continue
            else:
                what = f"nothing makes its input {name}"
            yield Reason(what, label, "convert the model again")
        for index in operator.outputs:
            if index in made:
                name = graph.tensors[index].name
                yield Reason(f"the tensor {name} is made twice", label, "convert the model again")
            made.add(index)
            known.add(index)
    for index in graph.outputs:
        if index not in known:
            yield Reason("nothing makes this output", graph.tensors[index].name)


def _label(graph: Subgraph, operator: Operator) -> str:
    return graph.tensors[operator.outputs[0]].name if operator.outputs else operator.name
