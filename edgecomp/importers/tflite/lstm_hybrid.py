"""The LSTM of dynamic-range models: one node of the function `HybridLstm`.

Weights are int8, everything else is float32: rows are quantized as they come, each on a grid of its
own, before the integer products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.hybrid import Grid, quantized_at_run_time, run_time_grid
from edgecomp.importers.tflite.integer_operands import scale_of
from edgecomp.importers.tflite.lstm_float import FloatCell
from edgecomp.importers.tflite.lstm_function import (
    LAST_HIDDEN,
    LAST_MEMORY,
    SOURCE,
    LstmFunction,
)
from edgecomp.importers.tflite.lstm_operands import (
    BIASES,
    HIDDEN,
    HYBRID_TYPES,
    MEMORY,
    NORMS,
    PEEPHOLES,
    PROJECTION,
    PROJECTION_BIAS,
    RECURRENT,
    WEIGHTS,
    require_operands,
    sizes_of,
    steps_of,
)
from edgecomp.importers.tflite.sequence import FORGET, OUTPUT

HYBRID_LSTM = LstmFunction(
    "HybridLstm",
    (
        *("shape", "scales", "weights", "recurrent", "biases"),
        *("peepholes", "norms", "projection", "projection_bias"),
    ),
    "float32",
    "float32",
)
"""Its constants are those of `ec_lstm_hybrid` in lowering/csrc/edgecomp_lstm_hybrid.h."""


def lstm_hybrid(context: Context, gates: Sequence[int]) -> None:
    """An LSTM of float32 with int8 weights; operands as `recurrent.unidirectional_sequence_lstm`.

    Args:
        gates: those it has weights for.
    """
    require_operands(context, gates, HYBRID_TYPES)
    made = HYBRID_LSTM.call(
        context,
        [context.read(place) for place in (0, HIDDEN, MEMORY)],
        _constants(context, gates),
        lambda inner: _Step(inner, gates, run_time_grid(context)).outputs(),
    )
    for place, value in enumerate(made):
        context.values.write_integers(context.output(place), value)


def _constants(context: Context, gates: Sequence[int]) -> Mapping[str, Array]:
    """The constant inputs of the function, by their names."""

    def stacked(places: Sequence[int]) -> Array:
        return np.stack([context.constant(place) for place in places])

    found = {
        "shape": _shape(context, gates),
        "scales": _scales(context, gates),
        "weights": stacked([WEIGHTS + gate for gate in gates]),
        "recurrent": stacked([RECURRENT + gate for gate in gates]),
        "biases": stacked([BIASES + gate for gate in gates]),
    }
    if context.has(PEEPHOLES[OUTPUT]):
        found["peepholes"] = stacked([PEEPHOLES[gate] for gate in gates if gate in PEEPHOLES])
    if context.has(NORMS + FORGET):
        found["norms"] = stacked([NORMS + gate for gate in gates])
    if context.has(PROJECTION):
        found["projection"] = context.constant(PROJECTION)
    if context.has(PROJECTION_BIAS):
        found["projection_bias"] = context.constant(PROJECTION_BIAS)
    return found


def _shape(context: Context, gates: Sequence[int]) -> Array:
    """`ec_lstm_hybrid_shape`, field by field."""
    fields = (
        *steps_of(context),
        int(context.option("TimeMajor", False)),
        context.shape(0)[-1],
        *sizes_of(context),
        min(gates),
        int(run_time_grid(context) is Grid.ASYMMETRIC),
        int(context.option("FusedActivationFunction")),
    )
    return np.array(fields, np.int32)


def _scales(context: Context, gates: Sequence[int]) -> Array:
    """`ec_lstm_hybrid_scales`, field by field: of weights by gate, then the limits."""

    def scale(place: int) -> np.float32:
        return scale_of(context, place) if place and context.has(place) else np.float32(0)

    places = (
        *(WEIGHTS + gate for gate in range(4)),
        *(RECURRENT + gate for gate in range(4)),
        *(PEEPHOLES.get(gate, 0) for gate in range(4)),
        PROJECTION,
    )
    limits = (float(context.option(option, 0.0)) for option in ("CellClip", "ProjClip"))
    return np.array([*(scale(place) for place in places), *limits], np.float32)


@dataclass(frozen=True)
class _Step:
    """One step in ONNX's operators, over values named like the function's inputs.

    Attributes:
        context: of the graph of the step.
        gates: the gates it has.
        grid: how rows are quantized.
        quantized: integers and scale of each value that was.
    """

    context: Context
    gates: Sequence[int]
    grid: Grid
    quantized: dict[str, tuple[str, str]] = field(default_factory=dict)

    def outputs(self) -> tuple[str, str]:
        """The next hidden state and memory."""
        self._bind()
        context = self.context
        sums = {}
        for gate in self.gates:
            value = self._times(SOURCE, WEIGHTS + gate)
            if not context.has(NORMS + FORGET):
                value = context.emit("Add", context.read(BIASES + gate), value)
            more = self._times(LAST_HIDDEN, RECURRENT + gate)
            sums[gate] = context.emit("Add", value, more)
        return FloatCell(context, self._times).step(sums, LAST_MEMORY)

    def _bind(self) -> None:
        """The operands are parts of the function's constants."""
        context, bind = self.context, self.context.values.bind
        seeing = [gate for gate in self.gates if gate in PEEPHOLES]
        for row, gate in enumerate(self.gates):
            bind(context.tensor(WEIGHTS + gate), self._row("weights", row))
            bind(context.tensor(RECURRENT + gate), self._row("recurrent", row))
            bind(context.tensor(BIASES + gate), self._row("biases", row))
            if context.has(NORMS + gate):
                bind(context.tensor(NORMS + gate), self._row("norms", row))
        for row, gate in enumerate(seeing):
            if context.has(PEEPHOLES[gate]):
                real = self._real(self._row("peepholes", row), PEEPHOLES[gate])
                bind(context.tensor(PEEPHOLES[gate]), real)
        if context.has(PROJECTION):
            bind(context.tensor(PROJECTION), "projection")
        if context.has(PROJECTION_BIAS):
            bind(context.tensor(PROJECTION_BIAS), "projection_bias")

    def _row(self, name: str, index: int) -> str:
        return self.context.emit("Gather", name, self.context.put(index, "int64"), axis=0)

    def _real(self, integers: str, place: int) -> str:
        numbers = self.context.emit("Cast", integers, to=1)
        return self.context.emit("Mul", numbers, self.context.put(scale_of(self.context, place)))

    def _times(self, rows: str, place: int) -> str:
        emit, context = self.context.emit, self.context
        if rows not in self.quantized:
            self.quantized[rows] = quantized_at_run_time(context, rows, self.grid, (1,))
        integers, scale = self.quantized[rows]
        weights = emit("Transpose", emit("Cast", context.read(place), to=1), perm=(1, 0))
        scale = emit("Mul", scale, context.put(scale_of(context, place)))
        return emit("Mul", emit("MatMul", integers, weights), scale)
