"""ONNX file -> Model: one opset, static shapes, constants folded, the user's names kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from edgecomp.errors import EdgecompError, raise_if_any
from edgecomp.graph.quantizable import OWN_DOMAIN
from edgecomp.graph.signature import input_specs, output_specs
from edgecomp.history import read_history
from edgecomp.importers.affine import fold_affine
from edgecomp.importers.batchnorm import fold_batch_norms
from edgecomp.importers.checks import miswired, unsupported
from edgecomp.importers.expansions import expand
from edgecomp.importers.folding import fold_constants
from edgecomp.importers.half import widen_halves
from edgecomp.importers.inference import broken, infer, note_shapes
from edgecomp.importers.inputs import fix_inputs
from edgecomp.importers.names import file_names, name_new_nodes, name_nodes
from edgecomp.importers.node_count import too_many_nodes
from edgecomp.importers.onnx_file import read_proto
from edgecomp.importers.opset import OPSET, convert, opset_of, unknown_operators
from edgecomp.importers.padding import fold_pads, make_pads_explicit
from edgecomp.importers.qoperator import expand_qoperators
from edgecomp.importers.quantized import normalise_quantization
from edgecomp.importers.quiet import quiet
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
    name_nodes(proto.graph)
    raise_if_any(
        [
            *unsupported(proto),
            *too_many_nodes(proto),
            *miswired(proto.graph),
            *unknown_operators(proto, opset_of(proto)),
        ]
    )
    history = read_history(proto)
    fix_inputs(proto, shapes, bindings)
    with quiet():
        proto = convert(_self_contained(_forget_shapes(proto)))
        graph = _simplified(ir.from_proto(proto), file_names(proto.graph))
        infer(graph)
    return Model(
        name=name,
        graph=graph,
        inputs=input_specs(graph.graph),
        outputs=output_specs(graph.graph),
        history=history,
        source=source,
    )


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
        # old operators are converted by the shapes of what they read; data_prop, which computes
        # values, would be free to allocate anything
        sound = onnx.shape_inference.infer_shapes(ir.to_proto(model))
        onnx.checker.check_model(sound)
    except Exception as error:  # onnx_ir and the checker raise many types for a broken graph
        raise EdgecompError(broken(error)) from error
    return sound


def _simplified(model: ir.Model, names: Mapping[str, str]) -> ir.Model:
    """Fold and rewrite in place, to the one form that passes and lowering know.

    Nodes without a name in the file (`names`) are made by these steps, and named at the end.
    """
    model.ir_version = IR_VERSION
    fold_constants(model)
    expand_qoperators(model.graph)
    note_shapes(model)
    if widen_halves(model.graph):
        note_shapes(model)
    if expand(model.graph):
        fold_constants(model)
        note_shapes(model)
    normalise_quantization(model.graph)
    make_pads_explicit(model.graph)
    fold_batch_norms(model.graph)
    fold_affine(model.graph)
    fold_pads(model.graph)
    fold_constants(model)
    for each in (common.RemoveUnusedOpsetsPass(), common.OutputFixPass(), common.NameFixPass()):
        each(model)
    model.opset_imports[""] = OPSET
    name_new_nodes(model.graph, names)
    return model
