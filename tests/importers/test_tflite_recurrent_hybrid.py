"""SVDF and LSTM of dynamic-range files: int8 weights, float everything else, run after run.

Where a row is quantized, a difference of one rounding before may move an integer by one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.pipeline import compile_model
from edgecomp.reference import run_reference

Array = npt.NDArray[Any]
CELLS, FEATURES = 6, 5
RELATIVE = 1e-5
"""How far an output may be from the reference kernel's, beside the largest one."""


class Operands:
    """Makes the operands of one operator."""

    def __init__(self, operand: Any, seed: int) -> None:
        self.operand = operand
        self.random = np.random.default_rng(seed)

    def int8(self, *shape: int) -> Any:
        """Weights of a scale of their own."""
        content = self.random.integers(-127, 128, shape).astype(np.int8)
        scale = float(np.float32(self.random.uniform(0.4, 0.9) / 127))
        return self.operand(shape, (scale,), data=content)

    def float(self, *shape: int) -> Any:
        """Float parameters."""
        content = self.random.normal(0, 0.5, shape).astype(np.float32)
        return self.operand(shape, dtype="float32", data=content)

    def state(self, *shape: int) -> Any:
        """What is kept from one run to the next."""
        return self.operand(shape, dtype="float32", variable=True)

    def runs(self, *shape: int) -> list[list[Array]]:
        """Inputs of a few runs; the third one is all zeros."""
        rows = self.random.normal(0, 1, (4, *shape)).astype(np.float32)
        rows[2] = 0.0
        return [[row] for row in rows]


def compare(got: Sequence[Array], wanted: Sequence[Array]) -> None:
    """The same within `RELATIVE`."""
    limit = RELATIVE * max(float(np.abs(want).max()) for want in wanted)
    assert not np.array_equal(wanted[0], wanted[1])
    for mine, want in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, want, rtol=0, atol=limit)


def svdf(tflite_op: Any, made: Operands, rank: int, memory: int, batch: int, options: Any) -> Any:
    """An SVDF of 5 units."""
    single_op, operand = tflite_op
    filters = 5 * rank
    operands = (
        operand((batch, FEATURES), dtype="float32"),
        made.int8(filters, FEATURES),
        made.int8(filters, memory),
        made.float(5),
        made.state(batch, filters * memory),
    )
    result = operand((batch, 5), dtype="float32")
    return single_op("SVDF", operands, result, "SVDFOptions", {"Rank": rank, **options})


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(("rank", "memory", "batch"), [(1, 4, 1), (2, 3, 2)])
def test_hybrid_svdf(
    rank: int, memory: int, batch: int, asymmetric: bool, tflite_op: Any, compiled: Any
) -> None:
    made = Operands(tflite_op[1], rank)
    options = {"AsymmetricQuantizeInputs": asymmetric, "FusedActivationFunction": rank}
    op = svdf(tflite_op, made, rank, memory, batch, options)
    runs = made.runs(batch, FEATURES)
    compare(compiled(op, runs), [row[0] for row in op.stream(runs)])


def lstm(tflite_op: Any, made: Operands, shape: tuple[int, ...], parts: str, options: Any) -> Any:
    """An LSTM of `CELLS` cells with `parts`: coupled, peephole, norm, projection."""
    single_op, operand = tflite_op
    outputs = 4 if "projection" in parts else CELLS
    batch = shape[1] if options.get("TimeMajor") else shape[0]
    gates = ("coupled" not in parts, True, True, True)
    operands = (
        operand(shape, dtype="float32"),
        *(made.int8(CELLS, shape[-1]) if gate else None for gate in gates),
        *(made.int8(CELLS, outputs) if gate else None for gate in gates),
        *(made.int8(CELLS) if gate and "peephole" in parts else None for gate in gates[:3]),
        *(made.float(CELLS) if gate else None for gate in gates),
        made.int8(outputs, CELLS) if "projection" in parts else None,
        made.float(outputs) if "projection" in parts else None,
        made.state(batch, outputs),
        made.state(batch, CELLS),
        *(made.float(CELLS) if gate and "norm" in parts else None for gate in gates),
    )
    result = operand((*shape[:-1], outputs), dtype="float32")
    table, given = "UnidirectionalSequenceLSTMOptions", {"FusedActivationFunction": 4, **options}
    return single_op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, result, table, given)


CASES = [
    ("", {}),
    ("", {"AsymmetricQuantizeInputs": True}),
    ("coupled peephole", {"CellClip": 0.4}),
    ("projection peephole", {"ProjClip": 0.3, "TimeMajor": True, "AsymmetricQuantizeInputs": True}),
    ("norm", {"FusedActivationFunction": 3}),
    ("norm coupled projection peephole", {"AsymmetricQuantizeInputs": True}),
]


@pytest.mark.parametrize(("parts", "options"), CASES)
def test_hybrid_lstm(parts: str, options: Any, tflite_op: Any, compiled: Any) -> None:
    made = Operands(tflite_op[1], len(parts))
    op = lstm(tflite_op, made, (2, 3, FEATURES), parts, options)
    runs = made.runs(2, 3, FEATURES)
    compare(compiled(op, runs), [row[0] for row in op.stream(runs)])


@pytest.mark.parametrize(("parts", "options"), [*CASES, ("svdf", {})])
def test_the_bodies_of_hybrid_layers(
    parts: str, options: Any, tflite_op: Any, tmp_path: Path
) -> None:
    """What onnxruntime makes of a function's body is what the reference kernel gives."""
    made = Operands(tflite_op[1], len(parts))
    if parts == "svdf":
        op = svdf(tflite_op, made, 2, 3, 2, options)
    else:
        op = lstm(tflite_op, made, (2, 3, FEATURES), parts, options)
    path = tmp_path / "op.tflite"
    path.write_bytes(op.model())
    ((given,), *_) = made.runs(*op.operands[0].shape)
    got, want = run_reference(load(path), [given[np.newaxis]])[0][0], op.run(given)
    np.testing.assert_allclose(got, want, rtol=0, atol=RELATIVE * float(np.abs(want).max()))


def test_weights_stay_bytes(tflite_op: Any, tmp_path: Path) -> None:
    made = Operands(tflite_op[1], 0)
    path = tmp_path / "op.tflite"
    path.write_bytes(lstm(tflite_op, made, (1, 28, 28), "", {}).model())
    manifest = compile_model(load(path), load_device("nucleo_l4r5zi"), tmp_path / "op.edge")
    weights, biases = 4 * CELLS * (28 + CELLS), 4 * CELLS
    assert weights < manifest.flash.weights_bytes <= weights + 4 * biases + 100
    assert sum(op.macs for op in manifest.ops) == 28 * weights
    assert [op.op for op in manifest.ops] == ["HybridLstm"], "its states are written in place"
