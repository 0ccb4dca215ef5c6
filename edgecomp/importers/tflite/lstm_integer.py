"""The LSTM of int8 with a 16-bit memory: one node of the function `IntegerLstm`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integer_operands import zero_point_of
from edgecomp.importers.tflite.lstm_function import LstmFunction
from edgecomp.importers.tflite.lstm_operands import (
    BIASES,
    HIDDEN,
    INTEGER_TYPES,
    MEMORY,
    NORMS,
    PEEPHOLES,
    PROJECTION,
    PROJECTION_BIAS,
    RECURRENT,
    WEIGHTS,
    require_operands,
    sizes_of,
)
from edgecomp.importers.tflite.lstm_shape import LstmShape, lstm_shape
from edgecomp.importers.tflite.lstm_step import LstmStep
from edgecomp.importers.tflite.sequence import FORGET, OUTPUT

INTEGER_LSTM = LstmFunction(
    "IntegerLstm",
    (
        *("shape", "weights", "recurrent", "input_offsets", "recurrent_offsets"),
        *("peepholes", "norms", "norm_biases", "projection", "projection_offsets"),
    ),
    "int8",
    "int16",
)
"""Its constants are those of `ec_lstm_s8` in lowering/csrc/edgecomp_lstm.h."""


def lstm_integer(context: Context, gates: Sequence[int]) -> None:
    """An LSTM of int8 with an int16 memory; operands as `recurrent.unidirectional_sequence_lstm`.

    Args:
        gates: those it has weights for.
    """
    require_operands(context, gates, INTEGER_TYPES)
    units, outputs = sizes_of(context)
    if context.has(PEEPHOLES[OUTPUT]) and outputs > units:
        raise context.refusal(
            f"peepholes and a projection of {units} cells to {outputs} outputs have no meaning",
            "project to fewer outputs",
        )
    shape = lstm_shape(context, gates)
    given = _constants(context, shape)
    made = INTEGER_LSTM.call(
        context,
        [context.values.integers(context.tensor(place)) for place in (0, HIDDEN, MEMORY)],
        given,
        lambda inner: LstmStep(inner, shape, given.keys()).outputs(),
    )
    for place, value in enumerate(made):
        context.values.write_integers(context.output(place), value)


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
