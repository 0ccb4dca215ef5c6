"""A model to a program: integer nodes, layout, kernels, and the calls between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.errors import raise_if_any
from edgecomp.graph.macs import macs_of
from edgecomp.graph.narrow import widen_half_weights, widen_narrow_constants
from edgecomp.graph.palette import expand_palettes
from edgecomp.graph.values import dtype_of, shape_of
from edgecomp.lowering.c_names import c_name
from edgecomp.lowering.dead_channels import fold_dead_channels
from edgecomp.lowering.float_groups import FloatGroup, group_float_nodes
from edgecomp.lowering.integer import lower_integer
from edgecomp.lowering.integer_kernels import lower_node
from edgecomp.lowering.kernels.movement import copy
from edgecomp.lowering.layout import assign_layout
from edgecomp.lowering.overlaps import overlaps_of
from edgecomp.lowering.relax import lower_group, unsupported
from edgecomp.lowering.states import carry_states
from edgecomp.model import Model
from edgecomp.program import Call, Kernel, Program, Tensor

RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
"""Operators whose output is their input's memory."""


@dataclass
class _Builder:
    """Collects a program; `alias` maps a value to the one whose memory it is."""

    alias: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def operand(self, value: ir.Value) -> str:
        """The name of the tensor or constant that holds `value`."""
        name = str(value.name)
        while name in self.alias:
            name = self.alias[name]
        if value.const_value is not None and not value.is_graph_input():
            self.constants.setdefault(name, np.asarray(value.const_value.numpy()))
        elif name not in self.tensors and name not in self.constants:
            self.tensors[name] = Tensor(name, shape_of(value), dtype_of(value))
        return name

    def kernel(
        self,
        base: str,
        schedule_as: str,
        func: Any,
        outputs: int = 1,
        work: Any = None,
        carried: tuple[tuple[int, int], ...] = (),
    ) -> str:
        """Add a kernel and return its name; the same function is added once."""
        for name, kernel in self.kernels.items():
            if kernel.func.same_as(func):
                return name
        name, number = base, 1
        while name in self.kernels:
            number += 1
            name = f"{base}_{number}"
        overlaps = overlaps_of(work)
        self.kernels[name] = Kernel(name, schedule_as, func, outputs, work, overlaps, carried)
        return name

    def copy(self, source: str, result: str) -> Call:
        """A call that copies one tensor (or constant) onto another of the same shape."""
        tensor = self.tensors[result]
        kernel = self.kernel("copy", "movement", copy(tensor.shape, tensor.dtype))
        where = "float" if tensor.dtype.startswith("float") else "integer"
        return Call(kernel, (source, result), result, "Identity", where, 0)


def lower(model: Model, *, integer_io: bool = True, input_layout: str | None = None) -> Program:
    """Lower a model, quantized or not.

    Args:
        model: an imported model.
        integer_io: a quantized model takes and gives integers.
        input_layout: "nhwc" lets the caller give images in that order.

    Raises:
        EdgecompError: operators that cannot be lowered, all of them named.
    """
    model = fold_dead_channels(lower_integer(_dense(model), integer_io))
    model = assign_layout(model, input_layout)
    graph = model.graph.graph
    graph.sort()
    builder = _Builder()
    for value in graph.inputs:
        builder.operand(value)
    for step in _steps(builder, list(graph)):
        step()
    for index in range(len(graph.outputs)):
        _settle_output(builder, graph, index)

    calls = carry_states(model.states, builder.calls, builder.kernels, builder.copy)
    return Program(
        name=model.name,
        symbol=c_name(model.name),
        inputs=model.inputs,
        outputs=model.outputs,
        tensors=builder.tensors,
        constants=_used(builder),
        states={state.input: state.initial for state in model.states},
        kernels=builder.kernels,
        calls=tuple(calls),
        passes=model.history,
    )


def _dense(model: Model) -> Model:
    """`model` with int8 weights in the place of palettes and int4, float32 in that of float16.

    How they are stored, targets decide.
    """
    graph = model.graph.clone()
    expand_palettes(graph)
    widen_narrow_constants(graph)
    widen_half_weights(graph)
    return model.with_graph(graph)


def _used(builder: _Builder) -> Mapping[str, npt.NDArray[Any]]:
    read = {name for call in builder.calls for name in call.operands}
    return {name: array for name, array in builder.constants.items() if name in read}


