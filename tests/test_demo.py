"""The demo's data are split as documented, and its model is as good as documented."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from edgecomp.demo import INPUT_NAME, load_split, model_path
from edgecomp.errors import EdgecompError


def test_the_split_is_stratified_and_always_the_same() -> None:
    (train, test), (again, _) = load_split(), load_split()
    assert (len(train["labels"]), len(test["labels"])) == (1347, 450)
    assert test[INPUT_NAME].shape[1:] == (1, 8, 8)
    assert test[INPUT_NAME].dtype == np.float32
    assert (test[INPUT_NAME].min(), test[INPUT_NAME].max()) == (0, 1)
    assert np.array_equal(train[INPUT_NAME], again[INPUT_NAME])
    assert set(np.bincount(test["labels"])) <= {43, 44, 45, 46}


def test_no_test_image_was_trained_on() -> None:
    train, test = load_split()
    seen = {image.tobytes() for image in train[INPUT_NAME]}
    assert not any(image.tobytes() in seen for image in test[INPUT_NAME])


def test_the_model_is_small_accurate_and_of_many_kinds_of_layers() -> None:
    assert model_path().stat().st_size < 60_000
    model = onnx.load(model_path())
    kinds = {node.op_type for node in model.graph.node}
    assert kinds >= {"Conv", "BatchNormalization", "Relu", "MaxPool", "Add", "Gemm"}
    assert "GlobalAveragePool" in kinds
    _, test = load_split()
    session = onnxruntime.InferenceSession(model_path())
    (scores,) = session.run(["scores"], {INPUT_NAME: test[INPUT_NAME]})
    assert (scores.argmax(1) == test["labels"]).mean() >= 0.98


def test_a_missing_scikit_learn_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(EdgecompError, match=r"pip install 'edgecomp\[demo\]'"):
        load_split()
