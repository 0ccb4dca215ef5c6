"""Low rank by what comes out: factors fitted to outputs, limits of accuracy, CP, who is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.compress import compress, save_model, statistics
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.graph.notes import notes_of
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.held_out import Half, half
from edgecomp.passes.lowrank import LowRank
from edgecomp.passes.lowrank_cp import cp_factors, decompose
from edgecomp.passes.lowrank_factors import COMPOSE, weighted
from edgecomp.passes.windows import windows
from edgecomp.reference import Executor, first_outputs
from edgecomp.training.output_moments import output_moments
from edgecomp.training_data import Batch, TrainingData

Array = npt.NDArray[Any]
Make = Callable[..., Any]


@pytest.fixture
def net(make_model: Make, floats: Make) -> Model:
    """Convolutions with padding and strides, a Gemm, a MatMul without bias."""
    text = """
    net (float[1,6,8,8] x) => (float[1,4] y) {
        [first] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        [relu] b = Relu (a)
        [second] c = Conv <pads = [1, 0, 0, 1], strides = [2, 1]> (b, w2)
        [relu2] d = Relu (c)
        [mean] e = GlobalAveragePool (d)
        [flat] f = Flatten (e)
        [dense] g = Gemm <alpha = 0.5, beta = 2.0, transB = 1> (f, w3, b3)
        [tanh] h = Tanh (g)
        [last] y = MatMul (h, w4)
    }"""
    return make_model(
        text,
        {
            "w1": floats(12, 6, 3, 3, scale=0.3),
            "b1": floats(12),
            "w2": floats(16, 12, 3, 3, scale=0.2),
            "w3": floats(16, 16, scale=0.5),
            "b3": floats(16),
            "w4": floats(16, 4),
        },
    )


@pytest.mark.parametrize("method", ["svd", "spatial", "tucker", "auto", "cp"])
def test_fitted_factors_are_nearer(net: Model, make_data: Make, floats: Make, method: str) -> None:
    data = make_data(x=floats(60, 6, 8, 8))
    spec = f"lowrank:energy=0.7,samples=60,method={method},refit="
    plain, fitted = (compress(net, [parse_pass(spec + on)], data) for on in ("false", "true"))
    exact = first_outputs(net, data)
    assert statistics(fitted) == statistics(plain)
    assert statistics(fitted).params < statistics(net).params
    errors = [np.square(first_outputs(m, data) - exact).sum() for m in (plain, fitted)]
    assert errors[1] < errors[0]


def test_layers_excluded_are_not_fitted(net: Model, make_data: Make, floats: Make) -> None:
    data = make_data(x=floats(20, 6, 8, 8))
    small = compress(net, [LowRank(energy=0.6, exclude=("dense", "last"))], data)
    kept = [node for node in small.graph.graph if node.name in ("dense", "last")]
    assert [str(node.inputs[1].name) for node in kept if node.inputs[1]] == ["w3", "w4"]


@pytest.mark.parametrize(
    ("window", "strides", "pads", "dilations"),
    [
        ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
        ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
        ((3, 2), (2, 1), (0, 2, 1, 0), (1, 1)),
        ((2, 3), (1, 2), (2, 0, 0, 1), (2, 1)),
        ((3, 1), (2, 2), (1, 0, 2, 0), (1, 2)),
    ],
)
def test_patches_are_what_a_convolution_multiplies(
    make_model: Make,
    window: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 3, *window)).astype(np.float32)
    lists = f"pads = {list(pads)}, strides = {list(strides)}, dilations = {list(dilations)}"
    size = [(7 + pads[i] + pads[i + 2] - (window[i] - 1) * dilations[i] - 1) // strides[i] + 1
            for i in range(2)]  # fmt: skip
    text = f"net (float[1,3,7,7] x) => (float[1,4,{size[0]},{size[1]}] y) " + (
        f"{{ [conv] y = Conv <{lists}> (x, w) }}"
    )
    model = make_model(text, {"w": weight})
    x = rng.normal(size=(1, 3, 7, 7)).astype(np.float32)
    rows = windows(model.graph.graph[0], x)[0] @ weight.reshape(4, -1).T.astype(np.float64)
    wanted = np.moveaxis(Executor(model.graph, ["y"]).run({"x": x})["y"], 1, -1)
    np.testing.assert_allclose(rows, wanted.reshape(-1, 4), atol=1e-4)


def test_cp_finds_what_is_there(rng: np.random.Generator) -> None:
    parts = [rng.normal(size=(size, 3)) for size in (8, 6, 3, 3)]
    weight = np.einsum("ar,br,cr,dr->abcd", *parts)
    rows = rng.normal(size=(40, 6))
    layer = weighted(weight, rows.T @ rows)
    found = decompose(layer.weighted, 4)
    assert found.lost < 1e-3
    again = COMPOSE["cp"](*cp_factors(layer, found))
    assert np.square(again - weight).sum() < 0.01 * np.square(weight).sum()


def test_cp_is_four_nodes(net: Model, make_data: Make, floats: Make) -> None:
    small = compress(net, [LowRank(method="cp", energy=0.5)], make_data(x=floats(9, 6, 8, 8)))
    names = [str(node.name) for node in small.graph.graph if str(node.name).startswith("second")]
    assert names == ["second/first", "second/rows", "second/columns", "second/last"]


def test_gradients_of_a_linear_net(make_model: Make, floats: Make) -> None:
    """y = (x A) B: what the outputs make of errors in x A is B B^T."""
    text = "net (float[1,5] x) => (float[1,3] y) { [a] h = MatMul (x, a) [b] y = MatMul (h, b) }"
    last = floats(6, 3)
    model = make_model(text, {"a": floats(5, 6), "b": last})
    batch = Batch({"x": floats(4000, 1, 5)}, None)
    found = output_moments(model, batch, {"h": -1, "y": -1})
    np.testing.assert_allclose(found["h"], last @ last.T, atol=0.3)
    np.testing.assert_allclose(found["y"], np.eye(3), atol=0.1)


def test_what_the_outputs_do_not_show_is_dropped(make_model: Make, make_data: Make) -> None:
    """Of 12 channels the next layer reads 2: their rank is enough where outputs weigh."""
    rng = np.random.default_rng(3)
    text = "net (float[1,9] x) => (float[1,7] y) { [a] h = MatMul (x, a) [b] y = MatMul (h, b) }"
    reading = np.zeros((12, 7), np.float32)
    reading[:2] = rng.normal(size=(2, 7))
    model = make_model(text, {"a": rng.normal(size=(9, 12)).astype("f4"), "b": reading})
    data = make_data(x=rng.normal(size=(50, 9)).astype("f4"))
    spec = "lowrank:energy=0.99,exclude=b,weigh="
    blind, seeing = (compress(model, [parse_pass(spec + by)], data) for by in ("inputs", "outputs"))
    assert statistics(blind) == statistics(model)
    assert statistics(seeing).params == 2 * (9 + 12) + 12 * 7
    np.testing.assert_allclose(first_outputs(seeing, data), first_outputs(model, data), atol=0.1)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("weigh", ["inputs", "outputs"])
def test_the_accuracy_is_kept(
    net: Model, make_data: Make, floats: Make, labelled: bool, weigh: str
) -> None:
    inputs = floats(80, 6, 8, 8)
    labels = first_outputs(net, make_data(x=inputs)).argmax(axis=1)
    data = make_data(x=inputs, **({"labels": labels} if labelled else {}))
    spec = f"lowrank:weigh={weigh},samples=40,max_drop="
    sizes = []
    for most in (0.25, 0.6):
        small = compress(net, [parse_pass(f"{spec}{most}")], data, train=TrainingData(data))
        same = first_outputs(small, data).argmax(axis=1) == labels
        assert np.mean(same[half(80, 1, "")]) >= 1 - most - 1e-9
        sizes.append(statistics(small).macs)
    assert sizes[1] <= sizes[0] < statistics(net).macs


def test_a_limit_that_nothing_keeps(make_model: Make, make_data: Make, floats: Make) -> None:
    model = make_model(
        "net (float[1,2] x) => (float[1,2] y) { [a] y = MatMul (x, w) }", {"w": floats(2, 2)}
    )
    with pytest.raises(EdgecompError, match="nothing can be decomposed within max_drop=0: no lay"):
        compress(model, [LowRank(max_drop=0.0)], make_data(x=floats(9, 2)))


@pytest.mark.parametrize("count", [2, 7, 20])
@pytest.mark.parametrize("limit", [None, 3])
def test_halves_share_no_sample(net: Model, make_data: Make, count: int, limit: int | None) -> None:
    numbers = np.arange(count, dtype=np.float32)
    data = make_data(x=np.broadcast_to(numbers[:, None, None, None], (count, 6, 8, 8)))
    parts = [Half(data.path, None, which) for which in (0, 1)]
    found = [[row["x"].flat[0] for row in part.samples(net.inputs, limit)] for part in parts]
    assert not set(found[0]) & set(found[1])
    assert sum(part.count(net.inputs) for part in parts) == count
    if limit is None:
        assert sorted([*found[0], *found[1]]) == list(range(count))
    else:
        assert [len(rows) for rows in found] == [min(limit, part.count(net.inputs))
                                                 for part in parts]  # fmt: skip


def test_one_sample_cannot_be_held_out(net: Model, make_data: Make, floats: Make) -> None:
    with pytest.raises(EdgecompError, match="one sample cannot be split in two; give more"):
        compress(net, [LowRank(max_drop=0.1)], make_data(x=floats(1, 6, 8, 8)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("max_drop=0.1,params=0.5", "a budget and max_drop both say how small it shall be"),
        ("rank=vbmf,max_drop=0.1", "rank=vbmf goes with no budget; drop params, macs and max_drop"),
        ("rank=vbmf,method=cp", "rank=vbmf goes with weigh=inputs and not with cp"),
        ("max_drop=2", "max_drop cannot be '2'; give a number from 0 to 1"),
        ("method=cpd", "method cannot be 'cpd'; give one of auto, svd, spatial, tucker, cp"),
    ],
)
def test_options_that_do_not_go_together(options: str, sentence: str) -> None:
    with pytest.raises(EdgecompError) as caught:
        parse_pass(f"lowrank:{options}")
    assert sentence in str(caught.value)


def test_samples_are_needed_to_keep_an_accuracy(net: Model) -> None:
    with pytest.raises(EdgecompError, match="calibration samples are needed"):
        compress(net, [LowRank(max_drop=0.1)])


def test_layers_left_whole_say_why(
    net: Model, make_data: Make, floats: Make, tmp_path: Path
) -> None:
    device = load_device("corstone_300")
    data = make_data(x=floats(9, 6, 8, 8))
    small = compress(net, [LowRank(energy=0.9, exclude=("first",))], data, device=device)
    save_model(small, tmp_path / "small.onnx")
    notes = notes_of(load(tmp_path / "small.onnx"))
    whole = {str(node.name) for node in small.graph.graph} & {"first", "second", "dense", "last"}
    assert set(notes) == whole
    assert notes["first"] == "lowrank: excluded"
    others = {notes[name] for name in whole - {"first"}}
    assert others == {"lowrank: nothing cheaper on cortex_m55 keeps enough of it"}
