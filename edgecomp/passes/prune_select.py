"""Which channels go, from their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

LEAST = 0.05
"""Share of a layer's channels that a global choice leaves at least."""


def select(
    scores: Mapping[int, float],
    layers: Sequence[Numbers],
    share: float,
    scope: Literal["global", "layer"],
    multiple: int = 1,
) -> set[int]:
    """The channel numbers to remove.

    Args:
        scores: of each number that may go.
        layers: the numbers of each layer's channels, 0 where one has to stay.
        share: of the channels to remove: of all, or of each group of layers that go together.
        scope: compare all channels, or those of a group of layers only.
        multiple: what a layer keeps is brought up to a multiple of it.
    """
    order = sorted(scores, key=lambda number: (scores[number], number))
    holders = _holders(layers)
    left = [len(numbers) for numbers in layers]
    gone: set[int] = set()
    if scope == "global":
        least = [max(1, round(LEAST * len(numbers))) for numbers in layers]
        wanted = share * sum(sum(counts.values()) for counts in holders.values())
        _take(order, holders, left, least, wanted, gone)
    else:
        least = [1] * len(layers)
        for group in _groups(layers):
            members = [number for number in order if number in group]
            wanted = share * sum(sum(holders[number].values()) for number in members)
            _take(members, holders, left, least, wanted, gone)
    _round_up(order, holders, left, multiple, gone)
    return gone


Holders = dict[int, dict[int, int]]
"""For each number: how many channels of each layer (by its place) it stands for."""


def _holders(layers: Sequence[Numbers]) -> Holders:
    found: Holders = {}
    for place, numbers in enumerate(layers):
        for number in numbers.tolist():
            if number:
                counts = found.setdefault(number, {})
                counts[place] = counts.get(place, 0) + 1
    return found


def _groups(layers: Sequence[Numbers]) -> list[set[int]]:
    """Sets of numbers that share layers, directly or through others."""
    groups: list[set[int]] = []
    for numbers in layers:
        merged = set(numbers.tolist()) - {0}
        apart = []
        for group in groups:
            if group & merged:
                merged |= group
            else:
                apart.append(group)
        groups = [*apart, merged] if merged else apart
    return groups


def _take(
    order: Sequence[int],
    holders: Holders,
    left: list[int],
    least: Sequence[int],
    wanted: float,
    gone: set[int],
) -> None:
    """Remove numbers in `order` while no more than `wanted` channels go and layers keep `least`."""
    removed = 0
    for number in order:
        counts = holders[number]
        size = sum(counts.values())
        if removed + size > wanted + 1e-9:
            break
        if all(left[place] - count >= least[place] for place, count in counts.items()):
            gone.add(number)
            removed += size
            for place, count in counts.items():
                left[place] -= count


def _round_up(
    order: Sequence[int],
    holders: Holders,
    left: list[int],
    multiple: int,
    gone: set[int],
) -> None:
    """Bring back the best numbers until every layer keeps a multiple, or all it had."""
    for number in reversed(order):
        if number in gone and any(left[place] % multiple for place in holders[number]):
            gone.remove(number)
            for place, count in holders[number].items():
                left[place] += count
