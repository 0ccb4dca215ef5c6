"""Write the nodes that compute what another node did, and put them in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.edit import add_constant


class Replacement:
    """Collects standard ONNX nodes that replace `node`; `finish` puts them in.

    Values are named after the node's first output and numbered, so that no name is taken twice.

    Args:
        graph: the graph of the node.
        node: what is replaced.
    """

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self._graph = graph
        self._node = node
        self._nodes: list[ir.Node] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        first = next(value for value in node.outputs if value.name)
        self._prefix = str(first.name)

    def add(
        self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any
    ) -> ir.Value:
        """Append a node and return its first output."""
        return self.add_many(op_type, *inputs, outputs=outputs, **attributes)[0]

    def add_many(
        self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any
    ) -> Sequence[ir.Value]:
        """Append a node and return all its outputs."""
        node = ir.node(op_type, inputs, attributes=attributes, num_outputs=outputs)
        for index, value in enumerate(node.outputs):
            value.name = f"{self._prefix}_{len(self._nodes)}_{index}"
        self._nodes.append(node)
        return node.outputs

    def constant(self, content: npt.ArrayLike, dtype: str | None = None) -> ir.Value:
        """A constant; equal ones are stored once."""
        array = np.asarray(content, dtype)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"{self._prefix}_constant_{len(self._constants)}"
            self._constants[key] = add_constant(self._graph, name, array)
        return self._constants[key]

    def finish(self, *results: ir.Value | None, main: ir.Value | None = None) -> None:
        """Replace the node; `results` stand for its outputs, None for those nobody reads.

        The node that makes `main`, by default the first result, takes over the user's name of the
        node. A result that no new node makes is passed through an Identity.
        """
        made = {value for node in self._nodes for value in node.outputs}
        old, new = [], []
        for value, result in zip(self._node.outputs, results, strict=False):
            if result is None or not value.name:
                continue
            if result not in made or result in new:
                result = self.add("Identity", result)
            result.type, result.shape = value.type, value.shape
            old.append(value)
            new.append(result)
        producer = (main or new[0]).producer()
        assert producer is not None, "a node or an Identity makes every result"
        producer.name = self._node.name
        ir.convenience.replace_nodes_and_values(
            self._graph, self._node, [self._node], self._nodes, old, new
        )
