"""What a convolution or a matrix product multiplies at each place of its output."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.values import constant_input

Array = npt.NDArray[np.float64]


def windows(node: ir.Node, values: npt.NDArray[Any], most: int | None = None) -> Array:
    """What each place of the output of `node` multiplies: float64 [groups, places, taps].

    Args:
        node: a Conv, Gemm or MatMul with a constant weight; taps are in the order of its elements.
        values: its first input.
        most: places looked at, evenly spread; None for all.
    """
    if node.op_type != "Conv":
        rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
        return _spread(rows, most)[None]
    weights = constant_input(node, 1)
    assert weights is not None, "its weights are constant"
    groups, window = node.attributes.get_int("group", 1), weights.shape[2:]
    rank = len(window)
    pads = list(node.attributes.get_ints("pads", [0] * 2 * rank))
    strides = node.attributes.get_ints("strides", [1] * rank)
    dilations = node.attributes.get_ints("dilations", [1] * rank)
    padding = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    padded = np.pad(values, padding)
    spans = [(size - 1) * step + 1 for size, step in zip(window, dilations, strict=True)]
    axes: Any = tuple(range(2, 2 + rank))
    view = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=axes)
    places = tuple(slice(None, None, step) for step in strides)
    taps = tuple(slice(None, None, step) for step in dilations)
    view = view[(slice(None), slice(None), *places, *taps)]
    # [batch, channels, *places, *window] to [places, channels, window]
    moved = np.moveaxis(view, 1, 1 + rank)
    count = int(np.prod(moved.shape[: 1 + rank]))
    flat = moved.reshape(count, view.shape[1], -1)
    rows = _spread(flat, most).astype(np.float64)
    grouped = rows.reshape(len(rows), groups, -1)
    return grouped.transpose(1, 0, 2)


def _spread(rows: npt.NDArray[Any], most: int | None) -> npt.NDArray[Any]:
    if most is None or len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
