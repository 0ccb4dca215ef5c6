"""Operators that select or place elements, where TVM lacks them or needs its run-time library."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.build import Replacement
from edgecomp.graph.values import constant_input, dtype_of, input_at, shape_of

MAX_COMPARISONS = 2**24
"""TopK compares every element with every other; beyond this it is refused."""


def _first(node: ir.Node) -> ir.Value:
    source = node.inputs[0]
    assert source is not None, "the first input is not optional"
    return source


def expand_is_inf(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """One sign only: equal to that infinity."""
    positive = node.attributes.get_int("detect_positive", 1)
    negative = node.attributes.get_int("detect_negative", 1)
    if positive and negative:
        return None
    source = _first(node)
    if not positive and not negative:
        return [new.constant(np.zeros(shape_of(source), np.bool_))]
    infinity = np.asarray(np.inf if positive else -np.inf, dtype_of(source))
    return [new.add("Equal", source, new.constant(infinity))]


def expand_top_k(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """The rank of each element is the number before it in order; equal ones keep their order."""
    source, count = _first(node), constant_input(node, 1)
    shape = shape_of(source)
    axis = node.attributes.get_int("axis", -1) % len(shape)
    length, where = shape[axis], str(node.name)
    if count is None:
        raise EdgecompError(Reason("the number it picks is not constant", where, "bind it"))
    if int(np.prod(shape)) * length > MAX_COMPARISONS:
        raise EdgecompError(Reason(f"TopK of {length} elements is too large", where))
    order = [a for a in range(len(shape)) if a != axis] + [axis]
    rows = new.add("Transpose", source, perm=order)
    last = new.constant([len(shape)], "int64")
    own = new.add("Unsqueeze", rows, last)
    others = new.add("Unsqueeze", rows, new.constant([len(shape) - 1], "int64"))
    compare = "Greater" if node.attributes.get_int("largest", 1) else "Less"
    earlier = new.constant(np.tri(length, k=-1, dtype=np.bool_))
    tie = new.add("And", new.add("Equal", others, own), earlier)
    before = new.add("Or", new.add(compare, others, own), tie)
    ranks = new.add("ReduceSum", new.add("Cast", before, to=7), last, keepdims=0)
    # [..., k, length]: whether the element at each place is the one of rank k
    wanted = new.constant(np.arange(int(count.reshape(-1)[0])).reshape(-1, 1), "int64")
    hit = new.add("Equal", new.add("Unsqueeze", ranks, new.constant([-2], "int64")), wanted)
    back = [order.index(a) for a in range(len(shape))]
    zero = new.constant(np.zeros((), dtype_of(source)))
    values = new.add("ReduceSum", new.add("Where", hit, others, zero), last, keepdims=0)
    places = new.constant(np.arange(length), "int64")
    chosen = new.add("Where", hit, places, new.constant(0, "int64"))
    indices = new.add("ReduceSum", chosen, last, keepdims=0)
    return [new.add("Transpose", part, perm=back) for part in (values, indices)]


def expand_reverse_sequence(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """A GatherElements by constant places."""
    source, lengths = _first(node), constant_input(node, 1)
    if lengths is None:
        raise EdgecompError(
            Reason("its lengths are not constant", str(node.name), "bind them with --bind")
        )
    shape = shape_of(source)
    batch = node.attributes.get_int("batch_axis", 1)
    time = node.attributes.get_int("time_axis", 0)
    places = np.zeros(shape, np.int64)
    steps = np.arange(shape[time])
    for index, length in enumerate(lengths.tolist()):
        row = np.where(steps < length, length - 1 - steps, steps)
        along = [1] * len(shape)
        along[time] = -1
        selected: list[slice | int] = [slice(None)] * len(shape)
        selected[batch] = slice(index, index + 1)
        places[tuple(selected)] = row.reshape(along)
    return [new.add("GatherElements", source, new.constant(places), axis=time)]


def expand_one_hot(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """Where(index = 0 ... depth - 1, on, off), for values that are not constant."""
    depth, values = constant_input(node, 1), input_at(node, 2)
    if depth is None or values is None or constant_input(node, 2) is not None:
        return None
    count = int(depth.reshape(-1)[0])
    indices = _first(node)
    rank = len(shape_of(indices)) + 1
    axis = node.attributes.get_int("axis", -1) % rank
    index = new.add("Cast", indices, to=7)
    negative = new.add("Less", index, new.constant(0, "int64"))
    wrapped = new.add("Add", index, new.constant(count, "int64"))
    index = new.add("Where", negative, wrapped, index)
    index = new.add("Unsqueeze", index, new.constant([axis], "int64"))
    places = np.arange(count).reshape([-1] + [1] * (rank - 1 - axis))
    hit = new.add("Equal", index, new.constant(places, "int64"))
    off, on = new.add_many("Split", values, new.constant([1, 1], "int64"), outputs=2, axis=0)
    return [new.add("Where", hit, on, off)]


def expand_eye(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """A constant: only the input's shape and type matter."""
    rows, columns = shape_of(_first(node))
    dtype = ir.DataType(node.attributes.get_int("dtype", int(_first(node).dtype or 1)))
    offset = node.attributes.get_int("k", 0)
    return [new.constant(np.eye(rows, columns, offset, dtype=dtype.numpy()))]


