"""Kernels of the functions of our own domain that are computed whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgecomp.graph.macs import macs_of
from edgecomp.graph.values import dtype_of, input_at, shape_of
from edgecomp.lowering.kernels.lstm import LSTM_INPUTS, integer_lstm
from edgecomp.lowering.lowered import Lowered, output_shape


def _integer_lstm(node: ir.Node) -> Lowered:
    given = [input_at(node, index) for index in range(LSTM_INPUTS)]
    operands = [None if value is None else (shape_of(value), dtype_of(value)) for value in given]
    return Lowered(integer_lstm(operands, output_shape(node)), "sequence", macs_of(node))


FUNCTIONS: Mapping[str, Callable[[ir.Node], Lowered]] = {"IntegerLstm": _integer_lstm}
"""Functions of the domain `edgecomp`."""
