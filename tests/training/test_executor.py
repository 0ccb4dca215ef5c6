"""The executor gives what onnxruntime gives, sample by sample, and writes back what it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.reference import run_reference
from edgecomp.training.executor import Network, batch_tensors

Array = npt.NDArray[Any]
Floats = Callable[..., Array]

REFERENCE_MODELS = (
    "ad01_int8.tflite",
    "ad_autoencoder.onnx",
    "dscnn_kws_savedmodel_bn.onnx",
    "kws_ref_model.tflite",
    "mnist_cnn_dynbatch.onnx",
    "mobilenetv1_025_vww.onnx",
    "pretrainedResnet_quant.tflite",
    "resnet8_jpeg_unfolded.onnx",
    "vww_96_float.tflite",
)


def outputs(model: Model, samples: list[Array]) -> list[Array]:
    """What the executor gives for a batch."""
    named = {spec.name: array for spec, array in zip(model.inputs, samples, strict=True)}
    with torch.no_grad():
        found = Network(model).run(batch_tensors(named))
    return [found[spec.name].numpy() for spec in model.outputs]


@pytest.mark.parametrize("name", REFERENCE_MODELS)
def test_the_reference_models(
    shared: Path,
    rng: np.random.Generator,
    assert_close: Callable[..., None],
    content: Callable[[Model], dict[str, Array]],
    name: str,
) -> None:
    model = load(shared / "models" / name)
    (spec,) = model.inputs
    if spec.dtype == "float32":
        samples = rng.normal(size=(3, *spec.shape)).astype(np.float32)
    else:
        samples = rng.integers(-100, 100, size=(3, *spec.shape)).astype(spec.dtype)
    assert_close(outputs(model, [samples]), run_reference(model, [samples]))

    network = Network(model)
    written = model.with_graph(network.written_back())
    assert network.parameters
    for key, array in content(model).items():
        np.testing.assert_array_equal(content(written)[key], array)


def test_graphs_that_move_or_mix_the_leading_dimension(
    make_model: Callable[..., Model], floats: Floats, assert_close: Callable[..., None]
) -> None:
    text = """
    net (float[1,4,6] x) => (float[6,4] a, float[2,12] b, float[4,6] c) {
        moved = Transpose <perm = [2, 1, 0]> (x)
        a = Squeeze (moved, last)
        b = Reshape (x, two)
        c = ReduceMean <keepdims = 0> (x, first)
    }
    """
    constants = {"last": np.array([2]), "two": np.array([2, 12]), "first": np.array([0])}
    model = make_model(text, constants)
    samples = floats(5, 1, 4, 6)
    assert_close(outputs(model, [samples]), run_reference(model, [samples]))


def test_every_unknown_operator_is_named(make_model: Callable[..., Model]) -> None:
    text = """
    net (float[1,1,4,4] x, float[1,2,2,2] grid) => (float[1,1,2,2] y) {
        [pick] sampled = GridSample (x, grid)
        [again] y = GridSample (sampled, grid)
    }
    """
    with pytest.raises(EdgecompError) as caught:
        Network(make_model(text, {}))
    assert [str(reason) for reason in caught.value.reasons] == [
        f"{name}: the operator GridSample cannot be trained through; "
        "train the model before it is exported, or without this part"
        for name in ("pick", "again")
    ]


def test_what_pytorch_cannot_compute_is_said_of_the_node(make_model: Callable[..., Model]) -> None:
    text = """
    net (float[1,1,6,6] x) => (float[1,1,4,4] y) {
        [mean] y = AveragePool <kernel_shape = [2, 2], dilations = [2, 2]> (x)
    }
    """
    with pytest.raises(EdgecompError, match=r"^mean: PyTorch cannot compute .* \(average pools"):
        outputs(make_model(text, {}), [np.zeros((1, 1, 1, 6, 6), np.float32)])


def test_names_types_and_metadata_survive_training(small_net: Model) -> None:
    small_net.graph.metadata_props["owner"] = "somebody"
    small_net.graph.graph.initializers["w1"].const_value.metadata_props["unit"] = "volt"
    network = Network(small_net)
    with torch.no_grad():
        network.parameters["w1"].add_(1.0)
    written = network.written_back()
    before, after = small_net.graph.graph, written.graph
    assert [node.name for node in after] == [node.name for node in before]
    assert written.metadata_props["owner"] == "somebody"
    assert list(after.initializers) == list(before.initializers)
    old, new = before.initializers["w1"].const_value, after.initializers["w1"].const_value
    np.testing.assert_array_equal(new.numpy(), old.numpy() + np.float32(1))
    assert (new.dtype, new.metadata_props["unit"]) == (old.dtype, "volt")


def test_frozen_nodes_and_parts_of_formulas_are_not_learned(
    make_model: Callable[..., Model], floats: Floats
) -> None:
    text = """
    net (float[1,4] x) => (float[1,3] y) {
        [first] a = MatMul (x, w1)
        [relu] b = Relu (a)
        [half] c = Mul (b, half)
        [square] d = Mul (c, c)
        [head_dense] y = MatMul (d, w2)
    }
    """
    half = np.array(0.5, np.float32)
    model = make_model(text, {"w1": floats(4, 5), "w2": floats(5, 3), "half": half})
    assert set(Network(model).parameters) == {"w1", "w2"}
    assert set(Network(model, frozen=["head_*"]).parameters) == {"w1"}


PALETTE = """
net (float[1,4] x) => (float[1,3] y) {
    [look_up] w = edgecomp.Palette (indices, table)
    [dense] y = MatMul (x, w)
}
"""


def test_gradients_of_a_palette_are_summed_for_each_entry(
    make_model: Callable[..., Model], floats: Floats, rng: np.random.Generator
) -> None:
    indices = rng.integers(0, 3, size=(4, 3)).astype(np.uint8)
    table = np.array([0.0, -0.5, 0.7], np.float32)
    network = Network(make_model(PALETTE, {"indices": indices, "table": table}, palette=True))
    x = floats(6, 1, 4)
    network.run(batch_tensors({"x": x}))["y"].sum().backward()
    by_weight = np.repeat(x.sum(axis=(0, 1))[:, None], 3, axis=1)
    expected = [by_weight[indices == entry].sum() for entry in range(3)]
    gradient = network.parameters["table"].grad.numpy()
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(network.masks["table"].numpy(), [0, 1, 1])


@pytest.mark.parametrize(
    ("share", "keep", "masked"),
    [(0.1, "auto", False), (0.3, "auto", True), (0.1, "always", True), (0.3, "never", False)],
)
def test_which_zeros_stay(
    make_model: Callable[..., Model], floats: Floats, share: float, keep: Any, masked: bool
) -> None:
    weights = floats(10, 10)
    weights.reshape(-1)[: round(share * 100)] = 0
    model = make_model(
        "net (float[1,10] x) => (float[1,10] y) { [dense] y = MatMul (x, w) }", {"w": weights}
    )
    assert ("w" in Network(model, keep_zeros=keep).masks) == masked
