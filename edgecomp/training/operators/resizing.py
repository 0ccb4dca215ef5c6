"""Resize in the forms the importer leaves: nearest by whole factors, and linear.

Source: ONNX operator specification, Resize-19, with the coordinates of its reference. Every other
Resize is written in other operators when a model is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
import torch

from edgecomp.graph.values import shape_of
from edgecomp.training.operators.arguments import Operator


def _resize(node: ir.Node, x: Any, *ignored: Any) -> Any:
    mode = node.attributes.get_string("mode", "nearest")
    transform = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    for axis, size in enumerate(shape_of(node.outputs[0])):
        given = x.shape[axis]
        if given == size:
            continue
        if mode == "nearest":
            x = x.index_select(axis, torch.arange(size) * given // size)
        else:
            weights = _linear(transform, given, size).to(x.dtype)
            x = torch.tensordot(x, weights, dims=([axis], [1])).movedim(-1, axis)
    return x


def _linear(transform: str, given: int, size: int) -> Any:
    """The share of each of `given` elements in each of `size`: a matrix [size, given]."""
    places = torch.arange(size, dtype=torch.float64)
    if transform == "align_corners":
        places = places * ((given - 1) / (size - 1)) if size > 1 else places * 0
    elif transform == "asymmetric":
        places = places * (given / size)
    elif transform == "half_pixel" or size > 1:
        places = (places + 0.5) * (given / size) - 0.5
    else:  # pytorch_half_pixel of one element
        places = places * 0
    distance = places.clamp(0, given - 1)[:, None] - torch.arange(given, dtype=torch.float64)
    return (1 - distance.abs()).clamp(min=0)


RESIZING: Mapping[str, Operator] = {"Resize": _resize}
