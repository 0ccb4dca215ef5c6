"""What is compared with labels and with a teacher, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.training.answers import answers_of, class_scores, common_features
from edgecomp.training.executor import Network
from edgecomp.training.objective import Samples, Teacher, make_objective
from edgecomp.training_data import Batch

Array = npt.NDArray[Any]
Floats = Callable[..., Array]

CLASSIFIER = """
net (float[1,4] x) => (float[1,3] p) {
    [dense] scores = MatMul (x, w)
    [softmax] q = Softmax (scores)
    [rounded] r = QuantizeLinear (q, s, z)
    [real] p = DequantizeLinear (r, s, z)
}
"""
GRID = {"s": np.array(1 / 256, np.float32), "z": np.array(-128, np.int8)}


@pytest.fixture
def pair(make_model: Callable[..., Model], floats: Floats) -> tuple[Model, Model]:
    """Two classifiers with other weights."""
    first, second = (make_model(CLASSIFIER, {"w": floats(4, 3), **GRID}) for _ in range(2))
    return first, second


def scores(model: Model, x: Array) -> Array:
    """What enters the Softmax, float64 [samples, 3]."""
    weights = model.graph.graph.initializers["w"].const_value.numpy()
    return np.asarray(x[:, 0].astype(np.float64) @ weights)


def log_softmax(values: Array) -> Array:
    """Logarithms of probabilities."""
    return np.asarray(values - np.log(np.exp(values).sum(axis=1, keepdims=True)))


def losses(objective: Any, model: Model, batch: Batch) -> Array:
    """The loss of each sample."""
    samples = Samples.of(batch)
    with torch.no_grad():
        values = Network(model).run(samples.inputs, objective.wanted)
        return np.asarray(objective.losses(values, samples).numpy())


def test_scores_are_found_behind_softmax_and_rounding(pair: tuple[Model, Model]) -> None:
    (answer,) = answers_of(pair[0])
    assert (answer.value, answer.scores, answer.axis, answer.classes) == ("scores", True, 1, 3)


def test_an_output_that_scores_no_classes_is_told(make_model: Callable[..., Model]) -> None:
    model = make_model("net (float[1,2,3] x) => (float[1,2,3] y) { y = Relu (x) }", {})
    with pytest.raises(
        EdgecompError, match=r"^output y: it has the shape \[1, 2, 3\].*loss=logits"
    ):
        class_scores(model)


def test_cross_entropy_of_labels(pair: tuple[Model, Model], floats: Floats) -> None:
    x, labels = floats(6, 1, 4), np.array([0, 1, 2, 0, 1, 2])
    found = losses(make_objective(pair[0], None, "labels"), pair[0], Batch({"x": x}, labels))
    expected = -log_softmax(scores(pair[0], x))[np.arange(6), labels]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_divergence_from_the_teacher_and_its_answers_kept(
    pair: tuple[Model, Model], floats: Floats
) -> None:
    x, temperature = floats(6, 1, 4), 2.0
    objective = make_objective(*pair, "logits", temperature=temperature)
    assert isinstance(objective, Teacher)
    ours, right = (log_softmax(scores(model, x) / temperature) for model in pair)
    expected = (np.exp(right) * (right - ours)).sum(axis=1) * temperature**2
    batch = Batch({"x": x}, None)
    kept = objective.answered(batch)
    assert set(kept.answers) == {"scores"}
    for each in (batch, kept):
        np.testing.assert_allclose(losses(objective, pair[0], each), expected, rtol=1e-4)


def test_errors_are_shares_of_the_variance_of_the_teacher(
    pair: tuple[Model, Model], floats: Floats
) -> None:
    x = floats(6, 1, 4)
    found = losses(make_objective(*pair, "logits", "mse"), pair[0], Batch({"x": x}, None))
    ours, right = (scores(model, x) for model in pair)
    np.testing.assert_allclose(found, np.square(ours - right).mean(axis=1) / right.var(), rtol=1e-4)


def test_what_scores_classes_is_compared_as_such(
    small_net: Model, pair: tuple[Model, Model]
) -> None:
    for model, labelled, kl in (
        (pair[0], False, True),
        (small_net, False, False),
        (small_net, True, True),
    ):
        objective = make_objective(model, model, "logits", labelled=labelled)
        assert isinstance(objective, Teacher)
        assert objective.kl == (kl,)


def test_features_are_values_of_one_name_and_shape(
    small_net: Model, pair: tuple[Model, Model]
) -> None:
    assert common_features(small_net, small_net) == ("d",)
    assert common_features(*pair) == ()
    with pytest.raises(EdgecompError, match=r"net: no value inside has name and shape in common"):
        make_objective(*pair, "features")
    with pytest.raises(EdgecompError, match=r"net: its outputs have not the shapes of the model"):
        make_objective(small_net, pair[0], "features")
