"""Blends of samples: what they are, what their loss is, and what cannot be blended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.training.augment import check_augmentation
from edgecomp.training.executor import Network
from edgecomp.training.mixup import mixed
from edgecomp.training.objective import Samples, make_objective
from edgecomp.training.settings import Settings
from edgecomp.training_data import Batch


def test_blends(quarters: Callable[[int], Batch]) -> None:
    """Each is a sum of two samples with shares of 1, and answers to them are gone."""
    batch = replace(quarters(8), answers={"scores": np.zeros((8, 1, 4), np.float32)})
    samples = Samples.of(batch)
    found = mixed(samples, 1.0, np.random.default_rng(5))
    assert found.blend is not None
    others = np.random.default_rng(5).permutation(8)
    for row, share in enumerate(found.blend.shares.tolist()):
        images = batch.inputs["x"]
        expected = share * images[row] + (1 - share) * images[others[row]]
        np.testing.assert_allclose(found.inputs["x"][row].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert not found.answers
    again = mixed(samples, 1.0, np.random.default_rng(5))
    assert torch.equal(found.inputs["x"], again.inputs["x"])


def test_the_loss_is_blended_like_the_samples(
    small_net: Model, quarters: Callable[[int], Batch]
) -> None:
    objective = make_objective(small_net, None, "labels")
    found = mixed(Samples.of(quarters(8)), 0.5, np.random.default_rng(1))
    assert found.blend is not None
    values = Network(small_net).run(found.inputs, objective.wanted)
    first = objective.losses(values, replace(found, blend=None))
    other = objective.losses(values, replace(found, labels=found.blend.labels, blend=None))
    shares = found.blend.shares
    expected = shares * first + (1 - shares) * other
    torch.testing.assert_close(objective.losses(values, found), expected)


def test_integers_cannot_be_blended(make_model: Callable[..., Model]) -> None:
    model = make_model("net (int32[1,3] x) => (int32[1,3] y) { y = Neg (x) }", {})
    with pytest.raises(EdgecompError, match="x: the input holds int32, and mixup blends floats"):
        check_augmentation(model.inputs, Settings(mixup=1.0))
