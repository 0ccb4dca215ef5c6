"""What tests of every area share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import onnx.parser
import pytest
import tflite
from hypothesis import settings
from onnx import numpy_helper

from edgecomp.importers.onnx import normalise
from edgecomp.model import Model

# Each run draws other examples on a developer's machine; CI's are the same every time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
Array = npt.NDArray[Any]

# Operators the reference kernels of tflite-runtime 2.14 do not register.
WITHOUT_REFERENCE = frozenset({"CEIL", "CUMSUM", "ELU", "ROUND"})

# The lowest version of an operator that has a reference kernel, where that is not 1.
VERSIONS = {"BROADCAST_TO": 2}
SHARED_ABSENT = "needs the models and data of ../shared, which is absent"


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference models and data beside the project.

    Without it a test is skipped and counted in the summary; under CI=true it fails.
    """
    if SHARED.is_dir():
        return SHARED
    if os.environ.get("CI") == "true":
        pytest.fail(SHARED_ABSENT, pytrace=False)
    pytest.skip(SHARED_ABSENT)


@pytest.fixture
def make_model() -> Callable[[str, Mapping[str, Array]], Model]:
    """Imports a graph given as text, `net (float[4] x) => (float[4] y) {...}`, and constants."""

    def make(text: str, constants: Mapping[str, Array]) -> Model:
        header = '<ir_version: 10, opset_import: ["" : 21]>'
        proto = onnx.parser.parse_model(header + text)
        proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in constants.items())
        return normalise(proto, {}, {}, "net")

    return make


@pytest.fixture
def floats(rng: np.random.Generator) -> Callable[..., Array]:
    """Normally distributed float32 of a shape; a folder's `rng` is what they are drawn from."""

    def make(*shape: int, scale: float = 1.0) -> Array:
        return (rng.normal(size=shape) * scale).astype(np.float32)

    return make


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last how many tests were skipped for want of ../shared."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(SHARED_ABSENT in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.write_line(f"{count} tests skipped: each {SHARED_ABSENT}", yellow=True)


@dataclass(frozen=True)
class Operand:
    """A tensor of a single-operator TFLite model.

    Attributes:
        shape: as TFLite orders it.
        scale: one scale, or one for each channel along `axis`; empty for none.
        zero_point: of every channel.
        dtype: numpy name.
        axis: the channel axis of `scale`.
        data: content of a constant; None for an input or output.
        variable: whether the operator keeps it from one run to the next.
    """

    shape: tuple[int, ...]
    scale: tuple[float, ...] = ()
    zero_point: int = 0
    dtype: str = "int8"
    axis: int = 0
    data: Array | None = None
    variable: bool = False


