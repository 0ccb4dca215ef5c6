"""The rank of a noisy matrix by variational Bayes.

Source: Nakajima, Sugiyama, Babacan and Tomioka 2013, "Global Analytic Solution of Fully-observed
Variational Bayesian Matrix Factorization", theorem 2 (solution) and section 5 (noise variance).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TAU = 2.5129
"""Of the threshold for empirical variational Bayes; times the square root of rows / columns."""


GRID, REFINEMENTS = 60, 3
"""Noise variances tried at a time, and how often around the best; the energy has several dips."""


def vbmf_rank(values: Array, rows: int, columns: int) -> int:
    """How many singular `values` of a matrix of `rows` x `columns` are signal; at least 1."""
    short, long = min(rows, columns), max(rows, columns)
    squares = np.sort(np.asarray(values, np.float64))[::-1] ** 2
    if squares.sum() == 0.0:
        return 1
    ratio = short / long
    edge = (1 + TAU * math.sqrt(ratio)) * (1 + math.sqrt(ratio) / TAU)
    variance = _noise(squares, short, long, edge)
    return max(1, int((squares > long * variance * edge).sum()))


def _noise(squares: Array, short: int, long: int, edge: float) -> float:
    """The noise variance of the smallest free energy."""
    most = min(math.ceil(short / (1 + short / long)) - 1, len(squares) - 1)
    upper = squares.sum() / (short * long)
    tail = squares[most + 1 :].mean() / long if most + 1 < len(squares) else 0.0
    lower = max(squares[min(most + 1, len(squares) - 1)] / (long * edge), tail, upper * 1e-9)
    if lower >= upper:
        return float(upper)
    low, high = math.log(lower), math.log(upper)
    for _ in range(REFINEMENTS):
        grid = np.linspace(low, high, GRID)
        best = int(np.argmin([_free_energy(math.exp(x), squares, short, long, edge) for x in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    return math.exp((low + high) / 2)


def _free_energy(variance: float, squares: Array, short: int, long: int, edge: float) -> float:
    """Equation 27 of the source, up to constants."""
    scaled = squares / (long * variance)
    ratio = short / long
    signal, noise = scaled[scaled > edge], scaled[scaled <= edge]
    tau = 0.5 * (signal - (1 + ratio) + np.sqrt((signal - (1 + ratio)) ** 2 - 4 * ratio))
    energy = float((noise - np.log(np.maximum(noise, 1e-300))).sum())
    energy += float((signal - tau + np.log((tau + 1) / signal)).sum())
    energy += float((ratio * np.log(tau / ratio + 1)).sum())
    return energy + (short - len(squares)) * math.log(variance)
