"""Factors of a weight tensor, and how much of it they keep.

A weight W [outputs, inputs, *window] is weighted by what it reads: with E[x x^T] = L L^T of the
input channels, the squared error of the outputs is that of W L, so that is what gets decomposed.
The errors of neighbouring places in a window are taken to be independent.

Sources: Zhang et al. 2015, "Accelerating Very Deep Convolutional Networks" (output subspace);
Jaderberg et al. 2014, "Speeding up CNNs with Low Rank Expansions" (spatial); Kim et al. 2016,
"Compression of Deep CNNs for Fast and Low Power Mobile Applications" (Tucker-2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RIDGE = 1e-6
"""Added to the second moments, as a share of their mean: channels always 0 stay solvable."""
OUTPUT_RIDGE = 1e-3
"""The same for gradients, which are samples of all that might be."""


@dataclass(frozen=True, eq=False)
class Unfolding:
    """A matrix form of the weighted tensor, decomposed.

    Attributes:
        left: left singular vectors, [rows, rank].
        values: singular values, descending.
        right: right singular vectors, transposed, [rank, columns].
    """

    left: Array
    values: Array
    right: Array

    def rank_for(self, energy: float) -> int:
        """The smallest rank that keeps a share `energy` of the squared singular values."""
        squares = self.values**2
        total = squares.sum()
        if total == 0.0:
            return 1
        kept = np.cumsum(squares) / total
        return min(int(np.searchsorted(kept, energy - 1e-12)) + 1, len(squares))

    def lost(self, rank: int) -> float:
        """Share of the squared singular values beyond `rank`."""
        squares = self.values**2
        return float(squares[rank:].sum() / max(squares.sum(), np.finfo(np.float64).tiny))


@dataclass(frozen=True, eq=False)
class Weighted:
    """A weight tensor, the root of its input's second moments, and that of what outputs matter.

    Attributes:
        weight: [outputs, inputs, *window].
        root: L of E[x x^T] = L L^T, [inputs, inputs], lower triangular.
        matter: R of E[g g^T] = R^T R, [outputs, outputs], upper triangular; g the gradients of the
            model's outputs by the layer's.
    """

    weight: Array
    root: Array
    matter: Array

    @property
    def window(self) -> tuple[int, ...]:
        """Sizes of the window; empty for a matrix."""
        return self.weight.shape[2:]

    @property
    def weighted(self) -> Array:
        """R W L along the output and the input axis."""
        made = np.moveaxis(np.tensordot(self.weight, self.root, axes=(1, 0)), -1, 1)
        return np.tensordot(self.matter, made, axes=(1, 0))

    def unweighted(self, factor: Array) -> Array:
        """`factor` L^-1 along its input axis, which is the second."""
        moved = np.moveaxis(factor, 1, -1)
        flat = moved.reshape(-1, moved.shape[-1])
        solved = np.linalg.solve(self.root.T, flat.T).T
        return np.moveaxis(solved.reshape(moved.shape), -1, 1)

    def mattering_no_more(self, factor: Array) -> Array:
        """R^-1 `factor` along its output axis, which is the first."""
        flat = factor.reshape(len(factor), -1)
        return np.linalg.solve(self.matter, flat).reshape(factor.shape)


def weighted(weight: Array, moments: Array | None, gradients: Array | None = None) -> Weighted:
    """`weight` with the roots of second moments of what it reads, and of the model's gradients.

    Either may be None: all channels count alike then.
    """
    outputs, inputs = weight.shape[:2]
    root = np.eye(inputs) if moments is None else _root(moments, RIDGE)
    matter = np.eye(outputs) if gradients is None else _root(gradients, OUTPUT_RIDGE).T
    return Weighted(weight, root, matter)


def _root(moments: Array, ridge: float) -> Array:
    """The lower triangle whose square `moments` are."""
    mean = float(np.trace(moments)) / len(moments)
    return np.linalg.cholesky(
        moments + (ridge * mean if mean > 0.0 else 1.0) * np.eye(len(moments))
    )


def unfold(matrix: Array) -> Unfolding:
    """The singular value decomposition of `matrix`, signs fixed so that it is unique."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    largest = np.abs(left).argmax(axis=0)
    signs = np.where(left[largest, np.arange(left.shape[1])] < 0, -1.0, 1.0)
    return Unfolding(left * signs, values, right * signs[:, None])


