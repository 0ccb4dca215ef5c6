"""LSTMs that are one node: a function of our domain, whose body scans the steps of the sequence.

Each node has a body of its own (their `overload`s differ): what is no tensor is written into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from edgecomp.importers.opset import OWN_DOMAIN
from edgecomp.importers.tflite.builder import Array, GraphBuilder
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.file import Subgraph
from edgecomp.importers.tflite.lstm_operands import sizes_of, steps_of
from edgecomp.importers.tflite.values import Values

SOURCE, LAST_HIDDEN, LAST_MEMORY = "source", "last_hidden", "last_memory"
"""What a step reads beside the constants: [batch, features], [batch, outputs], [batch, units]."""

Step = Callable[[Context], tuple[str, str]]
"""Appends a step to a graph that has the values above and the constants; gives the hidden state and
the memory that it leaves."""


@dataclass(frozen=True)
class LstmFunction:
    """A function of our domain.

    Attributes:
        name: of the function.
        constants: its inputs after the sequence and the two states; a node may leave some out.
        element, memory: element types of the hidden state and of the memory.
    """

    name: str
    constants: Sequence[str]
    element: str
    memory: str

    def call(
        self, context: Context, operands: Sequence[str], given: Mapping[str, Array], step: Step
    ) -> list[str]:
        """Append the node; what it gives are the sequence and the states it leaves.

        Args:
            operands: the sequence, the hidden state and the memory.
            given: the constants there are, by name.
        """
        (units, outputs), (_, batch) = sizes_of(context), steps_of(context)
        results = {
            f"{context.name}/{self.name}": ((*context.shape(0)[:-1], outputs), self.element),
            f"{context.name}/hidden": ((batch, outputs), self.element),
            f"{context.name}/memory": ((batch, units), self.memory),
        }
        put = {name: context.put(array) for name, array in given.items()}
        inputs = [*operands, *(put.get(name, "") for name in self.constants)]
        function = self._defined(context, self._body(context, given, step))
        return context.values.builder.call(function, inputs, context.name, results)

    def _body(self, context: Context, given: Mapping[str, Array], step: Step) -> onnx.GraphProto:
        """The step; it reads the constants of the function around it."""
        builder, (units, outputs) = GraphBuilder(), sizes_of(context)
        _, batch = steps_of(context)
        for name, array in given.items():
            builder.input(name, array.shape, array.dtype.name)
        carried = [
            builder.input(LAST_HIDDEN, (batch, outputs), self.element),
            builder.input(LAST_MEMORY, (batch, units), self.memory),
            builder.input(SOURCE, (batch, context.shape(0)[-1]), self.element),
        ]
        inner = Context(
            context.operator, Values(Subgraph(context.values.tensors, (), (), ()), builder)
        )
        inner.name = "step"  # its values must not be called like those of the graph around it
        left = step(inner)
        row = builder.node("Identity", [left[0]], "row", ["row"], {})
        return builder.graph("step", carried, [*left, *row])

    def _defined(self, context: Context, body: onnx.GraphProto) -> onnx.FunctionProto:
        rank, turn = len(context.shape(0)), (1, 0, 2)
        axes = helper.make_node("Constant", [], ["axes"], value_ints=[0])
        before = helper.make_node("Transpose", ["sequence"], ["steps"], perm=turn)
        after = helper.make_node("Transpose", ["rows"], ["result"], perm=turn)
        if rank == 2:
            before = helper.make_node("Unsqueeze", ["sequence", "axes"], ["steps"])
            after = helper.make_node("Squeeze", ["rows", "axes"], ["result"])
        elif context.option("TimeMajor", False):
            before = helper.make_node("Identity", ["sequence"], ["steps"])
            after = helper.make_node("Identity", ["rows"], ["result"])
        states, left = ["hidden", "memory"], ["next_hidden", "next_memory"]
        scan = helper.make_node("Scan", [*states, "steps"], [*left, "rows"], body=body)
        scan.attribute.append(helper.make_attribute("num_scan_inputs", 1))
        made: onnx.FunctionProto = helper.make_function(
            OWN_DOMAIN,
            self.name,
            ["sequence", *states, *self.constants],
            ["result", *left],
            [axes, before, scan, after],
            context.values.builder.opsets,
            overload=str(context.output()),
        )
        return made
