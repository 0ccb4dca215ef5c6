"""Operators that bring an axis down to one number."""

from __future__ import annotations

from collections.abc import Callable

from edgecomp.importers.tflite import raw_integers
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.elementwise import layout_of
from edgecomp.importers.tflite.movement import axis_in
from edgecomp.importers.tflite.values import Layout

_SPATIAL = [1, 2]


def reduce(op_type: str) -> Callable[[Context], None]:
    """MEAN, SUM, REDUCE_MAX ... over constant axes; none named are all."""

    def convert(context: Context) -> None:
        rank = len(context.shape(0))
        axes = sorted({context.axis(axis, rank) for axis in context.integers(1)})
        keep = bool(context.option("KeepDims", False))
        layout = layout_of(context, range(1)) if rank == 4 else Layout.FILE
        if rank == 4 and axes == _SPATIAL and op_type == "ReduceMean":
            layout = Layout.IMAGE
        if not keep and axes not in (_SPATIAL, [1, 2, 3]):
            layout = Layout.FILE
        placed = sorted(axis_in(layout, axis) for axis in axes) if rank == 4 else axes
        if not axes:
            context.give(context.main("Identity", context.read(0)), moved_from=0)
            return
        if op_type == "ReduceSum" and _wraps(context):
            raw_integers.total(context, axes, keep)
            return
        value = context.main(
            op_type, context.read(0, layout), context.ints(placed), keepdims=int(keep)
        )
        context.give(value, layout if keep else Layout.FILE)

    return convert


def _wraps(context: Context) -> bool:
    """Whether TFLite adds up the integers as they are: int16 on one grid."""
    places = context.tensor(0), context.output()
    wide = context.quantized(0) is not None and context.dtype(0) == "int16"
    return wide and raw_integers.same_grid(context, *places)


def reduce_logical(op_type: str) -> Callable[[Context], None]:
    """REDUCE_ANY and REDUCE_ALL: the largest and the least of 0 and 1."""

    def convert(context: Context) -> None:
        rank = len(context.shape(0))
        axes = sorted({context.axis(axis, rank) for axis in context.integers(1)})
        keep = int(bool(context.option("KeepDims", False)))
        numbers = context.emit("Cast", context.read(0), to=6)
        value = context.main(op_type, numbers, context.ints(axes), keepdims=keep)
        context.give(context.emit("Cast", value, to=9))

    return convert


def argument(op_type: str) -> Callable[[Context], None]:
    """ARG_MAX and ARG_MIN: the first of equals."""

    def convert(context: Context) -> None:
        axis = context.axis(context.integers(1)[0], len(context.shape(0)))
        value = context.main(op_type, context.read(0), axis=axis, keepdims=0)
        if context.values.tensors[context.output()].dtype == "int32":
            value = context.emit("Cast", value, to=6)
        context.give(value)

    return convert


def cumulative_sum(context: Context) -> None:
    """CUMSUM."""
    axis = context.put(context.integers(1)[0], "int64")
    flags = {
        "exclusive": int(bool(context.option("Exclusive", False))),
        "reverse": int(bool(context.option("Reverse", False))),
    }
    context.give(context.main("CumSum", context.read(0), axis, **flags))
