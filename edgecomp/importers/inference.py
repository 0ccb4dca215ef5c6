"""Infer the shape and type of every value, and make sure that each is static and bearable."""

from __future__ import annotations

import re
from collections.abc import Iterator

import onnx
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.graph.values import elements_of
from edgecomp.importers.inputs import MAX_ELEMENTS
from edgecomp.importers.onnx_file import MAX_BYTES

ELEMENT_TYPES = frozenset(
    {
        ir.DataType.BOOL,
        ir.DataType.INT8,
        ir.DataType.INT16,
        ir.DataType.INT32,
        ir.DataType.INT64,
        ir.DataType.UINT8,
        ir.DataType.UINT16,
        ir.DataType.UINT32,
        ir.DataType.UINT64,
        ir.DataType.FLOAT16,
        ir.DataType.FLOAT,
        ir.DataType.DOUBLE,
    }
)
"""Types a computed value may have; constants may be narrower."""


def check_nodes(model: ir.Model) -> onnx.ModelProto:
    """The model with the shapes that strict inference finds, whatever shapes it had before.

    Raises:
        EdgecompError: nodes that do not fit their inputs, or a model above protobuf's limit.
    """
    proto = ir.to_proto(model)
    if proto.ByteSize() > MAX_BYTES:
        raise EdgecompError(f"the model has more than {MAX_BYTES} bytes with its constants")
    del proto.graph.value_info[:]
    computed = {name for node in proto.graph.node for name in node.output}
    for value in proto.graph.output:
        if value.name in computed:
            value.type.tensor_type.ClearField("shape")
    try:
        return onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        raise EdgecompError(_inference_reasons(error)) from error


def note_shapes(model: ir.Model) -> onnx.ModelProto:
    """Give every value of the main graph the shape and type that strict inference finds, in place.

    Returns:
        The model as inferred.

    Raises:
        EdgecompError: nodes that do not fit their inputs.
    """
    inferred = check_nodes(model)
    known = {v.name: v for v in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in model.graph:
        for value in node.outputs:
            if value.name in known:
                found = known[value.name].type
                value.type = ir.serde.deserialize_type_proto_for_type(found)
                value.shape = ir.serde.deserialize_type_proto_for_shape(found)
    for value in model.graph.outputs:
        if value.producer() is None and value.const_value is not None:
            value.dtype = value.const_value.dtype
            value.shape = ir.Shape(value.const_value.shape.numpy())
    return inferred


def infer(model: ir.Model) -> None:
    """Give every value of the main graph its static shape and type, in place.

    Raises:
        EdgecompError: nodes that do not fit their inputs, and values whose shape is unknown or too
            large, each with its node.
    """
    inferred = note_shapes(model)
    raise_if_any(
        [reason for value in model.graph.inputs for reason in _unusable_type(value, value.name)]
        + [reason for node in model.graph for reason in _unusable(node)]
    )
    try:
        onnx.checker.check_model(inferred)
    except onnx.checker.ValidationError as error:
        raise EdgecompError(broken(error)) from error


def _unusable(node: ir.Node) -> Iterator[Reason]:
    """Reasons why an output of `node` cannot be laid out in memory."""
    where = str(node.name)
    for value in node.outputs:
        if not value.name:
            continue
        if value.shape is None or not value.shape.is_static() or value.dtype is None:
            if not _follows_unknown(node):
                yield Reason(
                    f"the shape of output {value.name} of {node.op_type} is not known at compile "
                    "time",
                    where,
                    "give input shapes with --shape, bind inputs with --bind, or cut the model "
                    "before this node",
                )
        elif value.dtype == ir.DataType.STRING:
            yield Reason(f"output {value.name} holds strings", where, "cut the model before it")
        elif value.dtype not in ELEMENT_TYPES:
            yield from _unusable_type(value, where)
        elif elements_of(value) > MAX_ELEMENTS and not _follows_large(node):
            yield Reason(
                f"output {value.name} of shape {value.shape} has more than {MAX_ELEMENTS} elements",
                where,
                "give smaller input shapes",
            )


def _unusable_type(value: ir.Value, where: str | None) -> Iterator[Reason]:
    """A reason why a device cannot hold elements of the type of `value`."""
    if value.dtype is not None and value.dtype not in ELEMENT_TYPES:
        yield Reason(
            f"{value.name} has elements of type {value.dtype.name.lower()}, which C does not have",
            str(where),
            "use float32, float16 or integers of 8 to 64 bits there",
        )


def _follows_unknown(node: ir.Node) -> bool:
    """Whether an input's shape is unknown already: then that one is the reason."""
    return any(
        value is not None and (value.shape is None or not value.shape.is_static())
        for value in node.inputs
    )


def _follows_large(node: ir.Node) -> bool:
    """Whether an input is too large already: then that one is the reason."""
    return any(value is not None and elements_of(value) > MAX_ELEMENTS for value in node.inputs)


def broken(error: Exception) -> Reason:
    """What onnx or onnx_ir says of a model that breaks the standard."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = _one_sentence(str(cause))
    node = re.search(r"for node\. Name: (.*?) OpType", str(cause))
    return Reason(
        f"the model breaks the ONNX standard: {text}",
        node.group(1) if node else "",
        "export the model again",
    )


def _inference_reasons(error: Exception) -> list[Reason]:
    """One reason for each node that the message of onnx names."""
    found = re.findall(
        r"\(op_type:\s*(\w+)(?:, node name: ([^)]*))?\):\s*(.*?)(?=\(op_type|\Z)", str(error), re.S
    )
    reasons = [
        Reason(f"{op_type} cannot be computed: {_one_sentence(text)}", name, "correct the node")
        for op_type, name, text in found
    ]
    causes = [reason for reason in reasons if "instead is null" not in reason.what]
    return causes or reasons or [broken(error)]


def _one_sentence(text: str) -> str:
    """The first line of an error message without the tags of libraries in front."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    line = re.sub(r"^(\[\w+\]\s*)+", "", lines[0]) if lines else "no reason is given"
    return line.rstrip(".")[:300]