def refuse_training(new: Replacement, node: ir.Node) -> None:
    """Nothing to replace, unless the node is of a model that is being trained.

    Raises:
        EdgecompError: it is in training mode.
    """
    training = constant_input(node, 2) if node.op_type == "Dropout" else None
    if node.attributes.get_int("training_mode", 0) or (training is not None and training.any()):
        raise EdgecompError(
            Reason(
                f"{node.op_type} is in training mode",
                str(node.name),
                "export the model for inference",
            )
        )


def refuse_largest_region(new: Replacement, node: ir.Node) -> None:
    """Nothing to replace, unless a RoiAlign takes maxima: TVM's differ from the standard's.

    Raises:
        EdgecompError: it takes maxima.
    """
    if node.attributes.get_string("mode", "avg") == "max":
        raise EdgecompError(
            Reason("RoiAlign of maxima has no kernel", str(node.name), 'use the mode "avg"')
        )


def expand_dropout(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """Nothing is dropped in inference; the mask keeps everything."""
    refuse_training(new, node)
    if len(node.outputs) < 2 or not node.outputs[1].name:
        return None
    source = _first(node)
    mask = new.constant(np.ones(shape_of(source), np.bool_))
    return [new.add("Identity", source), new.add("Identity", mask)]


def expand_pad(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """A border of a value that is not constant: zeros, then the value where they are."""
    value, amounts = input_at(node, 2), constant_input(node, 1)
    if value is None or constant_input(node, 2) is not None or amounts is None:
        return None
    source = _first(node)
    shape = shape_of(source)
    axes = constant_input(node, 3)
    named = [int(a) % len(shape) for a in (range(len(shape)) if axes is None else axes)]
    padded = new.add("Pad", source, node.inputs[1], None, input_at(node, 3))
    inside = np.ones(shape_of(node.outputs[0]), np.bool_)
    for index, axis in enumerate(named):
        first, last = int(amounts[index]), int(amounts[index + len(named)])
        moved = np.moveaxis(inside, axis, 0)
        moved[: max(first, 0)] = False
        moved[len(moved) - max(last, 0) :] = False
    return [new.add("Where", new.constant(inside), padded, value)]


def expand_center_crop_pad(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """A Slice of what is too long and a Pad of what is too short, each half at both ends."""
    source = _first(node)
    shape, result = shape_of(source), shape_of(node.outputs[0])
    starts = [(a - b) // 2 if a > b else 0 for a, b in zip(shape, result, strict=True)]
    ends = [s + min(a, b) for s, a, b in zip(starts, shape, result, strict=True)]
    before = [(b - a) // 2 if b > a else 0 for a, b in zip(shape, result, strict=True)]
    after = [max(b - a, 0) - p for a, b, p in zip(shape, result, before, strict=True)]
    bounds = [new.constant(values, "int64") for values in (starts, ends, range(len(shape)))]
    cropped = new.add("Slice", source, *bounds)
    return [new.add("Pad", cropped, new.constant([*before, *after], "int64"))]


def expand_mixed_pow(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """The exponent in the type of the base; integers are raised in floats and rounded."""
    base, exponent = _first(node), input_at(node, 1)
    assert exponent is not None, "the second input is not optional"
    if dtype_of(base) == dtype_of(exponent) and dtype_of(base).startswith("float"):
        return None
    float32 = int(ir.DataType.FLOAT)
    if dtype_of(base).startswith("float"):
        return [new.add("Pow", base, new.add("Cast", exponent, to=int(base.dtype or float32)))]
    if dtype_of(exponent).startswith("float"):
        power = new.add("Pow", new.add("Cast", base, to=float32), exponent)
        return [new.add("Cast", power, to=int(base.dtype or float32))]
    raise EdgecompError(
        Reason("Pow of integers has no kernel", str(node.name), "compute it in float32")
    )


def expand_truth_extreme(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """The largest or least of truth values, as of 0 and 1."""
    source = _first(node)
    if dtype_of(source) != "bool":
        return None
    attributes = {name: node.attributes[name].value for name in node.attributes}
    numbers = new.add("Cast", source, to=int(ir.DataType.INT32))
    extreme = new.add(node.op_type, numbers, *node.inputs[1:], **attributes)
    return [new.add("Cast", extreme, to=int(ir.DataType.BOOL))]
