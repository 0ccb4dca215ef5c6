"""Shapes, types and constants of values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgecomp.graph import values


def value(shape, dtype=ir.DataType.FLOAT):
    return ir.Value(name="v", shape=ir.Shape(shape), type=ir.TensorType(dtype))


def test_static_shapes():
    assert values.shape_of(value([1, 2, 3])) == (1, 2, 3)
    assert values.shape_of(value([])) == ()
    assert values.elements_of(value([])) == 1
    assert values.elements_of(value([4, 0])) == 0


@pytest.mark.parametrize("shape", [["n", 2], [None, 2]])
def test_shapes_that_are_not_static(shape):
    with pytest.raises(ValueError, match="v: the value has no static shape"):
        values.shape_of(value(shape))


@pytest.mark.parametrize(
    ("dtype", "name", "size"),
    [
        (ir.DataType.FLOAT, "float32", 12),
        (ir.DataType.INT8, "int8", 3),
        (ir.DataType.BOOL, "bool", 3),
        (ir.DataType.INT4, "int4", 2),
        (ir.DataType.INT64, "int64", 24),
    ],
)
def test_types_and_bytes(dtype, name, size):
    assert values.dtype_of(value([3], dtype)) == name
    assert values.bytes_of(value([3], dtype)) == size


def test_constants():
    constant = ir.Value(name="c", const_value=ir.tensor(np.arange(3)))
    assert values.is_constant(constant)
    np.testing.assert_array_equal(values.constant_of(constant), [0, 1, 2])
    node = ir.node("Add", [value([3]), constant, None])
    np.testing.assert_array_equal(values.constant_input(node, 1), [0, 1, 2])
    assert values.constant_input(node, 0) is None
    assert values.constant_input(node, 2) is None
    assert values.constant_input(node, 9) is None
