"""Bring a model to the one opset everything else reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from onnx import defs, inliner, version_converter

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.importers.qoperator import RULES as QOPERATORS

OPSET = 21
"""The first with 4-bit and 16-bit QuantizeLinear, and read by every onnxruntime since 1.18."""

_UNCHANGED = frozenset({"GlobalMaxPool"})
"""Operators whose version after `OPSET` adds element types only and that the converter misses."""

_NEED_DEFAULTS = frozenset({"MeanVarianceNormalization"})
"""Operators whose definition as a function refers to an attribute that may be left out."""

_ASIDE = "edgecomp.aside"
_ONNX_DOMAINS = ("", "ai.onnx")


def opset_of(proto: onnx.ModelProto) -> int:
    """The version of the ONNX operators the model uses.

    Raises:
        EdgecompError: the model names none, or two, or one this onnx package does not know.
    """
    versions = {entry.version for entry in proto.opset_import if entry.domain in _ONNX_DOMAINS}
    newest = defs.onnx_opset_version()
    if len(versions) > 1:
        raise EdgecompError(f"the model names several versions of the ONNX operators: {versions}")
    if not versions:
        if any(node.domain in _ONNX_DOMAINS for node in nodes_of(proto)):
            raise EdgecompError(
                Reason("the model does not say which opset it uses", fix="export it again")
            )
        return OPSET
    version = versions.pop()
    if not 1 <= version <= newest:
        raise EdgecompError(
            Reason(
                f"the model uses opset {version}, opsets 1 to {newest} are known",
                fix="export it with an older opset or install a newer onnx package",
            )
        )
    return int(version)


def unknown_operators(proto: onnx.ModelProto, opset: int) -> Iterator[Reason]:
    """A reason for each kind of operator that no standard and no function of the model defines."""
    functions = {(function.domain, function.name) for function in proto.functions}
    found: dict[tuple[str, str], list[str]] = {}
    for node in nodes_of(proto):
        if (node.domain, node.op_type) in functions or (node.domain, node.op_type) in QOPERATORS:
            continue
        if node.domain in _ONNX_DOMAINS and defs.has(node.op_type, max_inclusive_version=opset):
            continue
        name = node.name or (node.output[0] if node.output else "")
        found.setdefault((node.domain, node.op_type), []).append(name)
    for (domain, op_type), names in found.items():
        operator = f"{domain}.{op_type}" if domain else op_type
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        yield Reason(
            f"the operator {operator} is unknown in opset {opset}{more}",
            names[0],
            "export the model with standard ONNX operators, or with functions that define it",
        )


def nodes_of(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of the model, those of subgraphs and functions too."""
    nodes = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    while nodes:
        node = nodes.pop()
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                nodes.extend(attribute.g.node)
            for graph in attribute.graphs:
                nodes.extend(graph.node)


def convert(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model at `OPSET`, its meaning kept.

    Operators newer than `OPSET` are replaced by the functions the ONNX standard defines them by.

    Raises:
        EdgecompError: an operator has changed in a way that cannot be converted.
    """
    opset = opset_of(proto)
    for node in nodes_of(proto):
        if node.op_type in _NEED_DEFAULTS and node.domain in _ONNX_DOMAINS:
            _write_defaults(node, opset)
    if opset == OPSET:
        return proto
    if opset > OPSET:
        proto = _expand_newer(proto)
        raise_if_any(list(_newer(proto)))
    aside = [n for n in nodes_of(proto) if n.op_type in _UNCHANGED and opset > OPSET]
    for node in aside:
        node.domain = _ASIDE
    if aside:
        proto.opset_import.add(domain=_ASIDE, version=1)
    try:
        converted = version_converter.convert_version(proto, OPSET)
    except Exception as error:  # the converter raises RuntimeError and its own ConvertError
        raise EdgecompError(
            Reason(
                f"the model cannot be converted from opset {opset} to {OPSET} "
                f"({_assertion(error)})",
                fix=f"export it with opset {OPSET}",
            )
        ) from error
    for node in nodes_of(converted):
        if node.domain == _ASIDE:
            node.domain = ""
    return converted


def _is_newer(node: onnx.NodeProto) -> bool:
    return node.domain in _ONNX_DOMAINS and not defs.has(node.op_type, max_inclusive_version=OPSET)


def _newer(proto: onnx.ModelProto) -> Iterator[Reason]:
    for op_type in sorted({node.op_type for node in nodes_of(proto) if _is_newer(node)}):
        name = next(n.name for n in nodes_of(proto) if n.op_type == op_type)
        yield Reason(
            f"the operator {op_type} does not exist in opset {OPSET}",
            name,
            f"export the model with opset {OPSET}",
        )


def _expand_newer(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Inline operators that `OPSET` does not have, until none that has a body is left."""
    expanded: set[tuple[str, str]] = set()
    while newer := {("", n.op_type) for n in nodes_of(proto) if _is_newer(n)} - expanded:
        expanded |= newer
        for node in nodes_of(proto):
            if ("", node.op_type) in newer:
                _write_defaults(node, opset_of(proto))
        typed = onnx.shape_inference.infer_shapes(proto)
        known = {value.name for value in [*typed.graph.input, *typed.graph.value_info]}
        typed.graph.value_info.extend(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in typed.graph.initializer
            if tensor.name not in known
        )
        proto = inliner.inline_selected_functions(
            _with_bodies(typed, newer), sorted(newer), inline_schema_functions=True
        )
    return proto


def _with_bodies(proto: onnx.ModelProto, newer: set[tuple[str, str]]) -> onnx.ModelProto:
    """Operators that leave out an operand before others, inlined: the inliner asks for its type."""
    opset = opset_of(proto)
    graph = proto.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type for value in values}
    for index, node in enumerate(graph.node):
        if ("", node.op_type) not in newer or "" not in node.input:
            continue
        schema: Any = defs.get_schema(node.op_type, opset, "")  # its stubs lack what follows
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        if not versions:
            continue
        given = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
        text = schema.get_context_dependent_function_with_opset_version(
            max(versions), node.SerializeToString(), given
        )
        body = onnx.FunctionProto.FromString(text)
        body.domain, body.name = _ASIDE, f"{node.op_type}_{index}"
        proto.functions.append(body)
        node.domain, node.op_type = body.domain, body.name
    if proto.functions:
        proto.opset_import.add(domain=_ASIDE, version=1)
        proto = inliner.inline_local_functions(proto)
    return proto


def _write_defaults(node: onnx.NodeProto, opset: int) -> None:
    """Write down default attributes: the function that defines the operator refers to them."""
    present = {attribute.name for attribute in node.attribute}
    for name, attribute in defs.get_schema(node.op_type, opset, node.domain).attributes.items():
        if name not in present and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
            node.attribute.append(attribute.default_value)


def _assertion(error: Exception) -> str:
    """The readable end of the converter's message."""
    lines = str(error).strip().splitlines()
    return lines[0].rpartition("failed: ")[2] if lines else type(error).__name__
