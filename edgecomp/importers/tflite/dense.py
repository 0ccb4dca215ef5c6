"""Products of matrices."""

from __future__ import annotations

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.hybrid import Grid, is_hybrid, quantized_at_run_time, scaled_back
from edgecomp.importers.tflite.weights import bias_of, weights_of


def fully_connected(context: Context) -> None:
    """FULLY_CONNECTED: rows of the input times a matrix [units, depth]."""
    if context.option("WeightsFormat"):
        raise context.refusal("its weights are shuffled", "convert the model again")
    shape = context.values.tensors[context.tensor(1)].shape
    if len(shape) != 2 or not shape[1]:
        raise context.refusal("its weights are no matrix", "convert the model again")
    source, rows = context.read(0), context.shape(0)
    if len(rows) != 2 or rows[1] != shape[1]:
        source = context.moved(source, 0, "Reshape", context.ints([-1, shape[1]]))
    bias = bias_of(context, 2, 1)
    if is_hybrid(context, 1):
        asymmetric = context.option("AsymmetricQuantizeInputs", False)
        grid = Grid.ASYMMETRIC if asymmetric else Grid.SYMMETRIC
        integers, scale = quantized_at_run_time(context, source, grid, (1,))
        value = context.main("Gemm", integers, weights_of(context, 1, (0, 1)), transB=1)
        value = scaled_back(context, value, scale, bias, (1, -1))
    elif context.known(1) is None:
        value = context.main("MatMul", source, weights_of(context, 1, (1, 0)))
        value = context.emit("Add", value, *bias) if bias else value
    else:
        value = context.main("Gemm", source, weights_of(context, 1, (0, 1)), *bias, transB=1)
    value = context.activated(value)
    if context.option("KeepNumDims", False) and len(rows) != 2:
        output = context.output()
        if context.values.quantized(output) is not None:
            value = context.on_grid(value, output)
        value = context.emit("Reshape", value, context.ints([*rows[:-1], shape[0]]))
    context.give(value)


def batch_matmul(context: Context) -> None:
    """BATCH_MATMUL; `AdjX` and `AdjY` swap the last two axes of an operand."""
    left, right = context.read(0), context.read(1)
    if context.option("AdjX", False):
        left = context.emit("Transpose", left, perm=_swapped(len(context.of(left))))
    if is_hybrid(context, 1):
        asymmetric = context.option("AsymmetricQuantizeInputs", False)
        grid = Grid.ASYMMETRIC if asymmetric else Grid.SYMMETRIC
        left, scale = quantized_at_run_time(context, left, grid, (-1,))
        value = context.main("MatMul", left, _turned(context, right))
        context.give(scaled_back(context, value, scale, [], ()))
        return
    context.give(context.main("MatMul", left, _turned(context, right)))


def _turned(context: Context, right: str) -> str:
    if not context.option("AdjY", False):
        return right
    return context.emit("Transpose", right, perm=_swapped(len(context.of(right))))


def _swapped(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]
