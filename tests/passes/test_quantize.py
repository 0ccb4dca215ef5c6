"""The form of a quantized graph: what lowering and other tools may rely on."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.graph.qdq import (
    dequantization_of,
    is_dequantize,
    is_quantize,
    quantization_of,
    quantized_constant,
)
from edgecomp.graph.quantizable import RULES, Role, activation_inputs, fused_activation, why_float
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.passes.quantize import Quantize
from edgecomp.reference import Executor

MakeModel = Callable[..., Model]
MakeData = Callable[..., CalibrationData]
Floats = Callable[..., Any]


def node_of(model: Model, name: str) -> ir.Node:
    return next(node for node in model.graph.graph if node.name == name)


def grid_after(model: Model, name: str) -> tuple[float, int]:
    """Scale and zero point of what the node's output, or its fused activation's, becomes."""
    node = node_of(model, name)
    tail = fused_activation(node) or node
    (quantize,) = [use.node for use in tail.outputs[0].uses() if is_quantize(use.node)]
    found = quantization_of(quantize)
    assert found is not None
    return float(found.scale), int(found.zero_point)


def sqnr(exact: Any, rounded: Any) -> float:
    """Signal to quantization noise in dB."""
    noise = np.sum(np.square(exact - rounded)) + 1e-30
    return float(10 * np.log10(np.sum(np.square(exact)) / noise))


def outputs(model: Model, data: CalibrationData) -> Any:
    executor = Executor(model.graph)
    rows = [executor.run(feed)[executor.outputs[0]] for feed in data.samples(model.inputs)]
    return np.concatenate(rows)


@pytest.fixture
def cnn_data(make_data: MakeData, floats: Floats) -> CalibrationData:
    return make_data(x=floats(40, 3, 8, 8))


@pytest.fixture
def quantized_cnn(small_cnn: Model, cnn_data: CalibrationData) -> Model:
    return compress(small_cnn, [Quantize()], cnn_data)


def test_the_result_is_close_to_the_float_model(
    small_cnn: Model, quantized_cnn: Model, cnn_data: CalibrationData
) -> None:
    assert sqnr(outputs(small_cnn, cnn_data), outputs(quantized_cnn, cnn_data)) > 25


def test_names_shapes_history_and_the_given_model_stay(
    small_cnn: Model, quantized_cnn: Model
) -> None:
    assert quantized_cnn.inputs == small_cnn.inputs
    assert quantized_cnn.outputs == small_cnn.outputs
    assert quantized_cnn.history == (str(Quantize()),)
    assert [v.name for v in quantized_cnn.graph.graph.outputs] == ["probabilities"]
    kept = [n.name for n in quantized_cnn.graph.graph if n.op_type in RULES]
    assert kept == [n.name for n in small_cnn.graph.graph]
    assert not any(is_quantize(node) for node in small_cnn.graph.graph)


def test_onnxruntime_loads_it_with_its_own_optimisations(
    quantized_cnn: Model, cnn_data: CalibrationData
) -> None:
    session = onnxruntime.InferenceSession(
        ir.to_proto(quantized_cnn.graph).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (feed, *_) = cnn_data.samples(quantized_cnn.inputs, 1)
    exact = Executor(quantized_cnn.graph).run(feed)["probabilities"]
    assert session.run(None, feed)[0] == pytest.approx(exact, abs=0.05)


def test_weights_are_symmetric_and_biases_lie_at_the_product_of_scales(
    quantized_cnn: Model,
) -> None:
    for name in ("first", "depthwise", "dense"):
        node = node_of(quantized_cnn, name)
        weights, bias = (quantized_constant(node.inputs[place]) for place in (1, 2))
        source = dequantization_of(node.inputs[0])
        assert weights is not None
        assert bias is not None
        assert source is not None
        content, grid = weights
        assert content.dtype == np.int8
        assert content.min() >= -127
        assert not grid.zero_point.any()
        assert grid.axis == 0
        assert (np.abs(content).reshape(len(content), -1).max(axis=1) == 127).all()
        assert bias[0].dtype == np.int32
        assert np.array_equal(bias[1].scale, source.scale * grid.scale)


def test_one_scale_for_the_whole_tensor_when_asked(
    small_cnn: Model, cnn_data: CalibrationData
) -> None:
    model = Quantize(per_channel=False).apply(small_cnn, Context(cnn_data))
    weights = quantized_constant(node_of(model, "first").inputs[1])
    assert weights is not None
    assert weights[1].per_tensor


def test_scales_that_must_be_shared_are_the_same_constant(quantized_cnn: Model) -> None:
    def constants(name: str) -> list[ir.Value | None]:
        (use,) = node_of(quantized_cnn, name).outputs[0].uses()
        return list(use.node.inputs[1:])

    pool, flat = node_of(quantized_cnn, "pool"), node_of(quantized_cnn, "flat")
    for node, before in ((pool, "first_relu"), (flat, "mean")):
        assert constants(str(node.name)) == constants(before)


def test_every_integer_node_stands_between_dequantize_and_quantize(quantized_cnn: Model) -> None:
    for node in quantized_cnn.graph.graph:
        if node.op_type not in RULES or node.name in ("first_relu", "depthwise_clip", "join_relu"):
            continue
        assert why_float(node) is None, "what was quantized still has an integer meaning"
        for value in activation_inputs(node):
            assert is_dequantize(value.producer()), node.name
        grid_after(quantized_cnn, str(node.name))


def test_fixed_ranges(quantized_cnn: Model) -> None:
    assert grid_after(quantized_cnn, "softmax") == (1 / 256, -128)


def test_nothing_above_a_clip_is_covered(quantized_cnn: Model) -> None:
    scale, zero_point = grid_after(quantized_cnn, "depthwise")
    assert zero_point == -128
    assert 255 * scale <= 6.001


def test_excluded_nodes_stay_float(small_cnn: Model, cnn_data: CalibrationData) -> None:
    model = compress(small_cnn, [Quantize(exclude=("dep*wise", "dense"))], cnn_data)
    for name in ("depthwise", "dense"):
        node = node_of(model, name)
        assert quantized_constant(node.inputs[1]) is None
        assert not any(is_quantize(use.node) for use in node.outputs[0].uses())
    assert sqnr(outputs(small_cnn, cnn_data), outputs(model, cnn_data)) > 25


def test_a_value_between_two_float_nodes_is_not_rounded(
    make_model: MakeModel, make_data: MakeData, floats: Floats
) -> None:
    text = """
    net (float[1,8] x) => (float[1,8] y) {
        [dense] a = MatMul (x, w)
        [odd] b = Erf (a)
        [island] c = Sigmoid (b)
        [odder] d = Erf (c)
        [last] y = MatMul (d, w)
    }
    """
    model = make_model(text, {"w": floats(8, 8)})
    result = compress(model, [Quantize()], make_data(x=floats(20, 8)))
    assert node_of(result, "island").inputs[0] is node_of(result, "odd").outputs[0]
    assert quantized_constant(node_of(result, "last").inputs[1]) is not None
    stored = [v for v in result.graph.graph.initializers.values() if v.dtype == ir.DataType.INT8]
    assert sum(len(v.shape or ()) == 2 for v in stored) == 1, "both read the same weights"


def test_concat_shares_and_fixed_ranges_are_requantized_for_it(
    make_model: MakeModel, make_data: MakeData, floats: Floats
) -> None:
    text = """
    net (float[1,4] x) => (float[1,4] gate, float[1,8] y) {
        [dense] a = Gemm (x, w)
        [sigmoid] gate = Sigmoid (a)
        [join] y = Concat <axis = 1> (a, gate)
    }
    """
    model = make_model(text, {"w": floats(4, 4, scale=3)})
    data = make_data(x=floats(50, 4))
    result = compress(model, [Quantize()], data)
    join = node_of(result, "join")
    first, second = (dequantization_of(value) for value in join.inputs)
    assert first is not None
    assert second is not None
    assert first.same_as(second)
    assert grid_after(result, "join") == (float(first.scale), int(first.zero_point))
    gate = next(v for v in result.graph.graph.outputs if v.name == "gate")
    own = dequantization_of(gate)
    assert own is not None
    assert float(own.scale) == 1 / 256
    assert sqnr(outputs(model, data), outputs(result, data)) > 30


def test_operators_of_every_role(
    make_model: MakeModel, make_data: MakeData, floats: Floats
) -> None:
    text = """
    net (float[1,4,12,12] x) => (float[1,6,3] z, float[1,4] y) {
        [conv] a = Conv <group = 2, pads = [1, 1, 1, 1]> (x, w1)
        [hs] b = HardSwish (a)
        [mean] c = ReduceMean <keepdims = 1> (b, axes)
        [squeeze] d = Conv (c, w2, b2)
        [gate] e = HardSigmoid (d)
        [scale] f = Mul (b, e)
        [leaky] g = LeakyRelu <alpha = 0.1> (f)
        [pad] h = Pad (g, pads)
        [average] i = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (h)
        [up] j = Resize <mode = "nearest"> (i, , scales)
        [cut] k = Slice (j, starts, ends, cut_axes)
        [twice] l = Add (k, k)
        [less] m = Sub (l, offset)
        [elu] n = Elu (m)
        [order] o = Transpose <perm = [0, 2, 3, 1]> (n)
        [rows] p = Reshape (o, shape)
        [project] q = MatMul (p, w3)
        [project_bias] r = Add (q, b3)
        [tanh] s = Tanh (r)
        [back] t = Transpose <perm = [0, 2, 1]> (s)
        [sequence] z = Conv <strides = [21]> (t, w4, b4)
        [total] u = GlobalAveragePool (n)
        [flat] v = Flatten (u)
        [head] y = Gemm <alpha = 0.5, beta = 2.0> (v, w5, b5)
    }
    """
    constants = {
        "w1": floats(8, 2, 3, 3), "axes": np.array([2, 3]),
        "w2": floats(8, 8, 1, 1), "b2": floats(8),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "starts": np.array([1, 1]), "ends": np.array([9, 9]), "cut_axes": np.array([2, 3]),
        "offset": floats(1, 8, 1, 1), "shape": np.array([1, 64, 8]),
        "w3": floats(8, 6), "b3": floats(6), "w4": floats(6, 6, 3), "b4": floats(6),
        "w5": floats(8, 4), "b5": np.float32(0.25),
    }  # fmt: skip
    model = make_model(text, constants)
    data = make_data(x=floats(60, 4, 12, 12))
    result = compress(model, [Quantize()], data)
    present = {node.op_type for node in model.graph.graph}
    same_scale = {op for op in present if RULES[op].role is Role.SAME_SCALE}
    assert len(same_scale) >= 7
    for node in result.graph.graph:
        if RULES.get(node.op_type) and RULES[node.op_type].role is Role.SAME_SCALE:
            before = dequantization_of(node.inputs[0])
            assert before is not None
            expected = (float(before.scale), int(before.zero_point))
            assert grid_after(result, str(node.name)) == expected
    for place in (0, 1):
        name = model.outputs[place].name
        exact, rounded = (
            np.concatenate([Executor(m.graph).run(f)[name] for f in data.samples(model.inputs, 20)])
            for m in (model, result)
        )
        assert sqnr(exact, rounded) > 15, name


@pytest.mark.parametrize("bias", [0.0, 1e6, 1e-30])
def test_dead_channels_and_biases_that_do_not_fit(
    make_model: MakeModel, make_data: MakeData, floats: Floats, bias: float
) -> None:
    weights = floats(4, 3, 1, 1)
    weights[1] = 0
    weights[2] *= 1e-25
    text = "net (float[1,3,4,4] x) => (float[1,4,4,4] y) { [c] y = Conv (x, w, b) }"
    model = make_model(text, {"w": weights, "b": np.full(4, bias, np.float32)})
    data = make_data(x=floats(10, 3, 4, 4))
    result = compress(model, [Quantize()], data)
    constant = quantized_constant(node_of(result, "c").inputs[2])
    assert constant is not None
    assert np.abs(constant[0].astype(np.int64)).max() <= 2**30 * 1.001
    exact, rounded = outputs(model, data), outputs(result, data)
    assert np.isfinite(rounded).all()
    assert np.abs(exact - rounded).max() <= np.abs(exact).max() / 50


def test_bias_correction_keeps_the_mean(
    make_model: MakeModel, make_data: MakeData, floats: Floats, rng: np.random.Generator
) -> None:
    text = "net (float[1,64] x) => (float[1,8] y) { [dense] y = Gemm (x, w, b) }"
    model = make_model(text, {"w": floats(64, 8), "b": floats(8)})
    data = make_data(x=rng.uniform(0, 2, size=(100, 64)).astype(np.float32))
    exact = outputs(model, data).mean(axis=0)
    shift = {
        correct: np.abs(
            outputs(Quantize(bias_correction=correct).apply(model, Context(data)), data).mean(
                axis=0
            )
            - exact
        ).mean()
        for correct in (True, False)
    }
    assert shift[True] < shift[False] / 2


def test_memory_does_not_grow_with_the_samples(
    small_cnn: Model, make_data: MakeData, floats: Floats
) -> None:
    peaks = []
    for count in (40, 1000):
        data = make_data(x=floats(count, 3, 8, 8))
        tracemalloc.start()
        try:
            Quantize(samples=count).apply(small_cnn, Context(data))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 200_000


def test_a_model_without_weights(
    make_model: MakeModel, make_data: MakeData, floats: Floats
) -> None:
    text = "net (float[1,4] x, float[1,4] y) => (float[1,4] z) { [add] z = Add (x, y) }"
    model = make_model(text, {})
    result = compress(model, [Quantize()], make_data(x=floats(9, 4), y=floats(9, 4)))
    assert sum(is_quantize(node) for node in result.graph.graph) == 3
