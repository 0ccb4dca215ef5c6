"""Kernels of the functions of our own domain that are computed whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgecomp.graph.macs import macs_of
from edgecomp.graph.values import dtype_of, input_at, shape_of
from edgecomp.lowering.kernels.own import Typed, c_call
from edgecomp.lowering.lowered import Lowered, input_shape


@dataclass(frozen=True)
class _Computed:
    """How a function is computed.

    Attributes:
        function: in C.
        inputs: how many the function has, those a node may do without included.
        states: which of them are states, each with the output that is the next one.
        scratch: what the C function computes in, from the shapes of the first input and the
            outputs.
    """

    function: str
    inputs: int
    states: Mapping[int, int]
    scratch: Callable[[tuple[int, ...], Sequence[tuple[int, ...]]], Sequence[Typed]]

    def lowered(self, node: ir.Node) -> Lowered:
        """The kernel of `node`."""
        given = [input_at(node, index) for index in range(self.inputs)]
        operands = [None if v is None else (shape_of(v), dtype_of(v)) for v in given]
        results = [(shape_of(value), dtype_of(value)) for value in node.outputs]
        scratch = self.scratch(input_shape(node), [shape for shape, _ in results])
        func = c_call(self.function, operands, results, scratch)
        first = sum(operand is not None for operand in operands)
        carried = tuple((read, first + made) for read, made in self.states.items())
        return Lowered(func, "sequence", macs_of(node), carried=carried)


FUNCTIONS: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "HybridLstm": _Computed(
        "ec_lstm_hybrid",
        12,
        {1: 1, 2: 2},
        lambda source, made: (
            ((4 * made[2][-1],), "float32"),
            ((source[-1] + made[1][-1] + made[2][-1],), "int8"),
        ),
    ).lowered,
    "HybridSvdf": _Computed(
        "ec_svdf_hybrid",
        7,
        {1: 1},
        lambda source, made: (((made[1][-1],), "float32"), ((source[-1],), "int8")),
    ).lowered,
    "IntegerLstm": _Computed(
        "ec_lstm_s8",
        13,
        {1: 1, 2: 2},
        lambda source, made: (((4 * made[2][-1],), "int16"), ((made[2][-1],), "int8")),
    ).lowered,
    "IntegerSvdf": _Computed("ec_svdf_s8", 7, {1: 1}, lambda source, made: ()).lowered,
}
"""Functions of the domain `edgecomp`. Outputs of an LSTM: sequence, hidden state, memory; of an
SVDF: result, state."""
