"""Models for the importer's tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model in ONNX's text form to a file: `save(text, w=array)`.

    A text without its own header gets that of opset 17. Arrays become initializers.
    """

    def write(text: str, **constants: npt.NDArray[Any]) -> Path:
        proto = onnx.parser.parse_model(text if text.startswith("<") else HEADER + text)
        for name, array in constants.items():
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        path = tmp_path / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        return path

    return write


@pytest.fixture
def original() -> Callable[..., list[npt.NDArray[Any]]]:
    """Runs the file itself, not the imported model, in onnxruntime."""

    def run(path: Path, inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options)
        outputs: list[npt.NDArray[Any]] = session.run(None, dict(inputs))
        return outputs

    return run
