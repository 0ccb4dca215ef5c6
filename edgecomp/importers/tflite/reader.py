"""Read a .tflite file into `Subgraph`s: nothing the file says is believed before it is checked.

The format is a flatbuffer: offsets that may point anywhere, and lengths that may be anything. The
generated accessors of the `tflite` package read within the buffer or raise, and every vector's
length is compared with the size of the file before the vector is walked.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.importers.inputs import MAX_ELEMENTS
from edgecomp.importers.onnx_file import FOREIGN, MAX_BYTES
from edgecomp.importers.tflite.file import Array, Operator, Scales, Subgraph, Tensor
from edgecomp.importers.tflite.schema import DTYPES, OPERATORS, OPTIONS, VECTORS, WITHOUT_NUMBERS
from edgecomp.importers.tflite.sparse import densified
from edgecomp.importers.tflite.wiring import miswired

SCHEMA_VERSION = 3
IDENTIFIER = b"TFL3"

DAMAGED = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError)
"""What the accessors raise for an offset that leads nowhere."""

_SHARED_FACTOR = 4
"""Tables may share vectors and names: how often the file's bytes may be read in all."""


def read_file(path: Path) -> tuple[Subgraph, ...]:
    """The graphs in `path`, the model's own first.

    Raises:
        EdgecompError: `path` cannot be read, is no TFLite model, or is damaged.
    """
    data = _read_bytes(path)
    try:
        return _Reader(data, str(path)).subgraphs()
    except DAMAGED as error:
        raise EdgecompError(
            Reason("the file is damaged or truncated", str(path), "convert the model again")
        ) from error


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        what = "this is no regular file" if path.exists() else "there is no such file"
        raise EdgecompError(Reason(what, str(path), "name a model file"))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise EdgecompError(Reason(f"the file has more than {MAX_BYTES} bytes", str(path)))
        data = path.read_bytes()
    except OSError as error:
        raise EdgecompError(
            Reason(f"the file cannot be read ({error.strerror})", str(path))
        ) from error
    for start, what in FOREIGN.items():
        if data.startswith(start):
            raise EdgecompError(Reason(f"this is {what.replace('ONNX', 'TFLite')}", str(path)))
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise EdgecompError(
            Reason(
                "the file is no TFLite model: it does not have TFL3 at byte 4",
                str(path),
                "convert the model again",
            )
        )
    return data


