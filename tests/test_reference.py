"""The reference runs a model's samples, and gives values between its nodes."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.importers.onnx import normalise
from edgecomp.reference import Executor, run_reference, stream_reference

TEXT = (
    '<ir_version: 10, opset_import: ["" : 21]> g (float[batch,2] x, float[batch,2] z)'
    "=> (float[a,b] y, float[c,d] n) <float[2] w = {1, 2}>"
    "{ s = Add(x, z) m = Mul(s, w) y = Relu(m) n = Neg(m) }"
)


@pytest.fixture
def model():
    return normalise(onnx.parser.parse_model(TEXT), {}, {}, "small")


@pytest.fixture
def samples():
    random = np.random.default_rng(0)
    return [random.normal(size=(5, 1, 2)).astype(np.float32) for _ in range(2)]


def test_outputs_of_all_samples(model, samples):
    y, n = run_reference(model, samples)
    expected = (samples[0] + samples[1]) * np.array([1, 2], "f4")
    np.testing.assert_array_equal(n, -expected)
    np.testing.assert_array_equal(y, np.maximum(expected, 0))


def test_samples_stream(model, samples):
    rows = stream_reference(model, samples)
    first, _ = next(rows)
    assert first.shape == (1, 2)
    assert len(list(rows)) == 4


def test_no_samples(model):
    y, _ = run_reference(model, [np.zeros((0, 1, 2), "f4")] * 2)
    assert y.shape == (0, 1, 2)


def test_values_in_between(model, samples):
    executor = Executor(model.graph, ["s", "m", "x", "w", "y"])
    assert executor.outputs == ("y", "n", "s", "m", "x", "w")
    feed = {"x": samples[0][0], "z": samples[1][0]}
    found = executor.run(feed)
    np.testing.assert_array_equal(found["s"], feed["x"] + feed["z"])
    np.testing.assert_array_equal(found["x"], feed["x"])
    np.testing.assert_array_equal(found["w"], np.array([1, 2], "f4"))
    assert [value.name for value in model.graph.graph.outputs] == ["y", "n"]


def test_same_bits_on_every_run(shared):
    model = load(shared / "models" / "resnet8_jpeg.onnx")
    sample = np.load(shared / "models" / "golden" / "resnet8_jpeg_onnx.npz")["input_0"][:2]
    first, second = run_reference(model, [sample]), run_reference(model, [sample])
    assert first[0].tobytes() == second[0].tobytes()


def test_unknown_values_are_all_named(model):
    with pytest.raises(EdgecompError) as caught:
        Executor(model.graph, ["s", "nothing", "nowhere"])
    assert "nothing" in str(caught.value)
    assert "nowhere" in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ([np.zeros((3, 1, 2), "f4")], "the model has 2 inputs, but 1 were given"),
        ([np.zeros((3, 1, 3), "f4"), np.zeros((3, 1, 2), "f4")], "x: samples of shape"),
        ([np.zeros((3, 1, 2), "c8"), np.zeros((3, 1, 2), "f4")], "x: samples of type complex64"),
        ([np.zeros((3, 1, 2), "f4"), np.zeros((4, 1, 2), "f4")], "z: 4 samples"),
    ],
)
def test_samples_that_do_not_fit(model, arrays, what):
    with pytest.raises(EdgecompError, match=what):
        run_reference(model, arrays)


def test_quantization_is_computed_as_the_standard_spells_it():
    text = (
        '<ir_version: 10, opset_import: ["" : 21]> g (float[4] x) => (float[4] y)'
        "<float s = {0.5}, int8 z = {1}>"
        "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }"
    )
    model = normalise(onnx.parser.parse_model(text), {}, {}, "qdq")
    x = np.array([[0.25, 0.75, -100.0, 100.0]], "f4")
    np.testing.assert_array_equal(run_reference(model, [x])[0], [[0.0, 1.0, -64.5, 63.0]])
