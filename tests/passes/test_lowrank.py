"""Low rank: exact where nothing is lost, cheaper where something is, refused where nothing fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.compress import compress, statistics
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.context import Context
from edgecomp.passes.lowrank import LowRank
from edgecomp.passes.lowrank_factors import (
    COMPOSE,
    input_unfolding,
    output_unfolding,
    spatial_factors,
    spatial_unfolding,
    svd_factors,
    tucker_factors,
    weighted,
)
from edgecomp.passes.vbmf import vbmf_rank
from edgecomp.reference import Executor

Array = npt.NDArray[Any]
Make = Callable[..., Any]


def low_rank_kernel(
    rng: np.random.Generator, outputs: int, inputs: int, window: tuple[int, ...], rank: int
) -> Array:
    """A weight of the given rank in its outputs and in its inputs."""
    core = rng.normal(size=(rank, rank, *window))
    return np.einsum("or,rs...,si->oi...", rng.normal(size=(outputs, rank)), core,
                     rng.normal(size=(rank, inputs)))  # fmt: skip


def run(model: Model, x: Array) -> Array:
    output = model.outputs[0].name
    return Executor(model.graph, [output]).run({model.inputs[0].name: x})[output]


@pytest.fixture
def convolutions(make_model: Make, rng: np.random.Generator) -> Model:
    """3 x 3 with stride, asymmetric padding and dilation; 1 x 1; a Gemm; all of rank 2."""
    text = """
    net (float[1,12,9,11] x) => (float[1,10] y) {
        [big] a = Conv <pads = [1, 2, 2, 1], strides = [2, 1], dilations = [1, 2]> (x, w1, b1)
        [relu] b = Relu (a)
        [small] c = Conv (b, w2)
        [mean] d = GlobalAveragePool (c)
        [flat] e = Flatten (d)
        [dense] y = Gemm <alpha = 0.5, beta = 2.0, transB = 1> (e, w3, b3)
    }"""
    kernels = {
        "w1": low_rank_kernel(rng, 16, 12, (3, 3), 2),
        "w2": low_rank_kernel(rng, 14, 16, (1, 1), 2),
        "w3": low_rank_kernel(rng, 10, 14, (), 2),
        "b1": rng.normal(size=16),
        "b3": rng.normal(size=10),
    }
    return make_model(text, {name: a.astype(np.float32) for name, a in kernels.items()})


@pytest.mark.parametrize("method", ["auto", "svd", "tucker"])
def test_what_has_low_rank_loses_nothing(
    convolutions: Model, make_data: Make, floats: Make, method: str
) -> None:
    data = make_data(x=floats(20, 12, 9, 11))
    spec = f"lowrank:method={method},energy=0.999999"
    small = compress(convolutions, [parse_pass(spec)], data)
    assert statistics(small).macs < 0.7 * statistics(convolutions).macs
    x = floats(1, 12, 9, 11)
    np.testing.assert_allclose(run(small, x), run(convolutions, x), rtol=2e-3, atol=2e-3)


def test_names_and_signature_stay(convolutions: Model) -> None:
    small = compress(convolutions, [LowRank(method="svd", energy=0.999)])
    names = [node.name for node in small.graph.graph]
    assert names == ["big/u", "big/v", "relu", "small/u", "small/v", "mean", "flat", "dense/u",
                     "dense/v"]  # fmt: skip
    assert (small.inputs, small.outputs) == (convolutions.inputs, convolutions.outputs)
    assert small.history == (str(LowRank(method="svd", energy=0.999)),)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([(3, 3), (2, 5), (1, 3)]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_factors_of_full_rank_are_the_weight(
    outputs: int, inputs: int, window: tuple[int, int], weigh: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(outputs, inputs, *window))
    rows = rng.normal(size=(4 * inputs, inputs))
    slopes = rng.normal(size=(4 * outputs, outputs))
    layer = weighted(weight, *((rows.T @ rows, slopes.T @ slopes) if weigh else (None, None)))
    output, inner = output_unfolding(layer), input_unfolding(layer)
    spatial = spatial_unfolding(layer)
    whole = (len(inner.values), len(output.values))
    for method, made in {
        "svd": svd_factors(layer, output, len(output.values)),
        "tucker": tucker_factors(layer, output, inner, whole),
        "spatial": spatial_factors(layer, spatial, len(spatial.values)),
    }.items():
        np.testing.assert_allclose(COMPOSE[method](*made), weight, atol=1e-6)


def test_samples_tell_what_matters(make_model: Make, make_data: Make, floats: Make) -> None:
    """A matrix of full rank whose inputs have rank 2 needs rank 2."""
    text = "net (float[1,16] x) => (float[1,16] y) { [dense] y = MatMul (x, w) }"
    model = make_model(text, {"w": floats(16, 16)})
    data = make_data(x=floats(60, 2) @ floats(2, 16))
    blind = compress(model, [LowRank(energy=0.9999)])
    seeing = compress(model, [LowRank(energy=0.9999)], data)
    assert statistics(blind) == statistics(model)
    assert statistics(seeing).params == 2 * 2 * 16


@pytest.mark.parametrize("what", ["params", "macs"])
def test_a_budget_is_met(convolutions: Model, what: str) -> None:
    small = compress(convolutions, [parse_pass(f"lowrank:{what}=0.4")])
    before, after = statistics(convolutions), statistics(small)
    assert getattr(after, what) <= 0.4 * getattr(before, what)


def test_a_budget_out_of_reach(small_cnn: Model) -> None:
    with pytest.raises(EdgecompError, match=r"lowrank: the budget cannot be met: .* are the least"):
        compress(small_cnn, [LowRank(macs=0.01)])


def test_only_what_a_device_gains_by(convolutions: Model) -> None:
    """Two nodes write more outputs than one: on a core where that costs, less is decomposed."""
    spec = LowRank(energy=0.97)
    anywhere = compress(convolutions, [spec])
    helium = compress(convolutions, [spec], device=load_device("corstone_300"))
    assert len(helium.graph.graph) <= len(anywhere.graph.graph)


def test_nothing_to_decompose(make_model: Make) -> None:
    model = make_model("net (float[1,4] x) => (float[1,4] y) { [act] y = Relu (x) }", {})
    with pytest.raises(EdgecompError, match="no node has float weights to decompose"):
        LowRank().apply(model, Context())


def test_excluded_nodes_stay(convolutions: Model) -> None:
    small = compress(convolutions, [LowRank(energy=0.999, exclude=("b*", "dense"))])
    assert [n.name for n in small.graph.graph if "/" in str(n.name)] == ["small/u", "small/v"]


def test_a_budget_and_variational_bayes_do_not_mix() -> None:
    with pytest.raises(EdgecompError, match="rank=vbmf goes with no budget"):
        LowRank(rank="vbmf", params=0.5)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_the_rank_in_noise(rng: np.random.Generator, rank: int) -> None:
    signal = 3 * rng.normal(size=(40, rank)) @ rng.normal(size=(rank, 60))
    values = np.linalg.svd(signal + rng.normal(size=(40, 60)), compute_uv=False)
    assert vbmf_rank(values, 40, 60) == rank
    assert vbmf_rank(values, 60, 40) == rank
