"""Kernels compiled for this machine, and single operators run by TFLite's reference kernels."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import pytest
import tflite
from tflite_runtime.interpreter import Interpreter, OpResolverType

from edgecomp.lowering.codegen import KernelSource, generate_c
from edgecomp.lowering.schedules import schedule_kernel
from edgecomp.program import Kernel
from edgecomp.toolchain import zig

CSRC = Path(__file__).parents[2] / "edgecomp" / "lowering" / "csrc"

# Operators the reference kernels of tflite-runtime 2.14 do not register.
WITHOUT_REFERENCE = frozenset({"ELU"})

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Compiled:
    """One kernel as a Python function: input arrays in, output array out."""

    function: Callable[..., None]
    source: KernelSource
    func: Any

    def __call__(self, *inputs: Array) -> Array:
        buffers = list(self.func.params)
        given = [np.asarray(x, order="C") for x in inputs]
        for array, buffer in zip(given, buffers, strict=False):
            assert array.shape == tuple(int(n) for n in buffer.shape)
            assert str(array.dtype) == str(buffer.dtype)
        (out,) = buffers[len(given) :]
        result = np.zeros([int(n) for n in out.shape], str(out.dtype))
        scratch = [np.empty(w.shape, w.dtype) for w in self.source.workspaces]
        arrays = [*given, result, *scratch]
        self.function(*(ctypes.c_void_p(x.ctypes.data) for x in arrays))
        return result


@pytest.fixture(scope="session")
def compile_kernels(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Sequence[tuple[Any, str]]], list[Compiled]]:
    """`compile_kernels([(TIR function, schedule name), ...])`: one compilation for all of them."""
    numbers = itertools.count()
    folder = tmp_path_factory.mktemp("kernels")

    def compile_all(kernels: Sequence[tuple[Any, str]]) -> list[Compiled]:
        sources = [
            generate_c(schedule_kernel(Kernel("kernel", schedule_as, func)).func)
            for func, schedule_as in kernels
        ]
        text = ["#include <edgecomp_kernel.h>"]
        for i, source in enumerate(sources):
            text.append(source.define(f"kernel{i}"))
            arguments = ", ".join(f"p[{k}]" for k in range(len(source.parameters)))
            text.append(f"void run{i}(void **p) {{ kernel{i}({arguments}); }}")
        stem = f"batch{next(numbers)}"
        (folder / f"{stem}.c").write_text("\n".join(text) + "\n")
        options = ["-O2", "-std=c99", "-ffp-contract=off", "-fPIC", "-shared", f"-I{CSRC}"]
        zig(["cc", *options, f"{stem}.c", "-o", f"{stem}.so"], folder)
        library = ctypes.CDLL(str(folder / f"{stem}.so"))

        def caller(i: int) -> Callable[..., None]:
            return lambda *p: getattr(library, f"run{i}")((ctypes.c_void_p * len(p))(*p))

        return [
            Compiled(caller(i), source, func)
            for i, (source, (func, _)) in enumerate(zip(sources, kernels, strict=True))
        ]

    return compile_all


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
    """

    shape: tuple[int, ...]
    scale: tuple[float, ...] = ()
    zero_point: int = 0
    dtype: str = "int8"
    axis: int = 0
    data: Array | None = None


@dataclass(frozen=True)
class SingleOp:
    """A TFLite model of one operator, and how to run it with the reference kernels.

    Attributes:
        name: of the operator in tflite.BuiltinOperator.
        operands: what it reads.
        result: what it writes.
        options: fields of its options table `table`, named as in the schema.
    """

    name: str
    operands: tuple[Operand, ...]
    result: Operand
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(self, *inputs: Array) -> Array:
        """The reference kernel's output for the operands that are not constant."""
        resolver = OpResolverType.BUILTIN_REF
        if self.name in WITHOUT_REFERENCE:
            resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(
            model_content=self._model(), experimental_op_resolver_type=resolver
        )
        interpreter.allocate_tensors()
        for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        result: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        return result

    def _model(self) -> bytes:
        b = flatbuffers.Builder(1024)
        tensors = [*self.operands, self.result]
        buffers = [_buffer(b, None), *(_buffer(b, tensor.data) for tensor in tensors)]
        tensor_tables = [_tensor(b, tensor, i + 1) for i, tensor in enumerate(tensors)]
        fed = [i for i, operand in enumerate(self.operands) if operand.data is None]
        operator = self._operator(b)
        graph = _table(
            b,
            "SubGraph",
            Tensors=_offsets(b, tensor_tables),
            Inputs=b.CreateNumpyVector(np.array(fed, np.int32)),
            Outputs=b.CreateNumpyVector(np.array([len(self.operands)], np.int32)),
            Operators=_offsets(b, [operator]),
        )
        code = getattr(tflite.BuiltinOperator, self.name)
        model = _table(
            b,
            "Model",
            Version=3,
            OperatorCodes=_offsets(b, [_table(b, "OperatorCode", **_code(code))]),
            Subgraphs=_offsets(b, [graph]),
            Buffers=_offsets(b, buffers),
        )
        b.Finish(model, b"TFL3")
        return bytes(b.Output())

    def _operator(self, b: Any) -> int:
        fields: dict[str, Any] = {}
        if self.table:
            values = {
                key: b.CreateNumpyVector(value) if isinstance(value, np.ndarray) else value
                for key, value in self.options.items()
            }
            fields["BuiltinOptions"] = _table(b, self.table, **values)
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, self.table)
        fields["Inputs"] = b.CreateNumpyVector(np.arange(len(self.operands), dtype=np.int32))
        fields["Outputs"] = b.CreateNumpyVector(np.array([len(self.operands)], np.int32))
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


def _code(code: int) -> dict[str, int]:
    return {"DeprecatedBuiltinCode": min(code, 127), "BuiltinCode": code, "Version": 1}


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
    return _table(b, "Tensor", Shape=shape, Type=kind, Buffer=buffer, **fields)


@pytest.fixture(scope="session")
def tflite_op() -> tuple[type[SingleOp], type[Operand]]:
    """The classes that describe and run a single operator in TFLite."""
    return SingleOp, Operand
