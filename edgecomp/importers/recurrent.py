"""LSTM, GRU and RNN as matrix products and elementwise operators, one step after another.

The equations are those of the ONNX operator specification (LSTM-14, GRU-14, RNN-14). The inputs of
all steps are multiplied by their weights at once; what is left for each step is the product with
the state. Steps have the same shape, so that they share their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.build import Replacement
from edgecomp.graph.values import constant_input, dtype_of, input_at, shape_of
from edgecomp.importers.recurrent_activations import Activation, activations_of

MAX_STEPS = 2048
"""Longer sequences are refused: each step is a piece of the program."""

GATES: Mapping[str, int] = {"LSTM": 4, "GRU": 3, "RNN": 1}
"""Operators and how many gates their weights hold."""


@dataclass(frozen=True)
class _Cell:
    """One direction of a recurrent layer.

    Attributes:
        new: where nodes are written.
        node: the layer.
        hidden: size of the state.
        recurrent: transposed recurrent weights [hidden, gates * hidden].
        bias: bias of the recurrence [gates * hidden], or None (it is in the inputs then).
        peepholes: [3 * hidden] of an LSTM, or None.
        activations: f, g, h in the order of the specification.
        matrices: the recurrent weights of each gate of a GRU by themselves.
    """

    new: Replacement
    node: ir.Node
    hidden: int
    recurrent: ir.Value
    bias: ir.Value | None
    peepholes: ir.Value | None
    activations: Sequence[Activation]
    matrices: Sequence[ir.Value] = ()

    def clipped(self, value: ir.Value) -> ir.Value:
        """The input of an activation, within the attribute `clip`."""
        limit = self.node.attributes.get_float("clip", 0.0)
        if limit <= 0.0:
            return value
        dtype = np.float32
        low, high = (self.new.constant(np.asarray(x, dtype)) for x in (-limit, limit))
        return self.new.add("Clip", value, low, high)

    def split(self, value: ir.Value, count: int) -> Sequence[ir.Value]:
        """`count` gates side by side on the last axis, each by itself."""
        if count == 1:
            return [value]
        sizes = self.new.constant([self.hidden] * count, "int64")
        return self.new.add_many("Split", value, sizes, outputs=count, axis=-1)


def expand_recurrent(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """The outputs of an LSTM, GRU or RNN of static shape.

    Raises:
        EdgecompError: it has too many steps, or lengths of sequences that are not constant.
    """
    if input_at(node, 4) is not None and constant_input(node, 4) is None:
        raise EdgecompError(
            Reason(
                "the lengths of its sequences are not constant",
                str(node.name),
                "bind them with --bind",
            )
        )
    batch_first = node.attributes.get_int("layout", 0) == 1
    source = node.inputs[0]
    assert source is not None
    length, batch = shape_of(source)[1::-1] if batch_first else shape_of(source)[:2]
    if length > MAX_STEPS:
        raise EdgecompError(
            Reason(
                f"{node.op_type} over {length} steps",
                str(node.name),
                f"give at most {MAX_STEPS} steps at once",
            )
        )
    if batch_first:
        source = new.add("Transpose", source, perm=[1, 0, 2])
    direction = node.attributes.get_string("direction", "forward")
    sequences, lasts = [], []
    for index in range(2 if direction == "bidirectional" else 1):
        backward = direction == "reverse" or index == 1
        every, last = _direction(new, node, source, (length, batch), index, backward)
        sequences.append(every)
        lasts.append(last)
    axis = 2 if batch_first else 1
    outputs = [_joined(new, sequences, axis, batch_first, True)]
    outputs += [
        _joined(new, [last[state] for last in lasts], 1 if batch_first else 0, batch_first, False)
        for state in range(len(lasts[0]))
    ]
    return outputs


def _joined(
    new: Replacement, parts: list[ir.Value], axis: int, batch_first: bool, sequence: bool
) -> ir.Value:
    """The directions side by side; a sequence [T, B, H] gets the batch in front if asked."""
    if sequence and batch_first:
        parts = [new.add("Transpose", part, perm=[1, 0, 2]) for part in parts]
    axes = new.constant([axis], "int64")
    wide = [new.add("Unsqueeze", part, axes) for part in parts]
    return wide[0] if len(wide) == 1 else new.add("Concat", *wide, axis=axis)


def _direction(
    new: Replacement,
    node: ir.Node,
    source: ir.Value,
    extents: tuple[int, int],
    index: int,
    backward: bool,
) -> tuple[ir.Value, list[ir.Value]]:
    """All outputs [T, B, H] and the last states [B, H] of one direction."""
    length, batch = extents
    cell, inputs = _cell(new, node, source, index)
    states = _initial_states(new, node, index, batch, cell.hidden)
    lengths = constant_input(node, 4)
    step_inputs = _steps(new, inputs, length)
    every: list[ir.Value] = [states[0]] * length
    for step in reversed(range(length)) if backward else range(length):
        updated = _STEPS[node.op_type](cell, step_inputs[step], states)
        every[step] = updated[0]
        if lengths is not None and bool((lengths <= step).any()):
            inside = new.constant((step < lengths).reshape(-1, 1))
            zero = new.constant(np.zeros((), dtype_of(source)))
            every[step] = new.add("Where", inside, updated[0], zero)
            updated = [
                new.add("Where", inside, fresh, old)
                for fresh, old in zip(updated, states, strict=True)
            ]
        states = updated
    axes = new.constant([0], "int64")
    rows = [new.add("Unsqueeze", value, axes) for value in every]
    return rows[0] if length == 1 else new.add("Concat", *rows, axis=0), list(states)


def _steps(new: Replacement, inputs: ir.Value, length: int) -> Sequence[ir.Value]:
    """[T, B, gates * H] as T matrices [B, gates * H]."""
    axes = new.constant([0], "int64")
    if length == 1:
        return [new.add("Squeeze", inputs, axes)]
    sizes = new.constant([1] * length, "int64")
    parts = new.add_many("Split", inputs, sizes, outputs=length, axis=0)
    return [new.add("Squeeze", part, axes) for part in parts]


def _pick(new: Replacement, value: ir.Value | None, index: int, axis: int = 0) -> ir.Value | None:
    """Direction `index` of an optional operand."""
    if value is None:
        return None
    if shape_of(value)[axis] > 1:
        where = [new.constant([number], "int64") for number in (index, index + 1, axis)]
        value = new.add("Slice", value, *where)
    return new.add("Squeeze", value, new.constant([axis], "int64"))


def _cell(new: Replacement, node: ir.Node, source: ir.Value, index: int) -> tuple[_Cell, ir.Value]:
    """The cell of one direction, and the inputs times their weights for all steps."""
    weights = node.inputs[2]
    assert weights is not None
    gates = GATES[node.op_type]
    hidden = shape_of(weights)[2]
    matrices = []
    for operand in node.inputs[1:3]:
        picked = _pick(new, operand, index)
        matrices.append(new.add("Transpose", picked, perm=[1, 0]))
    inputs = new.add("MatMul", source, matrices[0])
    bias, left = _pick(new, input_at(node, 3), index), None
    if bias is not None:
        halves = new.constant([gates * hidden] * 2, "int64")
        first, left = new.add_many("Split", bias, halves, outputs=2, axis=0)
        if node.op_type != "GRU" or not node.attributes.get_int("linear_before_reset", 0):
            first, left = new.add("Add", first, left), None
        inputs = new.add("Add", inputs, first)
    peepholes = _pick(new, input_at(node, 7), index) if node.op_type == "LSTM" else None
    activations = activations_of(new, node, index)
    cell = _Cell(new, node, hidden, matrices[1], left, peepholes, activations)
    if node.op_type == "GRU":
        cell = replace(cell, matrices=cell.split(matrices[1], gates))
    return cell, inputs


def _initial_states(
    new: Replacement, node: ir.Node, index: int, batch: int, hidden: int
) -> list[ir.Value]:
    """Hidden state, and the cell's of an LSTM; zeros where they are left out."""
    axis = 1 if node.attributes.get_int("layout", 0) else 0
    source = node.inputs[0]
    assert source is not None
    states = []
    for position in (5, 6) if node.op_type == "LSTM" else (5,):
        state = _pick(new, input_at(node, position), index, axis)
        states.append(state or new.constant(np.zeros((batch, hidden), dtype_of(source))))
    return states


