"""Rounding of weights so that the outputs of a layer, not its weights, change least.

The squared error of the outputs of a layer is (q - w) G (q - w)^T with G the second moments of its
inputs. It is brought down twice: column by column, later columns making up for the error of earlier
ones (Frantar et al. 2023, GPTQ, arXiv 2210.17323), then by single steps up or down as long as one
helps: the problem of AdaRound (Nagel et al. 2020, arXiv 2004.10568, equation 13), descended
coordinate by coordinate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SWEEPS = 8
"""Over all weights at most; one that changes nothing is the last."""

SHRINKS = np.linspace(0.4, 1.0, 25)
"""Scales tried, as shares of the one that covers the largest weight."""


def best_scales(weights: Array, moments: Array, limit: int) -> Array:
    """The scale of each output for the least error of plain rounding, inputs weighted by power.

    Args:
        weights: [outputs, taps].
        moments: E[z z^T] of the taps.
        limit: the largest integer, as 7 of int4.

    Returns:
        [outputs]; 0 for outputs without weights.
    """
    power = np.diagonal(moments)
    largest = np.abs(weights).max(axis=1) / limit
    best, least = largest.copy(), np.full(len(weights), np.inf)
    for shrink in SHRINKS:
        scale = np.where(largest > 0.0, largest * shrink, 1.0)[:, None]
        rounded = np.clip(np.rint(weights / scale), -limit, limit) * scale
        error = np.square(rounded - weights) @ power
        better = error < least
        best, least = np.where(better, scale[:, 0], best), np.where(better, error, least)
    return np.where(largest > 0.0, best, 0.0)


def reconstruct(weights: Array, scale: Array, moments: Array, limit: int) -> npt.NDArray[np.int64]:
    """Integers for `weights` that change the layer's outputs least.

    Args:
        weights: [outputs, taps].
        scale: of each output, positive.
        moments: E[z z^T] of the taps, positive definite.
        limit: the largest integer.

    Returns:
        int64 [outputs, taps], -limit to limit.
    """
    steps = weights / scale[:, None]
    order = np.argsort(-np.diagonal(moments), kind="stable")
    sorted_moments = moments[np.ix_(order, order)]
    found = _column_by_column(steps[:, order], sorted_moments, limit)
    plain = np.clip(np.rint(steps[:, order]), -limit, limit)
    # each output by itself: the better start, then downhill
    errors = [_errors(start - steps[:, order], sorted_moments) for start in (found, plain)]
    start = np.where((errors[0] <= errors[1])[:, None], found, plain)
    rounded = _downhill(start, steps[:, order], sorted_moments, limit)
    result = np.empty(rounded.shape, np.int64)
    result[:, order] = rounded
    return result


def _errors(difference: Array, moments: Array) -> Array:
    return np.asarray(np.einsum("oi,ij,oj->o", difference, moments, difference, optimize=True))


def _column_by_column(steps: Array, moments: Array, limit: int) -> Array:
    inverse = np.linalg.cholesky(np.linalg.inv(moments)).T
    left, found = steps.copy(), np.empty_like(steps)
    for column in range(steps.shape[1]):
        found[:, column] = np.clip(np.rint(left[:, column]), -limit, limit)
        error = (left[:, column] - found[:, column]) / inverse[column, column]
        left[:, column + 1 :] -= error[:, None] * inverse[column, column + 1 :]
    return found


def _downhill(start: Array, steps: Array, moments: Array, limit: int) -> Array:
    """Move one weight by whole steps to where the error is least, all others fixed, in turn."""
    found = start.copy()
    slope = (found - steps) @ moments
    for _ in range(SWEEPS):
        moved = False
        for column in range(found.shape[1]):
            best = found[:, column] - slope[:, column] / moments[column, column]
            best = np.clip(np.rint(best), -limit, limit)
            change = best - found[:, column]
            if change.any():
                found[:, column] = best
                slope += change[:, None] * moments[column]
                moved = True
        if not moved:
            break
    return found
