import math

import numpy as np
import pytest
from tvm import te, tirx

from edgecomp.lowering.codegen import STACK_BUFFER_BYTES, generate_c


def _scaled(value: float) -> object:
    x = te.placeholder((4,), "float32", name="x")
    out = te.compute((4,), lambda i: x[i] * tirx.const(value, "float32"), name="out")
    return te.create_prim_func([x, out])


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, 16777217.0])
def test_float_constants_keep_every_bit(value: float) -> None:
    body = generate_c(_scaled(value)).body
    literal = body.split("* (")[1].split("f)")[0]
    assert float.fromhex(literal) == float(np.float32(value))


def test_infinity_and_nan_have_names() -> None:
    assert "EC_INFINITY" in generate_c(_scaled(math.inf)).body
    assert "(-EC_INFINITY)" in generate_c(_scaled(-math.inf)).body
    assert "EC_NAN" in generate_c(_scaled(math.nan)).body


def test_only_outputs_are_not_const() -> None:
    source = generate_c(_scaled(2.0))
    assert source.parameters == ("const float *EC_RESTRICT p0", "float *EC_RESTRICT p1")
    assert source.define("twice").startswith("EC_KERNEL void twice(const float *EC_RESTRICT p0, ")


@pytest.mark.parametrize("elements", [STACK_BUFFER_BYTES // 4, STACK_BUFFER_BYTES // 4 + 1])
def test_large_intermediates_become_workspace(elements: int) -> None:
    x = te.placeholder((elements,), "int32", name="x")
    middle = te.compute((elements,), lambda i: x[elements - 1 - i] * 3, name="middle")
    out = te.compute((elements,), lambda i: middle[elements - 1 - i] + 1, name="out")
    source = generate_c(te.create_prim_func([x, out]))
    expected = [] if elements * 4 <= STACK_BUFFER_BYTES else [((elements,), "int32")]
    assert [(w.shape, w.dtype) for w in source.workspaces] == expected


def test_mathematics_is_our_own() -> None:
    x = te.placeholder((4,), "float32", name="x")
    out = te.compute((4,), lambda i: tirx.exp(x[i]), name="out")
    assert "= ec_expf(" in generate_c(te.create_prim_func([x, out])).body


def test_a_call_no_device_has_is_refused() -> None:
    x = te.placeholder((4,), "float32", name="x")
    out = te.compute((4,), lambda i: tirx.call_extern("float32", "fopen", x[i]), name="out")
    with pytest.raises(ValueError, match="fopen, which no device has"):
        generate_c(te.create_prim_func([x, out]))


def test_what_a_kernel_does_not_read_is_no_warning() -> None:
    x = te.placeholder((4,), "float32", name="x")
    out = te.compute((4,), lambda i: tirx.const(1.0, "float32"), name="out")
    defined = generate_c(te.create_prim_func([x, out])).define("one")
    assert "(void)p0;" in defined
    assert "(void)p1;" not in defined
