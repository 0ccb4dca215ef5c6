"""SmoothQuant: the same function, with activations that int8 can tell apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.diagnosis import diagnose
from edgecomp.graph.values import constant_input
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.context import Context
from edgecomp.passes.quantize import Quantize
from edgecomp.passes.smooth import seams_of, smoothed
from edgecomp.progress import SILENT
from edgecomp.quantization_noise import model_noise
from edgecomp.reference import first_outputs

Array = npt.NDArray[Any]
Make = Callable[..., Any]

WIDTH, TOKENS = 16, 6

BLOCK = """
net (float[1,6,16] x) => (float[1,6,16] y) {
    [norm1] n = LayerNormalization <axis = -1> (x, g1, s1)
    [query] q = MatMul (n, wq)
    [key] k = MatMul (n, wk)
    [value] v = MatMul (n, wv)
    [turn] kt = Transpose <perm = [0, 2, 1]> (k)
    [product] a = MatMul (q, kt)
    [scale] b = Mul (a, quarter)
    [softmax] p = Softmax (b)
    [mix] m = MatMul (p, v)
    [project] o = MatMul (m, wo)
    [residual] r = Add (x, o)
    [norm2] l = LayerNormalization <axis = -1> (r, g2, s2)
    [up] u = MatMul (l, wu)
    [up_bias] ub = Add (u, bu)
    [bend] h = Relu (ub)
    [down] d = MatMul (h, wd)
    [down_bias] db = Add (d, bd)
    [residual2] y = Add (r, db)
}
"""


@pytest.fixture
def make_block(make_model: Make, rng: np.random.Generator) -> Callable[[float], Model]:
    """A transformer's block; two channels of its norms are wider, what reads them makes up for it.

    The function is the same for every width.
    """
    draw = {
        name: (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)
        for name, shape in {
            "wq": (WIDTH, WIDTH), "wk": (WIDTH, WIDTH), "wv": (WIDTH, WIDTH), "wo": (WIDTH, WIDTH),
            "wu": (WIDTH, 4 * WIDTH), "bu": (4 * WIDTH,), "wd": (4 * WIDTH, WIDTH), "bd": (WIDTH,),
        }.items()
    }  # fmt: skip
    shifts = {name: rng.normal(size=WIDTH).astype(np.float32) * 0.1 for name in ("s1", "s2")}

    def make(width: float) -> Model:
        outliers = np.ones(WIDTH, np.float32)
        outliers[[3, 9]] = width
        reading = {name: draw[name] / outliers[:, None] for name in ("wq", "wk", "wv", "wu")}
        norms = {"g1": outliers, "g2": outliers}
        norms |= {name: shift * outliers for name, shift in shifts.items()}
        model: Model = make_model(BLOCK, {**draw, **reading, **norms, "quarter": np.float32(0.25)})
        return model

    return make


@pytest.fixture
def tokens(make_data: Make, rng: np.random.Generator) -> CalibrationData:
    """40 sequences."""
    data: CalibrationData = make_data(x=rng.normal(size=(40, TOKENS, WIDTH)).astype(np.float32))
    return data


def quality(model: Model, spec: str, data: CalibrationData) -> float:
    """Signal over noise of the quantized model's outputs, in decibels."""
    return model_noise(model, compress(model, [parse_pass(spec)], data), data, 40).output_db


def test_the_function_stays(make_block: Make, tokens: CalibrationData) -> None:
    model = make_block(100.0)
    after = smoothed(model, 0.5, tokens, 40, SILENT)
    exact, found = first_outputs(model, tokens), first_outputs(after, tokens)
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)
    changed = constant_input(next(n for n in after.graph.graph if n.name == "norm1"), 1)
    assert changed is not None
    assert changed.max() / changed.min() < 20


def test_most_of_what_outliers_cost_is_won_back(make_block: Make, tokens: CalibrationData) -> None:
    plain = quality(make_block(1.0), "quantize", tokens)
    outliers = make_block(100.0)
    hurt = quality(outliers, "quantize", tokens)
    assert hurt < plain - 8
    assert quality(outliers, "quantize:smooth=0.5", tokens) > hurt + 0.9 * (plain - hurt)


def test_no_harm_where_there_are_no_outliers(make_block: Make, tokens: CalibrationData) -> None:
    plain = make_block(1.0)
    assert quality(plain, "quantize:smooth=0.5", tokens) > quality(plain, "quantize", tokens) - 1


def test_the_diagnosis_proposes_it(make_block: Make, tokens: CalibrationData) -> None:
    result = diagnose(make_block(100.0), Quantize(), Context(tokens), worst=4)
    assert "smooth=0.5" in {finding.change for finding in result.findings}


def test_which_values_can_be_smoothed(make_block: Make) -> None:
    found = {
        str(seam.value.name): len(seam.readers) for seam in seams_of(make_block(1.0).graph.graph)
    }
    assert found == {"n": 3, "l": 1, "h": 1}


@pytest.mark.parametrize(
    "text",
    [
        "[a] h = Mul (x, k) [b] s = Sigmoid (h) [c] y = MatMul (s, w)",
        "[a] h = Mul (x, k) [b] s = MatMul (h, w) [c] y = Add (s, h)",
        "[a] h = Mul (x, k) [b] y = MatMul (h, k)",
        "[a] y = MatMul (x, w)",
    ],
)
def test_what_does_not_commute_is_left_alone(
    make_model: Make, make_data: Make, floats: Make, text: str
) -> None:
    """Neither what bends between, nor what others read, nor constants that others read."""
    constants = {"k": floats(4, 4), "w": floats(4, 4)}
    used = {name: array for name, array in constants.items() if f", {name})" in text}
    model = make_model(f"net (float[4,4] x) => (float[4,4] y) {{ {text} }}", used)
    data = make_data(x=floats(5, 4, 4))
    after = smoothed(model, 0.5, data, 5, SILENT)
    assert ir.to_proto(after.graph) == ir.to_proto(model.graph)


@pytest.mark.parametrize(
    "text",
    [
        "[a] h = Mul (x, k) [b] y = MatMul (h, w)",
        "[a] h = Mul (x, one) [b] i = Add (h, k) [c] y = Gemm <transB = 1> (i, w)",
        "[a] h = Gemm (x, w2, k) [b] r = LeakyRelu (h) [c] y = MatMul (r, w)",
    ],
)
def test_what_makes_channels_narrower(
    make_model: Make, make_data: Make, floats: Make, text: str
) -> None:
    constants = {"k": np.array([1, 50, 0, 7], np.float32), "one": np.float32(1.5),
                 "w": floats(4, 4), "w2": floats(4, 4)}  # fmt: skip
    used = {name: array for name, array in constants.items() if f", {name}" in text}
    model = make_model(f"net (float[3,4] x) => (float[3,4] y) {{ {text} }}", used)
    data = make_data(x=floats(9, 3, 4))
    after = smoothed(model, 0.5, data, 9, SILENT)
    assert ir.to_proto(after.graph) != ir.to_proto(model.graph)
    exact, found = first_outputs(model, data), first_outputs(after, data)
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)
