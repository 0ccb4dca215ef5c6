"""From one grid of integers to another: TFLite's bits; and what keeps an operator from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.importers.onnx import normalise
from edgecomp.lowering.dry_run import dry_run
from edgecomp.lowering.fixed_point import LIMITS, multiply, quantize_multiplier
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session
from tests.quantized_graph import GRIDS, INPUTS, Quantized, QuantizedGraph, typed_model
from tests.random_shapes import RandomShapes

few = settings(
    max_examples=2,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
seeds = st.integers(0, 2**32 - 1)
PAIRS = [
    *[(a, b) for a in ("int8", "uint8") for b in ("int8", "uint8")],
    ("int16", "int8"),
    ("int16", "int16"),
    ("int16", "int32"),
]
"""Element types between which tflite-runtime 2.14 has a QUANTIZE."""


def _grid(d: RandomShapes, dtype: str) -> tuple[tuple[float], int]:
    info = np.iinfo(dtype)
    finer = 1 if info.bits == 8 else 256
    scale = float(np.float32(10 ** d.random.uniform(-3, -1) / finer))
    return (scale,), 0 if finer > 1 else int(d.random.integers(info.min, info.max + 1))


@few
@given(seeds)
def test_quantize(tflite_op: Any, expect_program: Any, seed: int) -> None:
    single_op, operand = tflite_op
    d, trials = RandomShapes(np.random.default_rng(seed)), []
    for source, result in [*PAIRS, *PAIRS]:
        shape, info = d.shape(), np.iinfo(source)
        op = single_op(
            "QUANTIZE",
            (operand(shape, *_grid(d, source), source),),
            operand(shape, *_grid(d, result), result),
            "QuantizeOptions",
        )
        trials.append((op, [d.random.integers(info.min, info.max + 1, shape).astype(source)]))
    expect_program(trials)


def test_int8_to_int16(tflite_op: Any, tmp_path: Path) -> None:
    """tflite-runtime refuses it; TensorFlow Lite Micro rescales as always."""
    single_op, operand = tflite_op
    source, result = (float(np.float32(scale)) for scale in (0.05, 3e-4))
    op = single_op(
        "QUANTIZE",
        (operand((256,), (source,), 17),),
        operand((256,), (result,), 0, "int16"),
        "QuantizeOptions",
    )
    (tmp_path / "op.tflite").write_bytes(op.model())
    path = tmp_path / "op.edge"
    compile_model(load(tmp_path / "op.tflite"), load_device("host"), path)
    x = np.arange(-128, 128)
    with Session(open_artifact(path)) as session:
        (got,) = session.run([x.astype(np.int8)]).values()
    steps = multiply((x - 17).astype(np.int64), quantize_multiplier(source / result))
    np.testing.assert_array_equal(got, np.clip(steps, *LIMITS["int16"]))


def _unfit(dtype: str, op: str, *operands: Any) -> onnx.ModelProto:
    graph = QuantizedGraph(GRIDS[dtype])
    graph.quantize("image", *INPUTS["image"][1:])
    graph.add(op, ["image real", *(graph.operand(given) for given in operands)], "made")
    return typed_model(graph, ["image"], {graph.quantize("made", 0.05, 7): TensorProto.FLOAT})


def _wide_weights() -> Quantized:
    """Weights of uint16, one of which lies more than 2^15 from the zero point."""
    content = np.arange(54).reshape(1, 6, 3, 3).astype(np.uint16)
    content[0, 0, 0, 0] = 2**16 - 1
    return Quantized(content, np.float32(1e-4).reshape(()), 0, None, stored=True)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: _unfit("int16", "HardSwish"), "there is no integer HardSwish of int16"),
        (
            lambda: _unfit("int8", "Conv", _wide_weights()),
            "its weights are not int8, and do not fit int16 without their zero point",
        ),
    ],
)
def test_what_stays_float_says_why(model: Any, why: str) -> None:
    answer = dry_run(normalise(model(), {}, {}, "unfit"))
    assert [reason for name, reason in answer.why.items() if "made" in name] == [why]
    assert answer.program is not None


@few
@given(seeds)
def test_averages_of_unsigned_integers(tflite_op: Any, expect_program: Any, seed: int) -> None:
    """Their ties go up, also where the integers with a sign are negative."""
    single_op, operand = tflite_op
    d, trials = RandomShapes(np.random.default_rng(seed)), []
    for _ in range(4):
        batch, size, channels = d.size(1, 2), d.size(2, 8), d.size(1, 5)
        grid = _grid(d, "uint8")
        window = {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2, "Padding": 1}
        shape, out = (batch, size, size, channels), (batch, size - 1, size - 1, channels)
        op = single_op(
            "AVERAGE_POOL_2D",
            (operand(shape, *grid, "uint8"),),
            operand(out, *grid, "uint8"),
            "Pool2DOptions",
            window,
        )
        trials.append((op, [d.random.integers(0, 256, shape).astype(np.uint8)]))
    expect_program(trials)
