"""Layers, pools, normalisations, reductions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.onnx_cases.draw import Case, Draw, Spec, ints


def _window(d: Draw) -> dict[str, Any]:
    """Kernel, strides and pads that are smaller than the kernel."""
    kernel = [d.size(1, 3), d.size(1, 3)]
    pads = [d.size(0, (kernel[axis % 2] - 1)) for axis in range(4)]
    return {"kernel_shape": kernel, "strides": [d.size(1, 3), d.size(1, 3)], "pads": pads}


def conv(d: Draw) -> Spec:
    n, c, h, w = d.image()
    groups, units = d.pick(((1, d.size()), (c, c * d.size(1, 2))))
    window = _window(d)
    kernel = (units, c // groups, *window["kernel_shape"])
    bias = d.pick((d.bias(units), None))
    operands = (d.feed((n, c, h, w)), d.weights(kernel, d.pick((0, None))), bias)
    return Spec("Conv", operands, {**window, "group": groups})


def conv_transpose(d: Draw) -> Spec:
    n, c, h, w = d.image(2)
    units, window = d.size(), _window(d)
    window["pads"] = [min(pad, 1) for pad in window["pads"]]
    kernel = (c, units, *window["kernel_shape"])
    operands = (d.feed((n, c, h, w)), d.weights(kernel, d.pick((1, None))), d.bias(units))
    return Spec("ConvTranspose", operands, window)


def gemm(d: Draw) -> Spec:
    rows, depth, units = d.size(), d.size(1, 9), d.size(1, 9)
    turned = d.size(0, 1)
    shape = (units, depth) if turned else (depth, units)
    weights = d.weights(shape, d.pick((0 if turned else 1, None)))
    return Spec("Gemm", (d.feed((rows, depth)), weights, d.bias(units)), {"transB": turned})


def matmul(d: Draw) -> Spec:
    batch, depth, units = d.shape(d.size(1, 3)), d.size(1, 9), d.size(1, 9)
    weights = d.weights((depth, units), d.pick((1, None)))
    return Spec("MatMul", (d.feed((*batch, depth)), weights))


def product(d: Draw) -> Spec:
    batch, (n, k, m) = d.shape(d.size(1, 2)), d.shape(3)
    return Spec("MatMul", (d.feed((*batch, n, k)), d.feed((*batch, k, m))))


def pool(op: str, **attributes: Any) -> Case:
    return lambda d: Spec(op, (d.feed(d.image()),), {**_window(d), **attributes})


def of_image(op: str) -> Case:
    return lambda d: Spec(op, (d.feed(d.image()),))


def by_axis(op: str, last: bool = False) -> Case:
    """One axis, the last one in half of the draws or always."""

    def case(d: Draw) -> Spec:
        shape = d.shape()
        axis = -1 if last or d.size(0, 1) else d.axis(len(shape))
        return Spec(op, (d.feed(shape),), {"axis": axis})

    return case


def reduce(op: str, low: float = -4.0) -> Case:
    def case(d: Draw) -> Spec:
        shape = d.shape(d.size(2, 4))
        axes = d.random.permutation(len(shape))[: d.size(1, len(shape))]
        operands = (d.feed(shape, low), np.sort(axes).astype(np.int64))
        return Spec(op, operands, {"keepdims": d.size(0, 1)})

    return case


def argument(op: str) -> Case:
    def case(d: Draw) -> Spec:
        shape = d.shape()
        attributes = {"axis": d.axis(len(shape)), "keepdims": d.size(0, 1)}
        return Spec(op, (d.feed(shape),), {**attributes, "select_last_index": d.size(0, 1)})

    return case


def normalized(op: str, groups: int = 0) -> Case:
    """Scale and bias for each channel."""

    def case(d: Draw) -> Spec:
        shape = d.image()
        if groups:
            shape = (shape[0], groups * d.size(1, 3), *shape[2:])
        operands = (d.feed(shape), d.normal((shape[1],)), d.normal((shape[1],)))
        return Spec(op, operands, {"num_groups": groups} if groups else {})

    return case


def batch_normalization(d: Draw) -> Spec:
    shape = d.image()
    own = [d.normal((shape[1],)) for _ in range(4)]
    own[3] = np.abs(own[3]) + np.float32(0.1)
    return Spec("BatchNormalization", (d.feed(shape), *own))


def layer_normalization(d: Draw) -> Spec:
    shape = (*d.shape(d.size(1, 3)), d.size(2, 6))
    return Spec("LayerNormalization", (d.feed(shape), d.normal(shape[-1:]), d.normal(shape[-1:])))


def recurrent(op: str, gates: int) -> Case:
    def case(d: Draw) -> Spec:
        steps, batch, features, cells = d.size(), d.size(1, 2), d.size(), d.size()
        ways = d.size(1, 2)
        operands = (
            d.feed((steps, batch, features)),
            d.normal((ways, gates * cells, features)),
            d.normal((ways, gates * cells, cells)),
            d.normal((ways, 2 * gates * cells)),
        )
        direction = "bidirectional" if ways == 2 else d.pick(("forward", "reverse"))
        return Spec(op, operands, {"hidden_size": cells, "direction": direction}, outputs=2)

    return case


def transpose_to_shape(d: Draw) -> Spec:
    """A transposed convolution whose result has a shape instead of pads."""
    n, c, h, w = d.image(2)
    units, kernel, stride = d.size(), d.size(2, 4), d.size(1, 2)
    out = [side * stride for side in (h, w)]
    attributes = {"strides": [stride] * 2, "output_shape": out}
    operands = (d.feed((n, c, h, w)), d.weights((c, units, kernel, kernel), 1), d.bias(units))
    return Spec(
        "ConvTranspose", operands, {**attributes, "auto_pad": d.pick(("NOTSET", "SAME_UPPER"))}
    )


def fourier(d: Draw) -> Spec:
    half, parts = d.size(0, 1), d.size(1, 2)
    parts = 1 if half else parts
    attributes = {"onesided": half, "inverse": 0 if half else d.size(0, 1)}
    operands = (d.feed((d.size(), d.size(2, 9), parts)), None, np.array(1))
    return Spec("DFT", operands, attributes)


def short_time_fourier(d: Draw) -> Spec:
    size, step = d.size(2, 8), d.size(1, 3)
    signal = d.feed((d.size(1, 2), size + d.size(0, 9), 1))
    return Spec("STFT", (signal, np.array(step), np.abs(d.normal((size,)))))


def affine_grid(d: Draw) -> Spec:
    count, sides = d.size(1, 2), [d.size(2) for _ in range(d.size(2, 3))]
    matrices = d.feed((count, len(sides), len(sides) + 1), -1, 1)
    size = ints(count, 3, *sides)
    return Spec("AffineGrid", (matrices, size), {"align_corners": d.size(0, 1)})


def grid_sample(d: Draw) -> Spec:
    n, c, h, w = d.image()
    places = d.feed((n, d.size(), d.size(), 2), -1.2, 1.2)
    attributes = {"mode": "linear", "align_corners": d.size(0, 1)}
    return Spec("GridSample", (d.feed((n, c, h, w)), places), attributes)


def einsum(d: Draw) -> Spec:
    a, b, c = d.shape(3)
    return Spec("Einsum", (d.feed((a, b)), d.feed((c, b))), {"equation": "ab,cb->ac"})


def cumulative_sum(d: Draw) -> Spec:
    shape = d.shape()
    attributes = {"exclusive": d.size(0, 1), "reverse": d.size(0, 1)}
    return Spec("CumSum", (d.feed(shape), np.array(d.axis(len(shape)))), attributes)


def top_k(d: Draw) -> Spec:
    shape = d.shape()
    axis = d.axis(len(shape))
    count = ints(d.size(1, shape[axis]))
    attributes = {"axis": axis, "largest": d.size(0, 1)}
    return Spec("TopK", (d.feed(shape), count), attributes, outputs=2)


LAYERS: Mapping[str, Case] = {
    **{op: of_image(op) for op in ("GlobalAveragePool", "GlobalMaxPool")},
    **{
        op: reduce(op)
        for op in (
            *("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
            *("ReduceSum", "ReduceSumSquare", "ReduceLogSumExp"),
        )
    },
    "AffineGrid": affine_grid,
    "ArgMax": argument("ArgMax"),
    "ArgMin": argument("ArgMin"),
    "AveragePool": pool("AveragePool"),
    "AveragePool with border": pool("AveragePool", count_include_pad=1),
    "BatchNormalization": batch_normalization,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "ConvTranspose to a shape": transpose_to_shape,
    "CumSum": cumulative_sum,
    "DFT": fourier,
    "Einsum": einsum,
    "GridSample": grid_sample,
    "GRU": recurrent("GRU", 3),
    "Gemm": gemm,
    "GroupNormalization": normalized("GroupNormalization", 2),
    "Hardmax": by_axis("Hardmax"),
    "InstanceNormalization": normalized("InstanceNormalization"),
    "LRN": lambda d: Spec("LRN", (d.feed(d.image()),), {"size": d.pick((1, 3, 5))}),
    "LSTM": recurrent("LSTM", 4),
    "LayerNormalization": layer_normalization,
    "LogSoftmax": by_axis("LogSoftmax"),
    "LpNormalization": by_axis("LpNormalization"),
    "LpPool": pool("LpPool"),
    "MatMul": matmul,
    "MatMul of two": product,
    "MaxPool": pool("MaxPool"),
    "MeanVarianceNormalization": of_image("MeanVarianceNormalization"),
    "RNN": recurrent("RNN", 1),
    "ReduceLogSum": reduce("ReduceLogSum", 0.1),
    "STFT": short_time_fourier,
    "Softmax": by_axis("Softmax"),
    "TopK": top_k,
}
"""By operator."""
