"""Where an affine map takes the pixels of an image: AffineGrid-20 of the ONNX specification."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.build import Replacement
from edgecomp.graph.values import constant_input, dtype_of, input_at


def expand_affine_grid(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """The places of all pixels, constant, times the matrices [N, 2, 3] or [N, 3, 4]."""
    matrices, size = input_at(node, 0), constant_input(node, 1)
    assert matrices is not None, "the first input is not optional"
    if size is None:
        raise EdgecompError(Reason("its size is not constant", str(node.name), "bind it"))
    count, _, *sides = (int(n) for n in size)
    aligned = bool(node.attributes.get_int("align_corners", 0))
    axes = [_places(side, aligned) for side in sides]
    # x comes first, which is the last axis
    places = [*reversed(np.meshgrid(*axes, indexing="ij")), np.ones(sides)]
    rows = np.stack(places, axis=-1).reshape(-1, len(sides) + 1).astype(dtype_of(matrices))
    turned = new.add("Transpose", matrices, perm=[0, 2, 1])
    grid = new.add("MatMul", new.constant(rows), turned)
    return [new.add("Reshape", grid, new.constant([count, *sides, len(sides)], "int64"))]


def _places(side: int, aligned: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The middles of the pixels along a side, from -1 to 1; `aligned`: the outermost lie there."""
    if aligned:
        return np.linspace(-1, 1, side)
    return (2 * np.arange(side) + 1) / side - 1
