"""Facts about the blocks, loops and expressions of a TIR schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tvm
import tvm_ffi

DATA_PARALLEL = 0
"""The kind of a block's axis that is not reduced."""


def blocks_of(schedule: Any) -> list[Any]:
    return list(schedule.get_child_blocks(schedule.get_sblock("root")))


def is_reduction(schedule: Any, block: Any) -> bool:
    return any(axis.iter_type != DATA_PARALLEL for axis in schedule.get(block).iter_vars)


def reduction_rank(schedule: Any, block: Any) -> int:
    return sum(axis.iter_type != DATA_PARALLEL for axis in schedule.get(block).iter_vars)


def spatial_extents(schedule: Any, block: Any) -> list[int]:
    axes = schedule.get(block).iter_vars
    return [int(axis.dom.extent) for axis in axes if axis.iter_type == DATA_PARALLEL]


def all_extents(schedule: Any, block: Any) -> list[int]:
    return [int(axis.dom.extent) for axis in schedule.get(block).iter_vars]


def extent_of(schedule: Any, loop: Any) -> int:
    return int(schedule.get(loop).extent)


def product(numbers: Iterable[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product


def largest_divisor(extent: int, largest: int) -> int:
    """The largest divisor of `extent` up to `largest`."""
    return max(d for d in range(1, min(extent, largest) + 1) if extent % d == 0)


def loads_of(body: Any) -> list[Any]:
    found: list[Any] = []
    tvm_ffi.structural_walk(body, (tvm.ir.TensorLoad, found.append))
    return found


def mentions(indices: Any, variable: Any) -> bool:
    found: list[Any] = []
    tvm_ffi.structural_walk(indices, (type(variable), found.append))
    return any(item.same_as(variable) for item in found)


def is_strided(indices: Any, axis: Any) -> bool:
    """Whether `axis` is multiplied in an index."""
    products: list[Any] = []
    tvm_ffi.structural_walk(indices, (tvm.tirx.Mul, products.append))
    return any(mentions(product, axis) for product in products)


def is_costly(value: Any) -> bool:
    """Whether an expression has a division or calls a function."""
    found: list[Any] = []
    tvm_ffi.structural_walk(value, ((tvm.ir.Call, tvm.tirx.Div), found.append))
    return bool(found)
