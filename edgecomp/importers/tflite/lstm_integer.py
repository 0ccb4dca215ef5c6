"""The LSTM of int8 with a 16-bit memory: one node, of the function `IntegerLstm` of our domain.

The function's body is a Scan of `lstm_step` over the sequence. Each node has a body of its own
(their `overload`s differ): the multipliers are written into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from edgecomp.importers.opset import OWN_DOMAIN
from edgecomp.importers.tflite.builder import Array, GraphBuilder
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.file import Subgraph
from edgecomp.importers.tflite.integer_operands import zero_point_of
from edgecomp.importers.tflite.lstm_operands import (
    BIASES,
    HIDDEN,
    MEMORY,
    NORMS,
    PEEPHOLES,
    PROJECTION,
    PROJECTION_BIAS,
    RECURRENT,
    WEIGHTS,
    require_operands,
)
from edgecomp.importers.tflite.lstm_shape import LstmShape, lstm_shape
from edgecomp.importers.tflite.lstm_step import LstmStep
from edgecomp.importers.tflite.sequence import FORGET, OUTPUT
from edgecomp.importers.tflite.values import Values

INTEGER_LSTM = "IntegerLstm"
SEQUENCE, STATES = "sequence", ("hidden", "memory")
ALWAYS = ("shape", "weights", "recurrent", "input_offsets", "recurrent_offsets")
SOMETIMES = ("peepholes", "norms", "norm_biases", "projection", "projection_offsets")
"""What the function takes after the sequence and the states: `ec_lstm_constants` of
lowering/csrc/edgecomp_lstm.h; an LSTM without one of `SOMETIMES` leaves it out."""


def lstm_integer(context: Context, gates: Sequence[int]) -> None:
    """An LSTM of int8 with an int16 memory; operands as `recurrent.unidirectional_sequence_lstm`.

    Args:
        gates: those it has weights for.
    """
    require_operands(context, gates)
    shape = lstm_shape(context, gates)
    constants = _constants(context, shape)
    values, builder = context.values, context.values.builder
    operands = [values.integers(context.tensor(place)) for place in (0, HIDDEN, MEMORY)]
    given = {name: context.put(array) for name, array in constants.items()}
    results = {
        f"{context.name}/{INTEGER_LSTM}": ((*context.shape(0)[:-1], shape.outputs), "int8"),
        f"{context.name}/hidden": ((shape.batch, shape.outputs), "int8"),
        f"{context.name}/memory": ((shape.batch, shape.units), "int16"),
    }
    inputs = [*operands, *(given.get(name, "") for name in (*ALWAYS, *SOMETIMES))]
    made = builder.call(_function(context, shape, constants), inputs, context.name, results)
    for place, value in enumerate(made):
        values.write_integers(context.output(place), value)


def _constants(context: Context, shape: LstmShape) -> Mapping[str, Array]:
    """The constant inputs of the function, by their names."""
    gates, normalised = shape.present, context.has(NORMS + FORGET)

    def stacked(first: int) -> Array:
        return np.stack([context.constant(first + gate) for gate in gates])

    weights, recurrent = stacked(WEIGHTS), stacked(RECURRENT)
    offsets = _offsets(weights, zero_point_of(context, 0))
    found = {
        "shape": shape.array(),
        "weights": weights,
        "recurrent": recurrent,
        "input_offsets": offsets if normalised else offsets + stacked(BIASES),
        "recurrent_offsets": _offsets(recurrent, zero_point_of(context, HIDDEN)),
    }
    seeing = [place for gate, place in PEEPHOLES.items() if gate in gates]
    if context.has(PEEPHOLES[OUTPUT]):
        found["peepholes"] = np.stack([context.constant(place) for place in seeing])
    if normalised:
        found |= {"norms": stacked(NORMS), "norm_biases": stacked(BIASES)}
    if context.has(PROJECTION):
        projection = context.constant(PROJECTION)
        biases = context.constant(PROJECTION_BIAS) if context.has(PROJECTION_BIAS) else 0
        found["projection"] = projection
        found["projection_offsets"] = _offsets(projection, shape.hidden_zero_point) + biases
    return {
        name: array.astype(np.int32) if array.dtype == np.int64 else array
        for name, array in found.items()
    }


def _offsets(weights: Array, zero_point: int) -> Array:
    """What the zero point of the numbers they multiply adds to each sum, int64."""
    return np.asarray(-zero_point * weights.astype(np.int64).sum(axis=-1))


def _function(
    context: Context, shape: LstmShape, constants: Mapping[str, Array]
) -> onnx.FunctionProto:
    """`IntegerLstm` with the multipliers of one node."""
    graph = _step_graph(context, shape, constants)
    rank, turn = len(context.shape(0)), (1, 0, 2)
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[0])
    before = after = helper.make_node("Transpose", [SEQUENCE], ["steps"], perm=turn)
    if rank == 2:
        before = helper.make_node("Unsqueeze", [SEQUENCE, "axes"], ["steps"])
        after = helper.make_node("Squeeze", ["rows", "axes"], ["result"])
    elif shape.time_major:
        before = helper.make_node("Identity", [SEQUENCE], ["steps"])
        after = helper.make_node("Identity", ["rows"], ["result"])
    else:
        after = helper.make_node("Transpose", ["rows"], ["result"], perm=turn)
    left = ["next_hidden", "next_memory"]
    scan = helper.make_node("Scan", [*STATES, "steps"], [*left, "rows"], body=graph)
    scan.attribute.append(helper.make_attribute("num_scan_inputs", 1))
    inputs = [SEQUENCE, *STATES, *ALWAYS, *SOMETIMES]
    nodes, opsets = [axes, before, scan, after], context.values.builder.opsets
    overload = str(context.output())
    made: onnx.FunctionProto = helper.make_function(
        OWN_DOMAIN, INTEGER_LSTM, inputs, ["result", *left], nodes, opsets, overload=overload
    )
    return made


def _step_graph(
    context: Context, shape: LstmShape, constants: Mapping[str, Array]
) -> onnx.GraphProto:
    """The body of the Scan; it reads the constants of the function around it."""
    builder = GraphBuilder()
    for name, array in constants.items():
        builder.input(name, array.shape, array.dtype.name)
    hidden = builder.input("last_hidden", (shape.batch, shape.outputs), "int8")
    memory = builder.input("last_memory", (shape.batch, shape.units), "int16")
    source = builder.input("source", (shape.batch, shape.features), "int8")
    values = Values(Subgraph(context.values.tensors, (), (), ()), builder)
    inner = Context(context.operator, values)
    inner.name = "step"  # its values must not be called like those of the graph around it
    left = LstmStep(inner, shape, constants.keys()).outputs()
    row = builder.node("Identity", [left[0]], "row", ["row"], {})
    return builder.graph("step", [hidden, memory, source], [*left, *row])
