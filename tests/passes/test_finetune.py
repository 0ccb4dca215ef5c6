"""finetune: a model recovers, and what other passes did stays in force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes import training as training_passes
from edgecomp.training.accuracy import accuracy
from edgecomp.training.parameters import write_constants
from edgecomp.training_data import Batch, TrainingData

Array = npt.NDArray[Any]
SHORT = "epochs=12,lr=0.02,batch=16,threads=1"


@pytest.fixture
def pruned(small_cnn: Model, rng: np.random.Generator) -> Model:
    """`small_cnn` with half of the weights of its first convolution zero."""
    weights = np.array(small_cnn.graph.graph.initializers["w1"].const_value.numpy())
    weights.reshape(-1)[::2] = 0
    return small_cnn.with_graph(write_constants(small_cnn.graph, {"w1": weights}))


def constant(model: Model, name: str) -> Array:
    """The content of an initializer."""
    return np.asarray(model.graph.graph.initializers[name].const_value.numpy())


def test_a_model_learns_and_pruned_weights_stay_zero(
    pruned: Model, coloured: Callable[[int], Batch], as_training_data: Callable[..., TrainingData]
) -> None:
    train, unseen = as_training_data(coloured(300)), coloured(200)
    spec = f"finetune:{SHORT}"
    trained = compress(pruned, [parse_pass(spec)], train=train)
    assert accuracy(pruned, unseen) < 0.6
    assert accuracy(trained, unseen) > 0.85
    before, after = constant(pruned, "w1"), constant(trained, "w1")
    np.testing.assert_array_equal(after[before == 0], 0)
    assert (after != before).sum() > before.size / 4
    assert trained.history == (str(parse_pass(spec)),)
    assert trained.inputs == pruned.inputs


def test_frozen_nodes_stay(
    small_cnn: Model, coloured: Callable[[int], Batch], as_training_data: Callable[..., Any]
) -> None:
    train = as_training_data(coloured(100))
    spec = parse_pass("finetune:epochs=1,lr=0.01,batch=16,freeze=dense+depth*,validation=0.2")
    trained = compress(small_cnn, [spec], train=train)
    for name in ("w2", "b2", "w3", "b3"):
        np.testing.assert_array_equal(constant(trained, name), constant(small_cnn, name))
    assert not np.array_equal(constant(trained, "w1"), constant(small_cnn, "w1"))


def test_labels_are_needed(small_cnn: Model, make_data: Callable[..., CalibrationData]) -> None:
    data = make_data(x=np.zeros((20, 3, 8, 8), np.float32))
    with pytest.raises(EdgecompError, match=r"give --train"):
        compress(small_cnn, [parse_pass("finetune")], data)


def test_pytorch_is_named_where_it_is_missing(
    small_cnn: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_passes, "find_spec", lambda name: None)
    with pytest.raises(EdgecompError, match=r"finetune: training needs PyTorch.*edgecomp\[train\]"):
        compress(small_cnn, [parse_pass("finetune")])


def test_the_command_line_keeps_no_checkpoints_of_finished_work(
    small_cnn: Model,
    coloured: Callable[[int], Batch],
    as_training_data: Callable[..., TrainingData],
    tmp_path: Path,
) -> None:
    from edgecomp.cli import main
    from edgecomp.compress import save_model

    save_model(small_cnn, tmp_path / "net.onnx")
    train = as_training_data(coloured(60))
    output = tmp_path / "out.onnx"
    command = ["compress", str(tmp_path / "net.onnx"), "-p", "finetune:epochs=2,batch=16"]
    assert main([*command, "--train", str(train.samples.path), "-o", str(output)]) == 0
    assert output.is_file()
    assert not (tmp_path / "out.checkpoints").exists()