def output_unfolding(layer: Weighted) -> Unfolding:
    """Outputs against everything else: what `svd` and the last factor of `tucker` cut."""
    return unfold(layer.weighted.reshape(layer.weight.shape[0], -1))


def input_unfolding(layer: Weighted) -> Unfolding:
    """Inputs against everything else: what the first factor of `tucker` cuts."""
    moved = np.moveaxis(layer.weighted, 1, 0)
    return unfold(moved.reshape(moved.shape[0], -1))


def spatial_unfolding(layer: Weighted) -> Unfolding:
    """Inputs and rows of the window against outputs and columns: what `spatial` cuts."""
    _, inputs, rows, _ = layer.weight.shape
    matrix = layer.weighted.transpose(1, 2, 0, 3)
    return unfold(matrix.reshape(inputs * rows, -1))


def svd_factors(layer: Weighted, output: Unfolding, rank: int) -> tuple[Array, ...]:
    """[rank, inputs, *window] and [outputs, rank, 1...]: W projected on its outputs' subspace."""
    basis = output.left[:, :rank]
    first = np.tensordot(basis.T @ layer.matter, layer.weight, axes=(1, 0))
    return first, _pointwise(layer.mattering_no_more(basis), layer)


def tucker_factors(
    layer: Weighted, output: Unfolding, input: Unfolding, ranks: tuple[int, int]
) -> tuple[Array, ...]:
    """[input rank, inputs, 1...], the core [output rank, input rank, *window], [outputs, ...]."""
    outputs, inputs = output.left[:, : ranks[1]], input.left[:, : ranks[0]]
    first = layer.unweighted(inputs.T)
    core = np.moveaxis(np.tensordot(layer.weight, layer.root @ inputs, axes=(1, 0)), -1, 1)
    core = np.tensordot(outputs.T @ layer.matter, core, axes=(1, 0))
    last = layer.mattering_no_more(outputs)
    return _pointwise(first, layer), core, _pointwise(last, layer)


def spatial_factors(layer: Weighted, spatial: Unfolding, rank: int) -> tuple[Array, ...]:
    """[rank, inputs, rows, 1] and [outputs, rank, 1, columns]."""
    outputs, inputs, rows, columns = layer.weight.shape
    root = np.sqrt(spatial.values[:rank])
    first = (spatial.left[:, :rank] * root).T.reshape(rank, inputs, rows, 1)
    last = (spatial.right[:rank] * root[:, None]).reshape(rank, outputs, 1, columns)
    return layer.unweighted(first), layer.mattering_no_more(last.transpose(1, 0, 2, 3))


def _pointwise(matrix: Array, layer: Weighted) -> Array:
    return matrix.reshape(*matrix.shape, *(1 for _ in layer.window))


Composer = Callable[..., Array]


def _compose_pair(first: Array, last: Array) -> Array:
    return np.tensordot(last.reshape(last.shape[:2]), first, axes=(1, 0))


def _compose_tucker(first: Array, core: Array, last: Array) -> Array:
    inner = np.moveaxis(np.tensordot(core, first.reshape(first.shape[:2]), axes=(1, 0)), -1, 1)
    return _compose_pair(inner, last)


def _compose_spatial(first: Array, last: Array) -> Array:
    return np.asarray(np.einsum("rih,orw->oihw", first[..., 0], last[:, :, 0]))


def _compose_cp(first: Array, rows: Array, columns: Array, last: Array) -> Array:
    factors = last[..., 0, 0], first[..., 0, 0], rows[:, 0, :, 0], columns[:, 0, 0]
    return np.asarray(np.einsum("or,ri,rh,rw->oihw", *factors))


COMPOSE: Mapping[str, Composer] = {
    "svd": _compose_pair,
    "tucker": _compose_tucker,
    "spatial": _compose_spatial,
    "cp": _compose_cp,
}
"""By method: the weight tensor that its factors stand for."""
