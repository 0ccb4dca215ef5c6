"""int16 activations with int8 weights and a 64-bit bias, against TFLite's kernels, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.importers.onnx import normalise
from edgecomp.lowering.kernels.conv import ConvShape, Rescale, conv2d, dense, depthwise_conv2d
from edgecomp.lowering.kernels.softmax import softmax
from edgecomp.lowering.multipliers import conv_multipliers
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session
from tests.lowering_batches import compiled as compiled_together

BATCH = 10
compiled = settings(compiled_together, max_examples=3)
extents = st.integers(1, 7)
images = st.tuples(st.integers(1, 2), extents, extents, st.integers(1, 12))
kernels = st.tuples(st.integers(1, 3), st.integers(1, 3))
seeds = st.integers(0, 2**32 - 1)
VALID = 1


def _quantities(seed: int, channels: int) -> tuple[Any, float, Any, float]:
    """A generator, the input's scale, the weights' scales, the output's scale."""
    generator = np.random.default_rng(seed)
    source = float(np.float32(10 ** generator.uniform(-5, -3)))
    steps = (10 ** generator.uniform(-3, -1.5, channels)).astype(np.float32)
    result = float(np.float32(source * float(steps.max()) * 10 ** generator.uniform(0.5, 4)))
    return generator, source, steps, result


def _constants(bias: Any, source: float, steps: Any, result: float) -> tuple[Any, Any]:
    factors = conv_multipliers(source, steps, result)
    constants = (
        bias,
        np.array([factor.mantissa for factor in factors], np.int32),
        np.array([factor.shift for factor in factors], np.int8),
    )
    return constants, Rescale(0, -(2**15), 2**15 - 1, False, "int16")


def _trial(
    trial: Any,
    tflite_op: Any,
    name: str,
    image: Any,
    kernel: Any,
    channels: int,
    seed: int,
    bias_bits: int = 20,
) -> Any:
    single_op, operand = tflite_op
    kernel = (min(kernel[0], image[1]), min(kernel[1], image[2]))
    depthwise = name == "DEPTHWISE_CONV_2D"
    if name == "FULLY_CONNECTED":
        image, kernel = (image[0], image[3]), ()
    channels = image[-1] if depthwise else channels
    generator, source, steps, result = _quantities(seed, channels)
    depth = () if depthwise else (image[-1],)
    shape = (*kernel, channels) if depthwise else (channels, *kernel, *depth)
    weights = generator.integers(-127, 128, shape).astype(np.int8)
    bias = generator.integers(-(2**bias_bits), 2**bias_bits, channels)
    result *= 2 ** (bias_bits - 20)
    x = generator.integers(-(2**15), 2**15, image).astype(np.int16)
    stored = weights[None] if depthwise else weights
    window = [n - k + 1 for n, k in zip(image[1:3], kernel, strict=False)] if kernel else []
    out = (image[0], *window, channels)
    table = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}
    strides = {"Padding": VALID, "StrideH": 1, "StrideW": 1}
    dilations = {"DilationHFactor": 1, "DilationWFactor": 1}
    options: dict[str, Any] = {**strides, **dilations} if kernel else {}
    if depthwise:
        options["DepthMultiplier"] = 1
    op = single_op(
        name,
        (
            operand(image, (source,), 0, "int16"),
            operand(stored.shape, tuple(steps.tolist()), axis=3 if depthwise else 0, data=stored),
            operand(
                (channels,), tuple((steps * np.float32(source)).tolist()), 0, "int64", data=bias
            ),
        ),
        operand(out, (result,), 0, "int16"),
        table.get(name, "FullyConnectedOptions"),
        options,
    )
    constants, rescale = _constants(bias, source, steps, result)
    if not kernel:
        func = dense(image[0], image[1], channels, rescale)
        return trial(func, "dense", op, (x,), (weights, *constants))
    group = channels if depthwise else 1
    geometry = ConvShape(image, channels, kernel, (1, 1), (0, 0, 0, 0), (1, 1), group)
    if depthwise:
        func = depthwise_conv2d(geometry, 0, rescale)
        return trial(func, "depthwise_conv2d", op, (x,), (weights, *constants))
    return trial(conv2d(geometry, 0, rescale), "conv2d", op, (x,), (weights, *constants))


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@compiled
@given(
    st.lists(st.tuples(images, kernels, st.integers(1, 9), seeds), min_size=BATCH, max_size=BATCH)
)
def test_weighted(
    expect_tflite: Any, trial: Any, tflite_op: Any, name: str, batch: list[Any]
) -> None:
    expect_tflite([_trial(trial, tflite_op, name, *case) for case in batch])


