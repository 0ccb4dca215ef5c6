"""TFLite file -> Model: its graph as ONNX, normalised like any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.importers.misfit import misfits_refused
from edgecomp.importers.onnx import normalise
from edgecomp.importers.tflite.builder import GraphBuilder
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.file import Array, Operator, Subgraph, Tensor
from edgecomp.importers.tflite.operators import BUILTINS
from edgecomp.importers.tflite.reader import read_file
from edgecomp.importers.tflite.state_tensors import without_state_tensors
from edgecomp.importers.tflite.values import Values
from edgecomp.importers.tflite.variables import without_variables
from edgecomp.model import Model, State
from edgecomp_runtime.manifest import TensorSpec


def load_tflite(
    path: Path, shapes: Mapping[str, Sequence[int]], bindings: Mapping[str, Any], name: str
) -> Model:
    """The model in `path`, normalised. Images stay in the order of the file, channels last.

    Quantized tensors become QuantizeLinear and DequantizeLinear with the file's float32 scales;
    the nodes bear the names of the tensors that the file's operators make.

    Args:
        path: a TFLite file of schema version 3.
        shapes: shapes of inputs; they must be those of the file.
        bindings: inputs to turn into constants, with their values.
        name: the name of the model.

    Raises:
        EdgecompError: every reason why the model cannot be used.
    """
    graph, variables = without_variables(read_file(path))
    graph, states = without_state_tensors(graph)
    variables = (*variables, *states)
    raise_if_any(list(_unknown(graph)))
    model = normalise(to_onnx(graph, name), shapes, bindings, name, path)
    inputs, outputs = len(model.inputs) - len(variables), len(model.outputs) - len(variables)
    return replace(
        model,
        inputs=tuple(_with_layout(spec) for spec in model.inputs[:inputs]),
        outputs=tuple(_with_layout(spec) for spec in model.outputs[:outputs]),
        states=tuple(
            State(
                read.name, written.name, _real(graph.tensors[variable.read], variable.initial, read)
            )
            for read, written, variable in zip(
                model.inputs[inputs:], model.outputs[outputs:], variables, strict=True
            )
        ),
    )


def to_onnx(graph: Subgraph, name: str) -> onnx.ModelProto:
    """`graph` as an ONNX model.

    Raises:
        EdgecompError: operators that cannot be expressed, all of them; what follows from another
            is left out.
    """
    builder = GraphBuilder()
    values = Values(graph, builder)
    inputs = [values.feed(index) for index in graph.inputs]
    reasons: list[Reason] = []
    failed: set[int] = set()
    for operator in graph.operators:
        if not failed.isdisjoint(index for index in operator.inputs if index is not None):
            failed.update(operator.outputs)
            continue
        try:
            if operator.outputs:
                where = graph.tensors[operator.outputs[0]].name
                with misfits_refused(operator.name, where):
                    BUILTINS[operator.name](Context(operator, values))
        except EdgecompError as error:
            reasons += error.reasons
            failed.update(operator.outputs)
    raise_if_any(reasons)
    outputs = [values.give(index) for index in graph.outputs]
    proto = builder.model(name, inputs, outputs)
    _name_outputs(proto, [graph.tensors[index].name for index in graph.outputs])
    return proto


def _name_outputs(proto: onnx.ModelProto, names: Sequence[str]) -> None:
    """Give each output of `proto` the name in the file; a value inside that has it gives way."""
    renamed: dict[str, str] = {}
    inputs = {value.name for value in proto.graph.input}
    for output, name in zip(proto.graph.output, names, strict=True):
        if output.name != name and name not in renamed and name not in inputs:
            renamed |= {output.name: name, name: output.name}
    for node in proto.graph.node:
        node.input[:] = [renamed.get(value, value) for value in node.input]
        node.output[:] = [renamed.get(value, value) for value in node.output]
    for constant in proto.graph.initializer:
        constant.name = renamed.get(constant.name, constant.name)
    for output in proto.graph.output:
        output.name = renamed.get(output.name, output.name)


def _unknown(graph: Subgraph) -> Iterable[Reason]:
    """A reason for each kind of operator that is not known, with the tensors it makes."""
    found: dict[str, list[Operator]] = {}
    for operator in graph.operators:
        if operator.name not in BUILTINS:
            found.setdefault(operator.name, []).append(operator)
    for name, operators in found.items():
        made = [graph.tensors[index].name for op in operators for index in op.outputs[:1]]
        named = ", ".join(made[1:4]) + (" ..." if len(made) > 4 else "")
        more = f" (and to make {named})" if named else ""
        yield Reason(
            f"the operator {name} is not supported{more}",
            made[0] if made else "",
            "replace it in the model, or cut the model before it",
        )


def _with_layout(spec: TensorSpec) -> TensorSpec:
    return replace(spec, layout="nhwc") if len(spec.shape) == 4 else spec


def _real(tensor: Tensor, content: Array, spec: TensorSpec) -> Array:
    """What `content` of `tensor` stands for, where the graph takes it as a real number."""
    if tensor.scales is None or content.dtype.name == spec.dtype:
        return content
    steps = content.astype(np.float32) - tensor.scales.zero_point.astype(np.float32)
    return np.asarray(steps * tensor.scales.scale, np.float32)
