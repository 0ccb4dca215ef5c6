"""What a model or data that cannot be quantized is answered with."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.passes.quantize import Quantize

MakeModel = Callable[..., Model]
MakeData = Callable[..., CalibrationData]


def refused(model: Model, data: CalibrationData | None, options: Quantize | None = None) -> str:
    with pytest.raises(EdgecompError) as caught:
        (options or Quantize()).apply(model, Context(data))
    return str(caught.value)


def test_no_data(small_cnn: Model) -> None:
    told = refused(small_cnn, None)
    assert told == "quantize: calibration samples are needed; give --data FILE.npz"


def test_a_missing_file(small_cnn: Model, tmp_path: Path) -> None:
    assert "absent.npz" in refused(small_cnn, CalibrationData(tmp_path / "absent.npz"))


def test_no_samples(small_cnn: Model, make_data: MakeData) -> None:
    data = make_data(x=np.zeros((0, 3, 8, 8), np.float32))
    assert "there are no samples in it" in refused(small_cnn, data)


def test_another_shape(small_cnn: Model, make_data: MakeData) -> None:
    data = make_data(x=np.zeros((4, 8, 8, 3), np.float32))
    told = refused(small_cnn, data)
    assert "shape [4, 8, 8, 3]" in told
    assert "[samples, 3, 8, 8]" in told


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers(small_cnn: Model, make_data: MakeData, bad: float) -> None:
    samples = np.zeros((40, 3, 8, 8), np.float32)
    samples[21, 1, 2, 3] = bad
    data = make_data(x=samples)
    told = refused(small_cnn, data)
    assert told.startswith(f"{data.path}: sample 21 of the input 'x' holds infinities or NaN")


def test_a_model_that_overflows(make_model: MakeModel, make_data: MakeData) -> None:
    text = "net (float[1,2] x) => (float[1,2] y) { [a] h = MatMul (x, w) [b] y = MatMul (h, w) }"
    model = make_model(text, {"w": np.full((2, 2), 1e30, np.float32)})
    told = refused(model, make_data(x=np.ones((3, 2), np.float32)))
    assert told.startswith("y: the value becomes infinite or NaN on calibration sample 0")


def test_a_quantized_model(small_cnn: Model, make_data: MakeData) -> None:
    data = make_data(x=np.ones((3, 3, 8, 8), np.float32))
    once = Quantize().apply(small_cnn, Context(data))
    assert re.search("the model is quantized already .* give the float model", refused(once, data))


def test_a_pattern_that_matches_nothing(small_cnn: Model, make_data: MakeData) -> None:
    data = make_data(x=np.ones((3, 3, 8, 8), np.float32))
    told = refused(small_cnn, data, Quantize(exclude=("first", "frist", "*/conv")))
    assert told.splitlines() == [
        f"quantize: exclude={pattern} matches no node; give names that `edgecomp inspect` shows"
        for pattern in ("frist", "*/conv")
    ]


def test_nothing_to_quantize(make_model: MakeModel, make_data: MakeData) -> None:
    model = make_model("net (float[1,2] x) => (float[1,2] y) { [odd] y = Sin (x) }", {})
    told = refused(model, make_data(x=np.ones((3, 2), np.float32)))
    assert told.splitlines() == [
        "nothing in the model can be quantized",
        "odd: stays float: there is no integer Sin",
    ]
