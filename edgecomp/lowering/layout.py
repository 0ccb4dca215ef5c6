"""One owner of the layout: integer image operators run NHWC, all else keeps the model's order.

Transposes appear only where the two meet, and the model's own between the two layouts cancel there.
Those that move no element become reshapes, and the one before a flatten and a dense layer goes into
the order of the layer's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common

from edgecomp.graph.values import constant_of, shape_of
from edgecomp.lowering.integer_group import DOMAIN, add_constant, integer_node, reshape_node
from edgecomp.lowering.layout_rules import (
    IMAGE,
    TO_NCHW,
    TO_NHWC,
    activations,
    can_follow,
    turned,
)
from edgecomp.model import Model
from edgecomp_runtime.manifest import TensorSpec


def assign_layout(model: Model, input_layout: str | None = None) -> Model:
    """`model`, lowered to integer nodes, with NHWC image operators.

    Args:
        model: the result of `integer.lower_integer`.
        input_layout: "nhwc" or "nchw" makes the caller give images in that order; None keeps the
            model's.
    """
    graph = model.graph.clone()
    layout = _Layout(graph.graph)
    inputs = model.inputs
    if input_layout == "nhwc":
        inputs = tuple(layout.take_nhwc(spec) for spec in inputs)
    elif input_layout == "nchw":
        inputs = tuple(layout.take_nchw(spec) for spec in inputs)
    for node in list(graph.graph):
        layout.visit(node)
    for index in range(len(graph.graph.outputs)):
        layout.restore_output(index)
    common.RemoveUnusedNodesPass()(graph)
    return replace(model, graph=graph, inputs=inputs)


def permuted(shape: Sequence[int], permutation: Sequence[int]) -> tuple[int, ...]:
    """`shape` with its axes in the order of `permutation`."""
    return tuple(shape[axis] for axis in permutation)


def moves_nothing(shape: Sequence[int], permutation: Sequence[int]) -> bool:
    """Whether a transpose only moves axes of length 1, so that memory stays as it is."""
    kept = [axis for axis in permutation if shape[axis] != 1]
    return kept == sorted(kept)


class _Layout:
    """Rewrites one graph; `_nhwc` maps a value of the model to its NHWC twin.

    `_native` are the values whose twin is what is computed; `_nchw` are their forms in the model's
    order, and `_given` the inputs that NHWC values of the model are made of.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._nhwc: dict[ir.Value, ir.Value] = {}
        self._native: set[ir.Value] = set()
        self._nchw: dict[ir.Value, ir.Value] = {}
        self._given: dict[ir.Value, ir.Value] = {}

    def visit(self, node: ir.Node) -> None:
        """Rewrite `node` if it works on images; else give it its inputs in the model's order."""
        if self._is_image(node) or self._can_follow(node):
            self._rewrite(node)
        elif self._absorb_transpose(node):
            return
        elif not self._flatten_into_dense(node):
            for index, value in enumerate(node.inputs):
                if value in self._native:
                    node.replace_input_with(index, self._original(value, node))

    def take_nhwc(self, spec: TensorSpec) -> TensorSpec:
        """Replace a 4-d graph input by one in NHWC."""
        if len(spec.shape) != 4 or spec.layout == "nhwc":
            return spec
        shape = permuted(spec.shape, TO_NHWC)
        value, taken = self._exchange(spec, shape, "nchw")
        self._nhwc[value] = taken
        self._native.add(value)
        return replace(spec, shape=shape, layout="nhwc")

    def take_nchw(self, spec: TensorSpec) -> TensorSpec:
        """Replace a graph input in NHWC by one in NCHW."""
        if spec.layout != "nhwc":
            return spec
        shape = permuted(spec.shape, TO_NCHW)
        value, taken = self._exchange(spec, shape, "nhwc")
        name = str(value.name)
        turned = self._transpose(taken, TO_NHWC, name, next(iter(self._graph)))
        value.replace_all_uses_with(turned, replace_graph_outputs=True)
        self._given[turned] = taken
        return replace(spec, shape=shape, layout="nchw")

    def _exchange(
        self, spec: TensorSpec, shape: tuple[int, ...], layout: str
    ) -> tuple[ir.Value, ir.Value]:
        """A graph input and the one of `shape` that takes its place and name."""
        inputs = self._graph.inputs
        index = next(i for i, value in enumerate(inputs) if value.name == spec.name)
        value = inputs[index]
        taken = ir.Value(name=spec.name, shape=ir.Shape(shape), type=value.type)
        value.name = f"{spec.name} as {layout}"
        inputs[index] = taken
        return value, taken

    def restore_output(self, index: int) -> None:
        """Give graph output `index` in the model's order."""
        value = self._graph.outputs[index]
        if value not in self._native:
            return
        name = value.name
        restored = self._original(value, None)
        value.name = f"{name} as nhwc"
        restored.name = name
        self._graph.outputs[index] = restored

    def _is_image(self, node: ir.Node) -> bool:
        return node.domain == DOMAIN and node.op_type in IMAGE

    def _absorb_transpose(self, node: ir.Node) -> bool:
        """Whether a Transpose between NCHW and NHWC only says which twin of a value is meant.

        To NCHW, what it reads is the NHWC twin of what it makes; to NHWC, what it makes is the
        twin that an NHWC value has already.
        """
        source, out = (node.inputs[0] if node.inputs else None), node.outputs[0]
        if node.domain != "" or node.op_type != "Transpose" or source is None:
            return False
        permutation = tuple(node.attributes.get_ints("perm", []))
        if permutation == TO_NCHW and source not in self._native:
            self._nhwc[out] = source
            self._native.add(out)
            if source in self._given:
                self._nchw[out] = self._given[source]
            return True
        if permutation == TO_NHWC and source in self._native:
            self._take_place(out, self._nhwc[source], node)
            return True
        return False

    def _take_place(self, out: ir.Value, twin: ir.Value, node: ir.Node) -> None:
        """Let `twin`, which holds the same, be what `out` of `node` was, an output by its name."""
        if out.is_graph_output():
            name, out.name = out.name, f"{out.name} unused"
            if twin.producer() is None or twin.is_graph_output():
                copy = integer_node("Identity", [twin], node.name or "", "Identity", domain="")
                self._graph.insert_before(node, copy)
                twin = copy.outputs[0]
            twin.name = name
        out.replace_all_uses_with(twin, replace_graph_outputs=True)

    def _can_follow(self, node: ir.Node) -> bool:
        """Whether a node can take over the layout of its inputs, one of which is NHWC."""
        return can_follow(node) and any(value in self._native for value in activations(node))

    def _rewrite(self, node: ir.Node) -> None:
        data = activations(node)
        inputs = [
            self._image(value, node) if value is not None and i < len(data) else value
            for i, value in enumerate(node.inputs)
        ]
        attributes = turned(node)
        label = node.metadata_props.get("edgecomp.op", node.op_type)
        new = integer_node(node.op_type, inputs, node.name or "", label, attributes, node.domain)
        old = node.outputs[0]
        new.outputs[0].shape = ir.Shape(permuted(shape_of(old), TO_NHWC))
        new.outputs[0].type = old.type
        new.outputs[0].name = f"{old.name} nhwc"
        self._graph.insert_before(node, new)
        self._nhwc[old] = new.outputs[0]
        self._native.add(old)

    def _image(self, value: ir.Value, before: ir.Node) -> ir.Value:
        """`value` in NHWC."""
        if value not in self._nhwc:
            content = constant_of(value)
            if content is not None:
                turned = np.ascontiguousarray(content.transpose(TO_NHWC))
                self._nhwc[value] = add_constant(self._graph, f"{value.name} nhwc", turned)
            else:
                name = f"{value.name} nhwc"
                self._nhwc[value] = self._transpose(value, TO_NHWC, name, before)
        return self._nhwc[value]

    def _original(self, value: ir.Value, before: ir.Node | None) -> ir.Value:
        """`value`, which is NHWC now, in the model's order."""
        if value not in self._nchw:
            name = f"{value.name} nchw"
            self._nchw[value] = self._transpose(self._nhwc[value], TO_NCHW, name, before)
        return self._nchw[value]

    def _transpose(
        self, value: ir.Value, permutation: tuple[int, ...], name: str, before: ir.Node | None
    ) -> ir.Value:
        shape = shape_of(value)
        target = permuted(shape, permutation)
        if moves_nothing(shape, permutation):
            node = reshape_node(self._graph, value, target, name)
        else:
            attributes = {"perm": list(permutation)}
            node = integer_node("Transpose", [value], name, "Transpose", attributes, domain="")
        node.outputs[0].shape, node.outputs[0].name = ir.Shape(target), name
        if before is None:
            self._graph.append(node)
        else:
            self._graph.insert_before(before, node)
        return node.outputs[0]

    def _flatten_into_dense(self, node: ir.Node) -> bool:
        """Flatten an NHWC image as it lies, when only dense layers read the result."""
        value = node.inputs[0] if node.inputs else None
        if node.op_type not in ("Flatten", "Reshape") or value not in self._native:
            return False
        assert value is not None
        shape = shape_of(value)
        out = node.outputs[0]
        readers = list(out.uses())
        if shape_of(out) != (shape[0], int(np.prod(shape[1:]))) or out.is_graph_output():
            return False
        if not readers or not all(_is_dense_input(use.node, use.idx) for use in readers):
            return False
        order = np.arange(int(np.prod(shape[1:]))).reshape(shape[1:]).transpose(1, 2, 0).reshape(-1)
        for use in readers:
            weights = use.node.inputs[1]
            content = constant_of(weights)
            assert weights is not None
            assert content is not None
            turned = add_constant(self._graph, f"{weights.name} nhwc", content[:, order])
            use.node.replace_input_with(1, turned)
        flat = reshape_node(
            self._graph, self._nhwc[value], shape_of(out), node.name or node.op_type
        )
        self._graph.insert_before(node, flat)
        out.replace_all_uses_with(flat.outputs[0])
        return True


def _is_dense_input(node: ir.Node, index: int) -> bool:
    return node.domain == DOMAIN and node.op_type == "Dense" and index == 0
