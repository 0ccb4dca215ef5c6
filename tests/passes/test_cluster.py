"""Clustering: palettes that mean what they say, through files, quantization and compilation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress, save_model, statistics
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.graph.palette import expand_palettes, is_palette, palette_of, weights_of
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.cluster import Cluster
from edgecomp.passes.kmeans import kmeans, places
from edgecomp.passes.prune import Prune
from edgecomp.passes.quantize import Quantize
from edgecomp.pipeline import compile_model
from edgecomp.reference import Executor
from edgecomp.training_data import TrainingData
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
Make = Callable[..., Any]


def run(model: Model, x: Array) -> Array:
    output = model.outputs[0].name
    return Executor(model.graph, [output]).run({model.inputs[0].name: x})[output]


def weights(model: Model) -> dict[str, Array]:
    palettes = [node.outputs[0] for node in model.graph.graph if is_palette(node)]
    found = {str(value.name): palette_of(value) for value in palettes}
    return {name: weights_of(*palette) for name, palette in found.items() if palette is not None}


@pytest.fixture
def net(make_model: Make, floats: Make) -> Model:
    text = """net (float[1,3,8,8] x) => (float[1,5] y) {
        [conv] a = Conv (x, w1, b1) [relu] r = Relu (a) [mean] m = GlobalAveragePool (r)
        [flat] f = Flatten (m) [dense] y = Gemm <transB = 1> (f, w2) }"""
    constants = {"w1": floats(48, 3, 6, 6), "b1": floats(48), "w2": floats(5, 48)}
    model: Model = make_model(text, constants)
    return model


@pytest.fixture
def samples(make_data: Make, floats: Make) -> CalibrationData:
    data: CalibrationData = make_data(x=floats(24, 3, 8, 8), labels=np.arange(24) % 5)
    return data


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 40))
def test_centres_are_the_means_of_what_is_nearest(seed: int, size: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(size=size)
    centres = kmeans(values, count)
    assert len(centres) <= count
    assert (np.diff(centres) > 0).all()
    found = centres[places(values, centres)]
    spread = np.linspace(values.min(), values.max(), count)
    even = spread[places(values, spread)]
    assert np.square(values - found).sum() <= np.square(values - even).sum() + 1e-9
    np.testing.assert_array_equal(
        np.abs(values - found), np.abs(values[:, None] - centres).min(axis=1)
    )


@pytest.mark.parametrize("per", ["tensor", "channel"])
@pytest.mark.parametrize("bits", [2, 4, 6])
def test_a_palette_has_so_many_values(net: Model, per: str, bits: int) -> None:
    small = compress(net, [parse_pass(f"cluster:bits={bits},per={per}")])
    found = weights(small)
    assert found
    for dense in found.values():
        rows = dense.reshape(len(dense), -1) if per == "channel" else dense.reshape(1, -1)
        assert max(len(np.unique(row)) for row in rows) <= 2**bits
    assert statistics(small).bytes < statistics(net).bytes


def test_palettes_survive_the_file(net: Model, floats: Make, tmp_path: Path) -> None:
    small = compress(net, [Cluster()])
    save_model(small, tmp_path / "small.onnx")
    again = load(tmp_path / "small.onnx")
    x = floats(1, 3, 8, 8)
    np.testing.assert_array_equal(run(again, x), run(small, x))
    assert set(weights(again)) == set(weights(small)) != set()


@pytest.mark.parametrize("spec", ["cluster:bits=3", "cluster:bits=2,per=channel"])
def test_no_weight_goes_away(net: Model, samples: CalibrationData, spec: str) -> None:
    """A palette has as many parameters as the weights it makes."""
    for others in ([], [Quantize()]):
        whole, small = (
            compress(net, [*first, *others], samples) for first in ([], [parse_pass(spec)])
        )
        assert statistics(small).params == statistics(whole).params


def test_zeros_stay_zero(net: Model) -> None:
    pruned = compress(net, [Prune(granularity="weight", sparsity=0.5)])
    small = compress(pruned, [Cluster(bits=3)])
    for name, dense in weights(small).items():
        before = pruned.graph.graph.initializers[name].const_value
        assert before is not None
        np.testing.assert_array_equal(dense[before.numpy() == 0], 0.0)


def test_weights_of_few_values_do_not_change(net: Model) -> None:
    once = compress(net, [Cluster(bits=3)])
    dense = once.graph.clone()
    expand_palettes(dense)
    twice = compress(once.with_graph(dense), [Cluster(bits=3)])
    for name, found in weights(once).items():
        np.testing.assert_array_equal(weights(twice)[name], found)


@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_quantized_palettes_stay_palettes(
    net: Model, samples: CalibrationData, floats: Make, per: str
) -> None:
    """The same integers as quantizing the weights themselves."""
    small = compress(net, [parse_pass(f"cluster:per={per}")])
    dense = small.graph.clone()
    expand_palettes(dense)
    as_palette = compress(small, [Quantize()], samples)
    as_weights = compress(small.with_graph(dense), [Quantize()], samples)
    assert {array.dtype for array in weights(as_palette).values()} == {np.dtype(np.int8)}
    x = floats(1, 3, 8, 8)
    np.testing.assert_array_equal(run(as_palette, x), run(as_weights, x))
    assert weights(as_palette)
    assert statistics(as_palette).bytes < statistics(as_weights).bytes


@pytest.mark.parametrize("quantized", [False, True])
def test_clustered_models_compile(
    net: Model, samples: CalibrationData, floats: Make, tmp_path: Path, quantized: bool
) -> None:
    small = compress(net, [Cluster(), *([Quantize()] if quantized else [])], samples)
    path = tmp_path / "net.edge"
    compile_model(small, load_device("host"), path)
    x = floats(1, 3, 8, 8)
    with Session(open_artifact(path)) as session:
        got = next(iter(session.run([x]).values()))
    scale = np.abs(run(small, x)).max()
    np.testing.assert_allclose(got, run(small, x), atol=scale * (0.02 if quantized else 1e-5))


def test_training_moves_the_tables(net: Model, samples: CalibrationData) -> None:
    fixed = compress(net, [Cluster(bits=2)], samples)
    spec = Cluster(bits=2, epochs=2, lr=0.01, loss="labels")
    trained = compress(net, [spec], samples, train=TrainingData(samples))
    for name, dense in weights(trained).items():
        assert len(np.unique(dense)) <= 4
        indices = palette_of(_value(fixed, name))
        moved = palette_of(_value(trained, name))
        assert indices is not None
        assert moved is not None
        np.testing.assert_array_equal(indices[0], moved[0])


def _value(model: Model, name: str) -> Any:
    return next(n.outputs[0] for n in model.graph.graph if n.outputs[0].name == name)


def test_nothing_to_cluster(make_model: Make) -> None:
    model = make_model("net (float[1,4] x) => (float[1,4] y) { [act] y = Relu (x) }", {})
    with pytest.raises(EdgecompError, match="no node has weights"):
        compress(model, [Cluster()])
