"""What tests of the command line share: a way to call it, and what the demo leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgecomp.cli import main

Arguments = Callable[..., "Answer"]


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON on standard output."""
        assert self.code == 0, self.err
        return self.parsed

    @property
    def parsed(self) -> Any:
        """The JSON on standard output, whatever the exit code."""
        return json.loads(self.out)

    @property
    def sentences(self) -> list[str]:
        """The sentences on standard error, without the program's name, each with its table."""
        assert "Traceback" not in self.err
        found: list[str] = []
        for line in self.err.splitlines():
            if found and line.startswith("  "):
                found[-1] += f"\n{line}"
            else:
                assert line.startswith("edgecomp: ")
                found.append(line.removeprefix("edgecomp: "))
        return found


@pytest.fixture
def edgecomp(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Arguments:
    """Call the command line in this process, with room for every column."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return call


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder the demo wrote: models, data and artifacts the other tests work with."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    assert main(["demo", "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def save_node() -> Callable[..., Path]:
    """Write a model of one node `odd` from `x` to `y`, both float32."""

    def save(path: Path, op: str, shape: list[int | str], *weights: np.ndarray) -> Path:
        names = [f"weights_{index}" for index in range(len(weights))]
        graph = helper.make_graph(
            [helper.make_node(op, ["x", *names], ["y"], name="odd")],
            "one",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(w, n) for w, n in zip(weights, names, strict=True)],
        )
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
        return path

    return save
