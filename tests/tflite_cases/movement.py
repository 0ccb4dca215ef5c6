"""Operators that move elements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import tflite

from tests.tflite_cases.draw import Case, Draw, Spec


def reshape(d: Draw) -> Spec:
    shape, grid = d.shape(3), d.grid()
    out = d.pick(((shape[2], shape[0] * shape[1]), (-1,), (shape[0], -1, 1)))
    made = np.zeros(shape).reshape(out).shape
    options = {"NewShape": np.array(out, np.int32)}
    return d.spec(
        (d.feed(shape, grid), d.constant(out)), d.tensor(made, grid), "ReshapeOptions", options
    )


def squeeze(d: Draw) -> Spec:
    shape, grid = (1, d.size(), 1, d.size(2)), d.grid()
    axes = d.pick(((), (0,), (0, 2), (-2,)))
    gone = [a % 4 for a in axes] or [i for i, n in enumerate(shape) if n == 1]
    out = tuple(n for i, n in enumerate(shape) if i not in gone)
    options = {"SqueezeDims": np.array(axes, np.int32)}
    return d.spec((d.feed(shape, grid),), d.tensor(out, grid), "SqueezeOptions", options)


def expand_dims(d: Draw) -> Spec:
    shape, grid = d.shape(d.size(1, 3)), d.grid()
    axis = d.size(-len(shape) - 1, len(shape))
    out = np.expand_dims(np.zeros(shape), axis).shape
    return d.spec(
        (d.feed(shape, grid), d.constant([axis])), d.tensor(out, grid), "ExpandDimsOptions"
    )


def transpose(d: Draw) -> Spec:
    shape, grid = d.shape(), d.grid()
    order = d.random.permutation(len(shape))
    out = tuple(shape[i] for i in order)
    return d.spec((d.feed(shape, grid), d.constant(order)), d.tensor(out, grid), "TransposeOptions")


def concatenation(d: Draw) -> Spec:
    shape, grid = d.shape(), d.grid()
    axis = d.size(0, len(shape) - 1)
    parts = [(*shape[:axis], d.size(), *shape[axis + 1 :]) for _ in range(d.size(2, 4))]
    out = (*shape[:axis], sum(p[axis] for p in parts), *shape[axis + 1 :])
    operands = tuple(d.feed(part, grid) for part in parts)
    options = {"Axis": d.pick((axis, axis - len(shape)))}
    return d.spec(operands, d.tensor(out, grid), "ConcatenationOptions", options)


def split(d: Draw) -> Spec:
    shape, grid, count = list(d.shape()), d.grid(), d.size(1, 3)
    axis = d.size(0, len(shape) - 1)
    part = tuple(shape)
    shape[axis] *= count
    operands = (d.constant(axis), d.feed(tuple(shape), grid))
    parts = [d.tensor(part, grid) for _ in range(count)]
    return d.spec(operands, parts[0], "SplitOptions", {"NumSplits": count}, tuple(parts[1:]))


def split_v(d: Draw) -> Spec:
    shape, grid = list(d.shape()), d.grid()
    axis, sizes = d.size(0, len(shape) - 1), [d.size() for _ in range(d.size(2, 3))]
    parts = [d.tensor((*shape[:axis], n, *shape[axis + 1 :]), grid) for n in sizes]
    shape[axis] = sum(sizes)
    stated = [*sizes[:-1], -1] if d.size(0, 1) else sizes
    operands = (d.feed(tuple(shape), grid), d.constant(stated), d.constant(axis))
    options = {"NumSplits": len(sizes)}
    return d.spec(operands, parts[0], "SplitVOptions", options, tuple(parts[1:]))


def slice_(d: Draw) -> Spec:
    shape, grid = d.shape(), d.grid()
    begins = [d.size(0, n - 1) for n in shape]
    sizes = [d.size(1, n - b) for n, b in zip(shape, begins, strict=True)]
    stated = [-1 if b + s == n else s for b, s, n in zip(begins, sizes, shape, strict=True)]
    operands = (d.feed(shape, grid), d.constant(begins), d.constant(stated))
    return d.spec(operands, d.tensor(tuple(sizes), grid), "SliceOptions")


def strided_slice(d: Draw) -> Spec:
    shape, grid = d.shape(), d.grid()
    rank = len(shape)
    begins, ends, strides = [], [], []
    for n in shape:
        stride = d.pick((1, 2, -1))
        begin, end = sorted((d.size(0, n - 1), d.size(0, n - 1)))
        begins.append(begin if stride > 0 else end)
        ends.append(end + 1 if stride > 0 else begin - 1 - (n if begin == 0 else 0))
        strides.append(stride)
    masks = {name: d.size(0, 2**rank - 1) if d.size(0, 1) else 0 for name in ("Begin", "End")}
    shrink = 1 << d.size(0, rank - 1) if d.size(0, 2) == 0 else 0
    index: list[Any] = []
    for i in range(rank):
        if shrink >> i & 1:
            strides[i] = 1
            index.append(0)  # for the shape alone
            continue
        first = None if masks["Begin"] >> i & 1 else begins[i]
        last = None if masks["End"] >> i & 1 else ends[i]
        index.append(slice(first, last, strides[i]))
    out = np.zeros(shape)[tuple(index)].shape
    options = {f"{name}Mask": mask for name, mask in masks.items()} | {"ShrinkAxisMask": shrink}
    operands = (d.feed(shape, grid), *(d.constant(v) for v in (begins, ends, strides)))
    return d.spec(operands, d.tensor(out, grid), "StridedSliceOptions", options)


def pack(d: Draw) -> Spec:
    shape, grid, count = d.shape(d.size(1, 3)), d.grid(), d.size(1, 3)
    axis = d.size(0, len(shape))
    out = (*shape[:axis], count, *shape[axis:])
    operands = tuple(d.feed(shape, grid) for _ in range(count))
    options = {"Axis": axis, "ValuesCount": count}
    return d.spec(operands, d.tensor(out, grid), "PackOptions", options)


def unpack(d: Draw) -> Spec:
    shape, grid = d.shape(d.size(2, 4)), d.grid()
    axis = d.size(0, len(shape) - 1)
    part = shape[:axis] + shape[axis + 1 :]
    parts = [d.tensor(part, grid) for _ in range(shape[axis])]
    options = {"Axis": axis, "Num": shape[axis]}
    return d.spec((d.feed(shape, grid),), parts[0], "UnpackOptions", options, tuple(parts[1:]))


def gather(d: Draw) -> Spec:
    shape, grid = d.shape(), d.grid()
    axis = d.size(0, len(shape) - 1)
    batches = d.size(0, axis)
    inner = d.shape(d.size(1, 2) if batches == 0 else 1)
    picked = d.random.integers(0, shape[axis], (*shape[:batches], *inner))
    out = (*shape[:axis], *inner, *shape[axis + 1 :])
    operands = (d.feed(shape, grid), d.constant(picked))
    options = {"Axis": axis, "BatchDims": batches}
    return d.spec(operands, d.tensor(out, grid), "GatherOptions", options)


def gather_nd(d: Draw) -> Spec:
    shape, grid = d.shape(), d.grid()
    depth, rows = d.size(1, len(shape)), d.shape(d.size(1, 2))
    picked = np.stack([d.random.integers(0, n, rows) for n in shape[:depth]], axis=-1)
    operands = (d.feed(shape, grid), d.constant(picked))
    return d.spec(operands, d.tensor((*rows, *shape[depth:]), grid), "GatherNdOptions")


def shape_(d: Draw) -> Spec:
    shape = d.shape()
    result = d.operand((len(shape),), dtype="int32")
    return d.spec((d.feed(shape),), result, "ShapeOptions", {"OutType": tflite.TensorType.INT32})


def rank(d: Draw) -> Spec:
    return d.spec((d.feed(d.shape()),), d.operand((), dtype="int32"), "RankOptions")


def fill(d: Draw) -> Spec:
    out, grid = d.shape(), d.grid()
    return d.spec((d.constant(out), d.feed((), grid)), d.tensor(out, grid), "FillOptions")


def range_(d: Draw) -> Spec:
    start, step, count = d.size(-9, 9), d.pick((-3, -1, 1, 2)), d.size(1, 9)
    dtype = "float32" if d.dtype == "float32" else "int32"
    operands = tuple(d.constant(n, dtype) for n in (start, start + step * count, step))
    return d.spec(operands, d.operand((count,), dtype=dtype), "RangeOptions")


def pad(value: bool) -> Case:
    def case(d: Draw) -> Spec:
        shape, grid = d.shape(), d.grid()
        amounts = d.random.integers(0, 3, (len(shape), 2))
        out = tuple(n + a + b for n, (a, b) in zip(shape, amounts, strict=True))
        operands = [d.feed(shape, grid), d.constant(amounts)]
        if value:
            content = d.numbers((1,))
            operands.append(replace(d.tensor((1,), grid), data=content))
        table = "PadV2Options" if value else "PadOptions"
        return d.spec(tuple(operands), d.tensor(out, grid), table)

    return case


def mirror_pad(d: Draw) -> Spec:
    shape, grid = tuple(d.size(3) for _ in range(d.size(1, 4))), d.grid()
    amounts = d.random.integers(0, 3, (len(shape), 2))
    out = tuple(n + a + b for n, (a, b) in zip(shape, amounts, strict=True))
    operands = (d.feed(shape, grid), d.constant(amounts))
    return d.spec(operands, d.tensor(out, grid), "MirrorPadOptions", {"Mode": d.size(0, 1)})


def tile(d: Draw) -> Spec:
    shape, grid = d.shape(), d.grid()
    repeats = [d.size(1, 3) for _ in shape]
    out = tuple(n * r for n, r in zip(shape, repeats, strict=True))
    return d.spec((d.feed(shape, grid), d.constant(repeats)), d.tensor(out, grid), "TileOptions")


def broadcast_to(d: Draw) -> Spec:
    (shape, _, _), grid = d.broadcast(), d.grid()
    out = tuple(d.size() if n == 1 else n for n in shape)
    return d.spec((d.feed(shape, grid), d.constant(out)), d.tensor(out, grid), "BroadcastToOptions")


def reverse(d: Draw) -> Spec:
    shape, grid = d.shape(), d.grid()
    operands = (d.feed(shape, grid), d.constant([d.size(0, len(shape) - 1)]))
    return d.spec(operands, d.tensor(shape, grid), "ReverseV2Options")


CASES: dict[str, tuple[Case, float | None]] = {
    "BROADCAST_TO": (broadcast_to, 0),
    "CONCATENATION": (concatenation, 0),
    "EXPAND_DIMS": (expand_dims, 0),
    "FILL": (fill, 0),
    "GATHER": (gather, 0),
    "GATHER_ND": (gather_nd, 0),
    "MIRROR_PAD": (mirror_pad, 0),
    "PACK": (pack, 0),
    "PAD": (pad(value=False), 0),
    "PADV2": (pad(value=True), 0),
    "RANGE": (range_, 0),
    "RANK": (rank, 0),
    "RESHAPE": (reshape, 0),
    "REVERSE_V2": (reverse, 0),
    "SHAPE": (shape_, 0),
    "SLICE": (slice_, 0),
    "SPLIT": (split, 0),
    "SPLIT_V": (split_v, 0),
    "SQUEEZE": (squeeze, 0),
    "STRIDED_SLICE": (strided_slice, 0),
    "TILE": (tile, 0),
    "TRANSPOSE": (transpose, 0),
    "UNPACK": (unpack, 0),
}
"""A case, and by how many steps int8 may differ; None where TFLite has no int8 kernel to ask."""
