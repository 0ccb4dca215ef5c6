"""Channels that go together, and graphs without some of them: as if their weights were zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from edgecomp.graph.channels.coupled import coupled_layers
from edgecomp.graph.channels.cut import cut_channels, kept_places
from edgecomp.graph.channels.trace import Trace, trace_channels
from edgecomp.graph.evaluate import fold_constant_nodes
from edgecomp.graph.values import constant_input, shape_of
from edgecomp.importers.onnx import normalise
from edgecomp.model import Model
from edgecomp.reference import Executor

Array = npt.NDArray[Any]

# name: graph; constants by shape; the share of numbers to remove is a half
GRAPHS: Mapping[str, tuple[str, Mapping[str, tuple[int, ...]]]] = {
    "residual": (
        """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
        [a] a = Conv (x, w1, b1) [r] r = Relu (a)
        [b] b = Conv <pads = [1,1,1,1]> (r, w2) [s] s = Add (r, b) [q] q = PRelu (s, slope)
        [y] y = Conv (q, w3) }""",
        {"w1": (8, 3, 1, 1), "b1": (8,), "w2": (8, 8, 3, 3), "slope": (8, 1, 1),
         "w3": (4, 8, 1, 1)},
    ),
    "padding of channels": (
        """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
        [a] a = Conv (x, w1) [p] p = Pad (a, pads) [b] b = Conv (a, w2) [r] r = Relu (b)
        [s] s = Add (p, r) [y] y = Conv (s, w3) }""",
        {"w1": (4, 3, 1, 1), "pads": (8,), "w2": (8, 4, 1, 1),
         "w3": (4, 8, 1, 1)},
    ),
    "concat and split": (
        """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
        [a] a = Conv (x, w1) [b] b = Conv (x, w2) [c] c = Concat <axis = 1> (a, b)
        [s] p, q = Split <axis = 1> (c, sizes) [r] r = Sigmoid (p)
        [d] d = Conv (r, w3) [e] e = Conv (q, w4) [y] y = Add (d, e) }""",
        {"w1": (8, 3, 1, 1), "w2": (4, 3, 1, 1), "sizes": (6, 6), "w3": (4, 6, 1, 1),
         "w4": (4, 6, 1, 1)},
    ),
    "channel shuffle": (
        """net (float[1,4,5,5] x) => (float[1,2,5,5] y) {
        [a] a = Conv <group = 2> (x, w1) [r] r = Reshape (a, five)
        [t] t = Transpose <perm = [0,2,1,3,4]> (r) [f] f = Reshape (t, four)
        [d] d = Conv <group = 8> (f, w2) [g] g = Conv <group = 2> (d, w3) [y] y = Conv (g, w4) }""",
        {"w1": (8, 2, 1, 1), "five": (1, 2, 4, 5, 5), "four": (1, 8, 5, 5), "w2": (8, 1, 1, 1),
         "w3": (4, 4, 1, 1), "w4": (2, 4, 1, 1)},
    ),
    "flatten to dense": (
        """net (float[1,2,5,5] x) => (float[1,3] y) {
        [a] a = Conv (x, w1) [p] p = MaxPool <kernel_shape = [2,2]> (a) [f] f = Flatten (p)
        [d] d = Gemm <transB = 1> (f, w2, b2) [t] t = Tanh (d) [y] y = MatMul (t, w3) }""",
        {"w1": (6, 2, 2, 2), "w2": (8, 54), "b2": (8,), "w3": (8, 3)},
    ),
    "squeeze and excite": (
        """net (float[1,3,6,6] x) => (float[1,2,6,6] y) {
        [a] a = Conv (x, w1) [m] m = GlobalAveragePool (a) [c] c = Conv (m, w2) [r] r = Relu (c)
        [d] d = Conv (r, w3) [s] s = HardSigmoid (d) [z] z = Mul (a, s) [n] n = Mul (z, gain)
        [y] y = Conv (n, w4) }""",
        {"w1": (8, 3, 1, 1), "w2": (4, 8, 1, 1), "w3": (8, 4, 1, 1), "gain": (1, 8, 1, 1),
         "w4": (2, 8, 1, 1)},
    ),
    "slices": (
        """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
        [a] a = Conv (x, w1) [b] b = Slice (a, zero, four, one) [c] c = Slice (a, four, eight, one)
        [d] d = Conv (b, w2) [e] e = Conv (c, w3) [y] y = Sub (d, e) }""",
        {"w1": (8, 3, 1, 1), "zero": (0,), "four": (4,), "eight": (8,), "one": (1,),
         "w2": (4, 4, 1, 1), "w3": (4, 4, 1, 1)},
    ),
    "attention": (
        """net (float[1,5,6] x) => (float[1,5,6] y) {
        [q] q = MatMul (x, wq) [k] k = MatMul (x, wk) [v] v = MatMul (x, wv)
        [qr] qr = Reshape (q, heads) [kr] kr = Reshape (k, heads) [vr] vr = Reshape (v, heads)
        [qt] qt = Transpose <perm = [0,2,1,3]> (qr) [kt] kt = Transpose <perm = [0,2,3,1]> (kr)
        [vt] vt = Transpose <perm = [0,2,1,3]> (vr)
        [s] s = MatMul (qt, kt) [e] e = Sigmoid (s) [o] o = MatMul (e, vt)
        [ot] ot = Transpose <perm = [0,2,1,3]> (o) [f] f = Reshape (ot, flat)
        [y] y = MatMul (f, wo) }""",
        {"wq": (6, 8), "wk": (6, 8), "wv": (6, 8), "heads": (1, 5, 4, 2), "flat": (1, 5, 8),
         "wo": (8, 6)},
    ),
    "transposed": (
        """net (float[1,3,4,4] x) => (float[1,2,9,9] y) {
        [a] a = ConvTranspose <strides = [2,2]> (x, w1, b1) [u] u = LeakyRelu (a)
        [y] y = Conv (u, w2) }""",
        {"w1": (3, 6, 3, 3), "b1": (6,), "w2": (2, 6, 1, 1)},
    ),
}  # fmt: skip
SIZES = {
    "sizes": [6, 6], "five": [1, 2, 4, 5, 5], "four": [1, 8, 5, 5], "heads": [1, 5, 4, 2],
    "flat": [1, 5, 8], "zero": [0], "eight": [8], "one": [1],
    "pads": [0, 1, 0, 0, 0, 3, 0, 0],
}  # fmt: skip


def imported(name: str) -> Model:
    text, shapes = GRAPHS[name]
    rng = np.random.default_rng(len(name))
    proto = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 21]>' + text)
    for constant, shape in shapes.items():
        if constant in SIZES and not (constant == "four" and len(shape) == 1 and shape == (4,)):
            content = np.array(SIZES[constant], np.int64)
        elif shape == (4,):
            content = np.array([4], np.int64)
        else:
            content = rng.normal(size=shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(content, constant))
    return normalise(proto, {}, {}, "net")


def removable(trace: Trace) -> list[int]:
    made = [use.labels.ravel().tolist() for use in trace.uses if use.makes]
    return sorted({number for numbers in made for number in numbers} - {0})


def silenced(model: Model, trace: Trace, gone: set[int]) -> ir.Model:
    """The model whose consumers multiply what goes by zero; all channels are there."""
    clone = model.graph.clone()
    nodes = dict(zip(model.graph.graph, list(clone.graph), strict=True))
    for use in trace.uses:
        if use.makes or use.node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        node = nodes[use.node]
        content = constant_input(node, use.index)
        assert content is not None
        content = content.copy()
        for axis, kept in kept_places(use.labels, np.array(sorted(gone))).items():
            index: list[Any] = [slice(None)] * content.ndim
            index[axis] = ~kept
            content[tuple(index)] = 0.0
        value = node.inputs[use.index]
        assert value is not None
        value.const_value = ir.tensor(content, name=value.name)
    return clone


@pytest.mark.parametrize("name", GRAPHS)
def test_what_is_left_computes_the_same(name: str) -> None:
    """Removed channels are those a zero weight would have silenced."""
    model = imported(name)
    trace = trace_channels(model.graph.graph)
    numbers = removable(trace)
    gone = set(numbers[:: 2 if name != "attention" else 4])
    assert gone
    assert gone < set(numbers)
    small = cut_channels(model.graph, trace, gone)
    onnx.checker.check_model(ir.to_proto(small), full_check=True)
    feed = {
        s.name: np.random.default_rng(5).normal(size=s.shape).astype("f4") for s in model.inputs
    }
    names = [spec.name for spec in model.outputs]
    got, wanted = (
        Executor(small, names).run(feed),
        Executor(silenced(model, trace, gone), names).run(feed),
    )
    for output in names:
        np.testing.assert_allclose(got[output], wanted[output], rtol=1e-4, atol=1e-5)
    count = lambda graph: sum(np.prod(shape_of(v)) for v in graph.initializers.values())  # noqa: E731
    assert count(small.graph) < count(model.graph.graph)


def test_nothing_removed_changes_nothing() -> None:
    model = imported("residual")
    same = cut_channels(model.graph, trace_channels(model.graph.graph), set())
    assert ir.to_proto(same).SerializeToString() == ir.to_proto(model.graph).SerializeToString()


def test_protected_nodes_keep_their_channels() -> None:
    model = imported("flatten to dense")
    trace = trace_channels(model.graph.graph, ["a"])
    assert len(removable(trace)) == 8  # of the Gemm


def test_layers_that_go_together() -> None:
    assert coupled_layers(imported("residual").graph.graph) == [("a", "b")]
    assert coupled_layers(imported("flatten to dense").graph.graph) == [("a",), ("d",)]


def test_shared_weights_stay_one_constant() -> None:
    text = """net (float[1,4,4,4] x) => (float[1,4,4,4] y) {
        [a] a = Conv (x, w1) [b] b = Conv (a, w2) [c] c = Conv (b, w2) [y] y = Conv (c, w3) }"""
    proto = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 21]>' + text)
    rng = np.random.default_rng(1)
    for name, shape in {"w1": (8, 4, 1, 1), "w2": (8, 8, 1, 1), "w3": (4, 8, 1, 1)}.items():
        content = rng.normal(size=shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(content, name))
    model = normalise(proto, {}, {}, "net")
    trace = trace_channels(model.graph.graph)
    small = cut_channels(model.graph, trace, set(removable(trace)[:3]))
    shapes = sorted(shape_of(v) for v in small.graph.initializers.values())
    assert shapes == [(4, 5, 1, 1), (5, 4, 1, 1), (5, 5, 1, 1)]


def test_who_holds_the_channels_is_named() -> None:
    text = """net (float[1,4] x) => (float[1,3] y) {
        [a] a = MatMul (x, w1) [soft] s = Softmax (a) [y] y = MatMul (s, w2) }"""
    proto = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 21]>' + text)
    for name, shape in {"w1": (4, 8), "w2": (8, 3)}.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.ones(shape, "f4"), name))
    trace = trace_channels(normalise(proto, {}, {}, "net").graph.graph)
    assert trace.numbers.reasons == {"soft": "Softmax needs all its channels"}
    assert removable(trace) == []


def test_weights_that_nodes_compute_are_folded() -> None:
    text = """net (float[1,3] x) => (float[1,4] y) {
        [e] w = Expand (half, shape) [y] y = MatMul (x, w) }"""
    proto = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 21]>' + text)
    proto.graph.initializer.append(numpy_helper.from_array(np.full((1, 1), 0.5, "f4"), "half"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array([3, 4]), "shape"))
    graph = ir.from_proto(proto)
    fold_constant_nodes(graph.graph)
    assert [node.op_type for node in graph.graph] == ["MatMul"]
    np.testing.assert_array_equal(constant_input(graph.graph[0], 1), np.full((3, 4), 0.5))
