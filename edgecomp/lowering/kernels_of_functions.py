"""Kernels of the functions of our own domain that are computed whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from edgecomp.graph.macs import macs_of
from edgecomp.graph.values import dtype_of, input_at, shape_of
from edgecomp.lowering.kernels.lstm import Operand, Shape, hybrid_lstm, integer_lstm
from edgecomp.lowering.lowered import Lowered, output_shape


def _lstm(
    inputs: int, kernel: Callable[[Sequence[Operand], Shape], Any]
) -> Callable[[ir.Node], Lowered]:
    """An LSTM of `inputs` inputs, parts it may do without included."""

    def lowered(node: ir.Node) -> Lowered:
        given = [input_at(node, index) for index in range(inputs)]
        operands = [None if v is None else (shape_of(v), dtype_of(v)) for v in given]
        return Lowered(kernel(operands, output_shape(node)), "sequence", macs_of(node))

    return lowered


FUNCTIONS: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "HybridLstm": _lstm(12, hybrid_lstm),
    "IntegerLstm": _lstm(13, integer_lstm),
}
"""Functions of the domain `edgecomp`."""
