"""Slices with strides and masks, and padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.elementwise import layout_of
from edgecomp.importers.tflite.movement import axis_in
from edgecomp.importers.tflite.values import Layout

_LEAST, _MOST = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Masks:
    """Which entries of a strided slice mean something else, a bit for each."""

    begin: int
    end: int
    ellipsis: int
    new_axis: int
    shrink: int


def strided_slice(context: Context) -> None:
    """STRIDED_SLICE, as numpy slices: an entry is a range, an index, a new axis, or "..."."""
    masks = Masks(
        *(
            int(context.option(f"{name}Mask"))
            for name in ("Begin", "End", "Ellipsis", "NewAxis", "ShrinkAxis")
        )
    )
    begins, ends, strides = (context.integers(place) for place in (1, 2, 3))
    if context.option("Offset", False):
        ends = [begin + end for begin, end in zip(begins, ends, strict=False)]
    if not len(begins) == len(ends) == len(strides) or 0 in strides:
        raise context.refusal("its operands do not fit each other", "convert the model again")
    shape = context.shape(0)
    axes, result = _entries(context, begins, strides, masks, len(shape))
    chosen = [(axis, entry) for axis, entry in axes if entry is not None]
    bounds: list[list[int]] = [[], [], [], []]
    for axis, entry in chosen:
        length, begin, stride = shape[axis], begins[entry], strides[entry]
        if masks.shrink >> entry & 1:
            if masks.begin >> entry & 1:
                begin = 0 if stride > 0 else -1
            begin += length if begin < 0 else 0
            if not 0 <= begin < length:
                raise context.refusal(f"there is no element {begin} along axis {axis}")
            span = (begin, begin + 1, 1)
        else:
            first = _LEAST if stride > 0 else _MOST
            last = _MOST if stride > 0 else _LEAST
            span = (
                first if masks.begin >> entry & 1 else begin,
                last if masks.end >> entry & 1 else ends[entry],
                stride,
            )
        for column, number in zip(bounds, (*span[:2], axis, span[2]), strict=True):
            column.append(number)
    value = context.main("Slice", context.read(0), *(context.ints(b) for b in bounds))
    lengths = context.of(value)
    target = [1 if axis is None else lengths[axis] for axis in result]
    if target != list(lengths):
        value = context.emit("Reshape", _kept(context, value), context.ints(target), allowzero=1)
    context.give(value, moved_from=0)


def _kept(context: Context, value: str) -> str:
    quantized = context.quantized(0) is not None
    return context.on_grid(value, context.tensor(0)) if quantized else value


def _entries(
    context: Context, begins: Sequence[int], strides: Sequence[int], masks: Masks, rank: int
) -> tuple[list[tuple[int, int | None]], list[int | None]]:
    """(axis, entry that slices it) for each axis, and the axis of each one of the result.

    An entry of None takes all; an axis of None in the result is new.
    """
    new = [i for i in range(len(begins)) if masks.new_axis >> i & 1 and not masks.ellipsis >> i & 1]
    dots = [i for i in range(len(begins)) if masks.ellipsis >> i & 1]
    taken = len(begins) - len(new) - len(dots)
    if len(dots) > 1 or taken > rank:
        raise context.refusal("it slices more axes than there are", "convert the model again")
    axes: list[tuple[int, int | None]] = []
    result: list[int | None] = []
    axis = 0
    for entry in range(len(begins)):
        if entry in dots:
            for _ in range(rank - taken):
                axes.append((axis, None))
                result.append(axis)
                axis += 1
        elif entry in new:
            result.append(None)
        else:
            axes.append((axis, entry))
            if not masks.shrink >> entry & 1:
                result.append(axis)
            axis += 1
    result += range(axis, rank)
    return axes, result


def _amounts(context: Context, layout: Layout) -> str:
    """Operand 1, [rank, 2] of elements before and after, as ONNX orders them for `layout`."""
    amounts = context.constant(1)
    rank = len(context.shape(0))
    if amounts.shape != (rank, 2):
        raise context.refusal("its padding does not fit the shape", "convert the model again")
    order = [0] * rank
    for axis in range(rank):
        order[axis_in(layout, axis) if rank == 4 else axis] = axis
    turned = amounts[order]
    return context.ints([*(int(n) for n in turned[:, 0]), *(int(n) for n in turned[:, 1])])


def pad(context: Context) -> None:
    """PAD with zero, PADV2 with a constant; of integers, zero is the zero point."""
    layout = layout_of(context, range(1))
    source = context.read(0, layout)
    operands = [source, _amounts(context, layout)]
    if context.has(2):
        operands.append(_fill(context, source))
    context.give(context.main("Pad", *operands), layout, moved_from=0)


def _fill(context: Context, source: str) -> str:
    """Operand 2, one number, as a real scalar."""
    content = context.constant(2).reshape(-1)
    if content.size != 1:
        raise context.refusal("it pads with more than one number", "convert the model again")
    scales = context.quantized(2)
    if scales is None:
        return context.like(source, content[0])
    steps = np.float32(int(content[0]) - int(scales.zero_point[0]))
    return context.like(source, float(steps * scales.scale[0]))


def mirror_pad(context: Context) -> None:
    """MIRROR_PAD: REFLECT leaves the border out, SYMMETRIC repeats it.

    ONNX knows the first only; the second is a Gather along each padded axis.
    """
    layout = layout_of(context, range(1))
    source = context.read(0, layout)
    if not context.option("Mode"):
        value = context.main("Pad", source, _amounts(context, layout), mode="reflect")
        context.give(value, layout, moved_from=0)
        return
    value, rank = source, len(context.shape(0))
    for axis, (before, after) in enumerate(context.constant(1)):
        if before or after:
            index = axis_in(layout, axis) if rank == 4 else axis
            length = context.shape(0)[axis]
            if not (0 <= before <= length and 0 <= after <= length):
                raise context.refusal("it pads with more than the axis has", "convert it again")
            places = np.pad(np.arange(length), (int(before), int(after)), mode="symmetric")
            value = context.emit("Gather", value, context.ints(places), axis=index)
    context.give(context.main("Identity", value), layout, moved_from=0)


def space_to_batch(context: Context) -> None:
    """SPACE_TO_BATCH_ND: pads, then moves the places within a block to the batch."""
    blocks, pads = context.integers(1), context.constant(2).reshape(-1, 2)
    count, shape = len(blocks), context.shape(0)
    if len(pads) != count or len(shape) < count + 1 or min(blocks) < 1 or (pads < 0).any():
        raise context.refusal("its block does not fit the shape", "convert the model again")
    source, rest = context.read(0), len(shape) - count - 1
    before = [0, *(int(n) for n in pads[:, 0]), *[0] * rest]
    after = [0, *(int(n) for n in pads[:, 1]), *[0] * rest]
    if any(before) or any(after):
        source = context.moved(source, 0, "Pad", context.ints([*before, *after]))
    padded = context.of(source)
    split = [padded[0]]
    for size, block in zip(padded[1 : count + 1], blocks, strict=True):
        split += [size // block, block]
    value = context.moved(source, 0, "Reshape", context.ints([*split, *padded[count + 1 :]]))
    places, blocks_at = range(1, 2 * count, 2), range(2, 2 * count + 1, 2)
    tail = range(2 * count + 1, 2 * count + 1 + rest)
    value = context.moved(value, 0, "Transpose", perm=[*blocks_at, 0, *places, *tail])
    sizes = [size // block for size, block in zip(padded[1 : count + 1], blocks, strict=True)]
    target = [padded[0] * int(np.prod(blocks)), *sizes, *padded[count + 1 :]]
    context.give(context.main("Reshape", value, context.ints(target)), moved_from=0)


def batch_to_space(context: Context) -> None:
    """BATCH_TO_SPACE_ND: moves batch entries to the places within a block, then crops."""
    blocks, crops = context.integers(1), context.constant(2).reshape(-1, 2)
    count, shape = len(blocks), context.shape(0)
    if len(crops) != count or len(shape) < count + 1 or min(blocks) < 1 or (crops < 0).any():
        raise context.refusal("its block does not fit the shape", "convert the model again")
    batch, rest = shape[0] // int(np.prod(blocks)), len(shape) - count - 1
    value = context.moved(context.read(0), 0, "Reshape", context.ints([*blocks, batch, *shape[1:]]))
    order = [count]
    for i in range(count):
        order += [count + 1 + i, i]
    order += range(2 * count + 1, 2 * count + 1 + rest)
    value = context.moved(value, 0, "Transpose", perm=order)
    sizes = [size * block for size, block in zip(shape[1 : count + 1], blocks, strict=True)]
    target = context.ints([batch, *sizes, *shape[count + 1 :]])
    if not crops.any():
        context.give(context.main("Reshape", value, target), moved_from=0)
        return
    value = context.moved(value, 0, "Reshape", target)
    ends = [size - int(end) for size, (_, end) in zip(sizes, crops, strict=True)]
    bounds = ([int(begin) for begin, _ in crops], ends, range(1, count + 1))
    context.give(context.main("Slice", value, *(context.ints(b) for b in bounds)), moved_from=0)
