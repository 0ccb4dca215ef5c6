"""Float SVDF and LSTM of TFLite files: what they give, run after run, is what TFLite gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.errors import EdgecompError
from edgecomp.importers import load

Array = npt.NDArray[Any]
RUNS = 5
ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 3, "tanh": 4}


def _compare(op: Any, compiled: Callable[..., list[Array]], runs: list[list[Array]]) -> None:
    """Float results agree within float32 rounding, and are not all the same."""
    wanted = [row[0] for row in op.stream(runs)]
    assert not np.array_equal(wanted[0], wanted[1])
    for got, want in zip(compiled(op, runs), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


def _float(operand: Any, random: np.random.Generator, *shape: int) -> Any:
    content = random.normal(0, 0.5, shape).astype(np.float32)
    return operand(shape, dtype="float32", data=content)


def _float_runs(random: np.random.Generator, *shape: int) -> list[list[Array]]:
    return [[random.normal(0, 1, shape).astype(np.float32)] for _ in range(RUNS)]


@pytest.mark.parametrize(
    ("rank", "memory", "batch", "bias", "activation"),
    [(1, 4, 1, True, "none"), (2, 3, 2, True, "relu"), (3, 1, 1, False, "tanh")],
)
def test_float_svdf(
    rank: int, memory: int, batch: int, bias: bool, activation: str, tflite_op: Any, compiled: Any
) -> None:
    single_op, operand = tflite_op
    random = np.random.default_rng(rank)
    units, features = 5, 7
    filters = units * rank
    operands = (
        operand((batch, features), dtype="float32"),
        _float(operand, random, filters, features),
        _float(operand, random, filters, memory),
        _float(operand, random, units) if bias else None,
        operand((batch, filters * memory), dtype="float32", variable=True),
    )
    options = {"Rank": rank, "FusedActivationFunction": ACTIVATIONS[activation]}
    result = operand((batch, units), dtype="float32")
    op = single_op("SVDF", operands, result, "SVDFOptions", options)
    _compare(op, compiled, _float_runs(random, batch, features))


def _float_lstm(
    tflite_op: Any, random: np.random.Generator, shape: tuple[int, int, int], **kind: Any
) -> Any:
    """An LSTM of 6 cells over `shape`.

    Args:
        kind: `coupled` leaves the input gate out; `peephole`, `projection` (how many outputs),
            `norm` add parts; the rest are options.
    """
    single_op, operand = tflite_op
    cells, features = 6, shape[2]
    coupled, peephole = kind.pop("coupled", False), kind.pop("peephole", False)
    projection, norm = kind.pop("projection", 0), kind.pop("norm", False)
    outputs = projection or cells
    batch = shape[1] if kind.get("TimeMajor") else shape[0]

    def made(there: bool, *dims: int) -> Any:
        return _float(operand, random, *dims) if there else None

    gates = (not coupled, True, True, True)
    operands = (
        operand(shape, dtype="float32"),
        *(made(gate, cells, features) for gate in gates),
        *(made(gate, cells, outputs) for gate in gates),
        *(made(peephole and gate, cells) for gate in gates[:3]),
        *(made(gate, cells) for gate in gates),
        made(projection > 0, projection, cells),
        made(projection > 0, projection),
        operand((batch, outputs), dtype="float32", variable=True),
        operand((batch, cells), dtype="float32", variable=True),
        *(made(norm and gate, cells) for gate in gates),
    )
    options = {"FusedActivationFunction": ACTIVATIONS["tanh"], **kind}
    result = operand((*shape[:2], outputs), dtype="float32")
    table = "UnidirectionalSequenceLSTMOptions"
    return single_op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, result, table, options)


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"coupled": True, "peephole": True, "CellClip": 0.4},
        {"peephole": True, "projection": 4, "ProjClip": 0.3, "TimeMajor": True},
        {"norm": True, "FusedActivationFunction": ACTIVATIONS["relu6"]},
    ],
    ids=lambda kind: "-".join(kind) or "plain",
)
def test_float_lstm(kind: dict[str, Any], tflite_op: Any, compiled: Any) -> None:
    random = np.random.default_rng(len(kind))
    op = _float_lstm(tflite_op, random, (2, 3, 5), **kind)
    _compare(op, compiled, _float_runs(random, 2, 3, 5))


def test_a_single_step_keeps_its_state(tflite_op: Any, compiled: Any) -> None:
    random = np.random.default_rng(3)
    op = _float_lstm(tflite_op, random, (1, 1, 4))
    _compare(op, compiled, _float_runs(random, 1, 1, 4))


def test_a_state_that_is_not_kept_is_refused(tflite_op: Any, tmp_path: Path) -> None:
    single_op, operand = tflite_op
    random = np.random.default_rng(0)
    operands = (
        operand((1, 3), dtype="float32"),
        _float(operand, random, 2, 3),
        _float(operand, random, 2, 4),
        None,
        operand((1, 8), dtype="float32"),
    )
    result = operand((1, 2), dtype="float32")
    path = tmp_path / "op.tflite"
    path.write_bytes(single_op("SVDF", operands, result, "SVDFOptions", {"Rank": 1}).model())
    with pytest.raises(EdgecompError, match="operand 4 is no state tensor"):
        load(path)


def test_weights_of_two_types_are_refused(tflite_op: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "op.tflite"
    op = _float_lstm(tflite_op, random, (1, 1, 3))
    weights = tflite_op[1]((6, 3), (0.01,), data=np.ones((6, 3), np.int8))
    path.write_bytes(replace(op, operands=(op.operands[0], weights, *op.operands[2:])).model())
    with pytest.raises(EdgecompError, match="operand 1 is int8, only float32 is known"):
        load(path)
