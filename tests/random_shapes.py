"""Small random numbers and shapes, which the cases of TFLite's and ONNX's operators draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class RandomShapes:
    """Draws from `random`."""

    random: np.random.Generator

    def size(self, low: int = 1, high: int = 6) -> int:
        """A number from `low` to `high`, both included."""
        return int(self.random.integers(low, high + 1))

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        """A shape of `rank` axes, or of one to four."""
        rank = self.size(1, 4) if rank is None else rank
        return tuple(self.size() for _ in range(rank))

    def pick(self, choices: Any) -> Any:
        """One of `choices`."""
        return choices[int(self.random.integers(len(choices)))]

    def broadcast(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Shapes of two operands that broadcast, and of the result."""
        whole = self.shape()
        left = tuple(1 if self.size(0, 3) == 0 else n for n in whole)
        right = tuple(1 if self.size(0, 3) == 0 else n for n in whole)
        return left, right, np.broadcast_shapes(left, right)
