"""Quantized graphs: the integers' values forward, straight-through gradients backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import torch

from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.reference import run_reference
from edgecomp.training.executor import Network, batch_tensors

Array = npt.NDArray[Any]

QUANTIZED = """
net (float[1,4] x) => (float[1,3] y) {
    xq = QuantizeLinear (x, sx, zx)
    xf = DequantizeLinear (xq, sx, zx)
    wf = DequantizeLinear <axis = 1> (w, sw, zw)
    bf = DequantizeLinear <axis = 0> (b, sb, zb)
    [dense] a = Gemm (xf, wf, bf)
    [relu] r = Relu (a)
    yq = QuantizeLinear (r, sy, zy)
    yf = DequantizeLinear (yq, sy, zy)
    [twice] y = Add (yf, yf)
}
"""
SX, SW = np.float32(0.05), np.array([0.01, 0.02, 0.03], np.float32)


def constants(dtype: Any, rng: np.random.Generator) -> dict[str, Array]:
    """Weights of `dtype`, activations of int8."""
    low, high = (-7, 7) if dtype == ml_dtypes.int4 else (-127, 127)
    return {
        "w": rng.integers(low, high + 1, size=(4, 3)).astype(dtype),
        "sw": SW,
        "zw": np.zeros(3, dtype),
        "b": rng.integers(-500, 500, size=3).astype(np.int32),
        "sb": SX * SW,
        "zb": np.zeros(3, np.int32),
        "sx": np.array(SX),
        "zx": np.array(-10, np.int8),
        "sy": np.array(0.04, np.float32),
        "zy": np.array(-128, np.int8),
    }


@pytest.fixture(params=[np.int8, np.int16, ml_dtypes.int4])
def quantized(
    request: pytest.FixtureRequest, make_model: Callable[..., Model], rng: np.random.Generator
) -> Model:
    """A quantized Gemm with weights of 8, 16 and 4 bits."""
    return make_model(QUANTIZED, constants(request.param, rng))


def test_the_values_of_the_integers(quantized: Model, floats: Callable[..., Array]) -> None:
    samples = floats(50, 1, 4, scale=3)
    found = Network(quantized).run({"x": torch.from_numpy(samples)})["y"].detach().numpy()
    np.testing.assert_array_equal(found, run_reference(quantized, [samples])[0])


def test_weights_are_written_back_as_integers_of_their_type(
    quantized: Model, content: Callable[[Model], Mapping[str, Array]], floats: Callable[..., Array]
) -> None:
    network = Network(quantized)
    assert set(network.parameters) == {"w", "b"}
    before = content(quantized)
    with torch.no_grad():
        network.parameters["w"].add_(torch.from_numpy(2 * SW))
        network.parameters["b"].sub_(torch.from_numpy(3 * SX * SW))
    trained = quantized.with_graph(network.written_back())
    after = content(trained)
    highest = 7 if before["w"].dtype == ml_dtypes.int4 else 2 ** (8 * before["w"].itemsize - 1) - 1
    expected = np.minimum(before["w"].astype(np.int64) + 2, highest)
    np.testing.assert_array_equal(after["w"].astype(np.int64), expected)
    np.testing.assert_array_equal(after["b"], before["b"] - 3)
    assert {n: a.dtype for n, a in after.items()} == {n: a.dtype for n, a in before.items()}
    samples = floats(20, 1, 4)
    found = network.run({"x": torch.from_numpy(samples)})["y"].detach().numpy()
    np.testing.assert_array_equal(found, run_reference(trained, [samples])[0])


def test_gradients_pass_rounding_and_stop_at_saturation(make_model: Callable[..., Model]) -> None:
    text = """
    net (float[1,4] x) => (float[1,4] y) {
        q = QuantizeLinear (x, s, z)
        y = DequantizeLinear (q, s, z)
    }
    """
    model = make_model(text, {"s": np.array(0.5, np.float32), "z": np.array(0, np.int8)})
    x = torch.tensor([[[-70.0, -1.3, 2.6, 64.0]]], requires_grad=True)
    y = Network(model).run({"x": x})["y"]
    np.testing.assert_array_equal(y.detach().numpy()[0, 0], [-64, -1.5, 2.5, 63.5])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], [0, 1, 1, 0])


def test_learned_scales_keep_the_scale_of_the_bias_true(
    make_model: Callable[..., Model],
    rng: np.random.Generator,
    content: Callable[[Model], Mapping[str, Array]],
    floats: Callable[..., Array],
) -> None:
    model = make_model(QUANTIZED, constants(np.int8, rng))
    network = Network(model, learn_scales=True)
    # the scale of the graph's input is the caller's; the output here is a float
    assert set(network.parameters) == {"w", "b", "sw", "sy"}
    samples = floats(50, 1, 4)
    with torch.no_grad():
        network.parameters["w"].add_(0.003)
    network.run(batch_tensors({"x": samples}))["y"].square().mean().backward()
    assert float(network.parameters["sw"].grad.abs().min()) > 0
    with torch.no_grad():
        network.parameters["sw"].copy_(torch.tensor([0.1, -0.2, 0.3]))
        network.parameters["sy"].copy_(torch.tensor(0.05))
    trained = model.with_graph(network.written_back())
    after = content(trained)
    np.testing.assert_allclose(after["sw"], SW * np.exp([0.1, -0.2, 0.3]), rtol=1e-6)
    np.testing.assert_array_equal(after["sb"], SX * after["sw"])
    np.testing.assert_allclose(after["sy"], 0.04 * np.exp(0.05), rtol=1e-6)
    np.testing.assert_array_equal(after["sx"], SX)
    found = network.run(batch_tensors({"x": samples}))["y"].detach().numpy()
    np.testing.assert_array_equal(found, run_reference(trained, [samples])[0])


def test_scales_keep_the_shape_they_have(
    make_model: Callable[..., Model], rng: np.random.Generator, floats: Callable[..., Array]
) -> None:
    given = constants(np.int8, rng)
    one = {"sw": SW[:1], "zw": given["zw"][:1]}
    shapes = {"sb": SX * SW[:1], "zb": np.zeros(1, np.int32)}
    model = make_model(QUANTIZED, {**given, **one, **shapes})
    network = Network(model, learn_scales=True)
    with torch.no_grad():
        network.parameters["sw"].add_(0.1)
    trained = model.with_graph(network.written_back())
    for name, value in model.graph.graph.initializers.items():
        assert trained.graph.graph.initializers[name].const_value.shape == value.shape
    samples = floats(20, 1, 4)
    found = network.run({"x": torch.from_numpy(samples)})["y"].detach().numpy()
    np.testing.assert_array_equal(found, run_reference(trained, [samples])[0])


def test_a_scale_of_several_biases_cannot_be_learned(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    text = QUANTIZED.replace(
        "(xf, wf, bf)", "(xf, wf, bf) bg = DequantizeLinear <axis = 0> (b2, sb, zb)"
    )
    text = text.replace("Add (yf, yf)", "Gemm (yf, vf, bg)")
    text = text.replace("yf = ", "vf = DequantizeLinear <axis = 1> (v, sw, zw) yf = ")
    given = constants(np.int8, rng)
    weights = {"v": rng.integers(-9, 9, size=(3, 3)).astype(np.int8), "b2": given["b"] + 1}
    model = make_model(text, {**given, **weights})
    with pytest.raises(EdgecompError, match=r"^sb: several biases share this scale.*scales=false"):
        Network(model, learn_scales=True)


def test_the_gradient_of_a_scale_is_that_of_learned_step_size_quantization(
    make_model: Callable[..., Model],
) -> None:
    text = """
    net (float[1,3] x) => (float[1,3] y) {
        a = Relu (x)
        q = QuantizeLinear (a, s, z)
        b = DequantizeLinear (q, s, z)
        y = Mul (b, one)
    }
    """
    step = np.float32(0.1)
    model = make_model(
        text,
        {"s": np.array(step), "z": np.array(0, np.int8), "one": np.array([1, 1, 2], np.float32)},
    )
    network = Network(model, learn_scales=True)
    x = np.array([[[0.26, 1.01, 20.0]]], np.float32)
    network.run(batch_tensors({"x": x}))["y"].sum().backward()
    steps = x[0, 0] / step
    slopes = np.where(steps > 127, 127, np.rint(steps) - steps) * [1, 1, 2]
    # by the logarithm of the scale's growth
    expected = slopes.sum() * step
    assert float(network.parameters["s"].grad) == pytest.approx(expected, rel=1e-4)
