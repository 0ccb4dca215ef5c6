"""Operators that are one node: a function of our own domain, whose body is of ONNX's operators.

Each node has a body of its own (their `overload`s differ): what is no tensor is written into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from edgecomp.graph.quantizable import OWN_DOMAIN
from edgecomp.importers.tflite.builder import Array, GraphBuilder
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.file import Subgraph
from edgecomp.importers.tflite.values import Values

Results = Mapping[str, tuple[Sequence[int], str]]
"""Shape and element type by name."""


@dataclass(frozen=True)
class OwnFunction:
    """A function of our domain.

    Attributes:
        name: of the function.
        operands: its first inputs, computed by the model.
        constants: its other inputs; a node may leave some out.
        outputs: what it gives.
    """

    name: str
    operands: Sequence[str]
    constants: Sequence[str]
    outputs: Sequence[str]

    def call(
        self,
        context: Context,
        operands: Sequence[str],
        given: Mapping[str, Array],
        results: Results,
        nodes: Sequence[onnx.NodeProto],
    ) -> list[str]:
        """Append a node of this function, with a body of `nodes`, and return its outputs.

        Args:
            operands: values of the graph.
            given: the constants there are, by name.
            results: the outputs.
        """
        put = {name: context.put(array) for name, array in given.items()}
        inputs = [*operands, *(put.get(name, "") for name in self.constants)]
        function = helper.make_function(
            OWN_DOMAIN,
            self.name,
            [*self.operands, *self.constants],
            self.outputs,
            nodes,
            context.values.builder.opsets,
            overload=str(context.output()),
        )
        named = {f"{context.name}/{name}": result for name, result in results.items()}
        return context.values.builder.call(function, inputs, context.name, named)


def inner_context(context: Context, known: Results) -> Context:
    """The operator in a graph of its own, whose builder has values like those `known`."""
    builder = GraphBuilder()
    for name, (shape, dtype) in known.items():
        builder.input(name, shape, dtype)
    tensors = Subgraph(context.values.tensors, (), (), ())
    inner = Context(context.operator, Values(tensors, builder))
    inner.name = "step"  # its values must not be called like those of the graph around it
    return inner


def described(given: Mapping[str, Array]) -> Results:
    """Shape and element type of constants."""
    return {name: (array.shape, array.dtype.name) for name, array in given.items()}
