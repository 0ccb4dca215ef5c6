"""Models for the importer's tests, and what compares a TFLite operator with its reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
from edgecomp.importers import load
from edgecomp.pipeline import compile_model
from edgecomp.reference import Executor
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

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


@dataclass(frozen=True)
class Spec:
    """One operator as a case describes it: operands, results and options."""

    operands: tuple[Any, ...]
    result: Any
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Any, ...] = ()


@dataclass
class Draw:
    """Random parts of one case.

    Attributes:
        random: the source.
        dtype: "float32" or "int8", of what the operator reads and makes.
        operand: the class that describes a tensor.
        hybrid: whether weights are int8 though activations are float32.
        fed: input arrays, in the order of operands.
    """

    random: np.random.Generator
    dtype: str
    operand: Any
    hybrid: bool = False
    fed: list[Array] = field(default_factory=list)

    def size(self, low: int = 1, high: int = 6) -> int:
        return int(self.random.integers(low, high + 1))

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        rank = self.size(1, 4) if rank is None else rank
        return tuple(self.size() for _ in range(rank))

    def image(self, low: int = 3) -> tuple[int, int, int, int]:
        return (self.size(1, 2), self.size(low, 9), self.size(low, 9), self.size(1, 5))

    def pick(self, choices: Any) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def grid(self) -> tuple[tuple[float, ...], int]:
        scale = float(np.float32(10 ** self.random.uniform(-2.5, -0.5)))
        return (scale,), int(self.random.integers(-128, 128))

    def numbers(self, shape: tuple[int, ...], low: float = -4.0, high: float = 4.0) -> Array:
        if self.dtype == "int8":
            return self.random.integers(-128, 128, shape).astype(np.int8)
        return self.random.uniform(low, high, shape).astype(np.float32)

    def feed(self, shape: tuple[int, ...], grid: Any = None, **limits: float) -> Any:
        """An input of the case's element type."""
        self.fed.append(self.numbers(shape, **limits))
        return self.tensor(shape, grid)

    def spec(
        self,
        operands: tuple[Any, ...],
        result: Any,
        table: str = "",
        options: Mapping[str, Any] | None = None,
        others: tuple[Any, ...] = (),
    ) -> Spec:
        """What a case returns."""
        return Spec(operands, result, table, options or {}, others)

    def tensor(self, shape: tuple[int, ...], grid: Any = None) -> Any:
        """A result; an int8 one has a random grid unless one is given."""
        if self.dtype != "int8":
            return self.operand(shape, dtype=self.dtype)
        scale, zero_point = grid or self.grid()
        return self.operand(shape, scale, zero_point)

    def constant(self, content: Any, dtype: str = "int32") -> Any:
        array = np.asarray(content, dtype)
        return self.operand(array.shape, dtype=dtype, data=array)

    def weights(self, shape: tuple[int, ...], axis: int | None, source: Any) -> tuple[Any, Any]:
        """Weights and a bias; int8 weights have a scale for each index of `axis`, or one."""
        units = shape[0] if axis is None else shape[axis]
        if self.dtype != "int8" and not self.hybrid:
            content = self.random.normal(0, 0.3, shape).astype(np.float32)
            bias = self.random.normal(0, 0.3, units).astype(np.float32)
            return self.constant(content, "float32"), self.constant(bias, "float32")
        count = 1 if axis is None else units
        scales = (10 ** self.random.uniform(-3, -1.5, count)).astype(np.float32)
        content = self.random.integers(-127, 128, shape).astype(np.int8)
        weights = self.operand(shape, tuple(map(float, scales)), axis=axis or 0, data=content)
        if self.hybrid:
            return weights, self.constant(self.random.normal(0, 0.3, units), "float32")
        product = tuple(float(np.float32(source.scale[0]) * s) for s in scales)
        bias = self.random.integers(-3000, 3000, units).astype(np.int32)
        return weights, self.operand((units,), product, dtype="int32", data=bias)


@pytest.fixture
def check_tflite(tflite_op: Any, tmp_path: Path) -> Callable[..., None]:
    """`check_tflite(name, case, dtype, seed, steps)`: the imported operator does what TFLite does.

    Float results agree within float32 rounding, integer ones within `steps`.
    """
    single_op, operand = tflite_op

    def check(
        name: str,
        case: Callable[[Draw], Spec],
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
            elif want.dtype == np.float32:
                np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
            else:
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(got, want)

    return check


@pytest.fixture(scope="session")
def check_compiled(tflite_op: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """`check_compiled(name, case, seed)`: the int8 operator, compiled, has TFLite's bits."""
    single_op, operand = tflite_op
    folder = tmp_path_factory.mktemp("compiled")

    def check(name: str, case: Callable[[Draw], Spec], seed: int) -> None:
        draw = Draw(np.random.default_rng(seed), "int8", operand)
        spec = case(draw)
        op = single_op(name, spec.operands, spec.result, spec.table, spec.options, spec.others)
        (folder / "op.tflite").write_bytes(op.model())
        manifest = compile_model(
            load(folder / "op.tflite"), load_device("host"), folder / "op.edge"
        )
        with Session(open_artifact(folder / "op.edge")) as session:
            outputs = session.run(list(draw.fed))
        for spec_out, wanted in zip(manifest.outputs, op.run_all(*draw.fed), strict=True):
            assert outputs[spec_out.name].dtype == wanted.dtype
            np.testing.assert_array_equal(outputs[spec_out.name], wanted)

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
        feed[str(value.name)] = array
    outputs = executor.run(feed)
    return [outputs[spec.name] for spec in model.outputs]


def _grid_of(value: Any) -> tuple[np.float32, int] | None:
    """Scale and zero point with which an input of the graph is quantized at once."""
    for node, _ in value.uses():
        if node.op_type == "QuantizeLinear":
            scale, zero_point = (node.inputs[i].const_value.numpy() for i in (1, 2))
            return np.float32(scale), int(zero_point)
    return None