def test_a_graph_of_int16_activations_is_integer(tmp_path: Path) -> None:
    """Conv + Relu > Transpose > Reshape > MatMul in QDQ form, against onnxruntime."""
    random = np.random.default_rng(3)
    taps = random.integers(-127, 128, (5, 4, 3, 3)).astype(np.int8)
    matrix = random.integers(-127, 128, (180, 6)).astype(np.int8)
    bias = random.integers(-3000, 3000, 5).astype(np.int32)
    text = """
    <ir_version: 10, opset_import: ["" : 21]>
    net (float[1,4,8,8] x) => (float[1,6] y) {
        xq = QuantizeLinear (x, s, z)
        xr = DequantizeLinear (xq, s, z)
        tr = DequantizeLinear (taps, w)
        br = DequantizeLinear (bias, p)
        [conv] a = Conv (xr, tr, br)
        [relu] b = Relu (a)
        bq = QuantizeLinear (b, u, z)
        r = DequantizeLinear (bq, u, z)
        [turn] c = Transpose <perm = [0, 2, 3, 1]> (r)
        cq = QuantizeLinear (c, u, z)
        cr = DequantizeLinear (cq, u, z)
        [flat] d = Flatten (cr)
        dq = QuantizeLinear (d, u, z)
        dr = DequantizeLinear (dq, u, z)
        mr = DequantizeLinear (matrix, w)
        [dense] e = MatMul (dr, mr)
        eq = QuantizeLinear (e, v, z)
        y = DequantizeLinear (eq, v, z)
    }
    """
    constants = {
        "s": np.float32(1e-4), "z": np.int16(0), "w": np.float32(0.01),
        "p": np.float32(1e-4) * np.float32(0.01), "u": np.float32(4e-4), "v": np.float32(3e-3),
        "taps": taps, "matrix": matrix, "bias": bias,
    }  # fmt: skip
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in constants.items())
    x = (random.integers(-(2**15), 2**15, (1, 4, 8, 8)) * np.float32(1e-4)).astype(np.float32)
    (want,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    path = tmp_path / "net.edge"
    manifest = compile_model(normalise(proto, {}, {}, "net"), load_device("host"), path)
    weighted = [op for op in manifest.ops if op.macs]
    assert {op.where for op in weighted} == {"integer"}
    with Session(open_artifact(path)) as session:
        (got,) = session.run({"x": x}).values()
    # the 16-bit multipliers of two layers are rounded to 2^-15
    assert np.abs(got - want).max() <= 2e-4 * np.abs(want).max() + 2 * 3e-3


@pytest.mark.parametrize("bias_bits", [20, 40])
@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_an_imported_file_has_the_bits_of_tflite(
    trial: Any, tflite_op: Any, tmp_path: Path, name: str, bias_bits: int
) -> None:
    """A bias of more than 32 bits is two constants in the ONNX model, and one in the program."""
    one = _trial(trial, tflite_op, name, (1, 5, 6, 8), (3, 2), 4, 11, bias_bits)
    (tmp_path / "op.tflite").write_bytes(one.op.model())
    path = tmp_path / "op.edge"
    manifest = compile_model(load(tmp_path / "op.tflite"), load_device("host"), path)
    assert [op.where for op in manifest.ops] == ["integer"]
    with Session(open_artifact(path)) as session:
        (got,) = session.run(list(one.inputs)).values()
    np.testing.assert_array_equal(got, one.op.run(*one.inputs))


@compiled
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 60), st.floats(-2.5, 0.0), seeds),
        min_size=4,
        max_size=4,
    )
)
def test_softmax_of_int8_as_int16(
    expect_tflite: Any, trial: Any, tflite_op: Any, batch: list[Any]
) -> None:
    single_op, operand = tflite_op
    trials = []
    for rows, depth, power, seed in batch:
        shape, scale = (rows, depth), float(np.float32(10**power))
        op = single_op(
            "SOFTMAX",
            (operand(shape, (scale,), 3),),
            operand(shape, (2**-16,), -(2**15), "int16"),
            "SoftmaxOptions",
            {"Beta": 1.0},
        )
        x = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
        func = softmax(rows, depth, scale, result="int16")
        trials.append(trial(func, "softmax", op, (x,)))
    expect_tflite(trials)
