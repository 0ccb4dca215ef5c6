"""One ONNX operator with random shapes, attributes and numbers, in floats and quantized."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.random_shapes import RandomShapes

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Fed:
    """An operand that is an input; floats are quantized in the int8 form."""

    content: Array


@dataclass(frozen=True)
class Weights:
    """A constant operand that is quantized in the int8 form, with a scale for each of `axis`."""

    content: Array
    axis: int | None


@dataclass(frozen=True)
class Bias:
    """A constant operand that is int32 in the int8 form, on the scale of the products."""

    content: Array


@dataclass(frozen=True)
class Spec:
    """One operator.

    Attributes:
        op: its name.
        operands: `Fed`, `Weights`, `Bias`, arrays (constants), or None for one left out.
        attributes: of the node.
        outputs: how many it makes.
    """

    op: str
    operands: tuple[Any, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1


class Draw(RandomShapes):
    """Random parts of one case."""

    def feed(self, shape: Sequence[int], low: float = -4.0, high: float = 4.0) -> Fed:
        """Floats from `low` to `high`."""
        return Fed(self.random.uniform(low, high, shape).astype(np.float32))

    def truth(self, shape: Sequence[int]) -> Fed:
        """Truth values."""
        return Fed(self.random.integers(0, 2, shape).astype(bool))

    def weights(self, shape: Sequence[int], axis: int | None = None) -> Weights:
        """Constant weights."""
        return Weights(self.normal(shape), axis)

    def bias(self, count: int) -> Bias:
        """A constant bias."""
        return Bias(self.normal((count,)))

    def normal(self, shape: Sequence[int]) -> Array:
        """Constant floats."""
        return self.random.normal(0, 0.4, shape).astype(np.float32)

    def image(self, low: int = 3) -> tuple[int, int, int, int]:
        """The shape of an image, in ONNX's order."""
        return (self.size(1, 2), self.size(1, 5), self.size(low, 9), self.size(low, 9))

    def axis(self, rank: int) -> int:
        """An axis, counted from the front or the back."""
        return self.size(-rank, rank - 1)


Case = Callable[[Draw], Spec]
"""Draws shapes and attributes and describes one operator."""


def ints(*values: int) -> Array:
    """Constant int64."""
    return np.array(values, np.int64)
