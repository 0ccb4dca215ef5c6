"""Operators that move elements without a look at them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.elementwise import layout_of
from edgecomp.importers.tflite.values import PERMUTATIONS, Layout


def axis_in(layout: Layout, axis: int) -> int:
    """Where axis `axis` of a 4-d tensor of the file lies in `layout`."""
    return axis if layout is Layout.FILE else PERMUTATIONS[Layout.IMAGE].index(axis)


def reshape(context: Context) -> None:
    """RESHAPE: the shape is an operand, or else an option; -1 stands for what is left."""
    target = context.known(1) if context.has(1) else np.array(context.option("NewShape", ()))
    shape = context.values.tensors[context.output()].shape
    if target is not None and (target.size or not shape):
        shape = tuple(int(size) for size in target.reshape(-1))
    if 0 in shape and 0 not in context.shape(0):
        raise context.refusal("it makes an empty tensor of elements", "convert the model again")
    _reshaped(context, shape)


def _reshaped(context: Context, shape: Sequence[int]) -> None:
    value = context.main("Reshape", context.read(0), context.ints(shape), allowzero=1)
    context.give(value, moved_from=0)


def squeeze(context: Context) -> None:
    """SQUEEZE: the axes named, or all of length 1."""
    shape = context.shape(0)
    named = [context.axis(axis, len(shape)) for axis in context.option("SqueezeDims", ())]
    gone = named or [axis for axis, size in enumerate(shape) if size == 1]
    _reshaped(context, [size for axis, size in enumerate(shape) if axis not in gone])


def expand_dims(context: Context) -> None:
    """EXPAND_DIMS."""
    shape = list(context.shape(0))
    axis = context.axis(context.integers(1)[0], len(shape) + 1)
    _reshaped(context, [*shape[:axis], 1, *shape[axis:]])


def transpose(context: Context) -> None:
    """TRANSPOSE."""
    value = context.main("Transpose", context.read(0), perm=context.integers(1))
    context.give(value, moved_from=0)


def concatenation(context: Context) -> None:
    """CONCATENATION."""
    layout = layout_of(context)
    rank = len(context.shape(0))
    axis = context.axis(int(context.option("Axis")), rank)
    operands = [context.read(place, layout) for place in range(context.count)]
    value = context.main("Concat", *operands, axis=axis_in(layout, axis) if rank == 4 else axis)
    context.give(context.activated(value), layout)


def _split(context: Context, source: int, axis: int, sizes: Sequence[int]) -> None:
    shape = context.shape(source)
    axis = context.axis(axis, len(shape))
    outputs = len(context.operator.outputs)
    known = [size for size in sizes if size >= 0]
    lengths = [shape[axis] - sum(known) if size < 0 else size for size in sizes]
    if len(lengths) != outputs or sum(lengths) != shape[axis] or min(lengths) < 0:
        raise context.refusal("its parts are not the whole", "convert the model again")
    values = context.several(
        "Split", context.read(source), context.ints(lengths), outputs=outputs, axis=axis
    )
    for place, value in enumerate(values):
        context.give(value, place=place, moved_from=source)


def split(context: Context) -> None:
    """SPLIT into equal parts; the axis comes first."""
    axis, count = context.integers(0)[0], len(context.operator.outputs)
    shape = context.shape(1)
    _split(context, 1, axis, [shape[context.axis(axis, len(shape))] // count] * count)


def split_v(context: Context) -> None:
    """SPLIT_V: parts of the sizes given, of which one may be -1."""
    _split(context, 0, context.integers(2)[0], context.integers(1))


def slice_(context: Context) -> None:
    """SLICE: a size of -1 reaches to the end."""
    begins, sizes, shape = context.integers(1), context.integers(2), context.shape(0)
    if not len(begins) == len(sizes) == len(shape):
        raise context.refusal("its operands do not fit the shape", "convert the model again")
    ends = [
        length if size == -1 else begin + size
        for begin, size, length in zip(begins, sizes, shape, strict=True)
    ]
    bounds = (context.ints(begins), context.ints(ends), context.ints(range(len(shape))))
    context.give(context.main("Slice", context.read(0), *bounds), moved_from=0)


def pack(context: Context) -> None:
    """PACK: operands become the places of a new axis."""
    axis = context.axis(int(context.option("Axis")), len(context.shape(0)) + 1)
    where = context.ints([axis])
    rows = [context.moved(context.read(i), i, "Unsqueeze", where) for i in range(context.count)]
    context.give(context.main("Concat", *rows, axis=axis))


def unpack(context: Context) -> None:
    """UNPACK: the places along an axis become results."""
    shape = context.shape(0)
    axis, count = (
        context.axis(int(context.option("Axis")), len(shape)),
        len(context.operator.outputs),
    )
    if shape[axis] != count:
        raise context.refusal("it has not as many results as its axis is long")
    for place in range(count):
        index = context.put(place, "int64")
        gather = context.emit if place else context.main
        context.give(gather("Gather", context.read(0), index, axis=axis), place=place, moved_from=0)


def gather(context: Context) -> None:
    """GATHER; `BatchDims` leading axes of both operands belong together."""
    rank, batches = len(context.shape(0)), int(context.option("BatchDims"))
    axis = context.axis(int(context.option("Axis")), rank)
    if batches < 0:
        batches += len(context.shape(1))
    source, picked = context.read(0), context.emit("Cast", context.read(1), to=7)
    if not batches:
        context.give(context.main("Gather", source, picked, axis=axis), moved_from=0)
        return
    if not 0 <= batches <= min(axis, len(context.shape(1))):
        raise context.refusal("it has more batch axes than operands", "convert the model again")
    context.give(_gathered_by_batch(context, source, picked, batches, axis), moved_from=0)


def _gathered_by_batch(context: Context, source: str, picked: str, batches: int, axis: int) -> str:
    """The axis goes next to the batch axes; indices become positions in all of them as one."""
    shape, wanted = context.of(source), context.of(picked)
    between = list(range(batches, axis))
    order = [*range(batches), axis, *between, *range(axis + 1, len(shape))]
    turned = context.emit("Transpose", source, perm=order)
    count, rest = int(np.prod(shape[:batches])), [shape[place] for place in order[batches + 1 :]]
    flat = context.emit("Reshape", turned, context.ints([count * shape[axis], *rest]))
    starts = (np.arange(count) * shape[axis]).reshape(
        *shape[:batches], *[1] * (len(wanted) - batches)
    )
    places = context.emit("Add", picked, context.put(starts, "int64"))
    rows = context.main("Gather", flat, places, axis=0)
    first = len(wanted)  # what lies between goes back before the indices
    back = [*range(batches), *(first + i for i in range(len(between))), *range(batches, first)]
    back += range(first + len(between), first + len(rest))
    return context.emit("Transpose", rows, perm=back)


def gather_nd(context: Context) -> None:
    """GATHER_ND: a Gather from the axes that are indexed, seen as one."""
    source, picked = context.read(0), context.emit("Cast", context.read(1), to=7)
    shape, depth = context.of(source), context.of(picked)[-1]
    if depth > len(shape):
        raise context.refusal("it indexes more axes than there are", "convert the model again")
    strides = [int(np.prod(shape[axis + 1 : depth])) for axis in range(depth)]
    rows = context.ints([int(np.prod(shape[:depth])), *shape[depth:]])
    steps = context.emit("Mul", picked, context.put(strides, "int64"))
    places = context.emit("ReduceSum", steps, context.ints([-1]), keepdims=0)
    flat = context.emit("Reshape", source, rows)
    context.give(context.main("Gather", flat, places, axis=0), moved_from=0)


def tile(context: Context) -> None:
    """TILE."""
    repeats = context.ints(context.integers(1))
    context.give(context.main("Tile", context.read(0), repeats), moved_from=0)


def broadcast_to(context: Context) -> None:
    """BROADCAST_TO."""
    shape = context.ints(context.integers(1))
    context.give(context.main("Expand", context.read(0), shape), moved_from=0)


def reverse(context: Context) -> None:
    """REVERSE_V2 along the axes named."""
    axes = context.integers(1)
    count = len(axes)
    least = int(np.iinfo(np.int64).min)
    bounds = ([-1] * count, [least] * count, axes, [-1] * count)
    context.give(
        context.main("Slice", context.read(0), *(context.ints(b) for b in bounds)), moved_from=0
    )


def shape(context: Context) -> None:
    """SHAPE, which is known."""
    dtype = context.values.tensors[context.output()].dtype
    context.give(context.put(context.shape(0), dtype))


def rank(context: Context) -> None:
    """RANK, which is known."""
    context.give(context.put(len(context.shape(0)), "int32"))


def fill(context: Context) -> None:
    """FILL: one value over a known shape."""
    shape = context.ints(context.integers(0))
    context.give(context.main("Expand", context.read(1), shape), moved_from=1)


def zeros_like(context: Context) -> None:
    """ZEROS_LIKE."""
    value = context.read(0)
    dtype = context.values.builder.dtype(value)
    zero = context.put(np.zeros((), dtype))
    context.give(context.main("Expand", zero, context.ints(context.of(value))))


def range_(context: Context) -> None:
    """RANGE between constants."""
    start, limit, step = (context.constant(place).reshape(()) for place in range(3))
    if not step or abs((float(limit) - float(start)) / float(step)) > 2**24:
        raise context.refusal("it has no end", "convert the model again")
    context.give(context.put(np.arange(start, limit, step, start.dtype)))
