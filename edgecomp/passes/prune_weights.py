"""Set single weights, or small blocks of them, to zero."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.params import parameters_of
from edgecomp.graph.values import constant_of
from edgecomp.model import Model

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MATRIX_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Pattern:
    """What goes together, in the weights as a matrix [outputs, everything an output reads].

    Attributes:
        kept, of: N of M neighbours stay; 0 of 0 where a share of all decides.
        block: rows and columns of the blocks that go as one.
    """

    kept: int = 0
    of: int = 0
    block: tuple[int, int] = (1, 1)


def parse_pattern(text: str) -> Pattern | None:
    """The pattern of "unstructured", "2:4" or "1x4"; None for anything else."""
    if text == "unstructured":
        return Pattern()
    if found := re.fullmatch(r"(\d+):(\d+)", text):
        kept, of = map(int, found.groups())
        return Pattern(kept, of) if 0 < kept < of else None
    if found := re.fullmatch(r"(\d+)x(\d+)", text):
        rows, columns = map(int, found.groups())
        return Pattern(block=(rows, columns)) if rows * columns > 1 else None
    return None


def prunable(graph: ir.Graph, protect: Sequence[str]) -> list[tuple[ir.Value, int]]:
    """Weights of matrix products and convolutions, with the axis of their outputs."""
    found: dict[ir.Value, int] = {}
    for node in graph:
        guarded = any(fnmatchcase(str(node.name), pattern) for pattern in protect)
        if node.domain != "" or node.op_type not in MATRIX_OPS or guarded:
            continue
        weights = node.inputs[1]
        if weights is not None and weights in parameters_of(node):
            transposed = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) != 0
            found[weights] = 0 if node.op_type == "Conv" or transposed else 1
    return list(found.items())


def as_matrix(weights: Array, axis: int) -> Array:
    """[outputs, the rest] with a window before the inputs, so that neighbours are inputs."""
    moved = np.moveaxis(weights, axis, 0)
    if moved.ndim > 2:
        moved = np.moveaxis(moved, 1, -1)
    return moved.reshape(len(moved), -1)


def from_matrix(matrix: npt.NDArray[np.bool_], shape: Sequence[int], axis: int) -> Mask:
    """Undoes `as_matrix`, for weights of `shape`."""
    order = [axis, *(place for place in range(len(shape)) if place != axis)]
    moved = [shape[place] for place in order]
    if len(shape) > 2:
        matrix = np.moveaxis(matrix.reshape(moved[0], *moved[2:], moved[1]), -1, 1)
    return np.moveaxis(matrix.reshape(moved), 0, axis)


def masks(
    weights: Mapping[str, tuple[Array, int]], sparsity: float, pattern: Pattern, across: bool
) -> dict[str, Mask]:
    """Which weights stay, by name; the largest do.

    Args:
        weights: each tensor and the axis of its outputs.
        sparsity: share that goes; a pattern N:M has its own.
        pattern: what goes together.
        across: compare all tensors, each scaled by its root mean square; else each has its share.
    """
    if pattern.of:
        return {
            name: from_matrix(_n_of_m(as_matrix(w, axis), pattern), w.shape, axis)
            for name, (w, axis) in weights.items()
        }
    sizes = {n: _blocks(as_matrix(w, axis), pattern.block) for n, (w, axis) in weights.items()}
    if across:
        scaled = {n: s / max(float(np.sqrt(np.mean(s**2))), 1e-30) for n, s in sizes.items()}
        everything = np.concatenate([s.ravel() for s in scaled.values()])
        limits = dict.fromkeys(scaled, _limit(everything, sparsity))
    else:
        scaled = sizes
        limits = {name: _limit(found.ravel(), sparsity) for name, found in sizes.items()}
    kept = {}
    for name, (w, axis) in weights.items():
        stays = scaled[name] > limits[name]
        matrix = as_matrix(w, axis)
        spread = np.repeat(np.repeat(stays, pattern.block[0], 0), pattern.block[1], 1)
        kept[name] = from_matrix(spread[: matrix.shape[0], : matrix.shape[1]], w.shape, axis)
    return kept


def _blocks(matrix: Array, block: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The root mean square of each block; blocks at the edges may be smaller."""
    rows, columns = block
    height, width = -(-matrix.shape[0] // rows), -(-matrix.shape[1] // columns)
    padded = np.zeros((height * rows, width * columns))
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    count = np.zeros_like(padded)
    count[: matrix.shape[0], : matrix.shape[1]] = 1
    shape = (height, rows, width, columns)
    total = np.square(padded).reshape(shape).sum(axis=(1, 3))
    return np.asarray(np.sqrt(total / count.reshape(shape).sum(axis=(1, 3))))


def _limit(values: npt.NDArray[np.float64], sparsity: float) -> float:
    """The value up to which things go; below every one where nothing does."""
    count = round(sparsity * values.size)
    return -1.0 if count == 0 else float(np.partition(values, count - 1)[count - 1])


def _n_of_m(matrix: Array, pattern: Pattern) -> Mask:
    """The largest N of each M in a row; a shorter last group keeps N as well."""
    rows, columns = matrix.shape
    groups = -(-columns // pattern.of)
    padded = np.full((rows, groups * pattern.of), -1.0)
    padded[:, :columns] = np.abs(matrix)
    parts = padded.reshape(rows, groups, pattern.of)
    places = np.argsort(-parts, axis=2, kind="stable")
    stays = np.zeros(parts.shape, np.bool_)
    np.put_along_axis(stays, places[:, :, : pattern.kept], True, axis=2)
    return stays.reshape(rows, -1)[:, :columns]


def apply_masks(model: Model, kept: Mapping[str, Mask]) -> ir.Model:
    """A clone of the model's graph with zeros where weights go."""
    clone = model.graph.clone()
    for name, mask in kept.items():
        value = clone.graph.initializers[name]
        content = constant_of(value)
        assert content is not None, "an initializer"
        value.const_value = ir.tensor(np.where(mask, content, np.float32(0)), name=name)
    return clone


def check_any(weights: Sequence[object], name: str) -> None:
    """Raise where there is nothing for the pass called `name` to do."""
    if not weights:
        fix = "check protect, and that there are float weights that are no palettes yet"
        raise EdgecompError(Reason(f"no node has weights to {name}", name, fix))
