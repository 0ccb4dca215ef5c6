"""Read an .onnx file into a self-contained `ModelProto`: nothing outside its folder is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason, raise_if_any

MAX_BYTES = 2**31 - 1
"""Protobuf's own limit on a message; a model with its weights has to fit."""

FOREIGN: Mapping[bytes, str] = {
    b"version https://git-lfs": "a Git LFS pointer, not the model; run git lfs pull",
    b"PK\x03\x04": "a zip archive (a PyTorch file?), not ONNX; export the model with torch.onnx",
    b"\x89HDF": "an HDF5 file (Keras?), not ONNX; convert the model with tf2onnx",
    b"\x80\x02": "a Python pickle, not ONNX; export the model with torch.onnx",
    b"\x1f\x8b": "a gzip archive, not ONNX; unpack it first",
}
"""What a file that is no ONNX model is, by its first bytes."""

_FIELD_TYPES: Mapping[str, tuple[ir.DataType, ...]] = {
    "float_data": (ir.DataType.FLOAT, ir.DataType.COMPLEX64),
    "double_data": (ir.DataType.DOUBLE, ir.DataType.COMPLEX128),
    "int64_data": (ir.DataType.INT64,),
    "uint64_data": (ir.DataType.UINT64, ir.DataType.UINT32),
}


def read_proto(path: Path) -> onnx.ModelProto:
    """The model in `path` with external weights loaded.

    Raises:
        EdgecompError: `path` cannot be read, is no ONNX model, holds tensors whose data does not
            fit their shape, or names external data outside the model's folder.
    """
    proto = onnx.ModelProto()
    data = read_bytes(path)
    foreign = _foreign(data)
    if foreign:
        raise EdgecompError(Reason(f"this is {foreign}", str(path)))
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf, which has no types, raises DecodeError
        raise EdgecompError(
            Reason("the file is no ONNX model, or it is truncated", str(path), "export it again")
        ) from error
    if not _is_text(proto):
        raise EdgecompError(
            Reason("names in the file are not UTF-8: it is damaged", str(path), "export it again")
        )
    if not proto.HasField("graph") or not proto.graph.node:
        raise EdgecompError(
            Reason("the file holds no ONNX graph with nodes", str(path), "export the model again")
        )
    tensors = list(tensors_of(proto))
    _load_external(tensors, path.parent)
    raise_if_any([reason for tensor in tensors for reason in _wrong_content(tensor)])
    return proto


def tensors_of(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in the model: initializers, attributes, subgraphs and functions."""
    graphs = [proto.graph]
    nodes = [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if not nodes:
            graph = graphs.pop()
            yield from graph.initializer
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                graphs.append(attribute.g)
            graphs.extend(attribute.graphs)


def read_bytes(path: Path) -> bytes:
    """The content of a model file.

    Raises:
        EdgecompError: there is no such file, or it is empty, too large or cannot be read.
    """
    if not path.exists():
        raise EdgecompError(Reason("there is no such file", str(path)))
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise EdgecompError(Reason(f"this is {kind}", str(path), "name a model file"))
    try:
        size = path.stat().st_size
        if size == 0:
            raise EdgecompError(Reason("the file is empty", str(path), "export the model again"))
        if size > MAX_BYTES:
            raise EdgecompError(
                Reason(
                    f"the file has {size} bytes, model files have at most {MAX_BYTES}", str(path)
                )
            )
        return path.read_bytes()
    except OSError as error:
        raise EdgecompError(
            Reason(f"the file cannot be read ({error.strerror})", str(path))
        ) from error


def _foreign(data: bytes) -> str | None:
    """What the file is when its first bytes show that it is no ONNX model."""
    for start, what in FOREIGN.items():
        if data.startswith(start):
            return what
    if data[4:8] == b"TFL3":
        return "a TFLite model; rename it to .tflite"
    head = data[:512]
    if all(byte in b"\t\n\f\r" or byte >= 32 for byte in head):
        try:
            head.decode("utf-8")
        except UnicodeDecodeError as error:
            # a character may be cut at the end of the head
            if error.start < len(head) - 4:
                return None
        return "a text file, not an ONNX model"
    return None


def _is_text(proto: onnx.ModelProto) -> bool:
    """Whether every string in the message is one; protobuf gives bytes for what is not UTF-8."""
    messages: list[Any] = [proto]
    while messages:
        for field, value in messages.pop().ListFields():
            if field.message_type is not None:
                messages.extend([value] if hasattr(value, "ListFields") else value)
            elif field.type == field.TYPE_STRING:
                texts = [value] if isinstance(value, (str, bytes)) else value
                if any(isinstance(text, bytes) for text in texts):
                    return False
    return True


def _wrong_content(tensor: onnx.TensorProto) -> Iterator[Reason]:
    """Reasons why the tensor's data cannot be used."""
    if any(dim < 0 for dim in tensor.dims):
        yield Reason(f"the tensor has the shape {list(tensor.dims)}", tensor.name, "export again")
        return
    try:
        dtype = ir.DataType(tensor.data_type)
        bits = dtype.bitwidth
    except (ValueError, TypeError):
        if tensor.data_type != ir.DataType.STRING:
            yield Reason(f"the tensor has the unknown type {tensor.data_type}", tensor.name)
        return
    elements = math.prod(tensor.dims)
    found, expected, unit = len(tensor.raw_data), -(-elements * bits // 8), "bytes"
    if not tensor.HasField("raw_data"):
        field = next((f for f, types in _FIELD_TYPES.items() if dtype in types), "int32_data")
        complex_parts = 2 if dtype in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128) else 1
        found, unit = len(getattr(tensor, field)), "values"
        expected = elements * complex_parts if bits >= 8 else expected
    if found != expected:
        yield Reason(
            f"the tensor of shape {list(tensor.dims)} needs {expected} {unit} but has {found}",
            tensor.name,
            "the file is damaged; export the model again",
        )


def _load_external(tensors: list[onnx.TensorProto], folder: Path) -> None:
    """Bring the tensors kept in other files into the proto."""
    reasons: list[Reason] = []
    total = 0
    for tensor in tensors:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        found = _external_span(tensor, folder)
        if isinstance(found, Reason):
            reasons.append(found)
            continue
        file, offset, length = found
        total += length
        if total > MAX_BYTES:
            reasons.append(Reason(f"the external weights exceed {MAX_BYTES} bytes", tensor.name))
            break
        with file.open("rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
    raise_if_any(reasons)


def _external_span(tensor: onnx.TensorProto, folder: Path) -> tuple[Path, int, int] | Reason:
    """File, offset and length of an external tensor's bytes, or why they cannot be used."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    root = folder.resolve()
    try:
        file = (root / location).resolve()
        inside = bool(location) and file != root and file.is_relative_to(root)
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside:
        return Reason(
            f"its weights lie outside the model's folder ({location!r}), and are not read",
            tensor.name,
            "put the weights beside the model, or save it as one file",
        )
    if not file.is_file():
        return Reason(
            f"the file of its weights, {location!r}, is missing",
            tensor.name,
            "put it beside the model",
        )
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(file.stat().st_size - offset)))
    except ValueError:
        return Reason(f"its place in {location!r} is no number", tensor.name, "export again")
    if offset < 0 or length < 0 or offset + length > file.stat().st_size:
        return Reason(
            f"its weights end beyond the end of {location!r}", tensor.name, "the file is truncated"
        )
    return file, offset, length
