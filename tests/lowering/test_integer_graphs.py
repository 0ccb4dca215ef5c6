"""Quantized ONNX operators in graphs: what needs no quantization of its own, and no transposes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.quantized_graph import (
    INPUTS,
    QuantizedGraph,
    activation,
    compiled,
    ints,
    reference,
    samples,
    typed_model,
    weights,
)

# name: nodes that read the dequantized inputs and make `out`, constants, and whether it is exact
ANSWERS: Mapping[str, tuple[str, str]] = {
    "equal": ("Equal", "other"),
    "less": ("Less", "other"),
    "less_or_equal": ("LessOrEqual", "row"),
    "greater": ("Greater", "other"),
    "greater_or_equal": ("GreaterOrEqual", "row"),
}


def test_answers_are_those_of_the_real_values(tmp_path: Path) -> None:
    """Comparisons and indices of extremes need no quantization of their result."""
    graph = QuantizedGraph()
    for name in ("image", "other", "row"):
        graph.quantize(name, *INPUTS[name][1:])
    outputs = {}
    for name, (op, other) in ANSWERS.items():
        graph.add(op, ["image real", f"{other} real"], name)
        outputs[name] = TensorProto.BOOL
    for op, attributes in (
        ("ArgMax", {"axis": 1, "keepdims": 0}),
        ("ArgMin", {"axis": 3, "select_last_index": 1}),
    ):
        outputs[graph.add(op, ["image real"], op.lower(), **attributes)] = TensorProto.INT64
    graph.add("Where", ["less", "image real", "other real"], "chosen")
    outputs[graph.quantize("chosen", 0.05, 7)] = TensorProto.FLOAT
    proto = typed_model(graph, ("image", "other", "row"), outputs)
    inputs = samples(6, ["image", "other", "row"])
    manifest, session = compiled(proto, tmp_path)
    assert {op.where for op in manifest.ops} == {"integer"}
    with session:
        got = session.run(inputs)
    wanted = dict(zip(outputs, reference(proto, inputs), strict=True))
    # a rescaled comparison may see real values as equal that differ by float32's rounding
    for name in ANSWERS:
        assert (got[name] != wanted[name]).mean() < 0.01, name
    np.testing.assert_array_equal(got["argmax"], wanted["argmax"])
    np.testing.assert_array_equal(got["argmin"], wanted["argmin"])
    steps = np.abs(got["chosen real"] - wanted["chosen real"]) / 0.05
    assert (steps > 1.001).mean() < 0.01


def test_what_only_moves_needs_no_quantization_of_its_own(tmp_path: Path) -> None:
    """DQ > Split > Transpose > Reshape > Gather > Relu > Q is integer, as is x * Sigmoid(x)."""
    graph = QuantizedGraph()
    graph.quantize("image", *INPUTS["image"][1:])
    graph.nodes.append(
        helper.make_node(
            "Split", ["image real"], ["first", "second"], name="split", axis=1, num_outputs=2
        )
    )
    graph.add("Transpose", ["first"], "turned", perm=[0, 3, 1, 2])
    graph.add("Reshape", ["turned", graph.constant(ints(10, 24))], "flat")
    graph.add("Gather", ["flat", graph.constant(ints(3, 1))], "picked", axis=0)
    graph.add("Relu", ["picked"], "positive")
    graph.add("Sigmoid", ["second"], "gate")
    graph.add("Mul", ["second", "gate"], "swish")
    outputs = {
        graph.quantize("positive", 0.03, -128): TensorProto.FLOAT,
        graph.quantize("swish", 0.03, -100): TensorProto.FLOAT,
    }
    proto = typed_model(graph, ["image"], outputs)
    inputs = samples(7, ["image"])
    manifest, session = compiled(proto, tmp_path)
    assert {op.where for op in manifest.ops} == {"integer"}
    with session:
        got = list(session.run(inputs).values())
    for mine, want in zip(got, reference(proto, inputs), strict=True):
        assert np.abs(mine - want).max() <= 0.03 * 1.001


def test_gather_by_indices_of_the_run(tmp_path: Path) -> None:
    graph = QuantizedGraph()
    graph.quantize("image", *INPUTS["image"][1:])
    graph.add("ArgMax", ["image real"], "best", axis=1, keepdims=0)
    graph.add("Reshape", ["best", graph.constant(ints(80))], "places")
    graph.add("Gather", ["image real", "places"], "taken", axis=1)
    outputs = {graph.quantize("taken", 0.05, 7): TensorProto.FLOAT}
    proto = typed_model(graph, ["image"], outputs)
    inputs = samples(8, ["image"])
    manifest, session = compiled(proto, tmp_path)
    assert {op.where for op in manifest.ops} == {"integer"}
    with session:
        (got,) = session.run(inputs).values()
    np.testing.assert_array_equal(got, reference(proto, inputs)[0])


def test_images_stay_nhwc(tmp_path: Path) -> None:
    """Borders, resizing, blocks, slopes and reductions between convolutions turn no image."""
    graph = QuantizedGraph()
    graph.quantize("image", *INPUTS["image"][1:])
    value = "image real"

    def then(op: str, *more: Any, **attributes: Any) -> None:
        nonlocal value
        made = graph.add(
            op, [value, *(graph.operand(x) for x in more)], f"v{len(graph.nodes)}", **attributes
        )
        value = graph.quantize(made, 0.05, 7)

    then("Conv", weights(8, 6, 3, 3), pads=[1, 1, 1, 1])
    then("PRelu", activation(np.arange(-4, 4)[:, None, None], 0.2, -1))
    then("Pad", ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    then("Resize", None, np.float32([1, 1, 2, 2]), mode="linear")
    then("SpaceToDepth", blocksize=2)
    then("Slice", ints(0), ints(8), ints(1))
    then("ConvTranspose", weights(8, 4, 2, 2), strides=[2, 2])
    then("Max", activation(3, 0.1, 0))
    then("ReduceMax", ints(1), keepdims=1)
    then("Conv", weights(2, 1, 3, 3))
    then("ReduceMean", ints(1, 2, 3), keepdims=0)
    proto = typed_model(graph, ["image"], {value: TensorProto.FLOAT})
    manifest, session = compiled(proto, tmp_path)
    session.close()
    assert [op.op for op in manifest.ops].count("Transpose") <= 1, "the input alone is turned"
    assert {op.where for op in manifest.ops} == {"integer"}
