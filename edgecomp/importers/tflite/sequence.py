"""What the LSTMs of TFLite share: the order of their gates, and sequences as steps."""

from __future__ import annotations

from collections.abc import Sequence

from edgecomp.importers.recurrent import MAX_STEPS
from edgecomp.importers.tflite.context import Context

INPUT, FORGET, CELL, OUTPUT = range(4)
"""The order of the gates among an LSTM's operands."""


def in_steps(context: Context, source: str) -> str:
    """The input as [steps, batch, features].

    Raises:
        EdgecompError: it has too many steps: each is a piece of the program.
    """
    rank = len(context.shape(0))
    if rank == 2:
        source = context.emit("Unsqueeze", source, context.ints([0]))
    elif _batch_first(context):
        source = context.emit("Transpose", source, perm=(1, 0, 2))
    steps = context.of(source)[0]
    if steps > MAX_STEPS:
        raise context.refusal(f"{steps} steps", f"give at most {MAX_STEPS} steps at once")
    return source


def each_step(context: Context, inputs: str) -> list[str]:
    """[steps, batch, n] as matrices [batch, n]."""
    axes, count = context.ints([0]), context.of(inputs)[0]
    if count == 1:
        return [context.emit("Squeeze", inputs, axes)]
    parts = context.several("Split", inputs, context.ints([1] * count), outputs=count, axis=0)
    return [context.emit("Squeeze", part, axes) for part in parts]


def from_steps(context: Context, rows: Sequence[str]) -> str:
    """Matrices [batch, n] in the order of the output."""
    axes = context.ints([0])
    if len(context.shape(0)) == 2:
        return rows[0]
    result = context.main("Concat", *(context.emit("Unsqueeze", r, axes) for r in rows), axis=0)
    if _batch_first(context):
        result = context.emit("Transpose", result, perm=(1, 0, 2))
    return result


def _batch_first(context: Context) -> bool:
    return not context.option("TimeMajor", False)
