"""CP: a k x k convolution as two of 1 x 1 with two depthwise ones, of rows and columns, between.

Source: Lebedev et al. 2015, "Speeding-up Convolutional Neural Networks Using Fine-tuned
CP-Decomposition" (arXiv 1412.6553), section 3; found by alternating least squares, with a ridge
that keeps components from growing against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecomp.passes.lowrank_factors import Array, Weighted

SWEEPS, ENOUGH = 60, 1e-4
"""Rounds over all factors at most; they end when the error falls by less than this share."""
RIDGE = 1e-6
"""Added to each system of equations, as a share of its mean diagonal."""
RANKS = 10
"""Ranks tried, evenly spaced by their logarithms; each is a decomposition of its own."""


@dataclass(frozen=True, eq=False)
class Components:
    """Sums of outer products that stand for a weighted tensor.

    Attributes:
        factors: [outputs, rank], [inputs, rank], [rows, rank] and [columns, rank].
        lost: the squared error as a share of the tensor's squares.
    """

    factors: tuple[Array, ...]
    lost: float

    @property
    def rank(self) -> int:
        """How many products there are."""
        return int(self.factors[0].shape[1])


def decompositions(layer: Weighted) -> list[Components]:
    """Decompositions of growing rank, up to that where they are as large as the tensor."""
    most = max(layer.weight.size // sum(layer.weight.shape), 1)
    ranks = np.unique(np.geomspace(1, most, RANKS).round().astype(int))
    return [decompose(layer.weighted, int(rank)) for rank in ranks]


def decompose(tensor: Array, rank: int) -> Components:
    """`rank` components of a tensor [outputs, inputs, rows, columns]; always the same ones."""
    random = np.random.default_rng(0)
    factors = [random.normal(size=(size, rank)) for size in tensor.shape]
    unfolded = [_unfolded(tensor, axis) for axis in range(tensor.ndim)]
    total = max(float(np.square(tensor).sum()), float(np.finfo(np.float64).tiny))
    lost = 1.0
    for _ in range(SWEEPS):
        for axis in range(tensor.ndim):
            product, gram = _system(unfolded[axis], factors, axis)
            ridge = RIDGE * np.trace(gram) / rank
            factors[axis] = np.linalg.solve(gram + ridge * np.eye(rank), product.T).T
            if axis < tensor.ndim - 1:  # the last one carries the size of each component
                factors[axis] /= np.maximum(np.linalg.norm(factors[axis], axis=0), 1e-12)
        last = factors[-1]
        error = total - 2 * float((product * last).sum()) + float((gram * (last.T @ last)).sum())
        now = max(error, 0.0) / total
        if lost - now < ENOUGH * lost:
            break
        lost = now
    return Components(tuple(factors), now)


def _unfolded(tensor: Array, axis: int) -> Array:
    return np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)


def _system(unfolded: Array, factors: Sequence[Array], axis: int) -> tuple[Array, Array]:
    """What the factor of `axis` is solved from: the tensor times the others, and their products."""
    others = [factor for place, factor in enumerate(factors) if place != axis]
    spread = np.einsum("ar,br,cr->abcr", *others).reshape(unfolded.shape[1], -1)
    return unfolded @ spread, np.prod([factor.T @ factor for factor in others], axis=0)


def cp_factors(layer: Weighted, found: Components) -> tuple[Array, ...]:
    """[rank, inputs, 1, 1], [rank, 1, rows, 1], [rank, 1, 1, columns] and [outputs, rank, 1, 1]."""
    outputs, inputs, rows, columns = found.factors
    return (
        layer.unweighted(inputs.T[..., None, None]),
        rows.T[:, None, :, None],
        columns.T[:, None, None, :],
        layer.mattering_no_more(outputs)[..., None, None],
    )