def _steps(builder: _Builder, nodes: Sequence[ir.Node]) -> list[Callable[[], None]]:
    """What to do for each node, in execution order; a float group counts as its last node."""
    steps: dict[ir.Node, Callable[[], None]] = {}
    floats = []
    for node in nodes:
        if node.op_type == "Constant" and node.domain == "":
            steps[node] = _constant_step(builder, node)
        elif node.op_type in RESHAPES and node.domain == "":
            steps[node] = _aliaser(builder, node)
        elif (lowered := lower_node(node)) is not None:
            steps[node] = _integer_step(builder, node, lowered)
        else:
            floats.append(node)
    groups = group_float_nodes(floats)
    raise_if_any(unsupported(groups))
    for group in groups:
        steps[group.nodes[-1]] = _float_step(builder, group)
    return [steps[node] for node in nodes if node in steps]


def _constant_step(builder: _Builder, node: ir.Node) -> Callable[[], None]:
    def step() -> None:
        tensor = ir.convenience.get_const_tensor(node.outputs[0])
        assert tensor is not None, "a Constant has a value"
        builder.constants[str(node.outputs[0].name)] = np.asarray(tensor.numpy())

    return step


def _aliaser(builder: _Builder, node: ir.Node) -> Callable[[], None]:
    def step() -> None:
        source = node.inputs[0]
        assert source is not None
        builder.alias[str(node.outputs[0].name)] = builder.operand(source)

    return step


def _integer_step(builder: _Builder, node: ir.Node, lowered: Any) -> Callable[[], None]:
    def step() -> None:
        picked = range(len(node.inputs)) if lowered.inputs is None else lowered.inputs
        values = [node.inputs[index] for index in picked]
        operands = [builder.operand(value) for value in values if value is not None]
        made = [builder.operand(value) for value in node.outputs if value.name]
        label = node.metadata_props.get("edgecomp.op", node.op_type)
        base = c_name(node.op_type).lower()
        kernel = builder.kernel(
            base, lowered.schedule_as, lowered.func, len(made), lowered.work, lowered.carried
        )
        floats = any(
            value is not None and dtype_of(value).startswith("float") for value in node.outputs
        )
        where = "float" if floats else "integer"
        name = node.name or str(node.outputs[0].name)
        operands += made
        builder.calls.append(Call(kernel, tuple(operands), name, label, where, lowered.macs))

    return step


def _float_step(builder: _Builder, group: FloatGroup) -> Callable[[], None]:
    def step() -> None:
        lowered = lower_group(group)
        macs = sum(macs_of(node) for node in group.nodes)
        values = {str(v.name): v for v in (*group.inputs, *group.outputs)}
        floats = any(dtype_of(value).startswith("float") for value in values.values())
        where = "float" if floats else "integer"
        builder.tensors.update(lowered.tensors)
        builder.constants.update(lowered.constants)
        for index, call in enumerate(lowered.calls):
            names = [
                builder.operand(values[name]) if name in values else name
                for name in (*call.inputs, *call.outputs)
            ]
            kernel = builder.kernel(
                "_".join(c_name(op).lower() for op in group.op.split("+")[:3]),
                "float",
                call.func,
                len(call.outputs),
            )
            last = index == len(lowered.calls) - 1
            builder.calls.append(
                Call(kernel, tuple(names), group.name, group.op, where, macs if last else 0)
            )

    return step


def _settle_output(builder: _Builder, graph: ir.Graph, index: int) -> None:
    """Make sure that output `index` has memory of its own under its own name."""
    value = graph.outputs[index]
    name = str(value.name)
    holder = builder.operand(value)
    if holder == name and not value.is_graph_input() and holder in builder.tensors:
        return
    tensor = Tensor(name, shape_of(value), dtype_of(value))
    inputs = {str(v.name) for v in graph.inputs}
    outputs = {str(v.name) for v in graph.outputs}
    if holder in builder.tensors and holder not in inputs | outputs:
        _rename(builder, holder, name, tensor)
        return
    if holder == name and holder in builder.constants:
        _rename_constant(builder, name, f"{name} as constant")
        holder = f"{name} as constant"
    builder.tensors[name] = tensor
    builder.calls.append(builder.copy(holder, name))


def _rename_constant(builder: _Builder, old: str, new: str) -> None:
    """Call a constant `new`: an output has its name."""
    builder.constants[new] = builder.constants.pop(old)
    _rename_operands(builder, old, new)


def _rename(builder: _Builder, old: str, new: str, tensor: Tensor) -> None:
    """Give the memory of `old` the name of the output `new`, of the same size."""
    del builder.tensors[old]
    builder.tensors[new] = tensor
    builder.alias = {k: new if v == old else v for k, v in builder.alias.items() if k != new}
    builder.alias[old] = new
    _rename_operands(builder, old, new)


def _rename_operands(builder: _Builder, old: str, new: str) -> None:
    builder.calls = [
        replace(call, operands=tuple(new if name == old else name for name in call.operands))
        for call in builder.calls
    ]
