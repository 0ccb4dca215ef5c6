"""Passes in order, and a file written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress, save_model, statistics
from edgecomp.errors import EdgecompError
from edgecomp.history import HISTORY_KEY
from edgecomp.importers import load
from edgecomp.importers.onnx import normalise
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.options import option
from edgecomp.passes.quantize import Quantize
from edgecomp.reference import Executor


@dataclass(frozen=True)
class Rename(Pass):
    """Give the first node another operator."""

    name: ClassVar[str] = "rename"
    summary: ClassVar[str] = "for these tests"

    op: str = option("Relu", "the operator")

    def apply(self, model: Model, context: Context) -> Model:
        """The model with the operator changed."""
        graph = model.graph.clone()
        graph.graph[0].op_type = self.op
        return model.with_graph(graph, str(self))


@pytest.fixture
def model() -> Model:
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> net (float[1,3] x) => (float[1,2] y) '
        "{ [act] h = Relu (x) [dense] y = MatMul (h, w) }"
    )
    weights = np.array([[1, -2], [3, 4], [-5, 6]], np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    return normalise(proto, {}, {}, "net")


@pytest.fixture
def data(tmp_path: Path) -> CalibrationData:
    values = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=values)
    return CalibrationData(tmp_path / "data.npz")


def test_passes_are_applied_in_order(model: Model, data: CalibrationData) -> None:
    result = compress(model, [Rename("Abs"), Rename("Elu"), Quantize()], data)
    assert result.history == ("rename:op=Abs", "rename:op=Elu", str(Quantize()))
    assert [n.op_type for n in result.graph.graph if n.name == "act"] == ["Elu"]


def test_a_pass_that_breaks_the_model_is_named(model: Model) -> None:
    with pytest.raises(EdgecompError, match="rename:op=Nonsense: the pass left a broken model"):
        compress(model, [Rename("Abs"), Rename("Nonsense")])


def test_statistics(model: Model, data: CalibrationData) -> None:
    before, after = statistics(model), statistics(compress(model, [Quantize()], data))
    assert (before.params, before.macs, before.bytes) == (6, 6, 24)
    assert (after.params, after.macs) == (6, 6)


def test_a_file_keeps_meaning_and_history(
    model: Model, data: CalibrationData, tmp_path: Path
) -> None:
    result = compress(model, [Quantize()], data)
    save_model(result, tmp_path / "out.onnx")
    again = load(tmp_path / "out.onnx")
    assert again.history == result.history
    for feed in data.samples(model.inputs):
        one, other = (Executor(m.graph).run(feed)["y"] for m in (result, again))
        assert np.array_equal(one, other)


def test_the_same_model_gives_the_same_bytes(
    model: Model, data: CalibrationData, tmp_path: Path
) -> None:
    for name in ("one.onnx", "two.onnx"):
        save_model(compress(model, [Quantize()], data), tmp_path / name)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_a_damaged_history_is_told(model: Model, tmp_path: Path) -> None:
    graph = model.graph.clone()
    graph.metadata_props[HISTORY_KEY] = "prune"
    (tmp_path / "m.onnx").write_bytes(ir.to_proto(graph).SerializeToString())
    with pytest.raises(EdgecompError, match=f"{HISTORY_KEY}: the entry is no JSON list"):
        load(tmp_path / "m.onnx")


def test_an_interrupted_write_leaves_the_old_file(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.onnx"
    path.write_bytes(b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, path)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["out.onnx"]


@pytest.mark.parametrize("name", ["absent/out.onnx", "out.tflite"])
def test_places_that_cannot_be_written(model: Model, tmp_path: Path, name: str) -> None:
    with pytest.raises(EdgecompError, match=name):
        save_model(model, tmp_path / name)
    assert not list(tmp_path.iterdir())
