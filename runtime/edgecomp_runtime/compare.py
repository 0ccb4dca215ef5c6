"""Programs timed in turn, and how much longer one takes than another.

A machine's speed drifts with its clock, its heat and its other work. Programs that take turns meet
the same weather, so the ratio of two inferences of one turn says more than two measurements apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Timer = Callable[[int], float]
"""Runs one inference, on the sample of a turn, and returns its seconds."""

MEASURED, EXACT = "measured", "exact"

RESAMPLES = 2000
"""Bootstrap samples behind the interval of a median."""
INTERVAL = (2.5, 97.5)
"""Its percentiles: 95 % of the resampled medians lie between."""


@dataclass(frozen=True)
class Ratio:
    """The latency of one program over that of another.

    Attributes:
        kind: "measured" in turn, or "exact" of counted instructions.
        median: of the ratios of each turn.
        low, high: 95 % interval of that median, by the percentile bootstrap (B. Efron, 1979).
        least, most: the smallest and the largest ratio of a turn.
    """

    kind: str
    median: float
    low: float
    high: float
    least: float
    most: float

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def in_turn(
    timers: Sequence[Timer],
    repeat: int,
    warmup: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[float]]:
    """Time several programs in turn: A B A B ...

    Args:
        timers: one for each program.
        repeat: timed inferences of each.
        warmup: inferences of each before them.
        progress: called with inferences done and in all.

    Returns:
        For each program its seconds, turn by turn.
    """
    seconds: list[list[float]] = [[] for _ in timers]
    total = (warmup + repeat) * len(timers)
    for turn in range(warmup + repeat):
        for index, timer in enumerate(timers):
            latency = timer(turn)
            if turn >= warmup:
                seconds[index].append(latency)
            progress(turn * len(timers) + index + 1, total)
    return seconds


def measured_ratio(seconds: Sequence[float], others: Sequence[float]) -> Ratio:
    """The ratio of latencies that were measured in turn.

    Args:
        seconds: of the program, turn by turn; at least one.
        others: of the one it is compared with, as many.
    """
    ratios = np.asarray(seconds, np.float64) / np.asarray(others, np.float64)
    generator = np.random.default_rng(0)
    picked = generator.integers(0, ratios.size, (RESAMPLES, ratios.size))
    low, high = np.percentile(np.median(ratios[picked], axis=1), INTERVAL)
    return Ratio(
        kind=MEASURED,
        median=float(np.median(ratios)),
        low=float(low),
        high=float(high),
        least=float(ratios.min()),
        most=float(ratios.max()),
    )


def exact_ratio(instructions: int, others: int) -> Ratio:
    """The ratio of two counts, which have no spread."""
    ratio = instructions / others
    return Ratio(EXACT, ratio, ratio, ratio, ratio, ratio)
