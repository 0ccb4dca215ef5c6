"""Pruning: channels leave the graph, weights become zero, meaning stays where it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress, statistics
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.graph.values import constant_input, shape_of
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.prune import Prune
from edgecomp.passes.prune_scores import CRITERIA
from edgecomp.passes.quantize import Quantize
from edgecomp.reference import Executor
from edgecomp.training_data import TrainingData

Array = npt.NDArray[Any]
Make = Callable[..., Any]


def run(model: Model, x: Array) -> Array:
    output = model.outputs[0].name
    return Executor(model.graph, [output]).run({model.inputs[0].name: x})[output]


@pytest.fixture
def samples(make_data: Make, floats: Make) -> CalibrationData:
    data: CalibrationData = make_data(x=floats(40, 3, 8, 8), labels=np.arange(40) % 5)
    return data


@pytest.fixture
def lazy(make_model: Make, floats: Make) -> Model:
    """Of 8 channels 3 are always 0 and 2 always 1; the others matter."""
    first, second = floats(8, 3, 3, 3), floats(4, 8, 1, 1)
    bias = np.zeros(8, np.float32)
    first[:5], bias[3:5] = 0.0, 1.0
    text = """net (float[1,3,8,8] x) => (float[1,4,6,6] y) {
        [first] a = Conv (x, w1, b1) [relu] r = Relu (a) [second] y = Conv (r, w2) }"""
    model: Model = make_model(text, {"w1": first, "b1": bias, "w2": second})
    return model


@pytest.mark.parametrize("criterion", ["l2", "l1", "variance", "taylor", "fisher"])
def test_what_does_not_matter_goes_without_a_trace(
    lazy: Model, make_data: Make, floats: Make, criterion: str
) -> None:
    """Channels that are constant go first, and what they were is added to the bias."""
    x = floats(30, 3, 8, 8)
    data = make_data(x=x)
    spec = Prune(criterion=criterion, sparsity=5 / 8, scope="layer")  # type: ignore[arg-type]
    if criterion in ("taylor", "fisher"):
        spec = Prune(criterion=criterion, sparsity=3 / 8, scope="layer")  # type: ignore[arg-type]
    small = compress(lazy, [spec], data, train=TrainingData(data))
    kept = 8 - round(spec.sparsity * 8)
    assert shape_of(small.graph.graph[0].outputs[0])[1] == kept
    np.testing.assert_allclose(run(small, x[:1]), run(lazy, x[:1]), atol=1e-4)


@pytest.mark.parametrize("criterion", sorted(set(CRITERIA) - {"bn_scale"}))
def test_every_criterion_makes_a_smaller_model(
    small_cnn: Model, samples: CalibrationData, criterion: str
) -> None:
    spec = parse_pass(f"prune:criterion={criterion}")
    small = compress(small_cnn, [spec], samples, train=TrainingData(samples))
    again = compress(small_cnn, [spec], samples, train=TrainingData(samples))
    assert statistics(small).macs < statistics(small_cnn).macs
    assert statistics(small).params < statistics(small_cnn).params
    assert small.history == (str(spec),)
    assert (small.inputs, small.outputs) == (small_cnn.inputs, small_cnn.outputs)
    x = next(samples.samples(small_cnn.inputs))["x"]
    np.testing.assert_array_equal(run(small, x), run(again, x))


def test_the_scale_of_a_batch_norm_is_remembered(make_model: Make, floats: Make) -> None:
    text = """net (float[1,3,6,6] x) => (float[1,2,6,6] y) {
        [conv] a = Conv (x, w1) [norm] n = BatchNormalization (a, gamma, beta, mean, variance)
        [relu] r = Relu (n) [last] y = Conv (r, w2) }"""
    gamma = np.array([2, 0.1, 3, 0.2], np.float32)
    ones = np.ones(4, np.float32)
    model = make_model(text, {
        "w1": 1 / gamma[:, None, None, None] * floats(4, 3, 1, 1), "w2": floats(2, 4, 1, 1),
        "gamma": gamma, "beta": 0 * ones, "mean": 0 * ones, "variance": ones,
    })  # fmt: skip
    small = compress(model, [Prune(criterion="bn_scale")])
    before, after = (constant_input(m.graph.graph[0], 1) for m in (model, small))
    assert before is not None
    np.testing.assert_array_equal(after, before[[0, 2]])


def test_without_batch_norm_its_scale_cannot_decide(small_cnn: Model) -> None:
    with pytest.raises(EdgecompError, match=r"first: no batch normalization follows it"):
        compress(small_cnn, [Prune(criterion="bn_scale")])


@pytest.mark.parametrize(("what", "share"), [("params", 0.4), ("macs", 0.3)])
def test_budgets(small_cnn: Model, what: str, share: float) -> None:
    small = compress(small_cnn, [parse_pass(f"prune:{what}={share}")])
    assert getattr(statistics(small), what) <= share * getattr(statistics(small_cnn), what)
    more = compress(small_cnn, [parse_pass(f"prune:{what}={share + 0.2}")])
    assert statistics(more).params > statistics(small).params


def test_a_budget_out_of_reach(small_cnn: Model) -> None:
    with pytest.raises(EdgecompError, match=r"the budget cannot be met: .* are the least"):
        compress(small_cnn, [Prune(params=0.001)])


def test_who_keeps_a_budget_from_being_met_is_named(
    make_model: Callable[..., Model], floats: Callable[..., Array]
) -> None:
    text = """net (float[1,8] x) => (float[1,3] y) {
        [free] a = MatMul (x, w1) [held] b = MatMul (a, w2) [soft] c = Softmax (b)
        [last] y = MatMul (c, w3) }"""
    model = make_model(text, {"w1": floats(8, 6), "w2": floats(6, 20), "w3": floats(20, 3)})
    with pytest.raises(EdgecompError) as caught:
        compress(model, [Prune(params=0.2)])
    told = [str(reason) for reason in caught.value.reasons]
    assert told[0].startswith("prune: the budget cannot be met: ")
    assert told[1:] == ["soft: Softmax needs all its channels"]


def test_layers_keep_what_a_device_takes_at_once(small_cnn: Model) -> None:
    device = load_device("nucleo_l4r5zi")  # takes four
    small = compress(small_cnn, [Prune(sparsity=0.3, scope="layer")], device=device)
    kept = [shape_of(node.outputs[0])[1] for node in small.graph.graph if node.op_type == "Conv"]
    assert kept
    assert all(count % 4 == 0 for count in kept)


def test_channels_that_take_more_go_sooner(make_model: Make, make_data: Make, floats: Make) -> None:
    text = """net (float[1,3,9,9] x) => (float[1,4,1,1] y) {
        [dear] a = Conv (x, w1) [pool] p = GlobalAveragePool (a)
        [cheap] b = Conv (p, w2) [relu] r = Relu (b) [last] y = Conv (r, w3) }"""
    model = make_model(
        text, {"w1": floats(8, 3, 3, 3), "w2": floats(8, 8, 1, 1), "w3": floats(4, 8, 1, 1)}
    )
    train = TrainingData(make_data(x=floats(40, 3, 9, 9), labels=np.arange(40) % 4))
    spec = Prune(criterion="fisher", sparsity=0.25, per_mac=True)
    first, _, second, *_ = compress(model, [spec], train=train).graph.graph
    assert [shape_of(node.outputs[0])[1] for node in (first, second)] == [4, 8]
    with pytest.raises(EdgecompError, match=r"a criterion that measures the loss; give criterion"):
        parse_pass("prune:per_mac=true")


def test_protected_nodes_stay_whole(small_cnn: Model) -> None:
    with pytest.raises(EdgecompError, match="no channel can be removed"):
        compress(small_cnn, [Prune(protect=("*",))])


def test_a_quantized_model_is_refused(small_cnn: Model, samples: CalibrationData) -> None:
    with pytest.raises(EdgecompError, match=r"quantized already; prune before quantize"):
        compress(small_cnn, [Quantize(), Prune()], samples)


@pytest.mark.parametrize("steps", [1, 3])
def test_training_between_steps(small_cnn: Model, samples: CalibrationData, steps: int) -> None:
    spec = Prune(macs=0.5, steps=steps, epochs=1)
    small = compress(small_cnn, [spec], samples, train=TrainingData(samples))
    assert statistics(small).macs <= 0.5 * statistics(small_cnn).macs


def zeros(model: Model) -> dict[str, Array]:
    found = {}
    for node in model.graph.graph:
        weights = constant_input(node, 1) if node.op_type in ("Conv", "Gemm") else None
        if weights is not None:
            found[str(node.name)] = weights == 0
    return found


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_the_smallest_weights_become_zero(small_cnn: Model, scope: str, sparsity: float) -> None:
    spec = parse_pass(f"prune:granularity=weight,sparsity={sparsity},scope={scope}")
    small = compress(small_cnn, [spec])
    gone = zeros(small)
    count = sum(mask.sum() for mask in gone.values())
    total = sum(mask.size for mask in gone.values())
    assert count == pytest.approx(sparsity * total, abs=len(gone))
    for node in small_cnn.graph.graph:
        if str(node.name) in gone:
            weights = np.abs(constant_input(node, 1))  # type: ignore[arg-type]
            mask = gone[str(node.name)]
            if mask.any() and not mask.all():
                assert weights[mask].max() <= weights[~mask].min()


def test_n_of_m(make_model: Make, floats: Make) -> None:
    """Neighbours are what one output reads, along the inputs."""
    text = "net (float[1,8,3,3] x) => (float[1,4,1,1] y) { [conv] y = Conv (x, w) }"
    model = make_model(text, {"w": floats(4, 8, 3, 3)})
    small = compress(model, [Prune(granularity="weight", pattern="2:4")])
    kept = ~zeros(small)["conv"].transpose(0, 2, 3, 1).reshape(-1, 4)
    assert (kept.sum(axis=1) == 2).all()


def test_blocks_go_as_one(make_model: Make, floats: Make) -> None:
    text = "net (float[1,8] x) => (float[1,8] y) { [dense] y = Gemm <transB = 1> (x, w) }"
    model = make_model(text, {"w": floats(8, 8)})
    small = compress(model, [Prune(granularity="weight", pattern="4x2", sparsity=0.5)])
    blocks = zeros(small)["dense"].reshape(2, 4, 4, 2).transpose(0, 2, 1, 3).reshape(8, 8)
    assert blocks.all(axis=1).sum() == 4
    assert (~blocks).all(axis=1).sum() == 4


def test_zeros_are_a_fixed_point(small_cnn: Model) -> None:
    spec = Prune(granularity="weight", sparsity=0.6)
    once = compress(small_cnn, [spec])
    twice = compress(once, [spec])
    for name, mask in zeros(once).items():
        np.testing.assert_array_equal(zeros(twice)[name], mask)


def test_weights_may_grow_again(small_cnn: Model, samples: CalibrationData) -> None:
    spec = Prune(granularity="weight", sparsity=0.5, steps=2, epochs=1, regrow=True)
    small = compress(small_cnn, [spec], samples, train=TrainingData(samples))
    share = np.mean(np.concatenate([mask.ravel() for mask in zeros(small).values()]))
    assert share == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("prune:granularity=weight,macs=0.5", "params and macs count channels"),
        ("prune:pattern=2:4", "pattern is of granularity=weight"),
        ("prune:granularity=weight,pattern=4:2", "pattern cannot be '4:2'"),
        ("prune:granularity=weight,pattern=half", "give unstructured, N:M"),
        ("prune:regrow=true", "regrow needs training between steps"),
        ("prune:steps=3", "steps without training in between are one"),
        ("prune:sparsity=1.5", "sparsity cannot be '1.5'"),
    ],
)
def test_options_that_do_not_go(spec: str, told: str) -> None:
    with pytest.raises(EdgecompError) as caught:
        parse_pass(spec)
    assert told in str(caught.value)
