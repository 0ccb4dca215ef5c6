"""Integers as C spells the elements of an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

IN_LINE = 24
"""Elements of a line."""


def integer_text(array: npt.NDArray[Any]) -> str:
    """The elements of an array of integers of 32 bits or fewer, between its braces."""
    return in_lines([str(value) for value in array.reshape(-1).tolist()])


def in_lines(texts: Sequence[str]) -> str:
    """Elements with commas between, some in a line; C has no empty arrays."""
    lines = [",".join(texts[i : i + IN_LINE]) for i in range(0, len(texts), IN_LINE)]
    return ",\n".join(lines) or "0"
