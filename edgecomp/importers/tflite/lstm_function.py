"""LSTMs that are one node: the body of their function scans the steps of the sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.lstm_operands import sizes_of, steps_of
from edgecomp.importers.tflite.own_function import OwnFunction, described, inner_context

SOURCE, LAST_HIDDEN, LAST_MEMORY = "source", "last_hidden", "last_memory"
"""What a step reads beside the constants: [batch, features], [batch, outputs], [batch, units]."""

Step = Callable[[Context], tuple[str, str]]
"""Appends a step to a graph that has the values above and the constants; gives the hidden state and
the memory that it leaves."""


@dataclass(frozen=True)
class LstmFunction:
    """A function that is an LSTM.

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
            "result": ((*context.shape(0)[:-1], outputs), self.element),
            "next_hidden": ((batch, outputs), self.element),
            "next_memory": ((batch, units), self.memory),
        }
        inputs = ("sequence", "hidden", "memory")
        function = OwnFunction(self.name, inputs, self.constants, tuple(results))
        nodes = _scanned(context, self._body(context, given, step))
        return function.call(context, operands, given, results, nodes)

    def _body(self, context: Context, given: Mapping[str, Array], step: Step) -> onnx.GraphProto:
        """The step; it reads the constants of the function around it."""
        (units, outputs), (_, batch) = sizes_of(context), steps_of(context)
        carried = {
            LAST_HIDDEN: ((batch, outputs), self.element),
            LAST_MEMORY: ((batch, units), self.memory),
            SOURCE: ((batch, context.shape(0)[-1]), self.element),
        }
        inner = inner_context(context, {**described(given), **carried})
        left, builder = step(inner), inner.values.builder
        row = builder.node("Identity", [left[0]], "row", ["row"], {})
        return builder.graph("step", list(carried), [*left, *row])


def _scanned(context: Context, body: onnx.GraphProto) -> list[onnx.NodeProto]:
    """`body` for each step of the sequence, which may lie batch first or be a single one."""
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
    given, left = ["hidden", "memory", "steps"], ["next_hidden", "next_memory", "rows"]
    scan = helper.make_node("Scan", given, left, body=body)
    scan.attribute.append(helper.make_attribute("num_scan_inputs", 1))
    return [axes, before, scan, after]