class _Reader:
    """Walks the tables of one file; `_left` bounds what is read in all."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data = data
        self._where = where
        self._left = _SHARED_FACTOR * len(data)
        self._model = tflite.Model.GetRootAsModel(data, 0)

    def subgraphs(self) -> tuple[Subgraph, ...]:
        version = self._model.Version()
        if version != SCHEMA_VERSION:
            raise EdgecompError(
                Reason(
                    f"the schema has version {version}, version {SCHEMA_VERSION} is known",
                    self._where,
                    "convert the model again",
                )
            )
        buffers = self._vector(self._model, "Buffers")
        codes = [self._operator_name(code) for code in self._vector(self._model, "OperatorCodes")]
        graphs = tuple(
            self._subgraph(graph, buffers, codes)
            for graph in self._vector(self._model, "Subgraphs")
        )
        if not graphs or not graphs[0].operators:
            raise EdgecompError(Reason("the file holds no operators", self._where))
        return graphs

    def _spend(self, count: int) -> None:
        self._left -= count
        if count < 0 or self._left < 0:
            raise EdgecompError(
                Reason("vectors in the file are longer than the file", self._where, "it is damaged")
            )

    def _vector(self, table: Any, field: str) -> list[Any]:
        """The tables of a vector of tables."""
        count = getattr(table, f"{field}Length")()
        self._spend(4 * count)
        return [getattr(table, field)(index) for index in range(count)]

    def _numbers(self, table: Any, field: str, dtype: type[Any]) -> Array:
        """A vector of numbers; empty where it is absent."""
        count = getattr(table, f"{field}Length")()
        self._spend(np.dtype(dtype).itemsize * count)
        if count == 0:
            return np.zeros(0, dtype)
        return np.asarray(getattr(table, f"{field}AsNumpy")(), dtype)

    def _text(self, value: bytes | None) -> str:
        text = value or b""
        self._spend(len(text))
        return text.decode("utf-8", "replace")

    def _operator_name(self, code: Any) -> str:
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = OPERATORS.get(number, f"number {number}")
        return f"CUSTOM {self._text(code.CustomCode())}" if name == "CUSTOM" else name

    def _subgraph(self, graph: Any, buffers: list[Any], codes: list[str]) -> Subgraph:
        names: set[str] = set()
        reasons: list[Reason] = []
        tensors = []
        for index, table in enumerate(self._vector(graph, "Tensors")):
            name = _unique(self._text(table.Name()) or f"tensor_{index}", names)
            try:
                tensors.append(self._tensor(table, name, buffers))
            except EdgecompError as error:
                reasons += error.reasons
        raise_if_any(reasons)
        operators = [
            self._operator(table, codes, len(tensors)) for table in self._vector(graph, "Operators")
        ]
        inputs = self._indices(graph, "Inputs", len(tensors))
        outputs = self._indices(graph, "Outputs", len(tensors))
        found = Subgraph(tuple(tensors), inputs, outputs, tuple(operators))
        raise_if_any(list(miswired(found)))
        return found

    def _indices(self, table: Any, field: str, count: int) -> tuple[int, ...]:
        indices = tuple(int(i) for i in self._numbers(table, field, np.int32))
        if any(not 0 <= index < count for index in indices):
            raise EdgecompError(
                Reason(
                    f"{field.lower()} name tensors that do not exist", self._where, "it is damaged"
                )
            )
        return indices

    def _tensor(self, table: Any, name: str, buffers: list[Any]) -> Tensor:
        shape = tuple(int(dim) for dim in self._numbers(table, "Shape", np.int32))
        dtype = DTYPES.get(table.Type())
        if dtype is None:
            raise EdgecompError(
                Reason(f"its element type, number {table.Type()}, is unknown", name)
            )
        if any(dim < 0 for dim in shape) or math.prod(shape) > MAX_ELEMENTS:
            raise EdgecompError(
                Reason(
                    f"the shape {list(shape)} is negative or has more than {MAX_ELEMENTS} elements",
                    name,
                    "convert the model again",
                )
            )
        scales = self._scales(table.Quantization(), name, shape)
        data = (
            None if dtype in WITHOUT_NUMBERS else self._content(table, name, shape, dtype, buffers)
        )
        return Tensor(name, shape, dtype, scales, data, bool(table.IsVariable()))

    def _content(
        self, table: Any, name: str, shape: tuple[int, ...], dtype: str, buffers: list[Any]
    ) -> Array | None:
        index = table.Buffer()
        if not 0 <= index < len(buffers):
            raise EdgecompError(Reason(f"its buffer, number {index}, does not exist", name))
        raw = self._bytes(buffers[index], name)
        if raw.size == 0 or (index == 0 and not math.prod(shape)):
            return None
        sparsity = table.Sparsity()
        if sparsity is not None:
            return densified(sparsity, raw, shape, dtype, name, self._spend)
        return decoded(raw, shape, dtype, name)

    def _bytes(self, buffer: Any, name: str) -> Array:
        """The bytes of a buffer, which may lie behind the flatbuffer in the same file."""
        offset, size = buffer.Offset(), buffer.Size()
        if offset <= 1:
            self._spend(0)
            count = buffer.DataLength()
            if count > len(self._data):
                self._spend(-1)
            return np.asarray(buffer.DataAsNumpy(), np.uint8) if count else np.zeros(0, np.uint8)
        if offset + size > len(self._data):
            raise EdgecompError(Reason("its data ends beyond the end of the file", name))
        return np.frombuffer(self._data, np.uint8, size, offset)

    def _scales(self, table: Any, name: str, shape: tuple[int, ...]) -> Scales | None:
        if table is None or table.ScaleLength() == 0:
            return None
        scale = self._numbers(table, "Scale", np.float32)
        zero_point = self._numbers(table, "ZeroPoint", np.int64)
        if zero_point.size == 0:
            zero_point = np.zeros(scale.size, np.int64)
        axis = table.QuantizedDimension()
        fits = zero_point.size == scale.size and (
            scale.size == 1 or (0 <= axis < len(shape) and shape[axis] == scale.size)
        )
        if not fits or not np.isfinite(scale).all() or (scale < 0).any():
            raise EdgecompError(
                Reason("its quantization does not fit its shape", name, "convert the model again")
            )
        return Scales(scale, zero_point, axis)

    def _operator(self, table: Any, codes: list[str], tensors: int) -> Operator:
        index = table.OpcodeIndex()
        if index >= len(codes):
            raise EdgecompError(Reason("an operator has no code", self._where, "it is damaged"))
        given = self._numbers(table, "Inputs", np.int32)
        inputs = tuple(None if i == -1 else int(i) for i in given)
        if any(i is not None and not 0 <= i < tensors for i in inputs):
            raise EdgecompError(
                Reason(f"a {codes[index]} reads a tensor that does not exist", self._where)
            )
        outputs = self._indices(table, "Outputs", tensors)
        custom = self._numbers(table, "CustomOptions", np.uint8).tobytes()
        within = self._indices(table, "Intermediates", tensors)
        return Operator(codes[index], inputs, outputs, self._options(table), custom, within)

    def _options(self, table: Any) -> Mapping[str, Any]:
        """The fields of the operator's options table, those of `OPTIONS` only."""
        kinds = {v: k for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
        kind = kinds.get(table.BuiltinOptionsType(), "NONE")
        union = table.BuiltinOptions()
        if union is None or kind not in OPTIONS:
            return {}
        options = getattr(tflite, kind)()
        options.Init(union.Bytes, union.Pos)
        return {
            field: tuple(int(i) for i in self._numbers(options, field, np.int32))
            if field in VECTORS
            else getattr(options, field)()
            for field in OPTIONS[kind]
        }


def decoded(raw: Array, shape: tuple[int, ...], dtype: str, name: str) -> Array:
    """`raw` bytes as an array of `shape`; int4 comes packed, two to a byte, low half first.

    Raises:
        EdgecompError: there are fewer or more bytes than the shape needs.
    """
    count = math.prod(shape)
    size = -(-count // 2) if dtype == "int4" else count * np.dtype(dtype).itemsize
    if raw.size != size:
        raise EdgecompError(
            Reason(
                f"the tensor of shape {list(shape)} needs {size} bytes but has {raw.size}",
                name,
                "the file is damaged; convert the model again",
            )
        )
    if dtype != "int4":
        return np.frombuffer(raw.tobytes(), dtype).reshape(shape)
    halves = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.int8).reshape(shape)


def _unique(name: str, taken: set[str]) -> str:
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    taken.add(unique)
    return unique
