"""What float SVDFs do after their dense layer over features, in ONNX's operators."""

from __future__ import annotations

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.svdf_operands import SvdfSizes


def filtered(
    context: Context, sizes: SvdfSizes, features: str, state: str, time: str, bias: str
) -> tuple[str, str]:
    """The result, after the fused activation, and the next state.

    Args:
        features: [batch, filters], newest in the state.
        state: [batch, filters * memory], the oldest first.
        time: weights [filters, memory].
        bias: [units], or "" for none.
    """
    emit = context.emit
    newest = emit("Reshape", features, context.ints((sizes.batch, sizes.filters, 1)))
    shape = context.ints((sizes.batch, sizes.filters, sizes.memory))
    bounds = [context.ints([number]) for number in (1, sizes.memory, 2)]
    last = emit("Slice", emit("Reshape", state, shape), *bounds)
    moved = emit("Concat", last, newest, axis=2)
    flat = context.ints((sizes.batch, sizes.filters * sizes.memory))
    grouped = context.ints((sizes.batch, sizes.units, sizes.rank * sizes.memory))
    products = emit("Reshape", emit("Mul", moved, time), grouped)
    value = emit("ReduceSum", products, context.ints([2]), keepdims=0)
    if bias:
        value = emit("Add", value, bias)
    return context.activated(value), emit("Reshape", moved, flat)
