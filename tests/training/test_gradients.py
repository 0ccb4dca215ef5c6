"""Gradients against differences, and scores against their definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.reference import run_reference
from edgecomp.training.accuracy import accuracy
from edgecomp.training.gradients import channel_gradients, fisher, gradients, taylor
from edgecomp.training.parameters import write_constants
from edgecomp.training_data import Batch


def cross_entropy(model: Model, batch: Batch) -> float:
    """The mean of -log p(label), as onnxruntime's scores say."""
    scores = run_reference(model, [batch.inputs["x"]])[0][:, 0].astype(np.float64)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert batch.labels is not None
    return float(-scores[np.arange(len(batch)), batch.labels].mean())


def test_gradients_are_the_slopes_of_the_loss(
    small_net: Model,
    quarters: Callable[[int], Batch],
    content: Callable[..., dict[str, np.ndarray]],
) -> None:
    batch = quarters(70)
    found = gradients(small_net, batch)
    constants = content(small_net)
    assert {n: g.shape for n, g in found.items()} == {
        n: constants[n].shape for n in ("w1", "b1", "w2", "b2")
    }
    for name, gradient in found.items():
        place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        losses = []
        for step in (-0.02, 0.02):
            moved = constants[name].copy()
            moved[place] += step
            changed = small_net.with_graph(write_constants(small_net.graph, {name: moved}))
            losses.append(cross_entropy(changed, batch))
        assert gradient[place] == pytest.approx((losses[1] - losses[0]) / 0.04, rel=0.02)


def test_a_factor_on_a_channel_is_a_factor_on_its_weights_and_bias(
    small_net: Model,
    quarters: Callable[[int], Batch],
    content: Callable[..., dict[str, np.ndarray]],
) -> None:
    batch = quarters(70)
    first = str(next(iter(small_net.graph.graph)).outputs[0].name)
    channels = channel_gradients(small_net, batch, {first: 1})[first]
    by_weight, constants = gradients(small_net, batch), content(small_net)
    expected = (by_weight["w1"] * constants["w1"]).sum(axis=(1, 2, 3))
    expected += by_weight["b1"] * constants["b1"]
    assert channels.shape == (70, 6)
    np.testing.assert_allclose(channels.mean(axis=0), expected, rtol=1e-3, atol=1e-6)


def test_the_scores_of_channels() -> None:
    channels = np.array([[1, -2], [3, 2]], np.float32)
    np.testing.assert_allclose(taylor(channels), [2, 2])
    np.testing.assert_allclose(fisher(channels), [2.5, 2])


def test_without_labels_the_outputs_themselves_tell_which_channels_matter(
    make_model: Callable[..., Model], floats: Callable[..., np.ndarray]
) -> None:
    text = "net (float[1,3] x) => (float[1,200] y) { a = MatMul (x, w1) y = MatMul (a, w2) }"
    w2 = floats(4, 200) * np.array([[1], [2], [3], [4]], np.float32)
    model = make_model(text, {"w1": floats(3, 4), "w2": w2})
    batch = Batch({"x": floats(2000, 1, 3)}, None)
    found = fisher(channel_gradients(model, batch, {"a": 1}, "outputs")["a"])
    w1 = model.graph.graph.initializers["w1"].const_value.numpy()
    activations = np.square(batch.inputs["x"][:, 0] @ w1).mean(axis=0)
    np.testing.assert_allclose(found, activations * np.square(w2).sum(axis=1) / 2, rtol=0.3)


def test_without_labels_the_model_is_right(
    small_net: Model, quarters: Callable[[int], Batch]
) -> None:
    batch = quarters(20)
    answers = run_reference(small_net, [batch.inputs["x"]])[0][:, 0].argmax(axis=1)
    labelled = gradients(small_net, Batch(batch.inputs, answers.astype(np.int64)))
    for name, gradient in gradients(small_net, Batch(batch.inputs, None)).items():
        np.testing.assert_array_equal(gradient, labelled[name])


def test_labels_the_model_does_not_know(small_net: Model, quarters: Callable[[int], Batch]) -> None:
    batch = Batch(quarters(3).inputs, np.array([0, 4, 1]))
    with pytest.raises(EdgecompError, match=r"the labels go from 0 to 4, and scores scores 4 cla"):
        gradients(small_net, batch)


def test_accuracy_is_the_share_of_right_answers(
    small_net: Model, quarters: Callable[[int], Batch]
) -> None:
    batch = quarters(40)
    answers = run_reference(small_net, [batch.inputs["x"]])[0][:, 0].argmax(axis=1)
    wrong = answers.copy()
    wrong[:10] = (wrong[:10] + 1) % 4
    assert accuracy(small_net, Batch(batch.inputs, answers)) == 1.0
    assert accuracy(small_net, Batch(batch.inputs, wrong)) == 0.75
    with pytest.raises(EdgecompError, match="accuracy needs labels"):
        accuracy(small_net, Batch(batch.inputs, None))
