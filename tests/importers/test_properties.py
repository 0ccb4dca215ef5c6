"""Any small graph keeps its meaning through the importer, and a second import changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgecomp.importers.onnx import normalise
from edgecomp.reference import run_reference

CHANNELS = 4


@dataclass
class Drawn:
    """A graph being drawn: image values [1, 4, h, w] by name, with their sizes."""

    random: np.random.Generator
    nodes: list = field(default_factory=list)
    constants: list = field(default_factory=list)
    sizes: dict = field(default_factory=lambda: {"x": (6, 6)})

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def normal(self, *shape):
        return self.constant(self.random.normal(size=shape).astype(np.float32))

    def add(self, op, inputs, size, name="", **attributes):
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        if size is not None:
            self.sizes[output] = size
        return output


def conv(graph, source, draw):
    groups = draw(st.sampled_from([1, 2, 4]))
    inputs = [source, graph.normal(CHANNELS, CHANNELS // groups, 3, 3)]
    if draw(st.booleans()):
        inputs.append(graph.normal(CHANNELS))
    name = draw(st.sampled_from(["", "same", "conv"]))
    graph.add("Conv", inputs, graph.sizes[source], name, group=groups, pads=[1, 1, 1, 1])


def batch_norm(graph, source, draw):
    variance = graph.constant(np.abs(graph.random.normal(size=CHANNELS)).astype("f4") + 0.1)
    statistics = [graph.normal(CHANNELS) for _ in range(3)]
    graph.add("BatchNormalization", [source, *statistics, variance], graph.sizes[source])


def activation(graph, source, draw):
    op = draw(st.sampled_from(["Relu", "Sigmoid", "Tanh", "Identity", "Neg", "Dropout"]))
    graph.add(op, [source], graph.sizes[source])


def by_constant(graph, source, draw):
    op = draw(st.sampled_from(["Mul", "Add", "Sub", "Div"]))
    shape = draw(st.sampled_from([(), (1,), (CHANNELS, 1, 1), (1, CHANNELS, 1, 1), (1, 1, 1, 6)]))
    if shape and shape[-1] == 6 and graph.sizes[source][1] != 6:
        shape = ()
    array = graph.random.normal(size=shape)
    constant = graph.constant((np.sign(array) * (np.abs(array) + 0.5)).astype("f4"))
    first = op != "Div" and draw(st.booleans())
    graph.add(op, [constant, source] if first else [source, constant], graph.sizes[source])


def two_values(graph, source, draw):
    like = [name for name, size in graph.sizes.items() if size == graph.sizes[source]]
    op = draw(st.sampled_from(["Add", "Mul", "Max"]))
    graph.add(op, [source, draw(st.sampled_from(like))], graph.sizes[source])


def pad_and_conv(graph, source, draw):
    amounts = draw(st.lists(st.integers(0, 2), min_size=4, max_size=4))
    top, left, bottom, right = amounts
    height, width = graph.sizes[source]
    pads = graph.constant(np.array([0, 0, top, left, 0, 0, bottom, right]))
    value = [graph.constant(np.float32(1))] if draw(st.booleans()) else []
    size = (height + top + bottom, width + left + right)
    padded = graph.add("Pad", [source, pads, *value], size)
    if draw(st.booleans()) and max(size) < 12:
        conv(graph, padded, draw)


def pool(graph, source, draw):
    height, width = graph.sizes[source]
    if min(height, width) < 2:
        return
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    kind = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    size = (height // 2, width // 2) if kind == "VALID" else (-(-height // 2), -(-width // 2))
    graph.add(op, [source], size, kernel_shape=[2, 2], strides=[2, 2], auto_pad=kind)


def shape_arithmetic(graph, source, draw):
    shape = graph.add("Shape", [source], None)
    one = graph.constant(np.array([1]))
    same = graph.add("Mul", [shape, one], None)
    graph.add("Reshape", [source, same], graph.sizes[source])


STEPS = (
    conv, batch_norm, activation, by_constant, two_values, pad_and_conv, pool, shape_arithmetic,
)  # fmt: skip


@st.composite
def models(draw):
    """A model [batch, 4, 6, 6] -> one output of up to eight random steps, some of them unused."""
    graph = Drawn(np.random.default_rng(draw(st.integers(0, 2**16))))
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8)):
        source = draw(st.sampled_from(list(graph.sizes)[-3:]))
        if max(graph.sizes[source]) < 12:
            step(graph, source, draw)
    output = list(graph.sizes)[-1]
    if output == "x":
        output = graph.add("Relu", ["x"], (6, 6))
    proto = helper.make_graph(
        graph.nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", CHANNELS, 6, 6])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * 4)],
        graph.constants,
    )
    opset = draw(st.sampled_from([13, 15, 17, 18, 20, 21, 23]))
    return helper.make_model(proto, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_meaning_is_kept_and_import_is_idempotent(proto):
    sample = np.random.default_rng(0).normal(size=(1, CHANNELS, 6, 6)).astype(np.float32)
    nameless = onnx.ModelProto()
    nameless.CopyFrom(proto)
    for node in nameless.graph.node:
        # onnxruntime refuses repeated names, the importer does not
        node.ClearField("name")
    session = onnxruntime.InferenceSession(nameless.SerializeToString())
    (expected,) = session.run(None, {"x": sample})
    model = normalise(proto, {}, {}, "drawn")
    (found,) = run_reference(model, [sample[None]])
    assert model.outputs[0].shape == expected.shape
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    names = [node.name for node in model.graph.graph]
    assert len(names) == len(set(names))
    again = normalise(ir.to_proto(model.graph), {}, {}, "drawn")
    assert ir.to_proto(again.graph) == ir.to_proto(model.graph)
