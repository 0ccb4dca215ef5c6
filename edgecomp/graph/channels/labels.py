"""Arrays of channel numbers, and the sets that numbers are united to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
"""Numbers of a value's rank; an axis has the value's size, or 1 where the number is the same."""

FROZEN = 0
"""The number of everything that has to stay."""


class Numbers:
    """Disjoint sets of channel numbers (Tarjan 1975); the set of `FROZEN` is never removed."""

    def __init__(self) -> None:
        self._parent = [FROZEN]
        self.reasons: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._parent)

    def fresh(self, count: int) -> Labels:
        """So many numbers that nothing has yet."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def find(self, number: int) -> int:
        """The number that stands for the set of `number`."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def roots(self, labels: Labels) -> Labels:
        """`labels` with each number replaced by that which stands for its set."""
        unique, inverse = np.unique(labels, return_inverse=True)
        found = np.array([self.find(int(number)) for number in unique], np.int64)
        return found[inverse].reshape(labels.shape)

    def unite(self, first: Labels, second: Labels) -> None:
        """Make one set of each pair of numbers, the arrays broadcast against each other."""
        pairs = np.stack([side.ravel() for side in np.broadcast_arrays(first, second)])
        for one, other in np.unique(pairs, axis=1).T:
            low, high = sorted((self.find(int(one)), self.find(int(other))))
            self._parent[high] = low

    def unite_along(self, labels: Labels, axis: int) -> Labels:
        """Make one set of all numbers that differ in `axis` only; what is left has size 1 there."""
        first = np.take(labels, [0], axis=axis)
        self.unite(labels, first)
        return first

    def freeze(self, labels: Labels, node: str, why: str) -> None:
        """Everything in `labels` has to stay, because of `node`."""
        if varies(labels):
            self.reasons.setdefault(node, why)
        self.unite(labels, np.array(FROZEN))


def frozen(rank: int) -> Labels:
    """Labels of a value of which nothing can go."""
    return np.zeros((1,) * rank, np.int64)


def varies(labels: Labels) -> set[int]:
    """The axes along which there is more than one number."""
    return {axis for axis, size in enumerate(labels.shape) if size > 1}


def compact(labels: Labels) -> Labels:
    """`labels` with size 1 on every axis along which the numbers are the same."""
    for axis in range(labels.ndim):
        first = np.take(labels, [0], axis=axis)
        if labels.shape[axis] > 1 and np.array_equal(np.broadcast_to(first, labels.shape), labels):
            labels = first
    return labels


def along(vector: Labels, axis: int, rank: int) -> Labels:
    """Labels of `rank` that vary along `axis` only."""
    return vector.reshape([-1 if place == axis % rank else 1 for place in range(rank)])


def aligned(labels: Labels, rank: int) -> Labels:
    """`labels` with axes of size 1 in front, up to `rank`."""
    return labels.reshape((1,) * (rank - labels.ndim) + labels.shape)


def rectangles(numbers: Numbers, all_labels: Iterable[Labels]) -> None:
    """Unite numbers until whatever goes leaves every array a full grid.

    Labels that vary along several axes are made to vary along one: that which leaves most numbers.
    """
    several = [labels for labels in all_labels if len(varies(labels)) > 1]
    changed = True
    while changed:
        changed = False
        for labels in several:
            found = compact(numbers.roots(labels))
            if len(varies(found)) > 1:
                best = max(sorted(varies(found)), key=lambda axis: _left(found, axis))
                _keep_axis(numbers, found, best)
                changed = True


def _keep_axis(numbers: Numbers, labels: Labels, kept: int) -> None:
    for axis in sorted(varies(labels) - {kept}):
        labels = numbers.unite_along(labels, axis)


def _left(labels: Labels, kept: int) -> int:
    """How many numbers are left when all that share a place on axis `kept` are united."""
    trial = Numbers()
    unique, inverse = np.unique(labels, return_inverse=True)
    trial.fresh(len(unique))
    _keep_axis(trial, inverse.reshape(labels.shape) + 1, kept)
    return len(np.unique(trial.roots(np.arange(len(unique)) + 1)))
