"""The operands of an SVDF with int8 weights: whether they fit, and its sizes."""

from __future__ import annotations

from dataclasses import dataclass

from edgecomp.importers.tflite.context import Context

FEATURES, TIME, BIAS, STATE = 1, 2, 3, 4
"""Operands, by place."""


@dataclass(frozen=True)
class SvdfSizes:
    """The sizes of an SVDF: units of `rank` filters, each over `features` and `memory` steps."""

    batch: int
    features: int
    units: int
    rank: int
    memory: int

    @property
    def filters(self) -> int:
        """All filters."""
        return self.units * self.rank


def sizes_of(context: Context) -> SvdfSizes:
    """The sizes of any SVDF.

    Raises:
        EdgecompError: its rank does not divide its filters.
    """
    rank, (filters, memory) = int(context.option("Rank")), context.shape(TIME)
    if rank < 1 or filters % rank:
        raise context.refusal(f"{filters} filters are no multiple of the rank {rank}")
    batch, features = context.shape(0)
    return SvdfSizes(batch, features, filters // rank, rank, memory)


def require_operands(
    context: Context, sizes: SvdfSizes, *, time: str, state: str, bias: str
) -> None:
    """Raise unless the operands of an SVDF with int8 weights over features fit its sizes.

    Args:
        time, state, bias: their element types.
    """
    wanted = {
        FEATURES: ("int8", (sizes.filters, sizes.features)),
        TIME: (time, (sizes.filters, sizes.memory)),
        BIAS: (bias, (sizes.units,)),
        STATE: (state, (sizes.batch, sizes.filters * sizes.memory)),
    }
    for place, (dtype, shape) in wanted.items():
        if place == BIAS and not context.has(place):
            continue
        if context.dtype(place) != dtype or context.shape(place) != shape:
            has = f"{context.dtype(place)}{list(context.shape(place))}"
            raise context.refusal(
                f"its operand {place} is {has}, {dtype}{list(shape)} fits the others",
                "convert the model again",
            )
        if dtype in ("int8", "int16") and context.quantized(place) is None:
            raise context.refusal(f"its operand {place} has no scale", "convert the model again")