@dataclass(frozen=True)
class SingleOp:
    """A TFLite model of one operator, and how to run it with the reference kernels.

    Attributes:
        name: of the operator in tflite.BuiltinOperator.
        operands: what it reads; None for one left out.
        result: what it writes.
        options: fields of its options table `table`, named as in the schema.
        others: what it writes beside `result`.
        intermediates: what has a scale within it.
    """

    name: str
    operands: tuple[Operand | None, ...]
    result: Operand
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Operand, ...] = ()
    intermediates: tuple[Operand, ...] = ()

    def run(self, *inputs: Array) -> Array:
        """The reference kernel's first output for the operands that are not constant."""
        return self.run_all(*inputs)[0]

    def run_all(self, *inputs: Array) -> list[Array]:
        """Every output."""
        return self.stream([inputs])[0]

    def stream(self, runs: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """Every output of several runs, one after the other."""
        from tflite_runtime.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.BUILTIN_REF
        if self.name in WITHOUT_REFERENCE:
            resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(
            model_content=self.model(), experimental_op_resolver_type=resolver
        )
        interpreter.allocate_tensors()
        details, results = interpreter.get_output_details(), []
        for inputs in runs:
            for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
                interpreter.set_tensor(detail["index"], array)
            interpreter.invoke()
            results.append([interpreter.get_tensor(detail["index"]) for detail in details])
        return results

    def model(self) -> bytes:
        """The file."""
        b = flatbuffers.Builder(1024)
        given = [operand for operand in self.operands if operand is not None]
        tensors = [*given, self.result, *self.others, *self.intermediates]
        buffers = [_buffer(b, None), *(_buffer(b, tensor.data) for tensor in tensors)]
        tensor_tables = [_tensor(b, tensor, i + 1) for i, tensor in enumerate(tensors)]
        fed = [
            i for i, operand in enumerate(given) if operand.data is None and not operand.variable
        ]
        operator = self._operator(b)
        graph = _table(
            b,
            "SubGraph",
            Tensors=_offsets(b, tensor_tables),
            Inputs=b.CreateNumpyVector(np.array(fed, np.int32)),
            Outputs=b.CreateNumpyVector(self._results()),
            Operators=_offsets(b, [operator]),
        )
        code = getattr(tflite.BuiltinOperator, self.name)
        model = _table(
            b,
            "Model",
            Version=3,
            OperatorCodes=_offsets(
                b, [_table(b, "OperatorCode", **_code(code, VERSIONS.get(self.name, 1)))]
            ),
            Subgraphs=_offsets(b, [graph]),
            Buffers=_offsets(b, buffers),
        )
        b.Finish(model, b"TFL3")
        return bytes(b.Output())

    def _results(self) -> Array:
        first = len(self.operands) - self.operands.count(None)
        return np.arange(first, first + 1 + len(self.others), dtype=np.int32)

    def _reads(self) -> Array:
        """Tensor numbers of the operands, -1 for one left out."""
        given = np.array([operand is not None for operand in self.operands])
        return np.where(given, np.cumsum(given) - 1, -1).astype(np.int32)

    def _operator(self, b: Any) -> int:
        fields: dict[str, Any] = {}
        if self.table:
            values = {
                key: b.CreateNumpyVector(value) if isinstance(value, np.ndarray) else value
                for key, value in self.options.items()
            }
            fields["BuiltinOptions"] = _table(b, self.table, **values)
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, self.table)
        fields["Inputs"] = b.CreateNumpyVector(self._reads())
        fields["Outputs"] = b.CreateNumpyVector(self._results())
        if self.intermediates:
            first = self._results()[-1] + 1
            inner = np.arange(first, first + len(self.intermediates), dtype=np.int32)
            fields["Intermediates"] = b.CreateNumpyVector(inner)
        return _table(b, "Operator", OpcodeIndex=0, **fields)


def _table(b: Any, name: str, **fields: Any) -> int:
    """A flatbuffer table; vectors and sub-tables must be written before."""
    getattr(tflite, f"{name}Start")(b)
    for key, value in fields.items():
        getattr(tflite, f"{name}Add{key}")(b, value)
    return int(getattr(tflite, f"{name}End")(b))


def _offsets(b: Any, tables: Sequence[int]) -> int:
    b.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        b.PrependUOffsetTRelative(table)
    return int(b.EndVector())


def _code(code: int, version: int) -> dict[str, int]:
    return {"DeprecatedBuiltinCode": min(code, 127), "BuiltinCode": code, "Version": version}


def _buffer(b: Any, data: Array | None) -> int:
    if data is None:
        return _table(b, "Buffer")
    content = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    return _table(b, "Buffer", Data=b.CreateNumpyVector(content))


def _tensor(b: Any, tensor: Operand, buffer: int) -> int:
    fields: dict[str, Any] = {}
    if tensor.scale:
        fields["Quantization"] = _table(
            b,
            "QuantizationParameters",
            Scale=b.CreateNumpyVector(np.array(tensor.scale, np.float32)),
            ZeroPoint=b.CreateNumpyVector(np.full(len(tensor.scale), tensor.zero_point, np.int64)),
            QuantizedDimension=tensor.axis,
        )
    shape = b.CreateNumpyVector(np.array(tensor.shape, np.int32))
    kind = getattr(tflite.TensorType, tensor.dtype.upper())
    if tensor.variable:
        fields["IsVariable"] = True
    return _table(b, "Tensor", Shape=shape, Type=kind, Buffer=buffer, **fields)


@pytest.fixture(scope="session")
def tflite_op() -> tuple[type[SingleOp], type[Operand]]:
    """The classes that describe and run a single operator in TFLite."""
    return SingleOp, Operand
