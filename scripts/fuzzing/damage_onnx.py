"""Damage done to the fields of an ONNX model: what a careless or a hostile tool could write."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import onnx
from onnx import defs

SIZES = (-(2**63), -(2**40), -1, 0, 1, 2, 3, 2**31 - 1, 2**31, 2**40, 2**63 - 1)
"""Dimensions, axes and counts that arithmetic is wrong for."""

LOCATIONS = (
    "../canary",
    "/etc/hostname",
    "weights.bin",
    "",
    ".",
    "a\0b",
    "x/../../canary",
    "canary",
)
"""Where weights are said to lie; a correct importer reads the third at most."""

NAMES = ("", "x", "../x", "a" * 5000, "\0", "naïve 名", "%s%n", "{}", "a b\nc")

FLOATS = (0.0, -0.0, float("nan"), float("inf"), -1.0, 1e38, 1e-45)

_DOMAINS = ("", "ai.onnx.ml", "edgecomp", "com.microsoft", "mine")
_OPERATORS = sorted({schema.name for schema in defs.get_all_schemas() if not schema.domain})


def damage_onnx(content: bytes, choose: random.Random) -> bytes:
    """`content` with one, two or four fields changed; as it is when it is no model."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
        for _ in range(choose.choice((1, 1, 2, 4))):
            choose.choice(_DAMAGES)(model, choose)
    except Exception:  # what protobuf does not let through is no damage
        pass
    return bytes(model.SerializeToString())


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += [a.g for n in graph.node for a in n.attribute if a.HasField("g")]


def _graph(model: onnx.ModelProto, choose: random.Random) -> onnx.GraphProto:
    return choose.choice(list(_graphs(model)))


def _node(model: onnx.ModelProto, choose: random.Random) -> onnx.NodeProto:
    return choose.choice([node for graph in _graphs(model) for node in graph.node])


def _tensor(model: onnx.ModelProto, choose: random.Random) -> onnx.TensorProto:
    tensors = [t for graph in _graphs(model) for t in graph.initializer]
    tensors += [a.t for g in _graphs(model) for n in g.node for a in n.attribute if a.HasField("t")]
    return choose.choice(tensors)


def _values(model: onnx.ModelProto) -> list[str]:
    nodes = [node for graph in _graphs(model) for node in graph.node]
    named = [name for node in nodes for name in (*node.input, *node.output)]
    return [*named, *(tensor.name for tensor in model.graph.initializer)]


def _tensor_dim(model: onnx.ModelProto, choose: random.Random) -> None:
    tensor = _tensor(model, choose)
    if tensor.dims and choose.random() < 0.7:
        tensor.dims[choose.randrange(len(tensor.dims))] = choose.choice(SIZES)
    else:
        tensor.dims.append(choose.choice(SIZES))


def _tensor_type(model: onnx.ModelProto, choose: random.Random) -> None:
    _tensor(model, choose).data_type = choose.choice([*range(28), 99, -1])


def _tensor_data(model: onnx.ModelProto, choose: random.Random) -> None:
    tensor = _tensor(model, choose)
    data = tensor.raw_data
    tensor.raw_data = choose.choice([b"", data[:-1], data + b"\0", data * 2, b"\xff" * len(data)])


def _tensor_outside(model: onnx.ModelProto, choose: random.Random) -> None:
    tensor = _tensor(model, choose)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    tensor.external_data.add(key="location", value=choose.choice(LOCATIONS))
    for key in ("offset", "length"):
        if choose.random() < 0.5:
            tensor.external_data.add(key=key, value=str(choose.choice(SIZES)))


def _input_shape(model: onnx.ModelProto, choose: random.Random) -> None:
    value = choose.choice([*model.graph.input, *model.graph.output])
    shape = value.type.tensor_type.shape
    if not shape.dim or choose.random() < 0.2:
        shape.dim.add()
    dim = choose.choice(list(shape.dim))
    if choose.random() < 0.7:
        dim.dim_value = choose.choice(SIZES)
    else:
        dim.dim_param = choose.choice(NAMES)


def _input_type(model: onnx.ModelProto, choose: random.Random) -> None:
    value = choose.choice([*model.graph.input, *model.graph.output])
    kind = choose.randrange(4)
    if kind == 0:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1
    elif kind == 1:
        value.ClearField("type")
    else:
        value.type.tensor_type.elem_type = choose.choice([*range(28), 99, -1])


