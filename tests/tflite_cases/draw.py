"""One TFLite operator with random shapes, options and numbers: what a case says, and draws from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.random_shapes import RandomShapes

Array = npt.NDArray[Any]


UNITS = (((1 / 256,), -128), ((1 / 128,), 0))
"""Grids of int8 results in [0, 1] and [-1, 1]; int16 has one for both."""


@dataclass(frozen=True)
class Spec:
    """One operator as a case describes it: operands, results and options."""

    operands: tuple[Any, ...]
    result: Any
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Any, ...] = ()


@dataclass
class Draw(RandomShapes):
    """Random parts of one case.

    Attributes:
        dtype: "float32", "int8" or "int16", of what the operator reads and makes.
        operand: the class that describes a tensor.
        hybrid: whether weights are int8 though activations are float32.
        fed: input arrays, in the order of operands.
    """

    dtype: str
    operand: Any
    hybrid: bool = False
    fed: list[Array] = field(default_factory=list)

    def image(self, low: int = 3) -> tuple[int, int, int, int]:
        return (self.size(1, 2), self.size(low, 9), self.size(low, 9), self.size(1, 5))

    def grid(self) -> tuple[tuple[float, ...], int]:
        if self.dtype == "int16":
            return (float(np.float32(10 ** self.random.uniform(-5, -3))),), 0
        scale = float(np.float32(10 ** self.random.uniform(-2.5, -0.5)))
        return (scale,), int(self.random.integers(-128, 128))

    def numbers(self, shape: tuple[int, ...], low: float = -4.0, high: float = 4.0) -> Array:
        if self.dtype == "int8":
            return self.random.integers(-128, 128, shape).astype(np.int8)
        if self.dtype == "int16":
            # divisors are not zero; magnitudes of all orders are as likely
            sign = 1 if low > 0 else self.random.choice((-1, 1), shape)
            return np.asarray(sign * np.exp2(self.random.uniform(0, 15, shape)), np.int16)
        return self.random.uniform(low, high, shape).astype(np.float32)

    def feed(self, shape: tuple[int, ...], grid: Any = None, **limits: float) -> Any:
        """An input of the case's element type."""
        self.fed.append(self.numbers(shape, **limits))
        return self.tensor(shape, grid)

    def spec(
        self,
        operands: tuple[Any, ...],
        result: Any,
        table: str = "",
        options: Mapping[str, Any] | None = None,
        others: tuple[Any, ...] = (),
    ) -> Spec:
        """What a case returns."""
        return Spec(operands, result, table, options or {}, others)

    def tensor(self, shape: tuple[int, ...], grid: Any = None) -> Any:
        """A result; one of integers has a random grid unless one is given."""
        if self.dtype == "float32":
            return self.operand(shape, dtype=self.dtype)
        scale, zero_point = grid or self.grid()
        if self.dtype == "int16" and (scale, zero_point) in UNITS:
            scale, zero_point = (2**-15,), 0
        elif self.dtype == "int16" and zero_point:
            scale, zero_point = (scale[0] / 256,), 0
        return self.operand(shape, scale, zero_point, self.dtype)

    def constant(self, content: Any, dtype: str = "int32") -> Any:
        array = np.asarray(content, dtype)
        return self.operand(array.shape, dtype=dtype, data=array)

    def weights(self, shape: tuple[int, ...], axis: int | None, source: Any) -> tuple[Any, Any]:
        """Weights and a bias; int8 weights have a scale for each index of `axis`, or one."""
        units = shape[0] if axis is None else shape[axis]
        if self.dtype == "float32" and not self.hybrid:
            content = self.random.normal(0, 0.3, shape).astype(np.float32)
            bias = self.random.normal(0, 0.3, units).astype(np.float32)
            return self.constant(content, "float32"), self.constant(bias, "float32")
        count = 1 if axis is None else units
        scales = (10 ** self.random.uniform(-3, -1.5, count)).astype(np.float32)
        content = self.random.integers(-127, 128, shape).astype(np.int8)
        weights = self.operand(shape, tuple(map(float, scales)), axis=axis or 0, data=content)
        if self.hybrid:
            return weights, self.constant(self.random.normal(0, 0.3, units), "float32")
        product = tuple(float(np.float32(source.scale[0]) * s) for s in scales)
        kind = "int64" if self.dtype == "int16" else "int32"
        bias = self.random.integers(-3000, 3000, units).astype(kind)
        return weights, self.operand((units,), product, dtype=kind, data=bias)


Case = Callable[[Draw], Spec]
"""Draws shapes and options and describes one operator."""
