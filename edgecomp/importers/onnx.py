"""ONNX file -> Model: one opset, static shapes, constants folded, the user's names kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.graph.signature import input_specs, output_specs
from edgecomp.graph.values import elements_of
from edgecomp.history import read_history
from edgecomp.importers.batchnorm import fold_batch_norms
from edgecomp.importers.folding import fold_constants
from edgecomp.importers.inputs import MAX_ELEMENTS, fix_inputs
from edgecomp.importers.names import name_new_nodes, name_nodes
from edgecomp.importers.onnx_file import MAX_BYTES, read_proto
from edgecomp.importers.opset import OPSET, OWN_DOMAIN, convert, opset_of, unknown_operators
from edgecomp.importers.padding import fold_pads, make_pads_explicit
from edgecomp.model import Model

IR_VERSION = 10
"""The ONNX file version that came with `OPSET`."""


def load_onnx(
    path: Path, shapes: Mapping[str, Sequence[int]], bindings: Mapping[str, Any], name: str
) -> Model:
    """The model in `path`, normalised.

    Args:
        path: an ONNX file of any opset the converter knows; weights inside or in the same folder.
        shapes: static shapes of inputs whose file leaves dimensions open.
        bindings: inputs to turn into constants, with their values.
        name: the name of the model.

    Raises:
        EdgecompError: every reason why the model cannot be used.
    """
    return normalise(read_proto(path), shapes, bindings, name, path)


def normalise(
    proto: onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]],
    bindings: Mapping[str, Any],
    name: str,
    source: Path | None = None,
) -> Model:
    """The same for a model in memory, which is changed."""
    raise_if_any([*_unsupported(proto), *unknown_operators(proto, opset_of(proto))])
    history = read_history(proto)
    fix_inputs(proto, shapes, bindings)
    name_nodes(proto)
    proto = convert(_self_contained(_forget_shapes(proto)))
    graph = _simplified(ir.from_proto(proto))
    _infer(graph)
    return Model(
        name=name,
        graph=graph,
        inputs=input_specs(graph.graph),
        outputs=output_specs(graph.graph),
        history=history,
        source=source,
    )


def _unsupported(proto: onnx.ModelProto) -> Iterator[Reason]:
    for sparse in proto.graph.sparse_initializer:
        yield Reason("the tensor is sparse", sparse.values.name, "store it as a dense tensor")
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.STRING:
            yield Reason("the tensor holds strings", tensor.name, "use a model of numbers only")
    if not proto.graph.output:
        yield Reason("the graph has no outputs", proto.graph.name, "export the model again")


def _forget_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the file says of shapes after the inputs; they are inferred anew, and static."""
    del proto.graph.value_info[:]
    for value in proto.graph.output:
        if value.type.WhichOneof("value") == "tensor_type":
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()
    return proto


def _self_contained(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Sort the nodes, inline functions (but our own), and let the checker look at the result.

    Raises:
        EdgecompError: the graph has a cycle, or breaks the ONNX standard.
    """
    try:
        model = ir.from_proto(proto)
        common.TopologicalSortPass()(model)
        if model.functions:
            common.InlinePass(lambda function: function.domain != OWN_DOMAIN)(model)
            unused: ir.passes.InPlacePass = common.RemoveUnusedFunctionsPass()  # type: ignore[no-untyped-call]
            unused(model)
        model.ir_version = max(model.ir_version or 0, 4)
        # old operators are converted by the shapes of what they read
        sound = onnx.shape_inference.infer_shapes(ir.to_proto(model), data_prop=True)
        onnx.checker.check_model(sound)
    except Exception as error:  # onnx_ir and the checker raise many types for a broken graph
        raise EdgecompError(_broken(error)) from error
    return sound


def _simplified(model: ir.Model) -> ir.Model:
    """Fold and rewrite in place, to the one form that passes and lowering know."""
    model.ir_version = IR_VERSION
    fold_constants(model)
    make_pads_explicit(model.graph)
    fold_batch_norms(model.graph)
    fold_pads(model.graph)
    fold_constants(model)
    for each in (common.RemoveUnusedOpsetsPass(), common.OutputFixPass(), common.NameFixPass()):
        each(model)
    model.opset_imports[""] = OPSET
    name_new_nodes(model.graph)
    return model


def _infer(model: ir.Model) -> None:
    """Infer every shape, and make sure that all are known, static and of bearable size."""
    for node in model.graph:
        for value in node.outputs:
            value.shape = None
    proto = ir.to_proto(model)
    if proto.ByteSize() > MAX_BYTES:
        raise EdgecompError(f"the model has more than {MAX_BYTES} bytes with its constants")
    try:
        inferred = onnx.shape_inference.infer_shapes(
            proto, check_type=True, strict_mode=True, data_prop=True
        )
        onnx.checker.check_model(inferred)
    except Exception as error:  # InferenceError and ValidationError have no common base
        raise EdgecompError(_inference_reasons(error)) from error
    known = {v.name: v for v in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in model.graph:
        for value in node.outputs:
            if value.name in known:
                found = known[value.name].type
                value.type = ir.serde.deserialize_type_proto_for_type(found)
                value.shape = ir.serde.deserialize_type_proto_for_shape(found)
    raise_if_any([reason for node in model.graph for reason in _unusable(node)])


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
        elif elements_of(value) > MAX_ELEMENTS:
            yield Reason(
                f"output {value.name} of shape {value.shape} has more than {MAX_ELEMENTS} elements",
                where,
                "give smaller input shapes",
            )


def _follows_unknown(node: ir.Node) -> bool:
    """Whether an input's shape is unknown already: then that one is the reason."""
    return any(
        value is not None and (value.shape is None or not value.shape.is_static())
        for value in node.inputs
    )


def _broken(error: Exception) -> Reason:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = _one_sentence(str(cause))
    if "cycle" in text.lower():
        text = "the graph has a cycle"
    return Reason(f"the model breaks the ONNX standard: {text}", fix="export the model again")


def _inference_reasons(error: Exception) -> list[Reason]:
    """One reason for each node that the message of onnx names."""
    found = re.findall(
        r"\(op_type:\s*(\w+)(?:, node name: ([^)]*))?\):\s*(.*?)(?=\(op_type|\Z)", str(error), re.S
    )
    reasons = [
        Reason(f"{op_type} cannot be computed: {_one_sentence(text)}", name, "correct the node")
        for op_type, name, text in found
    ]
    return reasons or [_broken(error)]


def _one_sentence(text: str) -> str:
    """The first line of an error message without the tags of libraries in front."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    line = re.sub(r"^(\[\w+\]\s*)+", "", lines[0]) if lines else "no reason is given"
    return line.rstrip(".")[:300]
