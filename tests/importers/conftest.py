"""Models for the importer's tests, and what compares a TFLite operator with its reference."""

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

from edgecomp.device import load_device
from edgecomp.graph.values import dtype_of
from edgecomp.importers import load
from edgecomp.pipeline import compile_model
from edgecomp.reference import Executor
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session
from tests.tflite_cases.draw import Case, Draw

Array = npt.NDArray[Any]

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


@pytest.fixture
def check_tflite(tflite_op: Any, tmp_path: Path) -> Callable[..., None]:
    """`check_tflite(name, case, dtype, seed, steps)`: the imported operator does what TFLite does.

    Float results agree within float32 rounding, integer ones within `steps`.
    """
    single_op, operand = tflite_op

    def check(
        name: str,
        case: Case,
        dtype: str,
        seed: int,
        steps: float,
        hybrid: bool = False,
    ) -> None:
        draw = Draw(np.random.default_rng(seed), dtype, operand, hybrid)
        spec = case(draw)
        op = single_op(name, spec.operands, spec.result, spec.table, spec.options, spec.others)
        wanted = op.run_all(*draw.fed)
        path = tmp_path / "op.tflite"
        path.write_bytes(op.model())
        results = (spec.result, *spec.others)
        for got, want, tensor in zip(_imported(path, draw.fed), wanted, results, strict=True):
            assert got.shape == want.shape
            if tensor.scale:
                exact = got.astype(np.float64) / tensor.scale[0] + tensor.zero_point
                difference = np.abs(np.rint(exact) - want.astype(np.float64))
                assert difference.max(initial=0) <= steps
            elif want.dtype == bool:  # real numbers a rounding apart are equal in integers
                assert np.count_nonzero(got != want) <= steps * (1 + want.size // 100)
            elif want.dtype == np.float32:
                np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
            else:
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(got, want)

    return check


def _imported(path: Path, fed: list[Array]) -> list[Array]:
    """The outputs of the imported graph: real numbers where the file has integers with a scale."""
    model = load(path)
    feed = {}
    executor = Executor(model.graph)
    for value, array in zip(model.graph.graph.inputs, fed, strict=True):
        scale = _grid_of(value)
        if scale is not None and array.dtype != np.float32:
            steps = array.astype(np.float32) - np.float32(scale[1])
            array = (steps * scale[0]).astype(np.float32)
        feed[str(value.name)] = np.asarray(array, dtype_of(value))
    outputs = executor.run(feed)
    return [outputs[spec.name] for spec in model.outputs]


def _grid_of(value: Any) -> tuple[np.float32, int] | None:
    """Scale and zero point with which an input of the graph is quantized at once."""
    for node, _ in value.uses():
        if node.op_type == "QuantizeLinear":
            scale, zero_point = (node.inputs[i].const_value.numpy() for i in (1, 2))
            return np.float32(scale), int(zero_point)
    return None


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., list[Array]]:
    """Compiles a single operator with a state, and gives the first output of each run."""

    def run(op: Any, runs: list[list[Array]], device: str = "host") -> list[Array]:
        path = tmp_path / "op.tflite"
        path.write_bytes(op.model())
        manifest = compile_model(load(path), load_device(device), tmp_path / "op.edge")
        assert manifest.memory.state_bytes > 0
        with Session(open_artifact(tmp_path / "op.edge"), carry=True) as session:
            rows = [session.run(list(inputs)) for inputs in runs]
        return [row[manifest.outputs[0].name] for row in rows]

    return run
