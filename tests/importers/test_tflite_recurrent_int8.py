"""SVDF and LSTM of int8 TFLite files: every bit of what they give, run after run, is TFLite's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.errors import EdgecompError
from edgecomp.graph.params import count_parameters
from edgecomp.importers import load
from edgecomp.reference import run_reference

Array = npt.NDArray[Any]
RUNS = 5
ACTIVATIONS = {"relu": 1, "tanh": 4}


def _weights(operand: Any, random: np.random.Generator, dtype: str, *shape: int) -> Any:
    limit = np.iinfo(dtype).max if dtype != "int32" else 3000
    content = random.integers(-limit, limit + 1, shape).astype(dtype)
    scale = float(np.float32(random.uniform(0.2, 0.9) / limit))
    return operand(shape, (scale,), dtype=dtype, data=content)


def _compare_integers(op: Any, compiled: Any, runs: list[list[Array]]) -> None:
    """Every bit is the same, and the outputs are not all at their limits."""
    wanted = [row[0] for row in op.stream(runs)]
    assert len(np.unique(np.stack(wanted))) > 10
    for got, want in zip(compiled(op, runs), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def _int8_runs(random: np.random.Generator, *shape: int) -> list[list[Array]]:
    return [[random.integers(-128, 128, shape).astype(np.int8)] for _ in range(RUNS)]


def _int8_svdf(
    tflite_op: Any, random: np.random.Generator, rank: int, memory: int, batch: int
) -> Any:
    single_op, operand = tflite_op
    units, features = 9, 7
    filters = units * rank
    time = _weights(operand, random, "int16", filters, memory)
    state = operand((batch, filters * memory), (2.0**-13,), dtype="int16", variable=True)
    bias = random.integers(-300000, 300000, units).astype(np.int32)
    unit = float(np.float32(state.scale[0]) * np.float32(time.scale[0]))
    operands = (
        operand((batch, features), (0.021,), -7),
        _weights(operand, random, "int8", filters, features),
        time,
        operand((units,), (unit,), dtype="int32", data=bias),
        state,
    )
    options = {"Rank": rank, "FusedActivationFunction": ACTIVATIONS["relu"]}
    result = operand((batch, units), (0.013,), -11)
    return single_op("SVDF", operands, result, "SVDFOptions", options)


@pytest.mark.parametrize(("rank", "memory", "batch"), [(1, 4, 1), (2, 5, 2), (3, 1, 1)])
def test_int8_svdf(rank: int, memory: int, batch: int, tflite_op: Any, compiled: Any) -> None:
    random = np.random.default_rng(rank)
    op = _int8_svdf(tflite_op, random, rank, memory, batch)
    _compare_integers(op, compiled, _int8_runs(random, batch, 7))


def _int8_lstm(
    tflite_op: Any, random: np.random.Generator, shape: tuple[int, int, int], **kind: Any
) -> Any:
    """Like `_float_lstm`, of int8 with a 16-bit memory."""
    single_op, operand = tflite_op
    cells, features = 6, shape[2]
    coupled, peephole = kind.pop("coupled", False), kind.pop("peephole", False)
    projection, norm = kind.pop("projection", 0), kind.pop("norm", False)
    outputs = projection or cells
    batch = shape[1] if kind.get("TimeMajor") else shape[0]

    def made(there: bool, dtype: str, *dims: int) -> Any:
        return _weights(operand, random, dtype, *dims) if there else None

    gates = (not coupled, True, True, True)
    hidden = ((0.0081,), 5)
    operands = (
        operand(shape, (0.013,), -9),
        *(made(gate, "int8", cells, features) for gate in gates),
        *(made(gate, "int8", cells, outputs) for gate in gates),
        *(made(peephole and gate, "int16", cells) for gate in gates[:3]),
        *(made(gate, "int32", cells) for gate in gates),
        made(projection > 0, "int8", projection, cells),
        made(projection > 0, "int32", projection),
        operand((batch, outputs), *hidden, variable=True),
        operand((batch, cells), (2.0**-11,), dtype="int16", variable=True),
        *(made(norm and gate, "int16", cells) for gate in gates),
    )
    within = (0.007, -3) if projection else (hidden[0][0], hidden[1])
    scales = [*[(0.0004, 0)] * 4, within]
    return single_op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        operands,
        operand((*shape[:2], outputs), *hidden),
        "UnidirectionalSequenceLSTMOptions",
        {"FusedActivationFunction": ACTIVATIONS["tanh"], **kind},
        intermediates=tuple(operand((1,), (scale,), zero) for scale, zero in scales),
    )


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((2, 1, 5), {}),
        ((1, 5, 3), {}),
        ((1, 2, 5), {"coupled": True, "peephole": True, "CellClip": 0.8, "TimeMajor": True}),
        ((2, 6, 5), {"projection": 4, "ProjClip": 0.5}),
        ((2, 3, 5), {"peephole": True, "projection": 4}),
        ((3, 2, 5), {"peephole": True, "projection": 5, "TimeMajor": True}),
        ((1, 3, 4), {"norm": True}),
        ((2, 4, 5), {"norm": True, "coupled": True, "peephole": True, "projection": 3}),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else "-".join(value),
)
def test_int8_lstm(shape: Any, kind: dict[str, Any], tflite_op: Any, compiled: Any) -> None:
    random = np.random.default_rng(len(kind))
    op = _int8_lstm(tflite_op, random, shape, **kind)
    _compare_integers(op, compiled, _int8_runs(random, *shape))


@pytest.mark.parametrize("device", ["nucleo_l4r5zi", "corstone_300"])
@pytest.mark.parametrize("kind", ["lstm", "svdf"])
def test_int8_on_a_microcontroller(kind: str, device: str, tflite_op: Any, compiled: Any) -> None:
    random = np.random.default_rng(5)
    if kind == "lstm":
        op = _int8_lstm(tflite_op, random, (1, 3, 5), norm=True, peephole=True)
    else:
        op = _int8_svdf(tflite_op, random, 2, 3, 1)
    runs = _int8_runs(random, *op.operands[0].shape)[:2]
    wanted = [row[0] for row in op.stream(runs)]
    for got, want in zip(compiled(op, runs, device), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("svdf", 18 * 7 + 18 * 3 + 9),
        ("lstm", 4 * 6 * (5 + 6 + 1)),
        ("norm peephole projection", 4 * 6 * (5 + 4 + 1 + 2) + 3 * 6 + 4 * 6 + 4),
    ],
)
def test_the_bodies_of_int8_layers(
    kind: str, parameters: int, tflite_op: Any, tmp_path: Path
) -> None:
    """What onnxruntime makes of a function's body is what the reference kernel gives."""
    random = np.random.default_rng(7)
    parts = {"norm": True, "peephole": True, "projection": 4} if "norm" in kind else {}
    op = _int8_lstm(tflite_op, random, (2, 6, 5), **parts)
    if kind == "svdf":
        op = _int8_svdf(tflite_op, random, 2, 3, 2)
    path = tmp_path / "op.tflite"
    path.write_bytes(op.model())
    model, source = load(path), op.operands[0]
    assert count_parameters(model.graph.graph) == parameters
    given = _int8_runs(random, *source.shape)[0][0]
    real = (given.astype(np.float32) - np.float32(source.zero_point)) * np.float32(source.scale[0])
    rows = run_reference(model, [real[np.newaxis]])
    want = op.run(given).astype(np.float32) - np.float32(op.result.zero_point)
    np.testing.assert_array_equal(rows[0][0], want * np.float32(op.result.scale[0]))


def test_operands_that_do_not_fit_are_refused(tflite_op: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "op.tflite"
    op = _int8_lstm(tflite_op, random, (1, 1, 3), peephole=True, projection=8)
    path.write_bytes(op.model())
    with pytest.raises(EdgecompError, match="a projection of 6 cells to 8 outputs"):
        load(path)
    op = _int8_lstm(tflite_op, random, (1, 1, 3))
    short = _weights(tflite_op[1], random, "int32", 5)
    operands = (*op.operands[:13], short, *op.operands[14:])
    path.write_bytes(replace(op, operands=operands).model())
    with pytest.raises(EdgecompError, match=r"operand 13 is int32\[5\], int32\[6\] fits"):
        load(path)
    op = _int8_svdf(tflite_op, random, 2, 3, 1)
    operands = (*op.operands[:2], _weights(tflite_op[1], random, "int8", 18, 3), *op.operands[3:])
    path.write_bytes(replace(op, operands=operands).model())
    with pytest.raises(EdgecompError, match="operand 2 is int8"):
        load(path)
