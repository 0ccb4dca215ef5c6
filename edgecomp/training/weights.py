"""Learned constants as PyTorch parameters, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch

from edgecomp.training.operators.quantization import LIMITS, spread, to_integers
from edgecomp.training.parameters import Learned

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Grid:
    """The integers a quantized constant may hold.

    Attributes:
        name: of the initializer with the scale.
        scale, zero_point: tensors, scalars or [channels].
        axis: of the channels.
        limits: the least and the greatest integer.
    """

    name: str
    scale: Any
    zero_point: Any
    axis: int
    limits: tuple[int, int]

    @classmethod
    def of(cls, learned: Learned) -> _Grid | None:
        """None for constants that are floats."""
        if learned.integers is None or learned.grid is None:
            return None
        return cls(
            learned.scale,
            torch.from_numpy(learned.grid.scale.copy()),
            torch.from_numpy(learned.grid.zero_point.astype(np.float32)),
            learned.grid.axis or 0,
            _limits(learned.integers),
        )

    def integers(self, real: Any, scales: Mapping[str, Any]) -> Any:
        """`real` rounded to integers, as float32 and with gradients."""
        shape, scale = tuple(real.shape), scales.get(self.name, self.scale)
        zero_point = spread(self.zero_point, shape, self.axis, 0)
        return to_integers(real, spread(scale, shape, self.axis, 0), zero_point, *self.limits)


def _limits(integers: Array) -> tuple[int, int]:
    """Of signed integers the least is left out, for symmetry, unless it is in use."""
    low, high = LIMITS[ir.DataType.from_numpy(integers.dtype)]
    in_use = low in integers.astype(np.int64)
    return (low + 1 if low < 0 and not in_use else low), high


class Weights:
    """The learned constants of a graph.

    Args:
        learned: which they are.

    Attributes:
        parameters: real numbers, float32, by name of the initializer.
        masks: for those that keep their zeros, 1.0 and 0.0 of the same shape.
    """

    def __init__(self, learned: Sequence[Learned]) -> None:
        self._learned = {each.name: each for each in learned}
        self._grids = {each.name: _Grid.of(each) for each in learned}
        self.parameters: dict[str, Any] = {
            each.name: torch.nn.Parameter(torch.from_numpy(each.start.copy())) for each in learned
        }
        self.masks: dict[str, Any] = {
            each.name: torch.from_numpy((each.start != 0).astype(np.float32))
            for each in learned
            if each.keeps_zeros
        }

    def values(self, scales: Mapping[str, Any]) -> dict[str, Any]:
        """What the graph reads: floats, or the integers of quantized constants as float32.

        Args:
            scales: those that may differ from the graph's, by name of the initializer.
        """
        found = {}
        for name, parameter in self.parameters.items():
            grid = self._grids[name]
            found[name] = parameter if grid is None else grid.integers(parameter, scales)
        return found

    def contents(self, scales: Mapping[str, Any]) -> dict[str, Array]:
        """The same as arrays of floats and of integers; what did not change keeps its bits."""
        with torch.no_grad():
            now = {name: value.numpy() for name, value in self.values(scales).items()}
        for name, learned in self._learned.items():
            if learned.integers is not None:
                kept = self.parameters[name].detach().numpy() == learned.start
                kept &= learned.scale not in scales
                old, new = learned.integers.astype(np.int64), np.rint(now[name]).astype(np.int64)
                now[name] = np.where(kept, old, new)
        return now