def _wire(model: onnx.ModelProto, choose: random.Random) -> None:
    """Let a node read or make another value: cycles, double and missing definitions."""
    node = _node(model, choose)
    names = node.input if choose.random() < 0.7 else node.output
    if names:
        names[choose.randrange(len(names))] = choose.choice(_values(model))


def _operands(model: onnx.ModelProto, choose: random.Random) -> None:
    node = _node(model, choose)
    names = node.input if choose.random() < 0.7 else node.output
    if names and choose.random() < 0.5:
        names.pop()
    else:
        names.append(choose.choice([*_values(model), ""]))


def _rename(model: onnx.ModelProto, choose: random.Random) -> None:
    graph = _graph(model, choose)
    owners = [*graph.node, *graph.initializer, *graph.input, *graph.output, graph]
    choose.choice(owners).name = choose.choice(NAMES)


def _operator(model: onnx.ModelProto, choose: random.Random) -> None:
    node = _node(model, choose)
    node.op_type = choose.choice(_OPERATORS)
    if choose.random() < 0.1:
        node.domain = choose.choice(_DOMAINS)


def _attribute(model: onnx.ModelProto, choose: random.Random) -> None:
    node = _node(model, choose)
    if not node.attribute or choose.random() < 0.2:
        _new_attribute(node, choose)
        return
    attribute = choose.choice(list(node.attribute))
    if attribute.ints and choose.random() < 0.8:
        attribute.ints[choose.randrange(len(attribute.ints))] = choose.choice(SIZES)
    elif attribute.HasField("i") and choose.random() < 0.8:
        attribute.i = choose.choice(SIZES)
    elif attribute.HasField("f") and choose.random() < 0.8:
        attribute.f = choose.choice(FLOATS)
    elif attribute.HasField("s") and choose.random() < 0.8:
        attribute.s = choose.choice([*(name.encode() for name in NAMES), b"\xff\xfe"])
    elif choose.random() < 0.5:
        attribute.type = choose.randrange(16)
    else:
        node.attribute.remove(attribute)


def _new_attribute(node: onnx.NodeProto, choose: random.Random) -> None:
    """An attribute the operator knows, or not, with a value of any kind."""
    known: list[str] = []
    if defs.has(node.op_type):
        known = list(defs.get_schema(node.op_type).attributes)
    value = choose.choice([choose.choice(SIZES), choose.choice(FLOATS), [], [0], [-1, 2**40], "x"])
    name = choose.choice([*known, "mine"])
    made = onnx.helper.make_attribute(name, value, attr_type=6 if value == [] else None)
    node.attribute.append(made)


def _remove(model: onnx.ModelProto, choose: random.Random) -> None:
    graph = _graph(model, choose)
    field = choose.choice([graph.node, graph.initializer, graph.input, graph.output])
    if len(field):
        del field[choose.randrange(len(field))]


def _repeat(model: onnx.ModelProto, choose: random.Random) -> None:
    graph = _graph(model, choose)
    field: Any = choose.choice([graph.node, graph.initializer, graph.input, graph.output])
    if len(field):
        field.add().CopyFrom(choose.choice(list(field)))


def _opset(model: onnx.ModelProto, choose: random.Random) -> None:
    if choose.random() < 0.2:
        model.opset_import.add(domain=choose.choice(_DOMAINS), version=choose.choice(SIZES))
    else:
        versions = [*range(1, 28), *SIZES]
        choose.choice(list(model.opset_import)).version = choose.choice(versions)


def _ir_version(model: onnx.ModelProto, choose: random.Random) -> None:
    model.ir_version = choose.choice([*range(16), *SIZES])


def _nest(model: onnx.ModelProto, choose: random.Random) -> None:
    """Put the graph into a branch of an If, and that into another's; the other branch stays."""
    other = onnx.GraphProto()
    other.CopyFrom(model.graph)
    del other.input[:]
    for _ in range(choose.choice([1, 3, 12])):
        inner = onnx.GraphProto()
        inner.CopyFrom(model.graph)
        outputs = [value.name for value in inner.output]
        del inner.input[:]
        node = onnx.helper.make_node(
            "If", [choose.choice(_values(model))], outputs, then_branch=inner, else_branch=other
        )
        del model.graph.node[:]
        model.graph.node.append(node)


_DAMAGES = (
    _tensor_dim, _tensor_dim, _tensor_type, _tensor_data, _tensor_outside, _input_shape,
    _input_type, _wire, _wire, _wire, _operands, _operands, _rename, _operator, _operator,
    _attribute, _attribute, _attribute, _attribute, _remove, _repeat, _opset, _ir_version, _nest,
)  # fmt: skip
