"""What a TFLite file means: tflite-runtime with its reference kernels (BUILTIN_REF)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from edgecomp.errors import EdgecompError, Reason
from edgecomp.importers.tflite.reader import read_file
from edgecomp.importers.tflite.values import PERMUTATIONS, Layout
from edgecomp_runtime.data import from_program, to_program
from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]

STATEFUL = "VAR_HANDLE"
"""The operator whose variables live as long as their interpreter."""
OUTPUTS_FIELD = 8
"""Place of `outputs` in the vtable of a SubGraph: the third field, behind two sizes of 2 bytes."""


class TfliteRefusalError(EdgecompError):
    """tflite-runtime does not run the file; edgecomp may."""


class TfliteReference:
    """Runs a TFLite file, one sample a call.

    Args:
        path: the file, which the importer has read.
        expose: keep the tensors of every operator. Each becomes an output of the file, for
            otherwise an operator may write its result over its operand.
        carry: keep variables from one sample for the next; else each finds them as in the file.

    Raises:
        EdgecompError: tflite-runtime is not installed.
        TfliteRefusalError: it does not run the file.
    """

    def __init__(self, path: Path, expose: bool = False, carry: bool = False) -> None:
        graph = read_file(path)[0]
        self._path = path
        self._content = path.read_bytes()
        self._names = [tensor.name for tensor in graph.tensors]
        self._made = [
            index
            for operator in graph.operators
            for index in operator.outputs
            if graph.tensors[index].dtype not in ("resource", "variant", "string")
        ]
        if expose:
            self._content = exposed(self._content, self._made)
        self._outputs = graph.outputs
        self._carry = carry
        self._stateful = any(operator.name == STATEFUL for operator in graph.operators)
        self._interpreter = self._opened()
        self.inputs = tuple(tensor_spec(d) for d in self._interpreter.get_input_details())

    def reset(self) -> None:
        """Let variables start as they do in the file."""
        if self._stateful:
            self._interpreter = self._opened()
        self._interpreter.reset_all_variables()

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs for one sample, as real values.

        Args:
            inputs: real values, one array for each input of the file.

        Raises:
            TfliteRefusalError: an operator failed.
        """
        if not self._carry:
            self.reset()
        interpreter = self._interpreter
        try:
            for spec, detail, array in zip(
                self.inputs, interpreter.get_input_details(), inputs, strict=True
            ):
                interpreter.set_tensor(detail["index"], to_program(array, spec))
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise self._refusal(error) from error
        details = {d["index"]: d for d in interpreter.get_output_details()}
        return tuple(
            from_program(interpreter.get_tensor(index), tensor_spec(details[index]))
            for index in self._outputs
        )

    def values(self) -> Mapping[str, tuple[Array, TensorSpec]]:
        """What the operators made of the last sample, if exposed, with what it stands for.

        Returns:
            By the names the importer gives the tensors, in the layout of each name.
        """
        details = {d["index"]: d for d in self._interpreter.get_tensor_details()}
        found = {}
        for index in self._made:
            array, spec = self._interpreter.get_tensor(index), tensor_spec(details[index])
            for name, turned in _forms(self._names[index], array).items():
                found[name] = (turned, spec)
        return found

    def _opened(self) -> Any:
        try:
            from tflite_runtime.interpreter import Interpreter, OpResolverType
        except (ImportError, AttributeError) as error:  # built for numpy 1, it fails on numpy 2
            raise EdgecompError(
                Reason(
                    "a TFLite model is verified with tflite-runtime, which is missing",
                    str(self._path),
                    "install edgecomp[tflite]",
                )
            ) from error
        try:
            interpreter = Interpreter(
                model_content=self._content,
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            )
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise self._refusal(error) from error
        return interpreter

    def _refusal(self, error: Exception) -> TfliteRefusalError:
        what = " ".join(str(error).split())
        return TfliteRefusalError(
            Reason(f"tflite-runtime does not run it ({what})", str(self._path))
        )


def exposed(content: bytes, made: Sequence[int]) -> bytes:
    """The TFLite file `content` with the tensors `made` as outputs behind its own.

    A new vector of outputs is put behind the file, and the offset that led to the old one to it.
    """
    data = bytearray(content)
    data += b"\0" * (-len(data) % 4)
    graph = tflite.Model.GetRootAsModel(bytes(data), 0).Subgraphs(0)
    own = [graph.Outputs(index) for index in range(graph.OutputsLength())]
    outputs = list(dict.fromkeys([*own, *made]))
    field = graph._tab.Pos + graph._tab.Offset(OUTPUTS_FIELD)
    struct.pack_into("<I", data, field, len(data) - field)
    return bytes(data) + struct.pack(f"<{1 + len(outputs)}i", len(outputs), *outputs)


def _forms(name: str, array: Array) -> dict[str, Array]:
    """A tensor under the names of the ONNX values it is imported as; see `tflite.values`."""
    forms = {name: array, f"{name}_quantized": array}
    if array.ndim == 4:
        turned = array.transpose(PERMUTATIONS[Layout.IMAGE])
        forms.update({f"{name}_nchw": turned, f"{name}_nchw_quantized": turned})
    return forms


def tensor_spec(detail: Mapping[str, Any]) -> TensorSpec:
    """A tensor as its interpreter describes it; only integers of one scale stand for others."""
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    quantized = scale != 0 and dtype.kind in "iu" and dtype.itemsize <= 2
    return TensorSpec(
        name=detail["name"],
        shape=tuple(int(axis) for axis in detail["shape"]),
        dtype=dtype.name,
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )
