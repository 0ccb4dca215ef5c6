"""Graphs that keep samples apart are given whole batches; the others are known to be others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from edgecomp.model import Model
from edgecomp.reference import run_reference
from edgecomp.training.batching import computes_batches
from edgecomp.training.executor import Network, batch_tensors

Floats = Callable[..., npt.NDArray[Any]]


def whole(model: Model, wanted: list[str] | None = None) -> bool:
    """Whether a whole batch can be given to the graph."""
    graph = model.graph.graph
    names = [spec.name for spec in model.outputs] if wanted is None else wanted
    return computes_batches(list(graph), graph.inputs, names)


def test_a_classifier(small_net: Model, quarters: Callable[[int], Any]) -> None:
    """It is, and each sample has the outputs that it has alone."""
    assert whole(small_net)
    images = quarters(5).inputs["x"]
    with torch.no_grad():
        (found,) = Network(small_net).run(batch_tensors({"x": images})).values()
    (expected,) = run_reference(small_net, [images])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        "y = Add (x, rows)",
        "y = Mul (x, flat)",
        "y = Softmax <axis = 0> (x)",
        "y = Gemm <transA = 1> (x, square)",
        "y = MatMul (x, x)",
        "t = Transpose (x) y = Transpose (t)",
        "y = Gemm (x, square, x)",
    ],
)
def test_what_may_mix_samples(make_model: Callable[..., Model], floats: Floats, body: str) -> None:
    constants = {"rows": floats(1, 1), "flat": floats(2, 1), "square": floats(1, 1)}
    text = "net (float[1,1] x) => (float[{}] y) {{ " + body + " }}"
    shape = "2,1" if "flat" in body else "1,1"
    used = {name: value for name, value in constants.items() if name in body}
    model = make_model(text.format(shape), used)
    assert whole(model) == ("rows" in body)


def test_values_that_depend_on_no_sample(small_net: Model) -> None:
    """They would lack the samples."""
    assert whole(small_net, ["b"])
    assert not whole(small_net, ["b", "w1"])
