"""Sparse weights of a TFLite file as the dense array they stand for.

The format is that of the schema's SparsityParameters (TACO's): levels in `traversal_order`, each
dense or compressed sparse row, over the dimensions of the tensor and then those of the blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tflite

from edgecomp.errors import EdgecompError, Reason
from edgecomp.importers.tflite.file import Array

INDEX_VECTORS = {
    tflite.SparseIndexVector.Int32Vector: (tflite.Int32Vector, np.int32),
    tflite.SparseIndexVector.Uint16Vector: (tflite.Uint16Vector, np.uint16),
    tflite.SparseIndexVector.Uint8Vector: (tflite.Uint8Vector, np.uint8),
}
"""Class and element type of a vector of indices, by its number in the schema."""

MAX_EXPANSION = 128
"""How many times larger than its stored elements a dense tensor may be, beyond a mebibyte."""

MAX_LEVELS = 16
"""Dimensions and blocks together; no tensor of TFLite has more than half as many."""


def densified(
    sparsity: Any,
    raw: Array,
    shape: tuple[int, ...],
    dtype: str,
    name: str,
    spend: Callable[[int], None],
) -> Array:
    """The dense array of `shape` whose stored elements are `raw` bytes.

    Args:
        sparsity: the table of the file.
        spend: counts the bytes that are read, and raises when there are too many.

    Raises:
        EdgecompError: indices that lie outside the shape.
    """
    damaged = EdgecompError(
        Reason("its sparse content does not fit its shape", name, "convert the model again")
    )
    rank, levels = len(shape), sparsity.TraversalOrderLength()
    if not rank <= levels <= MAX_LEVELS or sparsity.DimMetadataLength() != levels:
        raise damaged
    order = [int(sparsity.TraversalOrder(level)) for level in range(levels)]
    blocks = [int(sparsity.BlockMap(i)) for i in range(sparsity.BlockMapLength())]
    bad_block = len(blocks) != levels - rank or any(not 0 <= b < rank for b in blocks)
    if sorted(order) != list(range(levels)) or bad_block:
        raise damaged
    metadata = [sparsity.DimMetadata(level) for level in range(levels)]
    if math.prod(shape) * np.dtype(dtype).itemsize > MAX_EXPANSION * raw.size + 2**20:
        raise damaged
    values = np.frombuffer(raw.tobytes(), dtype)
    positions = _positions(metadata, values.size, spend)
    if positions is None:
        raise damaged
    index = _indices(order, blocks, metadata, positions, rank)
    if any((axis < 0).any() or (axis >= n).any() for axis, n in zip(index, shape, strict=True)):
        raise damaged
    dense = np.zeros(shape, dtype)
    dense[tuple(index)] = values
    return dense


def _positions(metadata: list[Any], count: int, spend: Callable[[int], None]) -> list[Array] | None:
    """For each level the coordinate of every stored element; None when the levels do not fit."""
    coordinates: list[Array] = []
    nodes = 1
    for level in metadata:
        if level.Format() == tflite.DimensionType.DENSE:
            size = level.DenseSize()
            if size < 1 or nodes * size > count:
                return None
            parents = np.repeat(np.arange(nodes), size)
            own = np.tile(np.arange(size), nodes)
        else:
            segments = _vector(level.ArraySegmentsType(), level.ArraySegments(), spend)
            own = _vector(level.ArrayIndicesType(), level.ArrayIndices(), spend)
            lengths = np.diff(segments)
            if segments.size != nodes + 1 or (lengths < 0).any() or segments[0] != 0:
                return None
            if int(segments[-1]) != own.size or own.size > count:
                return None
            parents = np.repeat(np.arange(nodes), lengths)
        coordinates = [earlier[parents] for earlier in coordinates] + [own]
        nodes = own.size
    return coordinates if nodes == count else None


def _vector(kind: int, union: Any, spend: Callable[[int], None]) -> Array:
    """A vector of indices as int64; empty where it is absent."""
    if union is None or kind not in INDEX_VECTORS:
        return np.zeros(0, np.int64)
    cls, dtype = INDEX_VECTORS[kind]
    vector = cls()
    vector.Init(union.Bytes, union.Pos)
    count = vector.ValuesLength()
    spend(count * np.dtype(dtype).itemsize)
    if count == 0:
        return np.zeros(0, np.int64)
    return np.asarray(vector.ValuesAsNumpy(), dtype).astype(np.int64)


def _indices(
    order: list[int], blocks: list[int], metadata: list[Any], positions: list[Array], rank: int
) -> list[Array]:
    """The coordinate along each axis of the dense tensor: block number times size plus place."""
    level_of = {dimension: level for level, dimension in enumerate(order)}
    index = []
    for axis in range(rank):
        coordinate = positions[level_of[axis]]
        for number, blocked in enumerate(blocks):
            if blocked == axis:
                level = level_of[rank + number]
                coordinate = coordinate * metadata[level].DenseSize() + positions[level]
        index.append(coordinate)
    return index
