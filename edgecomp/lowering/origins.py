"""Which value of the model a tensor of its program holds, told by the tensor's name.

Lowering keeps the names of the model's values; `layout` adds a word to those it turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.layout import permuted
from edgecomp.lowering.layout_rules import TO_NCHW, TO_NHWC

TURNED = " nhwc"
"""Ends the name of a tensor that holds an NCHW value in NHWC."""
RESTORED = " nchw"
"""Ends the name of one that holds such a value in the model's order again."""


def origin(tensor: str) -> tuple[str, bool]:
    """The model's value that `tensor` holds, and whether in NHWC where the model has NCHW."""
    if tensor.endswith(TURNED):
        return tensor.removesuffix(TURNED), True
    return tensor.removesuffix(RESTORED), False


def in_model_order(
    content: npt.NDArray[np.uint8], dtype: str, shape: Sequence[int], turned: bool
) -> npt.NDArray[Any] | None:
    """The bytes of a tensor as the model's value of `shape`; None when it is no such value."""
    count = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if count != content.size or (turned and len(shape) != 4):
        return None
    values = content.view(dtype)
    if turned:
        return values.reshape(permuted(shape, TO_NHWC)).transpose(TO_NCHW)
    return values.reshape(shape)
