"""Shape, element type and constant content of an `onnx_ir.Value`, as numpy speaks of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The static shape of `value`; `()` is a scalar.

    Raises:
        ValueError: the shape is unknown or symbolic, which no value of an imported model is.
    """
    if value.shape is None or not all(isinstance(dim, int) for dim in value.shape.dims):
        raise ValueError(f"{value.name}: the value has no static shape ({value.shape})")
    return tuple(int(dim) for dim in value.shape.numpy())


def dtype_of(value: ir.Value) -> str:
    """The numpy (or ml_dtypes) name of the element type of `value`, such as "float32" or "int4".

    Raises:
        ValueError: the type is unknown.
    """
    if value.dtype is None:
        raise ValueError(f"{value.name}: the value has no element type")
    return str(np.dtype(value.dtype.numpy()).name)


def elements_of(value: ir.Value) -> int:
    """How many elements `value` has."""
    count = 1
    for dim in shape_of(value):
        count *= dim
    return count


def bytes_of(value: ir.Value) -> int:
    """Bytes `value` takes, 4-bit and 2-bit elements packed and rounded up.

    Raises:
        ValueError: shape or type is unknown.
    """
    if value.dtype is None:
        raise ValueError(f"{value.name}: the value has no element type")
    return -(-elements_of(value) * value.dtype.bitwidth // 8)


def is_constant(value: ir.Value | None) -> bool:
    """Whether `value` is known at compile time (an initializer, or a `Constant` node's output)."""
    return value is not None and value.const_value is not None and not value.is_graph_input()


def constant_of(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The content of a constant `value` as a numpy array; None when it is not constant."""
    if value is None or not is_constant(value) or value.const_value is None:
        return None
    return np.asarray(value.const_value.numpy())


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """Input `index` of `node`; None where the optional input was left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def constant_input(node: ir.Node, index: int) -> npt.NDArray[Any] | None:
    """The content of input `index` of `node`; None when it is absent or not constant."""
    return constant_of(input_at(node, index))
