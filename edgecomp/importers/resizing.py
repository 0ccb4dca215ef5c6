"""Resize as a weighted sum along each axis: the weights are constants, for sizes are static.

ONNX operator specification, Resize-19, with the coordinates and kernels of its reference. A Resize
that TVM computes right, nearest or linear in two dimensions, stays, and so does a quantized one
that has an integer meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.build import Replacement
from edgecomp.graph.qdq import dequantization_of, requantizer_of
from edgecomp.graph.values import constant_input, dtype_of, input_at, shape_of

Array = npt.NDArray[np.float64]


def expand_resize(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """A Gather (nearest) or a matrix product for each axis that changes."""
    source = node.inputs[0]
    assert source is not None, "the first input is not optional"
    shape, result = shape_of(source), shape_of(node.outputs[0])
    mode = node.attributes.get_string("mode", "nearest")
    transform = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    if _stays(node, shape, mode, transform):
        return None
    _refuse_large(node, shape, result)
    scales = _scales(node, shape, result)
    value, outside = source, None
    for axis in range(len(shape)):
        if shape[axis] == result[axis] and scales[axis] == 1.0 and transform != _CROP:
            continue
        start, end = _region(node, axis, len(shape))
        sizes = (shape[axis], result[axis])
        places = _coordinates(transform, sizes, scales[axis], start, end)
        if transform == _CROP:
            beyond = (places < 0) | (places > shape[axis] - 1)
            along = [1] * len(shape)
            along[axis] = -1
            outside = beyond.reshape(along) | (False if outside is None else outside)
        if mode == "nearest":
            indices = _nearest(node, places, shape[axis])
            value = new.add("Gather", value, new.constant(indices), axis=axis)
        else:
            weights = _weights(node, mode, places, shape[axis], scales[axis])
            value = _along(new, value, weights.astype(dtype_of(source)), axis, len(shape))
    if outside is not None and outside.any():
        beyond_value = node.attributes.get_float("extrapolation_value", 0.0)
        filler = new.constant(np.asarray(beyond_value, dtype_of(source)))
        value = new.add("Where", new.constant(np.broadcast_to(outside, result)), filler, value)
    return [value]


_CROP = "tf_crop_and_resize"

MAX_LENGTH = 2**16
"""Elements along a resized axis: each has its place in the source, and there a row of weights."""

MAX_WEIGHTS = 2**24
"""Weights of one axis, and elements of a mask of what lies outside."""


def _refuse_large(node: ir.Node, shape: tuple[int, ...], result: tuple[int, ...]) -> None:
    """Refuse sizes for which the tables made here would not fit in memory."""
    resized = [(old, new) for old, new in zip(shape, result, strict=True) if old != new]
    crops = node.attributes.get_string("coordinate_transformation_mode", "half_pixel") == _CROP
    if any(new > MAX_LENGTH or old * new > MAX_WEIGHTS for old, new in resized) or (
        crops and math.prod(result) > MAX_WEIGHTS
    ):
        raise EdgecompError(
            Reason(
                f"Resize from {list(shape)} to {list(result)} is larger than what is handled",
                str(node.name),
                "give smaller input shapes",
            )
        )


def _stays(node: ir.Node, shape: tuple[int, ...], mode: str, transform: str) -> bool:
    plain = node.attributes.get_int("antialias", 0) == 0 and "axes" not in node.attributes
    ratio = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    image = len(shape) == 4 and shape[:2] == shape_of(node.outputs[0])[:2]
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    asymmetric = mode == "nearest" and transform == "asymmetric" and rounding == "floor"
    linear = mode == "linear" and transform in ("half_pixel", "asymmetric")
    if plain and image and mode == "linear" and _is_quantized(node):
        return transform in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    return plain and ratio and image and (asymmetric or linear) and _whole_scales(node, shape)


_INTEGERS = frozenset({"int8", "uint8", "int16", "uint16"})


def _is_quantized(node: ir.Node) -> bool:
    """Whether the node stands between DequantizeLinear and QuantizeLinear of 8 or 16 bits."""
    before, after = dequantization_of(node.inputs[0]), requantizer_of(node.outputs[0])
    known = before is not None and before.per_tensor
    return known and before is not None and before.dtype in _INTEGERS and after is not None


def _whole_scales(node: ir.Node, shape: tuple[int, ...]) -> bool:
    """Whether every size grows by a whole factor: then no rounding of a scale matters."""
    return all(b % a == 0 for a, b in zip(shape, shape_of(node.outputs[0]), strict=True))


def _scales(node: ir.Node, shape: tuple[int, ...], result: tuple[int, ...]) -> list[float]:
    """The factor of each axis, as given or as the sizes say."""
    axes = _axes(node, len(shape))
    given = constant_input(node, 2)
    scales = [1.0] * len(shape)
    sizes = constant_input(node, 3)
    if given is not None and given.size:
        for axis, scale in zip(axes, given.tolist(), strict=True):
            scales[axis] = float(scale)
        return scales
    if sizes is None:
        raise EdgecompError(
            Reason("its sizes are not constant", str(node.name), "bind them with --bind")
        )
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    wanted = [float(size) / shape[axis] for axis, size in zip(axes, sizes.tolist(), strict=True)]
    if policy != "stretch":
        wanted = [min(wanted) if policy == "not_larger" else max(wanted)] * len(wanted)
    for axis, scale in zip(axes, wanted, strict=True):
        scales[axis] = scale
    return scales


def _axes(node: ir.Node, rank: int) -> list[int]:
    return [axis % rank for axis in node.attributes.get_ints("axes", range(rank))]


def _region(node: ir.Node, axis: int, rank: int) -> tuple[float, float]:
    """Where the region of interest begins and ends along `axis`, as parts of its length."""
    region = constant_input(node, 1)
    if region is None or region.size == 0 or input_at(node, 1) is None:
        return 0.0, 1.0
    axes = _axes(node, rank)
    if axis not in axes:
        return 0.0, 1.0
    index = axes.index(axis)
    return float(region[index]), float(region[index + len(axes)])


def _coordinates(
    transform: str, sizes: tuple[int, int], scale: float, start: float, end: float
) -> Array:
    """The place in the source of each element of the result, along one axis."""
    before, after = sizes
    x = np.arange(after, dtype=np.float64)
    if transform == "align_corners":
        return x * ((before - 1) / (scale * before - 1)) if scale * before > 1 else x * 0.0
    if transform == "asymmetric":
        return x / scale
    if transform == _CROP:
        if after > 1:
            return start * (before - 1) + x * (end - start) * (before - 1) / (after - 1)
        return np.full(after, 0.5 * (start + end) * (before - 1))
    if transform == "pytorch_half_pixel" and scale * before <= 1:
        return x * 0.0 - 0.5
    if transform == "half_pixel_symmetric":
        adjustment = after / (scale * before)
        return before / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5
    return (x + 0.5) / scale - 0.5


_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _nearest(node: ir.Node, places: Array, size: int) -> npt.NDArray[np.int64]:
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    return np.clip(_ROUNDINGS[rounding](places), 0, size - 1).astype(np.int64)


def _weights(node: ir.Node, mode: str, places: Array, size: int, scale: float) -> Array:
    """A row of weights over the source for each element of the result."""
    a = node.attributes.get_float("cubic_coeff_a", -0.75)
    antialias = node.attributes.get_int("antialias", 0) == 1 and scale < 1.0
    stretch = scale if antialias else 1.0
    reach = (1.0 if mode == "linear" else 2.0) / stretch
    exclude = node.attributes.get_int("exclude_outside", 0) == 1
    matrix = np.zeros((len(places), size))
    for row, place in enumerate(places):
        taps = np.arange(math.floor(place - reach) - 1, math.ceil(place + reach) + 2)
        distance = np.abs(taps - place) * stretch
        weights = _linear(distance) if mode == "linear" else _cubic(distance, a)
        if exclude:
            weights = np.where((taps >= 0) & (taps < size), weights, 0.0)
        weights = weights / weights.sum()
        np.add.at(matrix[row], np.clip(taps, 0, size - 1), weights)
    return matrix


def _linear(distance: Array) -> Array:
    return np.maximum(1.0 - distance, 0.0)


def _cubic(distance: Array, a: float) -> Array:
    """R. Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981)."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _along(
    new: Replacement, value: ir.Value, matrix: npt.NDArray[np.generic], axis: int, rank: int
) -> ir.Value:
    """`matrix` [after, before] times `value` along `axis`."""
    if axis == rank - 1:
        return new.add("MatMul", value, new.constant(np.ascontiguousarray(matrix.T)))
    order = [a for a in range(rank) if a != axis]
    if axis == rank - 2:
        return new.add("MatMul", new.constant(matrix), value)
    last = new.add("Transpose", value, perm=[*order, axis])
    product = new.add("MatMul", last, new.constant(np.ascontiguousarray(matrix.T)))
    back = [order.index(a) if a != axis else rank - 1 for a in range(rank)]
    return new.add("Transpose", product, perm=back)
