"""What an integer LSTM is made of, beside its weights: sizes, and the multipliers of its sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integer_operands import (
    INT8,
    INT16,
    output_scale,
    scale_of,
    zero_point_of,
)
from edgecomp.importers.tflite.lstm_operands import (
    HIDDEN,
    MEMORY,
    NORMS,
    PEEPHOLES,
    PROJECTION,
    RECURRENT,
    WEIGHTS,
    sizes_of,
    steps_of,
)
from edgecomp.importers.tflite.sequence import CELL, OUTPUT
from edgecomp.lowering.fixed_point import Multiplier, quantize_multiplier

_ABSENT = Multiplier(0, 0)
_GATE_SCALE = np.float32(2.0**-12)


@dataclass(frozen=True)
class GateScales:
    """How the terms of one gate are brought to its 16 bits; all zero where it has no such term."""

    input: Multiplier = _ABSENT
    recurrent: Multiplier = _ABSENT
    peephole: Multiplier = _ABSENT
    norm: Multiplier = _ABSENT
    variance_guard: int = 0


@dataclass(frozen=True)
class LstmShape:
    """`ec_lstm_shape` of lowering/csrc/edgecomp_lstm.h, field by field.

    Attributes:
        first_gate: INPUT, or FORGET of a cell without an input gate, which is 1 less forget.
        memory_integer_bits: bits of the memory before the point.
        memory_limit, output_limit: clip to so many steps on both sides; 0 does not clip.
        hidden, hidden_zero_point: of what leaves the cells, before a projection.
        gates: by their order in `sequence`.
    """

    steps: int
    batch: int
    time_major: int
    features: int
    units: int
    outputs: int
    first_gate: int
    memory_integer_bits: int
    memory_limit: int
    output_limit: int
    hidden: Multiplier
    projection: Multiplier
    hidden_zero_point: int
    output_zero_point: int
    gates: tuple[GateScales, ...]

    @property
    def present(self) -> range:
        """The gates there are."""
        return range(self.first_gate, OUTPUT + 1)

    def array(self) -> npt.NDArray[np.int32]:
        """The fields as the C struct has them."""
        return np.array(list(_flat(astuple(self))), np.int32)


def _flat(fields: object) -> Sequence[int]:
    if isinstance(fields, int):
        return [fields]
    assert isinstance(fields, tuple), "fields are integers, and tuples of them"
    return [number for entry in fields for number in _flat(entry)]


def lstm_shape(context: Context, gates: Sequence[int]) -> LstmShape:
    """Sizes and multipliers of an LSTM with `gates`; operands as in `recurrent`.

    Raises:
        EdgecompError: a scale is missing, or the memory's is no power of two.
    """
    mantissa, exponent = np.frexp(scale_of(context, MEMORY))
    exponent = int(exponent) - 1
    if mantissa != 0.5 or not -15 <= exponent <= -9:
        raise context.refusal("the scale of its memory is no power of two from 2^-15 to 2^-9")
    (steps, batch), (units, outputs) = steps_of(context), sizes_of(context)
    scale, zero_point = _inner(context, 4)
    projected = context.has(PROJECTION)
    real = scale_of(context, PROJECTION) * scale / scale_of(context, HIDDEN) if projected else 0
    return LstmShape(
        steps=steps,
        batch=batch,
        time_major=int(context.option("TimeMajor", False)),
        features=context.shape(0)[-1],
        units=units,
        outputs=outputs,
        first_gate=min(gates),
        memory_integer_bits=15 + exponent,
        memory_limit=_limit(context, "CellClip", scale_of(context, MEMORY), INT16),
        output_limit=_limit(context, "ProjClip", output_scale(context), INT8) if projected else 0,
        hidden=quantize_multiplier(float(np.float32(2.0**-30 / float(scale)))),
        projection=quantize_multiplier(float(real)) if projected else _ABSENT,
        hidden_zero_point=zero_point,
        output_zero_point=zero_point_of(context, HIDDEN),
        gates=tuple(
            _gate(context, gate) if gate in gates else GateScales() for gate in range(OUTPUT + 1)
        ),
    )


def _gate(context: Context, gate: int) -> GateScales:
    normalised = context.has(NORMS + gate)
    target = _inner(context, gate)[0] if normalised else _GATE_SCALE
    peephole, norm, guard = _ABSENT, _ABSENT, 0
    place = PEEPHOLES.get(gate, 0)
    if gate != CELL and context.has(place):
        real = float(scale_of(context, MEMORY)) * float(scale_of(context, place)) / float(target)
        peephole = quantize_multiplier(float(np.float32(real)))
    if normalised:
        scale = scale_of(context, NORMS + gate)
        norm = quantize_multiplier(float(scale))
        guard = max(1, int(np.float32(10000) * scale))
    return GateScales(
        quantize_multiplier(
            float(scale_of(context, WEIGHTS + gate) * scale_of(context, 0) / target)
        ),
        quantize_multiplier(
            float(scale_of(context, RECURRENT + gate) * scale_of(context, HIDDEN) / target)
        ),
        peephole,
        norm,
        guard,
    )


def _inner(context: Context, number: int) -> tuple[np.float32, int]:
    """Scale and zero point of a value within: 0 to 3 the sums of gates, 4 what leaves the cells."""
    within = context.operator.intermediates
    scales = context.values.tensors[within[number]].scales if len(within) > number else None
    if scales is None:
        what = "hidden state" if number == 4 else f"gate {number}"
        raise context.refusal(f"the scale of its {what} is missing", "convert the model again")
    return np.float32(scales.scale[0]), int(scales.zero_point[0])


def _limit(context: Context, option: str, scale: np.float32, within: tuple[int, int]) -> int:
    limit = np.float32(context.option(option, 0.0))
    return int(np.clip(limit / scale, *within)) if limit > 0 else 0
