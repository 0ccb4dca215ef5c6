"""Convolution and dense kernels against TFLite's reference kernels, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.lowering.fixed_point import Multiplier, quantize_value
from edgecomp.lowering.kernels.conv import ConvShape, Rescale, conv2d, dense, depthwise_conv2d
from edgecomp.lowering.multipliers import conv_multipliers, dense_multiplier
from tests.lowering_batches import compiled as compiled_together

# Operators compiled together, which is several times faster than one by one. A failure is not
# shrunk: that would compile for minutes.
BATCH = 8
compiled = settings(compiled_together, max_examples=8)
# Real bounds of TFLite's fused activations, by their number in the schema.
ACTIVATIONS = {0: (None, None), 1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
SAME, VALID = 0, 1


@dataclass(frozen=True)
class Scales:
    """Quantization of a weighted operator.

    Attributes:
        source: scale and zero point of the input.
        result_zero_point: zero point of the output.
        multiplier: about source * weights / result, of the largest channel.
        activation: number of the fused activation.
        seed: of everything random.
    """

    source: tuple[float, int]
    result_zero_point: int
    multiplier: float
    activation: int
    seed: int

    def generator(self) -> np.random.Generator:
        """A new source of random numbers, always the same."""
        return np.random.default_rng(self.seed)

    def weights(self, channels: int) -> npt.NDArray[np.float32]:
        """A scale for each output channel, over three decades."""
        exponents = np.random.default_rng(self.seed + 1).uniform(-4, -1, channels)
        return (10**exponents).astype(np.float32)

    def result(self, weights: npt.NDArray[np.float32]) -> tuple[float, int]:
        """Scale and zero point of the output."""
        scale = np.float32(self.source[0] * float(weights.max()) / self.multiplier)
        return float(scale), self.result_zero_point

    def rescale(self, result: tuple[float, int], multipliers: Sequence[Multiplier]) -> Rescale:
        """The kernel's constants, with the fused activation."""
        low, high = ACTIVATIONS[self.activation]
        bottom = -128 if low is None else max(-128, quantize_value(low, *result))
        top = 127 if high is None else min(127, quantize_value(high, *result))
        return Rescale(result[1], bottom, top, all(m.shift <= 0 for m in multipliers))


zero_points = st.integers(-128, 127)
scales = st.builds(
    Scales,
    source=st.tuples(st.floats(2**-10, 1.0, width=32), zero_points),
    result_zero_point=zero_points,
    multiplier=st.floats(-5.0, 0.7).map(lambda exponent: 10**exponent),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    seed=st.integers(0, 2**32 - 2),
)


