"""Equalization: the same function, ranges that int8 can tell apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.graph.values import constant_input
from edgecomp.model import Model
from edgecomp.passes.equalize import equalized
from edgecomp.passes.quantize import Quantize
from edgecomp.reference import Executor

Array = npt.NDArray[Any]
Make = Callable[..., Any]

UNEVEN = np.array([1e-2, 1.0, 1e2, 0.1, 10.0, 1.0, 0.05, 20.0], np.float32)


def run(model: Model, x: Array) -> Array:
    output = model.outputs[0].name
    return Executor(model.graph, [output]).run({model.inputs[0].name: x})[output]


@pytest.fixture
def uneven(make_model: Make, floats: Make) -> Model:
    """Channels up to 10,000 times larger than others, made even again by the next layer."""
    text = """net (float[1,3,8,8] x) => (float[1,4] y) {
        [first] a = Conv (x, w1, b1) [r1] r = Relu (a)
        [depth] d = Conv <group = 8, pads = [1,1,1,1]> (r, w2, b2) [r2] s = LeakyRelu (d)
        [point] p = Conv (s, w3) [r3] q = Relu (p) [mean] m = GlobalAveragePool (q)
        [flat] f = Flatten (m) [dense] y = Gemm <transB = 1> (f, w4, b4) }"""
    along = UNEVEN[:, None, None, None]
    model: Model = make_model(text, {
        "w1": floats(8, 3, 3, 3) * along, "b1": floats(8) * UNEVEN,
        "w2": floats(8, 1, 3, 3) / along, "b2": floats(8) * 0.1,
        "w3": floats(6, 8, 1, 1), "w4": floats(4, 6), "b4": floats(4),
    })  # fmt: skip
    return model


def test_the_function_stays(uneven: Model, floats: Make) -> None:
    x = floats(1, 3, 8, 8)
    np.testing.assert_allclose(run(equalized(uneven), x), run(uneven, x), rtol=1e-3, atol=1e-4)


def test_a_second_time_changes_nothing(uneven: Model) -> None:
    once = equalized(uneven)
    twice = equalized(once)
    for name, value in once.graph.graph.initializers.items():
        again = twice.graph.graph.initializers[name].const_value
        assert value.const_value is not None
        assert again is not None
        np.testing.assert_allclose(again.numpy(), value.const_value.numpy(), rtol=0.02)


def test_int8_loses_less(uneven: Model, make_data: Make, floats: Make) -> None:
    data: CalibrationData = make_data(x=floats(60, 3, 8, 8))
    errors = []
    for equalize in (False, True):
        small = compress(uneven, [Quantize(equalize=equalize, per_channel=False)], data)
        found = [run(small, f["x"]) - run(uneven, f["x"]) for f in data.samples(small.inputs)]
        errors.append(float(np.square(found).mean()))
    assert errors[1] < errors[0] / 10


def test_what_does_not_commute_is_left_alone(make_model: Make, floats: Make) -> None:
    text = """net (float[1,3,4,4] x) => (float[1,2,4,4] y) {
        [a] a = Conv (x, w1) [s] s = Sigmoid (a) [y] y = Conv (s, w2) }"""
    model = make_model(text, {"w1": floats(4, 3, 1, 1), "w2": floats(2, 4, 1, 1)})
    for name, value in equalized(model).graph.graph.initializers.items():
        before = model.graph.graph.initializers[name].const_value
        assert value.const_value is not None
        np.testing.assert_array_equal(value.const_value.numpy(), before.numpy())


def test_a_channel_without_weights_does_not_grow(make_model: Make, floats: Make) -> None:
    """All its bias: were only its weights looked at, it would be scaled up without limit."""
    first = floats(4, 3, 1, 1)
    first[1] *= 1e-12
    text = """net (float[1,3,4,4] x) => (float[1,2,4,4] y) {
        [a] a = Conv (x, w1, b1) [r] r = Relu (a) [y] y = Conv (r, w2) }"""
    model = make_model(text, {"w1": first, "b1": np.ones(4, np.float32), "w2": floats(2, 4, 1, 1)})
    bias = constant_input(equalized(model).graph.graph[0], 2)
    assert bias is not None
    assert np.abs(bias).max() < 10
