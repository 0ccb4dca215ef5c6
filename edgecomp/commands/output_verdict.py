"""How far one output of a program is from what it should be, over all samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.divergence import RELATIVE, relative_errors
from edgecomp_runtime.data import from_program, to_program
from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class OutputVerdict:
    """One output, over all samples.

    Attributes:
        name: the output.
        exact: whether every value is the model's: the same integer, or the same float.
        max_abs_error: the largest difference of real values, of those that are finite.
        max_relative_error: the largest over the largest magnitude in its sample; None where one
            value is finite and the other is not.
        max_steps: the largest in steps of the output's scale; None for a float output.
        sqnr_db: power of the model's values over that of the differences, in decibels; None when
            nothing differs or the model gives only zeros.
        top1_agreement: share of the samples whose highest score has the same place; None where
            the output is no row of scores.
    """

    name: str
    exact: bool
    max_abs_error: float
    max_relative_error: float | None
    max_steps: int | None
    sqnr_db: float | None
    top1_agreement: float | None


@dataclass
class Tally:
    """What is known of one output so far.

    Attributes:
        spec: the program's output.
        steps: how many steps integers may be apart.
    """

    spec: TensorSpec
    steps: int
    exact: bool = True
    max_abs_error: float = 0.0
    max_relative_error: float = 0.0
    max_steps: int = 0
    signal: float = 0.0
    noise: float = 0.0
    agreements: list[bool] = field(default_factory=list)

    def add(self, raw: Array, expected: Array) -> bool:
        """Compare the program's own values with the model's real ones.

        Returns:
            Whether they are as close as they should be.
        """
        wanted = to_program(expected, self.spec)
        same = bool(np.array_equal(raw, wanted, equal_nan=raw.dtype.kind == "f"))
        self.exact = self.exact and same
        got = from_program(raw, self.spec).astype(np.float64)
        real = np.asarray(expected, np.float64)
        finite = np.isfinite(got) & np.isfinite(real)
        error = np.abs(np.where(finite, got, 0) - np.where(finite, real, 0))
        relative = float(relative_errors(got, real).max(initial=0))
        self.max_abs_error = max(self.max_abs_error, float(error.max(initial=0)))
        self.max_relative_error = max(self.max_relative_error, relative)
        self.signal += float((np.where(finite, real, 0) ** 2).sum())
        self.noise += float((error**2).sum())
        if real.size > 1 and max(real.shape) == real.size:
            self.agreements.append(bool(got.argmax() == real.argmax()))
        if self.spec.scale is None:
            return same or (raw.dtype.kind == "f" and relative <= RELATIVE)
        steps = np.abs(raw.astype(np.int64) - wanted.astype(np.int64))
        self.max_steps = max(self.max_steps, int(steps.max(initial=0)))
        return bool(steps.max(initial=0) <= self.steps)

    def verdict(self) -> OutputVerdict:
        """The verdict on all that was added."""
        ratio = self.signal / self.noise if self.noise else 0.0
        bounded = math.isfinite(self.max_relative_error)
        return OutputVerdict(
            name=self.spec.name,
            exact=self.exact,
            max_abs_error=self.max_abs_error,
            max_relative_error=self.max_relative_error if bounded else None,
            max_steps=None if self.spec.scale is None else self.max_steps,
            sqnr_db=10 * math.log10(ratio) if ratio > 0 else None,
            top1_agreement=float(np.mean(self.agreements)) if self.agreements else None,
        )