@dataclass(frozen=True)
class Window:
    """A sliding window over an image, as TFLite describes it."""

    image: tuple[int, int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: int

    def reach(self, axis: int) -> int:
        """Extent of the dilated kernel."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def output(self, axis: int) -> int:
        """Extent of the output."""
        free = self.image[axis] if self.padding == SAME else self.image[axis] - self.reach(axis) + 1
        return -(-free // self.strides[axis])

    def pads(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right."""
        missing = [
            max(0, (self.output(i) - 1) * self.strides[i] + self.reach(i) - self.image[i])
            for i in (0, 1)
        ]
        return (
            missing[0] // 2,
            missing[1] // 2,
            missing[0] - missing[0] // 2,
            missing[1] - missing[1] // 2,
        )


def _pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


windows = st.builds(
    Window,
    image=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    kernel=_pair(1, 4),
    strides=_pair(1, 3),
    dilations=_pair(1, 2),
    padding=st.sampled_from([SAME, VALID]),
).filter(lambda w: w.output(0) > 0 and w.output(1) > 0)


@dataclass(frozen=True)
class Trial:
    """One operator in both worlds: kernel and its arguments, TFLite model and its input."""

    func: Any
    schedule_as: str
    arguments: tuple[Any, ...]
    op: Any
    x: npt.NDArray[np.int8]


def _expect_equal(compile_kernels: Any, trials: Sequence[Trial]) -> None:
    kernels = compile_kernels([(trial.func, trial.schedule_as) for trial in trials])
    for kernel, trial in zip(kernels, trials, strict=True):
        want = trial.op.run(trial.x)
        np.testing.assert_array_equal(kernel(trial.x, *trial.arguments), want)


def _int8(generator: np.random.Generator, *shape: int) -> npt.NDArray[np.int8]:
    return generator.integers(-128, 128, shape).astype(np.int8)


def _bias(generator: np.random.Generator, channels: int) -> npt.NDArray[np.int32]:
    return generator.integers(-(2**18), 2**18, channels).astype(np.int32)


def _constants(
    bias: npt.NDArray[np.int32],
    sums: npt.NDArray[np.int64],
    zero_point: int,
    multipliers: Sequence[Multiplier],
) -> tuple[Any, ...]:
    """Bias with the input's zero point in it, mantissas, shifts."""
    return (
        (bias - zero_point * sums).astype(np.int32),
        np.array([m.mantissa for m in multipliers], np.int32),
        np.array([m.shift for m in multipliers], np.int8),
    )


def _conv_trial(
    tflite_op: Any, window: Window, scales: Scales, filters: int, groups: int, depthwise: bool
) -> Trial:
    """`filters` is the number of output channels of each group; the image is that of one group."""
    single_op, operand = tflite_op
    generator = scales.generator()
    image = (*window.image[:2], groups if depthwise else window.image[2] * groups)
    outputs = filters * groups
    if depthwise:
        weights = _int8(generator, 1, *window.kernel, outputs)
    else:
        weights = _int8(generator, outputs, *window.kernel, window.image[2])
    batch = 1 + scales.seed % 2
    bias, x = _bias(generator, outputs), _int8(generator, batch, *image)
    steps = scales.weights(outputs)
    result = scales.result(steps)
    axis = 3 if depthwise else 0
    sums = weights.astype(np.int64).sum(axis=(0, 1, 2) if depthwise else (1, 2, 3))
    options = {
        "Padding": window.padding,
        "StrideH": window.strides[0],
        "StrideW": window.strides[1],
        "DilationHFactor": window.dilations[0],
        "DilationWFactor": window.dilations[1],
        "FusedActivationFunction": scales.activation,
    }
    if depthwise:
        options["DepthMultiplier"] = filters
    op = single_op(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        (
            operand(x.shape, scales.source[:1], scales.source[1]),
            operand(weights.shape, tuple(steps), axis=axis, data=weights),
            operand(bias.shape, tuple(steps * np.float32(scales.source[0])), 0, "int32", data=bias),
        ),
        operand((batch, window.output(0), window.output(1), outputs), result[:1], result[1]),
        "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
        options,
    )
    multipliers = conv_multipliers(scales.source[0], steps, result[0])
    shape = ConvShape(
        (batch, *image),
        outputs,
        window.kernel,
        window.strides,
        window.pads(),
        window.dilations,
        groups,
    )
    rescale = scales.rescale(result, multipliers)
    kernel = depthwise_conv2d if depthwise else conv2d
    constants = _constants(bias, sums, scales.source[1], multipliers)
    return Trial(
        kernel(shape, scales.source[1], rescale),
        "depthwise_conv2d" if depthwise else "conv2d",
        (weights[0] if depthwise else weights, *constants),
        op,
        x,
    )


def _batches(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*strategies), min_size=BATCH, max_size=BATCH)


@compiled
@given(_batches(windows, scales, st.integers(1, 9), st.sampled_from([1, 1, 2, 3])))
def test_conv2d(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    _expect_equal(compile_kernels, [_conv_trial(tflite_op, *case, False) for case in batch])


@compiled
@given(_batches(windows, scales, st.integers(1, 3), st.integers(1, 17)))
def test_depthwise_conv2d(
    compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]
) -> None:
    _expect_equal(compile_kernels, [_conv_trial(tflite_op, *case, True) for case in batch])


def _dense_trial(
    tflite_op: Any, rows: int, depth: int, units: int, per_channel: bool, scales: Scales
) -> Trial:
    single_op, operand = tflite_op
    generator = scales.generator()
    weights, x = _int8(generator, units, depth), _int8(generator, rows, depth)
    bias, step = _bias(generator, units), scales.weights(units if per_channel else 1)
    result = scales.result(step)
    op = single_op(
        "FULLY_CONNECTED",
        (
            operand(x.shape, scales.source[:1], scales.source[1]),
            operand(weights.shape, tuple(step), data=weights),
            operand(bias.shape, tuple(step * np.float32(scales.source[0])), 0, "int32", data=bias),
        ),
        operand((rows, units), result[:1], result[1]),
        "FullyConnectedOptions",
        {"FusedActivationFunction": scales.activation},
    )
    if per_channel:
        multipliers = conv_multipliers(scales.source[0], step, result[0])
    else:
        multipliers = [dense_multiplier(scales.source[0], step, result[0])] * units
    sums = weights.astype(np.int64).sum(axis=1)
    constants = _constants(bias, sums, scales.source[1], multipliers)
    func = dense(rows, depth, units, scales.rescale(result, multipliers))
    return Trial(func, "dense", (weights, *constants), op, x)


@compiled
@given(_batches(st.integers(1, 3), st.integers(1, 70), st.integers(1, 20), st.booleans(), scales))
def test_dense(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    _expect_equal(compile_kernels, [_dense_trial(tflite_op, *case) for case in batch])
