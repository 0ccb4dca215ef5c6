"""int16 operators that tflite-runtime refuses: TensorFlow Lite Micro's definition, in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.lowering.fixed_point import multiply, quantize_multiplier
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
SHAPE = (1, 3, 4, 5)


def _numbers(seed: int, shape: tuple[int, ...] = SHAPE) -> Array:
    return np.random.default_rng(seed).integers(-(2**15), 2**15, shape).astype(np.int16)


def _run(op: Any, path: Path, *inputs: Array) -> Array:
    """What the compiled program gives, which is integer throughout."""
    (path / "op.tflite").write_bytes(op.model())
    manifest = compile_model(load(path / "op.tflite"), load_device("host"), path / "op.edge")
    assert {record.where for record in manifest.ops} == {"integer"}
    with Session(open_artifact(path / "op.edge")) as session:
        (result,) = session.run(list(inputs)).values()
    return result


def _clipped(steps: Array) -> Array:
    return np.clip(steps, -(2**15), 2**15 - 1).astype(np.int16)


def _scaled(values: Array, real: float) -> Array:
    return multiply(values.astype(np.int64), quantize_multiplier(real))


def test_squared_difference(tflite_op: Any, tmp_path: Path) -> None:
    """Both operands on twice the larger scale, without head-room."""
    single_op, operand = tflite_op
    left, right, result = (float(np.float32(s)) for s in (1e-3, 4e-4, 0.05))
    op = single_op(
        "SQUARED_DIFFERENCE",
        (operand(SHAPE, (left,), 0, "int16"), operand(SHAPE, (right,), 0, "int16")),
        operand(SHAPE, (result,), 0, "int16"),
        "SquaredDifferenceOptions",
    )
    x, y = _numbers(1), _numbers(2)
    difference = _scaled(x, left / (2 * left)) - _scaled(y, right / (2 * left))
    want = _clipped(_scaled(difference * difference, (2 * left) ** 2 / result))
    np.testing.assert_array_equal(_run(op, tmp_path, x, y), want)


def test_slopes_are_int8(tflite_op: Any, tmp_path: Path) -> None:
    single_op, operand = tflite_op
    source, slope, result = (float(np.float32(s)) for s in (1e-3, 0.01, 8e-4))
    slopes = np.arange(-2, 3).astype(np.int8) * 30
    op = single_op(
        "PRELU",
        (
            operand(SHAPE, (source,), 0, "int16"),
            operand(slopes.shape, (slope,), 7, data=slopes),
        ),
        operand(SHAPE, (result,), 0, "int16"),
    )
    x = _numbers(3)
    steep = _scaled(x * (slopes.astype(np.int64) - 7), source * slope / result)
    want = _clipped(np.where(x >= 0, _scaled(x, source / result), steep))
    np.testing.assert_array_equal(_run(op, tmp_path, x), want)


@pytest.mark.parametrize("same", [True, False])
def test_greater_brings_both_to_one_scale(tflite_op: Any, tmp_path: Path, same: bool) -> None:
    single_op, operand = tflite_op
    left, right = (float(np.float32(s)) for s in (1e-3, 1e-3 if same else 3e-4))
    op = single_op(
        "GREATER",
        (operand(SHAPE, (left,), 0, "int16"), operand(SHAPE, (right,), 0, "int16")),
        operand(SHAPE, dtype="bool"),
        "GreaterOptions",
    )
    x, y = _numbers(4), _numbers(5)
    y.reshape(-1)[::3] = np.rint(x.reshape(-1)[::3] * (left / right) / 4)
    want = _scaled(x.astype(np.int64) * 256, left) > _scaled(y.astype(np.int64) * 256, right)
    np.testing.assert_array_equal(_run(op, tmp_path, x, y), want)


@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
def test_index_of_the_extreme(tflite_op: Any, tmp_path: Path, name: str) -> None:
    single_op, operand = tflite_op
    op = single_op(
        name,
        (
            operand(SHAPE, (1e-3,), 0, "int16"),
            operand((1,), dtype="int32", data=np.array([3], np.int32)),
        ),
        operand(SHAPE[:3], dtype="int32"),
        "ArgMaxOptions" if name == "ARG_MAX" else "ArgMinOptions",
        {"OutputType": 2},
    )
    x = _numbers(6)
    want = x.argmax(3) if name == "ARG_MAX" else x.argmin(3)
    np.testing.assert_array_equal(_run(op, tmp_path, x), want)
