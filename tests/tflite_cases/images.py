"""Layers, pools and what moves pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tflite_cases.draw import Case, Draw, Spec

ACTIVATIONS = (0, 1, 2, 3)


def _out(size: int, window: int, stride: int, same: bool) -> int:
    return -(-size // stride) if same else (size - window) // stride + 1


def _window(d: Any, shape: tuple[int, ...]) -> tuple[dict[str, int], list[int], list[int]]:
    kernel = [d.size(1, 3), d.size(1, 3)]
    strides = [d.size(1, 3), d.size(1, 3)]
    same = bool(d.size(0, 1))
    options = {"Padding": int(not same), "StrideH": strides[0], "StrideW": strides[1]}
    out = [_out(shape[i + 1], kernel[i], strides[i], same) for i in range(2)]
    return options, kernel, out


def conv_2d(d: Draw) -> Spec:
    shape = d.image()
    options, kernel, out = _window(d, shape)
    source, units = d.feed(shape), d.size(1, 6)
    axis = d.pick((0, None))
    weights, bias = d.weights((units, *kernel, shape[3]), axis, source)
    options["FusedActivationFunction"] = d.pick(ACTIVATIONS)
    result = d.tensor((shape[0], *out, units))
    return d.spec((source, weights, bias), result, "Conv2DOptions", options)


def depthwise_conv_2d(d: Draw) -> Spec:
    shape = d.image()
    options, kernel, out = _window(d, shape)
    options["StrideW"] = options["StrideH"]
    same = options["Padding"] == 0
    out[1] = _out(shape[2], kernel[1], options["StrideW"], same)
    source, multiplier = d.feed(shape), d.size(1, 2)
    units = shape[3] * multiplier
    weights, bias = d.weights((1, *kernel, units), 3, source)
    options |= {"DepthMultiplier": multiplier, "FusedActivationFunction": d.pick(ACTIVATIONS)}
    result = d.tensor((shape[0], *out, units))
    return d.spec((source, weights, bias), result, "DepthwiseConv2DOptions", options)


def transpose_conv(d: Draw) -> Spec:
    shape = d.image(2)
    kernel, stride = [d.size(1, 4), d.size(1, 4)], d.size(1, 2)
    same = bool(d.size(0, 1))
    out = [
        n * stride if same else (n - 1) * stride + max(k, stride)
        for n, k in zip(shape[1:3], kernel, strict=True)
    ]
    source, units = d.feed(shape), d.size(1, 4)
    weights, bias = d.weights((units, *kernel, shape[3]), 0, source)
    options = {"Padding": int(not same), "StrideH": stride, "StrideW": stride}
    result = (shape[0], *out, units)
    operands = (d.constant(result), weights, source, bias)
    return d.spec(operands, d.tensor(result), "TransposeConvOptions", options)


def fully_connected(d: Draw) -> Spec:
    rank, depth, units = d.pick((2, 3)), d.size(1, 9), d.size(1, 9)
    shape = (*d.shape(rank - 1), depth)
    source = d.feed(shape)
    weights, bias = d.weights((units, depth), None, source)
    keep = bool(d.size(0, 1))
    rows = shape[:-1] if keep else (int(np.prod(shape[:-1])),)
    options = {"FusedActivationFunction": d.pick(ACTIVATIONS), "KeepNumDims": keep}
    result = d.tensor((*rows, units))
    return d.spec((source, weights, bias), result, "FullyConnectedOptions", options)


def batch_matmul(d: Draw) -> Spec:
    batch, (n, k, m) = d.shape(d.size(1, 2)), d.shape(3)
    adjoint = bool(d.size(0, 1))
    right = (*batch, m, k) if adjoint else (*batch, k, m)
    options = {"AdjY": adjoint}
    operands = (d.feed((*batch, n, k)), d.feed(right))
    return d.spec(operands, d.tensor((*batch, n, m)), "BatchMatMulOptions", options)


def pool(d: Draw) -> Spec:
    shape = d.image()
    options, kernel, out = _window(d, shape)
    options |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
    options["FusedActivationFunction"] = d.pick(ACTIVATIONS)
    grid = d.grid()
    return d.spec(
        (d.feed(shape, grid),), d.tensor((shape[0], *out, shape[3]), grid), "Pool2DOptions", options
    )


def resize(table: str) -> Case:
    def case(d: Draw) -> Spec:
        shape, grid, out = d.image(2), d.grid(), (d.size(1, 12), d.size(1, 12))
        options = d.pick(({}, {"AlignCorners": True}, {"HalfPixelCenters": True}))
        operands = (d.feed(shape, grid), d.constant(out))
        return d.spec(operands, d.tensor((shape[0], *out, shape[3]), grid), table, options)

    return case


def depth_to_space(d: Draw) -> Spec:
    block, grid = d.size(1, 3), d.grid()
    n, h, w, c = d.image(1)
    operands = (d.feed((n, h, w, c * block * block), grid),)
    result = d.tensor((n, h * block, w * block, c), grid)
    return d.spec(operands, result, "DepthToSpaceOptions", {"BlockSize": block})


def space_to_depth(d: Draw) -> Spec:
    block, grid = d.size(1, 3), d.grid()
    n, h, w, c = d.image(1)
    operands = (d.feed((n, h * block, w * block, c), grid),)
    result = d.tensor((n, h, w, c * block * block), grid)
    return d.spec(operands, result, "SpaceToDepthOptions", {"BlockSize": block})


def space_to_batch(d: Draw) -> Spec:
    (n, h, w, c), blocks = d.image(1), [d.size(1, 3), d.size(1, 3)]
    pads = [[0, 0], [0, 0]]
    size = []
    for i, length in enumerate((h, w)):
        pads[i][0] = d.size(0, 1)
        pads[i][1] = -(length + pads[i][0]) % blocks[i]
        size.append((length + sum(pads[i])) // blocks[i])
    grid = d.grid()
    operands = (d.feed((n, h, w, c), grid), d.constant(blocks), d.constant(pads))
    result = d.tensor((n * blocks[0] * blocks[1], *size, c), grid)
    return d.spec(operands, result, "SpaceToBatchNDOptions")


def batch_to_space(d: Draw) -> Spec:
    (n, h, w, c), blocks, grid = d.image(2), [d.size(1, 3), d.size(1, 3)], d.grid()
    crops = [[d.size(0, 1), 0], [0, d.size(0, 1)]]
    size = [length * b - sum(crop) for length, b, crop in zip((h, w), blocks, crops, strict=True)]
    source = d.feed((n * blocks[0] * blocks[1], h, w, c), grid)
    operands = (source, d.constant(blocks), d.constant(crops))
    return d.spec(operands, d.tensor((n, *size, c), grid), "BatchToSpaceNDOptions")


CASES: dict[str, tuple[Case, float | None]] = {
    "AVERAGE_POOL_2D": (pool, 1),
    "BATCH_MATMUL": (batch_matmul, 1),
    "BATCH_TO_SPACE_ND": (batch_to_space, 0),
    "CONV_2D": (conv_2d, 1),
    "DEPTHWISE_CONV_2D": (depthwise_conv_2d, 1),
    "DEPTH_TO_SPACE": (depth_to_space, 0),
    "FULLY_CONNECTED": (fully_connected, 1),
    "MAX_POOL_2D": (pool, 0),
    "RESIZE_BILINEAR": (resize("ResizeBilinearOptions"), 1),
    "RESIZE_NEAREST_NEIGHBOR": (resize("ResizeNearestNeighborOptions"), 0),
    "SPACE_TO_BATCH_ND": (space_to_batch, 0),
    "SPACE_TO_DEPTH": (space_to_depth, 0),
    "TRANSPOSE_CONV": (transpose_conv, 1),
}
"""A case, and by how many steps int8 may differ; None where TFLite has no int8 kernel to ask."""
