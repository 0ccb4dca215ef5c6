"""What a model costs: parameters, multiply-accumulates and bytes, in all and node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgecomp.graph.macs import macs_of
from edgecomp.graph.params import count_parameters, counted_parameters
from edgecomp.graph.values import bytes_of, elements_of, shape_of
from edgecomp.model import Model
from edgecomp_runtime.manifest import TensorSpec


@dataclass(frozen=True)
class NodeSummary:
    """One node.

    Attributes:
        name: its name in the user's file.
        op: the operator.
        shape: shape of its first output, of those it has.
        macs: multiply-accumulates of one inference.
        params: elements of the constants it learned.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    macs: int
    params: int


@dataclass(frozen=True)
class ModelSummary:
    """A whole model.

    Attributes:
        name: the model's name.
        inputs, outputs: its signature.
        params: elements of all learned constants, shared ones once.
        macs: multiply-accumulates of one inference.
        bytes: bytes of all constants, scales and shapes included.
        op_counts: how many nodes there are of each operator, most frequent first.
        nodes: in execution order.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    params: int
    macs: int
    bytes: int
    op_counts: Mapping[str, int]
    nodes: tuple[NodeSummary, ...]

    def to_json(self) -> dict[str, Any]:
        """The summary as plain JSON values; the nodes are under `ops`, as in an artifact's."""
        values = asdict(self)
        values["ops"] = values.pop("nodes")
        return values


def summarize(model: Model) -> ModelSummary:
    """Count `model`; its shapes are static, as the importers leave them."""
    graph = model.graph.graph
    nodes = tuple(
        NodeSummary(
            name=str(node.name),
            op=node.op_type,
            shape=shape_of(next(value for value in node.outputs if value.name)),
            macs=macs_of(node),
            params=sum(elements_of(value) for value in counted_parameters(node)),
        )
        for node in graph
    )
    return ModelSummary(
        name=model.name,
        inputs=model.inputs,
        outputs=model.outputs,
        params=count_parameters(graph),
        macs=sum(node.macs for node in nodes),
        bytes=sum(bytes_of(value) for value in graph.initializers.values()),
        op_counts=dict(Counter(node.op for node in nodes).most_common()),
        nodes=nodes,
    )
