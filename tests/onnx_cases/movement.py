"""Operators that move elements."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tests.onnx_cases.draw import Case, Draw, Fed, Spec, ints


def concat(d: Draw) -> Spec:
    shape = list(d.shape())
    axis, parts = d.axis(len(shape)), []
    for _ in range(d.size(2, 4)):
        shape[axis] = d.size()
        parts.append(d.feed(shape))
    return Spec("Concat", tuple(parts), {"axis": axis})


def split(d: Draw) -> Spec:
    shape, sizes = list(d.shape()), [d.size() for _ in range(d.size(2, 3))]
    axis = d.axis(len(shape))
    shape[axis] = sum(sizes)
    return Spec("Split", (d.feed(shape), ints(*sizes)), {"axis": axis}, outputs=len(sizes))


def reshape(d: Draw) -> Spec:
    a, b, c = shape = d.shape(3)
    return Spec("Reshape", (d.feed(shape), ints(*d.pick(((c, a * b), (-1,), (0, -1, 1))))))


def flatten(d: Draw) -> Spec:
    shape = d.shape()
    return Spec("Flatten", (d.feed(shape),), {"axis": d.size(0, len(shape))})


def transpose(d: Draw) -> Spec:
    shape = d.shape()
    order = d.random.permutation(len(shape)).tolist()
    return Spec("Transpose", (d.feed(shape),), {"perm": order})


def squeeze(d: Draw) -> Spec:
    shape = (1, d.size(), 1, d.size(2))
    return Spec("Squeeze", (d.feed(shape), ints(*d.pick(((0,), (0, 2), (-2,))))))


def unsqueeze(d: Draw) -> Spec:
    return Spec("Unsqueeze", (d.feed(d.shape(2)), ints(*d.pick(((0,), (1, 3), (-1,))))))


def slice_(d: Draw) -> Spec:
    shape = d.shape(d.size(2, 4))
    axes = np.sort(d.random.permutation(len(shape))[: d.size(1, len(shape))])
    starts, ends, steps = [], [], []
    for axis in axes:
        first, last = sorted((d.size(0, shape[axis] - 1), d.size(0, shape[axis] - 1)))
        back = d.size(0, 2) == 0
        starts.append(last if back else first)
        ends.append(first - 1 - shape[axis] if back else last + 1)
        steps.append(-1 if back else d.size(1, 2))
    bounds = (ints(*values) for values in (starts, ends, axes, steps))
    return Spec("Slice", (d.feed(shape), *bounds))


def pad(mode: str) -> Case:
    def case(d: Draw) -> Spec:
        shape = tuple(d.size(3) for _ in range(d.size(1, 4)))
        amounts = d.random.integers(0, 3, 2 * len(shape))
        return Spec("Pad", (d.feed(shape), amounts), {"mode": mode})

    return case


def resize(mode: str, **attributes: str) -> Case:
    def case(d: Draw) -> Spec:
        n, c, h, w = d.image(2)
        sizes = ints(n, c, d.size(1, 12), d.size(1, 12))
        return Spec(
            "Resize", (d.feed((n, c, h, w)), None, None, sizes), {"mode": mode, **attributes}
        )

    return case


def expand(d: Draw) -> Spec:
    shape = tuple(1 if d.size(0, 2) == 0 else n for n in d.shape())
    out = tuple(d.size() if n == 1 else n for n in shape)
    return Spec("Expand", (d.feed(shape), ints(*out)))


def tile(d: Draw) -> Spec:
    shape = d.shape()
    return Spec("Tile", (d.feed(shape), ints(*(d.size(1, 3) for _ in shape))))


def gather(d: Draw) -> Spec:
    shape = d.shape()
    axis = d.axis(len(shape))
    picked = d.random.integers(-shape[axis], shape[axis], d.shape(d.size(1, 2)))
    return Spec("Gather", (d.feed(shape), picked), {"axis": axis})


def gather_elements(d: Draw) -> Spec:
    shape = d.shape()
    axis = d.axis(len(shape))
    return Spec(
        "GatherElements",
        (d.feed(shape), d.random.integers(0, shape[axis], shape)),
        {"axis": axis},
    )


def gather_nd(d: Draw) -> Spec:
    shape = d.shape()
    rows, depth = d.shape(d.size(1, 2)), d.size(1, len(shape))
    picked = np.stack([d.random.integers(0, n, rows) for n in shape[:depth]], axis=-1)
    return Spec("GatherND", (d.feed(shape), picked))


def scatter_elements(d: Draw) -> Spec:
    shape = d.shape()
    axis = d.axis(len(shape))
    moved = np.moveaxis(np.empty(shape), axis, 0).shape
    rows = [d.random.permutation(moved[0]) for _ in range(int(np.prod(moved[1:])))]
    places = np.moveaxis(np.stack(rows, axis=1).reshape(moved), 0, axis)
    operands = (d.feed(shape), np.ascontiguousarray(places), d.feed(shape))
    return Spec("ScatterElements", operands, {"axis": axis})


def scatter_nd(d: Draw) -> Spec:
    shape = d.shape()
    rows = d.random.permutation(shape[0])[: d.size(1, shape[0])]
    operands = (d.feed(shape), rows[:, None], d.feed((len(rows), *shape[1:])))
    return Spec("ScatterND", operands)


def reverse_sequence(d: Draw) -> Spec:
    time, batch, _ = shape = d.shape(3)
    lengths = d.random.integers(1, time + 1, batch)
    return Spec("ReverseSequence", (d.feed(shape), lengths), {"time_axis": 0, "batch_axis": 1})


def center_crop_pad(d: Draw) -> Spec:
    shape = d.shape(3)
    return Spec("CenterCropPad", (d.feed(shape), ints(*d.shape(2))), {"axes": [0, 2]})


def blocks(op: str) -> Case:
    def case(d: Draw) -> Spec:
        (n, c, h, w), block = d.image(1), d.size(1, 3)
        deep = (n, c * block * block, h, w)
        wide = (n, c, h * block, w * block)
        return Spec(op, (d.feed(deep if op == "DepthToSpace" else wide),), {"blocksize": block})

    return case


def one_hot(d: Draw) -> Spec:
    depth = d.size(2, 6)
    picked = Fed(d.random.integers(0, depth, d.shape(2)))
    return Spec("OneHot", (picked, np.array(depth), np.float32([-1, 3])), {"axis": d.axis(3)})


def trilu(d: Draw) -> Spec:
    operands = (d.feed(d.shape(d.size(2, 3))), np.array(d.size(-2, 2)))
    return Spec("Trilu", operands, {"upper": d.size(0, 1)})


MOVEMENT: Mapping[str, Case] = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "DepthToSpace": blocks("DepthToSpace"),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "OneHot": one_hot,
    "Pad": pad("constant"),
    "Pad by mirror": pad("reflect"),
    "Pad by edge": pad("edge"),
    "Reshape": reshape,
    "Resize": resize("nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "Resize linear": resize("linear"),
    "Resize linear by corners": resize("linear", coordinate_transformation_mode="align_corners"),
    "ReverseSequence": reverse_sequence,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "Slice": slice_,
    "SpaceToDepth": blocks("SpaceToDepth"),
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
"""By operator."""