def _lstm(cell: _Cell, inputs: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    new, (hidden, memory) = cell.new, states
    f, g, h = cell.activations
    total = new.add("Add", inputs, new.add("MatMul", hidden, cell.recurrent))
    enter, leave, forget, fresh = cell.split(total, 4)
    holes: Sequence[ir.Value | None] = [None] * 3
    if cell.peepholes is not None:
        holes = cell.split(cell.peepholes, 3)

    def gate(value: ir.Value, hole: ir.Value | None, state: ir.Value) -> ir.Value:
        if hole is not None:
            value = new.add("Add", value, new.add("Mul", hole, state))
        return f(cell.clipped(value))

    enter = gate(enter, holes[0], memory)
    if cell.node.attributes.get_int("input_forget", 0):
        one = new.constant(1.0, "float32")
        forget = new.add("Sub", one, enter)
    else:
        forget = gate(forget, holes[2], memory)
    kept = new.add("Mul", forget, memory)
    memory = new.add("Add", kept, new.add("Mul", enter, g(cell.clipped(fresh))))
    return [new.add("Mul", gate(leave, holes[1], memory), h(memory)), memory]


def _gru(cell: _Cell, inputs: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    new, hidden = cell.new, states[0]
    f, g = cell.activations
    update, reset, fresh = cell.split(inputs, 3)
    if cell.node.attributes.get_int("linear_before_reset", 0):
        product: Any = new.add("MatMul", hidden, cell.recurrent)
        if cell.bias is not None:
            product = new.add("Add", product, cell.bias)
        own_update, own_reset, own_fresh = cell.split(product, 3)
        reset = f(cell.clipped(new.add("Add", reset, own_reset)))
        own_fresh = new.add("Mul", reset, own_fresh)
    else:
        matrices = cell.matrices
        own_update, own_reset = (new.add("MatMul", hidden, matrix) for matrix in matrices[:2])
        reset = f(cell.clipped(new.add("Add", reset, own_reset)))
        own_fresh = new.add("MatMul", new.add("Mul", reset, hidden), matrices[2])
    update = f(cell.clipped(new.add("Add", update, own_update)))
    fresh = g(cell.clipped(new.add("Add", fresh, own_fresh)))
    kept = new.add("Mul", update, hidden)
    one = new.constant(1.0, "float32")
    return [new.add("Add", new.add("Mul", new.add("Sub", one, update), fresh), kept)]


def _rnn(cell: _Cell, inputs: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    total = cell.new.add("Add", inputs, cell.new.add("MatMul", states[0], cell.recurrent))
    return [cell.activations[0](cell.clipped(total))]


_STEPS: Mapping[str, Callable[[_Cell, ir.Value, Sequence[ir.Value]], list[ir.Value]]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN": _rnn,
}
