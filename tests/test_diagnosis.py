"""The noise of every quantized value, and what is proposed against it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.diagnosis import diagnose
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.context import Context
from edgecomp.passes.quantize import Quantize
from edgecomp.quantization_noise import MOST_DECIBELS, model_noise

Array = npt.NDArray[Any]
Make = Callable[..., Any]

TEXT = """
net (float[1,8] x) => (float[1,6] y) {
    [first] a = Gemm (x, w1, b1)
    [bend] b = Relu (a)
    [second] c = Gemm (b, w2, b2)
    [last] y = Gemm (c, w3, b3)
}
"""
UNEVEN = np.array([100.0, 1, 1, 1, 1, 1, 1, 1], np.float32)


@pytest.fixture
def uneven(make_model: Make, rng: np.random.Generator) -> Model:
    """A hidden channel of 100 times the range of the others; the next layer makes up for it."""

    def floats(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    model: Model = make_model(TEXT, {
        "w1": floats(8, 8) * UNEVEN, "b1": floats(8) * UNEVEN,
        "w2": floats(8, 8) / UNEVEN[:, None], "b2": floats(8), "w3": floats(8, 6), "b3": floats(6),
    })  # fmt: skip
    return model


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of numbers."""
    return np.random.default_rng(11)


@pytest.fixture
def data(tmp_path: Path, rng: np.random.Generator) -> CalibrationData:
    """40 samples for `uneven`."""
    np.savez(tmp_path / "x.npz", x=rng.normal(size=(40, 8)).astype(np.float32))
    return CalibrationData(tmp_path / "x.npz")


def test_a_node_alone_and_all_together(uneven: Model, data: CalibrationData) -> None:
    found = model_noise(uneven, Quantize().apply(uneven, Context(data)), data, 40)
    rows = {each.value: each for each in found.values}
    assert list(rows) == ["x", "b", "c", "y"]
    assert rows["x"].node == ""
    assert rows["x"].label == "x"
    assert rows["x"].local_db == rows["x"].accumulated_db
    assert rows["c"].op == "Gemm"
    assert rows["y"].accumulated_db == found.output_db
    # `last` is fine by itself: its noise comes from `second`, which reads the uneven channels
    assert rows["y"].local_db > rows["c"].local_db + 10
    assert rows["y"].accumulated_db < rows["c"].local_db + 6
    assert rows["b"].spread > 50
    assert rows["y"].spread < 10


def test_the_local_noise_is_that_of_a_model_with_one_node_quantized(
    uneven: Model, data: CalibrationData
) -> None:
    whole = model_noise(uneven, Quantize().apply(uneven, Context(data)), data, 40)
    alone = Quantize(exclude=("first", "second")).apply(uneven, Context(data))
    assert model_noise(uneven, alone, data, 40).output_db == pytest.approx(
        whole.local("y"), abs=1e-3
    )


def test_what_is_exact_has_no_noise(make_model: Make, tmp_path: Path) -> None:
    model = make_model("net (float[1,2] x) => (float[1,2] y) { [flat] y = Flatten (x) }", {})
    np.savez(tmp_path / "e.npz", x=np.zeros((3, 2), np.float32))
    given = CalibrationData(tmp_path / "e.npz")
    found = model_noise(model, Quantize().apply(model, Context(given)), given, 3)
    assert [each.local_db for each in found.values] == [MOST_DECIBELS] * 2


def test_the_remedy_is_found_by_trying(uneven: Model, data: CalibrationData) -> None:
    result = diagnose(uneven, Quantize(), Context(data), worst=2, samples=40)
    worst = result.findings[0]
    assert worst.value.node == "second"
    assert worst.change == "equalize=true"
    assert worst.local_db is not None
    assert worst.output_db is not None
    # and it is true: the pass with that change gives just that
    changed = parse_pass(f"quantize:{worst.change}")
    assert isinstance(changed, Quantize)
    prepared = changed.prepared(uneven, Context(data))
    again = model_noise(prepared, changed.apply(uneven, Context(data)), data, 40)
    assert again.local("c") == worst.local_db > worst.value.local_db + 10
    assert again.output_db == worst.output_db > result.noise.output_db + 10
    assert worst.sentence == (
        f"node 'second': {worst.value.local_db:.1f} dB; equalize=true raises it to "
        f"{worst.local_db:.1f}, the output from {result.noise.output_db:.1f} to "
        f"{worst.output_db:.1f} dB"
    )


def test_what_was_tried_is_told(uneven: Model, data: CalibrationData) -> None:
    spec = Quantize(exclude=("first", "second"), estimator="minmax")
    result = diagnose(uneven, spec, Context(data), worst=1, samples=16)
    tried = {trial.change: trial for trial in result.trials}
    assert "estimator=minmax" not in tried
    refused = tried["exclude=last"]
    assert refused.output_db is None
    assert "nothing in the model can be quantized" in (refused.refused or "")
    assert result.to_json()["findings"][0]["sentence"] == result.findings[0].sentence
