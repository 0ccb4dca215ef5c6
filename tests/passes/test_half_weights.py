"""Weights of half precision: half the file, the same program of float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest

from edgecomp.compress import compress, save_model, statistics
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.graph.values import constant_input
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.quantize import Quantize
from edgecomp.pipeline import Options, compile_model
from edgecomp.reference import Executor
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
Make = Callable[..., Any]
HALF = Quantize(weights="fp16")


@pytest.fixture
def net(make_model: Make, floats: Make) -> Model:
    """A convolution and a dense layer, and biases too small to be worth it."""
    text = """net (float[1,3,8,8] x) => (float[1,6] y) {
        [conv] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1) [relu] b = Relu (a)
        [mean] c = GlobalAveragePool (b) [flat] d = Flatten (c) [dense] y = Gemm (d, w2, b2) }"""
    weights = {"w1": floats(16, 3, 3, 3), "b1": floats(16), "w2": floats(16, 6), "b2": floats(6)}
    model: Model = make_model(text, weights)
    return model


def run(model: Model, x: Array) -> Array:
    return Executor(model.graph).run({"x": x})["y"]


def halves(model: Model) -> list[str]:
    constants = model.graph.graph.initializers
    return [name for name, value in constants.items() if value.dtype == ir.DataType.FLOAT16]


def test_half_the_bytes_and_nearly_the_same(net: Model, floats: Make) -> None:
    small = compress(net, [HALF])  # no calibration data is needed
    assert halves(small) == ["w1_half", "w2_half"]
    before, after = statistics(net), statistics(small)
    assert after.bytes == before.bytes - 2 * (16 * 27 + 16 * 6)
    assert (after.params, after.macs) == (before.params, before.macs)
    x = floats(1, 3, 8, 8)
    np.testing.assert_allclose(run(small, x), run(net, x), rtol=5e-3, atol=5e-3)
    assert not np.array_equal(run(small, x), run(net, x))


def test_the_file_is_half_and_comes_back_as_the_same_numbers(
    net: Model, floats: Make, tmp_path: Path
) -> None:
    small = compress(net, [HALF])
    save_model(small, tmp_path / "half.onnx")
    onnxruntime.InferenceSession(tmp_path / "half.onnx", providers=["CPUExecutionProvider"])
    again = load(tmp_path / "half.onnx")
    assert again.history == (str(HALF),)
    weights = constant_input(next(n for n in again.graph.graph if n.name == "conv"), 1)
    assert weights is not None
    assert weights.dtype == np.float32
    x = floats(1, 3, 8, 8)
    np.testing.assert_array_equal(run(again, x), run(small, x))
    # halved again it is the same file but for the history
    twice = compress(again, [HALF])
    assert statistics(twice) == statistics(small)
    np.testing.assert_array_equal(run(twice, x), run(small, x))


@pytest.mark.parametrize("device", ["host", "qemu_mps2_an386"])
def test_it_is_compiled_with_or_without_a_file_between(
    net: Model, floats: Make, tmp_path: Path, device: str
) -> None:
    small, x = compress(net, [HALF]), floats(1, 3, 8, 8)
    options = Options("size" if device == "host" else "balanced")
    compile_model(small, load_device(device), tmp_path / "half.edge", options=options)
    compile_model(small, load_device(device), tmp_path / "wide.edge", options=Options("speed"))
    manifests, found = [], []
    for name in ("half.edge", "wide.edge"):
        artifact = open_artifact(tmp_path / name)
        manifests.append(artifact.manifest)
        with Session(artifact) as session:
            found += session.run([x]).values()
    np.testing.assert_allclose(found[0], run(small, x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found[0], found[1])
    assert manifests[1].flash.weights_bytes - manifests[0].flash.weights_bytes == 2 * (
        16 * 27 + 16 * 6
    )
    assert [op.weights for op in manifests[0].ops if op.macs] == ["float16"] * 2


def test_what_stays(net: Model, make_model: Make, floats: Make) -> None:
    """Excluded nodes, and numbers that float16 has not."""
    assert halves(compress(net, [Quantize(weights="fp16", exclude=("dense",))])) == ["w1_half"]
    large = floats(8, 8)
    large[0, 0] = 70_000
    model = make_model("net (float[1,8] x) => (float[1,8] y) { [d] y = MatMul (x, w) }",
                       {"w": large})  # fmt: skip
    with pytest.raises(EdgecompError, match="no constant of 64 or more float32 numbers can"):
        compress(model, [HALF])


def test_what_cannot_be_asked(net: Model, make_data: Make, floats: Make) -> None:
    data = make_data(x=floats(8, 3, 8, 8))
    for first, second in ((HALF, Quantize()), (HALF, HALF), (Quantize(), HALF)):
        with pytest.raises(EdgecompError, match="the model is quantized already"):
            compress(net, [first, second], data)
    with pytest.raises(EdgecompError) as caught:
        parse_pass("quantize:weights=fp16,activations=int16,smooth=0.5")
    assert [str(reason) for reason in caught.value.reasons] == [
        "quantize: weights=fp16 leaves activations in float; leave activations out",
        "quantize: weights=fp16 leaves activations in float; leave smooth out",
    ]
