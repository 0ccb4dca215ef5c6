"""Fourier transforms as products with constant matrices.

Equations of the ONNX operator specification: DFT-20, STFT-17.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.build import Replacement
from edgecomp.graph.values import constant_input, dtype_of, input_at, shape_of

MAX_MATRIX = 2**22
"""A transform whose matrix has more elements than this is refused."""

Array = npt.NDArray[Any]


def expand_dft(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """Along one axis of [..., 1 or 2], real or complex."""
    source = input_at(node, 0)
    assert source is not None, "the first input is not optional"
    inverse = bool(node.attributes.get_int("inverse", 0))
    half = bool(node.attributes.get_int("onesided", 0))
    shape = shape_of(source)
    axis = _constant(node, 2, -2) % len(shape)
    count = _constant(node, 1, 2 * (shape[axis] - 1) if inverse and half else shape[axis])
    order = [*(i for i in range(len(shape) - 1) if i != axis), axis, len(shape) - 1]
    turned = new.add("Transpose", source, perm=order)
    matrix = _matrix(node, (shape[axis], shape[-1]), count, half, inverse)
    outer = [shape[i] for i in order[:-2]]
    result = _product(new, turned, outer, matrix.astype(dtype_of(source)))
    return [new.add("Transpose", result, perm=[order.index(i) for i in range(len(shape))])]


def expand_stft(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """Frames gathered from the signal [batch, length, 1 or 2], each times the window."""
    source, window = input_at(node, 0), input_at(node, 2)
    assert source is not None, "the first input is not optional"
    batch, length, parts = (*shape_of(source), 1)[:3]
    size = _constant(node, 3, length if window is None else shape_of(window)[0])
    starts = np.arange(0, length - size + 1, _constant(node, 1, 1))
    signal = new.add("Reshape", source, new.constant([batch, length, parts], "int64"))
    frames = new.add("Gather", signal, new.constant(starts[:, None] + np.arange(size)), axis=1)
    if window is not None:
        column = new.add("Unsqueeze", window, new.constant([1], "int64"))
        frames = new.add("Mul", frames, column)
    half = bool(node.attributes.get_int("onesided", 1))
    matrix = _matrix(node, (size, parts), size, half, False)
    return [_product(new, frames, [batch, len(starts)], matrix.astype(dtype_of(source)))]


def _constant(node: ir.Node, place: int, default: int) -> int:
    """The integer at an operand.

    Raises:
        EdgecompError: it is not known at compile time.
    """
    given = input_at(node, place)
    if given is None:
        return default
    content = constant_input(node, place)
    if content is None:
        raise EdgecompError(
            Reason(f"its operand {given.name} is not constant", str(node.name), "bind it")
        )
    return int(content.reshape(-1)[0])


def _matrix(node: ir.Node, given: tuple[int, int], count: int, half: bool, inverse: bool) -> Array:
    """[places, parts, bins, 2]: what a real and an imaginary part at a place add to each bin.

    The inverse of half a spectrum is [bins, 2, count, 1]: real numbers.

    Args:
        node: whose transform it is.
        given: how many places there are, and 1 or 2 parts of each; of places behind `count` nothing
            is taken, places that are missing are zero.
        count: length of the transform.
        half: only the bins that a real signal does not repeat.
        inverse: the inverse transform.
    """
    places, parts = given
    bins = count // 2 + 1 if half and not inverse else count
    if places * parts * bins * 2 > MAX_MATRIX:
        raise EdgecompError(Reason(f"a transform of {count} is too large", str(node.name)))
    turns = np.outer(np.arange(places), np.arange(bins)) % count / count
    cosine, sine = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    sine = sine if inverse else -sine
    matrix = np.stack(
        [np.stack([cosine, sine], axis=-1), np.stack([-sine, cosine], axis=-1)], axis=1
    )
    matrix[count:] = 0
    if inverse:
        matrix /= count
    if inverse and half:
        # a bin that a real signal repeats stands for both
        matrix[1 : (count + 1) // 2] *= 2
        matrix[count // 2 + 1 :] = 0
        matrix = matrix[..., :1]
    return np.asarray(matrix[:, :parts])


def _product(new: Replacement, rows: ir.Value, outer: list[int], matrix: Array) -> ir.Value:
    """[*outer, places, parts] -> [*outer, bins, 2 or 1]."""
    places, parts, bins, made = matrix.shape
    flat = new.add("Reshape", rows, new.constant([*outer, places * parts], "int64"))
    product = new.add("MatMul", flat, new.constant(matrix.reshape(places * parts, bins * made)))
    return new.add("Reshape", product, new.constant([*outer, bins, made], "int64"))
