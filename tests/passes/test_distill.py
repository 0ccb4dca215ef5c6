"""distill: the answers of the first model are learned without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.compress import compress
from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.context import Context
from edgecomp.reference import run_reference
from edgecomp.training.parameters import write_constants
from edgecomp.training.train import train_and_report
from edgecomp.training_data import Batch

Array = npt.NDArray[Any]


@pytest.fixture
def noisy(small_cnn: Model, rng: np.random.Generator) -> Model:
    """`small_cnn` with noise on its weights."""
    changed = {}
    for name in ("w1", "w2", "w3"):
        weights = small_cnn.graph.graph.initializers[name].const_value.numpy()
        noise = rng.normal(size=weights.shape) * weights.std() * 0.5
        changed[name] = (weights + noise).astype(np.float32)
    return small_cnn.with_graph(write_constants(small_cnn.graph, changed))


@pytest.mark.parametrize("options", ["", ",loss=features", ",measure=mse", ",temperature=1"])
def test_a_spoiled_model_comes_close_again(
    small_cnn: Model,
    noisy: Model,
    coloured: Callable[[int], Batch],
    make_data: Callable[..., Any],
    options: str,
) -> None:
    data = make_data(x=coloured(200).inputs["x"][:, 0])
    spec = f"distill:epochs=8,lr=0.003,batch=16,threads=1{options}"
    settings = parse_pass(spec).settings()
    trained = train_and_report(noisy, settings, Context(data=data, original=small_cnn))
    assert trained.accuracy is None
    unseen = coloured(100).inputs["x"]
    right, before, after = (
        run_reference(model, [unseen])[0] for model in (small_cnn, noisy, trained.model)
    )
    assert trained.loss < 0.5 * trained.loss_before
    assert np.square(after - right).mean() < 0.7 * np.square(before - right).mean()


def test_the_first_model_is_the_teacher(
    small_cnn: Model, coloured: Callable[[int], Batch], make_data: Callable[..., Any]
) -> None:
    data = make_data(x=coloured(40).inputs["x"][:, 0])
    trained = compress(small_cnn, [parse_pass("distill:epochs=1,batch=16")], data)
    # nothing is better than what already gives the teacher's answers
    for name, value in small_cnn.graph.graph.initializers.items():
        found = trained.graph.graph.initializers[name].const_value.numpy()
        np.testing.assert_array_equal(found, value.const_value.numpy())


def test_samples_are_needed(small_cnn: Model) -> None:
    with pytest.raises(EdgecompError, match=r"give --data"):
        compress(small_cnn, [parse_pass("distill")])
