"""The executor gives what onnxruntime gives, sample by sample, and writes back what it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
import torch

from edgecomp.errors import EdgecompError
from edgecomp.graph.edit import add_constant
from edgecomp.graph.palette import add_palette
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


@pytest.fixture
def clustered(make_model: Callable[..., Model], floats: Floats, rng: np.random.Generator) -> Model:
    """A product with weights [4, 3] of three values, one of which is 0."""
    text = "net (float[1,4] x) => (float[1,3] y) { [dense] y = MatMul (x, w) }"
    model = make_model(text, {"w": floats(4, 3)})
    graph = model.graph.clone()
    value = graph.graph.initializers.pop("w")
    value.name = "dense"
    table = np.array([0.0, -0.5, 0.7], np.float32)
    made = add_palette(graph, "w", rng.integers(0, 3, size=(4, 3)), table)
    for use in list(value.uses()):
        use.node.replace_input_with(use.idx, made)
    return model.with_graph(graph)


def test_gradients_of_a_palette_are_summed_for_each_entry(
    clustered: Model, floats: Floats, content: Callable[[Model], dict[str, Array]]
) -> None:
    network = Network(clustered)
    x = floats(6, 1, 4)
    network.run(batch_tensors({"x": x}))["y"].sum().backward()
    indices = content(clustered)["w/indices"].astype(np.uint8)
    by_weight = np.repeat(x.sum(axis=(0, 1))[:, None], 3, axis=1)
    expected = [by_weight[indices == entry].sum() for entry in range(3)]
    gradient = network.parameters["w/table"].grad.numpy()
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(network.masks["w/table"].numpy(), [0, 1, 1])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_palette_of_integers_is_learned_as_integers(
    clustered: Model, content: Callable[[Model], dict[str, Array]], floats: Floats, channels: int
) -> None:
    graph = clustered.graph.clone()
    table = graph.graph.initializers["w/table"]
    table.const_value = ir.tensor(np.array([0, -50, 70], np.int8), name="w/table")
    table.dtype = ir.DataType.INT8
    (dense,) = [node for node in graph.graph if node.op_type == "MatMul"]
    weights, steps = dense.inputs[1], np.full(channels, 0.01, np.float32)
    weights.dtype = ir.DataType.INT8
    scale = add_constant(graph.graph, "scale", steps if channels > 1 else steps.reshape(()))
    real = ir.node("DequantizeLinear", [weights, scale], {"axis": 1})
    real.outputs[0].name = "real"
    graph.graph.insert_before(dense, real)
    dense.replace_input_with(1, real.outputs[0])
    model = clustered.with_graph(graph)

    network = Network(model)
    with torch.no_grad():
        network.parameters["w/table"].add_(torch.tensor([0.0, 0.031, 0.019]))
    trained = model.with_graph(network.written_back())
    np.testing.assert_array_equal(content(trained)["w/table"], [0, -47, 72])
    samples = floats(9, 1, 4)
    found = network.run(batch_tensors({"x": samples}))["y"].detach().numpy()
    np.testing.assert_allclose(found, run_reference(trained, [samples])[0], rtol=1e-5, atol=1e-6)


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


def test_a_bias_of_zeros_is_learned(make_model: Callable[..., Model], floats: Floats) -> None:
    text = "net (float[1,5] x) => (float[1,5] y) { [dense] y = Gemm (x, w, b) }"
    model = make_model(text, {"w": floats(5, 5), "b": np.zeros(5, np.float32)})
    assert not Network(model).masks
    assert set(Network(model, keep_zeros="always").masks) == {"w"}
