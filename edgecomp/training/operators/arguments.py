"""What the functions of operators share: their form, and arguments that are no tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch

Operator = Callable[..., Any]
"""`f(node, *inputs)`: tensors (None for inputs left out) of one sample, to one output or a tuple.

It reads attributes off the node, and changes nothing in place.
"""

TORCH_TYPES = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.BOOL: torch.bool,
    ir.DataType.INT4: torch.int8,
    ir.DataType.UINT4: torch.uint8,
    ir.DataType.INT8: torch.int8,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.UINT16: torch.int32,
    ir.DataType.INT32: torch.int32,
    ir.DataType.UINT32: torch.int64,
    ir.DataType.INT64: torch.int64,
    ir.DataType.UINT64: torch.int64,
}
"""The PyTorch type that holds every number of an ONNX type."""


def numbers(tensor: Any) -> list[int]:
    """The content of a tensor of whole numbers that does not depend on the sample."""
    found = tensor.reshape(-1).tolist()
    return [int(number) for number in found]


def axes_of(node: ir.Node, given: Any, rank: int) -> list[int] | None:
    """Axes given as an input or an attribute, not negative; None when there are none."""
    found = numbers(given) if given is not None else list(node.attributes.get_ints("axes", ()))
    return [axis % rank if rank else 0 for axis in found] or None


def along(values: Any, axis: int, rank: int) -> Any:
    """`values` ([channels]) shaped to broadcast along `axis` of a tensor of `rank` axes."""
    return values.reshape([-1 if place == axis % rank else 1 for place in range(rank)])
