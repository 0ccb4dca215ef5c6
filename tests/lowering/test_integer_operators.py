"""Quantized ONNX operators from import to the running program, against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgecomp.device import load_device
from edgecomp.importers.onnx import normalise
from edgecomp.pipeline import Options, compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]

# name: shape, scale, zero point of the inputs
INPUTS: Mapping[str, tuple[tuple[int, ...], float, int]] = {
    "image": ((1, 6, 8, 10), 0.05, 7),
    "other": ((1, 6, 8, 10), 0.03, -11),
    "row": ((10,), 0.04, 3),
    "matrix": ((1, 6, 10, 4), 0.04, 3),
    "sequence": ((1, 6, 9), 0.05, 7),
    "positive": ((4, 50), 0.02, -128),
}


@dataclass(frozen=True)
class Case:
    """One operator between DequantizeLinear and QuantizeLinear.

    Attributes:
        op: operators joined by " > " when several follow each other without quantization.
        inputs: names of `INPUTS`, arrays (constants), or None.
        scale, zero_point: of the output.
        attributes: of the first operator.
    """

    op: str
    inputs: tuple[Any, ...]
    scale: float = 0.05
    zero_point: int = 7
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Quantized:
    """A constant that is stored as int8: content, scale and zero point, a channel axis or None."""

    content: Array
    scale: Array
    zero_point: int = 0
    axis: int | None = None


def _ints(*values: int) -> Array:
    return np.array(values, np.int64)


def _weights(*shape: int, axis: int | None = None) -> Quantized:
    generator = np.random.default_rng(sum(shape))
    count = 1 if axis is None else shape[axis]
    scale = generator.uniform(0.002, 0.01, count).astype(np.float32)
    content = generator.integers(-127, 128, shape).astype(np.int8)
    return Quantized(content, scale if axis is not None else scale.reshape(()), 0, axis)


def _activation(content: Any, scale: float, zero_point: int) -> Quantized:
    return Quantized(np.array(content, np.int8), np.float32(scale).reshape(()), zero_point)


ONE = ("image",)
PAIR = ("image", "other")
SIZES = (None, None, _ints(1, 6, 11, 7))
ROUND = {"coordinate_transformation_mode": "align_corners", "nearest_mode": "round_prefer_ceil"}
FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
TRANSPOSE_CONV = {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}

CASES: Mapping[str, Case] = {
    "mean_hwc": Case("ReduceMean", (*ONE, _ints(1, 2, 3)), 0.01, 3),
    "mean_c": Case("ReduceMean", (*ONE, _ints(1)), 0.03, 3, {"keepdims": 0}),
    "mean_hw": Case("ReduceMean", (*ONE, _ints(2, 3)), 0.02, 3, {"keepdims": 0}),
    "mean_last": Case("ReduceMean", (*ONE, _ints(-1)), 0.03, 3),
    "mean_sequence": Case("ReduceMean", ("sequence", _ints(2)), 0.03, 3),
    "sum_rows": Case("ReduceSum", (*ONE, _ints(2)), 0.3, -4),
    "sum_all": Case("ReduceSum", ONE, 5.0, 0, {"keepdims": 0}),
    "max_hw": Case("ReduceMax", (*ONE, _ints(2, 3))),
    "min_c": Case("ReduceMin", (*ONE, _ints(1)), 0.06, 2, {"keepdims": 0}),
    "softmax": Case("Softmax", ONE, 1 / 256, -128),
    "log_softmax": Case("LogSoftmax", ONE, 16 / 256, 127),
    "log_softmax_rescaled": Case("LogSoftmax", ONE, 0.1, 100),
    "abs": Case("Abs", ONE, 0.03, -128),
    "neg": Case("Neg", ONE, 0.05, -3),
    "exp": Case("Exp", ONE, 2.0, -128),
    "erf": Case("Erf", ONE, 1 / 128, 0),
    "gelu": Case("Gelu", ONE, 0.03, -100),
    "gelu_tanh": Case("Gelu", ONE, 0.03, -100, {"approximate": "tanh"}),
    "softplus": Case("Softplus", ONE, 0.03, -128),
    "hard_swish": Case("HardSwish", ONE, 0.03, -100),
    "elu": Case("Elu", ONE, 0.03, -80),
    "leaky": Case("LeakyRelu", ONE, 0.03, -80, {"alpha": 0.1}),
    "sqrt": Case("Sqrt", ("positive",), 0.01, -128),
    "log": Case("Log", ("positive",), 0.03, 40),
    "rsqrt": Case("Sqrt > Reciprocal", ("positive",), 0.03, -128),
    "chain": Case("Sin > Abs > Sqrt > Neg", ONE, 0.01, 100),
    "slice": Case(
        "Slice", (*ONE, _ints(1, -1, 20), _ints(6, -100, 1), _ints(1, 2, 3), _ints(2, -1, -3))
    ),
    "pad": Case("Pad", (*ONE, _ints(0, 0, 1, 2, 0, 0, 3, 0))),
    "pad_value": Case("Pad", (*ONE, _ints(0, 1, 1, 2, 0, 0, 3, 0), np.float32(-1.3))),
    "pad_cut": Case("Pad", (*ONE, _ints(0, 0, -1, 2, 0, 0, 3, -2), np.float32(0.7))),
    "pad_reflect": Case(
        "Pad", (*ONE, _ints(0, 0, 2, 1, 0, 0, 3, 4)), attributes={"mode": "reflect"}
    ),
    "pad_edge": Case("Pad", (*ONE, _ints(0, 2, 2, 1, 0, 0, 3, 4)), attributes={"mode": "edge"}),
    "nearest_up": Case("Resize", (*ONE, None, np.float32([1, 1, 2, 3]))),
    "nearest_floor": Case("Resize", (*ONE, *SIZES), attributes={"mode": "nearest", **FLOOR}),
    "nearest_corners": Case("Resize", (*ONE, *SIZES), attributes={"mode": "nearest", **ROUND}),
    "linear_up": Case(
        "Resize", (*ONE, None, np.float32([1, 1, 2, 4])), attributes={"mode": "linear"}
    ),
    "linear_corners": Case(
        "Resize",
        (*ONE, None, None, _ints(1, 6, 15, 19)),
        attributes={"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    "linear_asymmetric": Case(
        "Resize",
        (*ONE, None, np.float32([1, 1, 2, 2])),
        attributes={"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
    ),
    "gather": Case("Gather", (*ONE, _ints(5, 0, -2, 3)), attributes={"axis": 1}),
    "gather_scalar": Case("Gather", (*ONE, np.int64(4)), attributes={"axis": 2}),
    "tile": Case("Tile", (*ONE, _ints(1, 2, 1, 3))),
    "expand": Case("Expand", ("row", _ints(3, 6, 10)), 0.04, 3),
    "depth_to_space": Case("SpaceToDepth > DepthToSpace", ONE, attributes={"blocksize": 2}),
    "space_to_depth": Case("SpaceToDepth", ONE, attributes={"blocksize": 2}),
    "global_max": Case("GlobalMaxPool", ONE),
    "max": Case("Max", PAIR),
    "max_constant": Case("Max", ("image", _activation(3, 0.1, 0))),
    "min": Case("Min", (*PAIR, "row"), 0.04, 0),
    "div": Case("Div", PAIR, 0.5, 4),
    "product": Case("MatMul", ("image", "matrix"), 0.5, 4),
    "prelu": Case("PRelu", ("image", _activation(np.arange(-3, 3)[:, None, None], 0.2, -1))),
    "squared": Case("Sub > Square", PAIR, 0.5, -128),
    "conv_transpose": Case(
        "ConvTranspose", ("image", _weights(6, 4, 3, 3, axis=1)), 0.2, 5, TRANSPOSE_CONV
    ),
    "conv_transpose_groups": Case(
        "ConvTranspose",
        ("image", _weights(6, 4, 2, 3)),
        0.2,
        5,
        {"strides": [3, 2], "group": 2, "dilations": [1, 2]},
    ),
    "conv_transpose_sequence": Case(
        "ConvTranspose", ("sequence", _weights(6, 2, 4)), 0.2, 5, {"strides": [2], "pads": [1, 1]}
    ),
}


class _Graph:
    """Collects the nodes of a model of quantized operators."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Any) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        domain_name = f"{op.lower()} of {output}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=domain_name, **attributes))
        return output

    def quantize(self, value: str, scale: float, zero_point: int) -> str:
        """`value` through QuantizeLinear and DequantizeLinear."""
        grid = [self.constant(np.float32(scale)), self.constant(np.int8(zero_point))]
        self.add("QuantizeLinear", [value, *grid], f"{value} quantized")
        return self.add("DequantizeLinear", [f"{value} quantized", *grid], f"{value} real")

    def operand(self, given: Any) -> str:
        if given is None or isinstance(given, str):
            return "" if given is None else f"{given} real"
        if not isinstance(given, Quantized):
            return self.constant(given)
        zero_point = np.full(given.scale.shape, given.zero_point, np.int8)
        grid = [self.constant(array) for array in (given.content, given.scale, zero_point)]
        axis = {} if given.axis is None else {"axis": given.axis}
        return self.add("DequantizeLinear", grid, f"{grid[0]} real", **axis)


def _model(cases: Mapping[str, Case]) -> onnx.ModelProto:
    graph = _Graph()
    names = sorted({x for case in cases.values() for x in case.inputs if isinstance(x, str)})
    for name in names:
        _, scale, zero_point = INPUTS[name]
        graph.quantize(name, scale, zero_point)
    outputs = []
    for name, case in cases.items():
        operands = [graph.operand(given) for given in case.inputs]
        attributes = dict(case.attributes)
        for step, op in enumerate(case.op.split(" > ")):
            made = f"{name} float {step}"
            if op == "Square":
                graph.add("Mul", [operands[0], operands[0]], made)
            else:
                graph.add(op, operands, made, **attributes)
            keeps = op == "SpaceToDepth"
            operands, attributes = [made], attributes if keeps else {}
        outputs.append(graph.quantize(operands[0], case.scale, case.zero_point))
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "operators",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, INPUTS[n][0]) for n in names],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    return onnx.shape_inference.infer_shapes(proto, strict_mode=True)


def _samples(seed: int, names: Sequence[str]) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    samples = {}
    for name in names:
        shape, scale, zero_point = INPUTS[name]
        steps = generator.integers(-128, 128, shape)
        samples[name] = (np.float32(scale) * (steps - zero_point)).astype(np.float32)
    return samples


def _reference(proto: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    outputs: list[Array] = session.run(None, dict(inputs))
    return outputs


def test_operators_are_integer_and_within_one_step(tmp_path: Path) -> None:
    proto = _model(CASES)
    inputs = _samples(5, [value.name for value in proto.graph.input])
    wanted = _reference(proto, inputs)
    model = normalise(proto, {}, {}, "operators")
    path = tmp_path / "operators.edge"
    manifest = compile_model(model, load_device("host"), path, options=Options())
    floats = [f"{op.name}: {op.op}" for op in manifest.ops if op.where != "integer"]
    assert not floats
    with Session(open_artifact(path)) as session:
        outputs = list(session.run(inputs).values())
    wrong = {}
    for (name, case), got, want in zip(CASES.items(), outputs, wanted, strict=True):
        assert got.shape == want.shape, name
        steps = np.abs(got - want) / np.float32(case.scale)
        if steps.max(initial=0) > 1.001:
            wrong[name] = (float(steps.max()), float((steps > 1.001).mean()))
    assert not wrong


# name: nodes that read the dequantized inputs and make `out`, constants, and whether it is exact
ANSWERS: Mapping[str, tuple[str, str]] = {
    "equal": ("Equal", "other"),
    "less": ("Less", "other"),
    "less_or_equal": ("LessOrEqual", "row"),
    "greater": ("Greater", "other"),
    "greater_or_equal": ("GreaterOrEqual", "row"),
}


def _compile(proto: onnx.ModelProto, tmp_path: Path) -> tuple[Any, Session]:
    model = normalise(proto, {}, {}, "operators")
    path = tmp_path / "operators.edge"
    manifest = compile_model(model, load_device("host"), path, options=Options())
    return manifest, Session(open_artifact(path))


def _typed_model(
    graph: _Graph, inputs: Sequence[str], outputs: Mapping[str, int]
) -> onnx.ModelProto:
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "operators",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, INPUTS[n][0]) for n in inputs],
            [helper.make_tensor_value_info(n, kind, None) for n, kind in outputs.items()],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    return onnx.shape_inference.infer_shapes(proto, strict_mode=True)


def test_answers_are_those_of_the_real_values(tmp_path: Path) -> None:
    """Comparisons and indices of extremes need no quantization of their result."""
    graph = _Graph()
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
    proto = _typed_model(graph, ("image", "other", "row"), outputs)
    inputs = _samples(6, ["image", "other", "row"])
    manifest, session = _compile(proto, tmp_path)
    assert {op.where for op in manifest.ops} == {"integer"}
    with session:
        got = session.run(inputs)
    wanted = dict(zip(outputs, _reference(proto, inputs), strict=True))
    # a rescaled comparison may see real values as equal that differ by float32's rounding
    for name in ANSWERS:
        assert (got[name] != wanted[name]).mean() < 0.01, name
    np.testing.assert_array_equal(got["argmax"], wanted["argmax"])
    np.testing.assert_array_equal(got["argmin"], wanted["argmin"])
    steps = np.abs(got["chosen real"] - wanted["chosen real"]) / 0.05
    assert (steps > 1.001).mean() < 0.01


def test_what_only_moves_needs_no_quantization_of_its_own(tmp_path: Path) -> None:
    """DQ > Split > Transpose > Reshape > Gather > Relu > Q is integer, as is x * Sigmoid(x)."""
    graph = _Graph()
    graph.quantize("image", *INPUTS["image"][1:])
    graph.nodes.append(
        helper.make_node(
            "Split", ["image real"], ["first", "second"], name="split", axis=1, num_outputs=2
        )
    )
    graph.add("Transpose", ["first"], "turned", perm=[0, 3, 1, 2])
    graph.add("Reshape", ["turned", graph.constant(_ints(10, 24))], "flat")
    graph.add("Gather", ["flat", graph.constant(_ints(3, 1))], "picked", axis=0)
    graph.add("Relu", ["picked"], "positive")
    graph.add("Sigmoid", ["second"], "gate")
    graph.add("Mul", ["second", "gate"], "swish")
    outputs = {
        graph.quantize("positive", 0.03, -128): TensorProto.FLOAT,
        graph.quantize("swish", 0.03, -100): TensorProto.FLOAT,
    }
    proto = _typed_model(graph, ["image"], outputs)
    inputs = _samples(7, ["image"])
    manifest, session = _compile(proto, tmp_path)
    assert {op.where for op in manifest.ops} == {"integer"}
    with session:
        got = list(session.run(inputs).values())
    for mine, want in zip(got, _reference(proto, inputs), strict=True):
        assert np.abs(mine - want).max() <= 0.03 * 1.001


def test_gather_by_indices_of_the_run(tmp_path: Path) -> None:
    graph = _Graph()
    graph.quantize("image", *INPUTS["image"][1:])
    graph.add("ArgMax", ["image real"], "best", axis=1, keepdims=0)
    graph.add("Reshape", ["best", graph.constant(_ints(80))], "places")
    graph.add("Gather", ["image real", "places"], "taken", axis=1)
    outputs = {graph.quantize("taken", 0.05, 7): TensorProto.FLOAT}
    proto = _typed_model(graph, ["image"], outputs)
    inputs = _samples(8, ["image"])
    manifest, session = _compile(proto, tmp_path)
    assert {op.where for op in manifest.ops} == {"integer"}
    with session:
        (got,) = session.run(inputs).values()
    np.testing.assert_array_equal(got, _reference(proto, inputs)[0])


def test_images_stay_nhwc(tmp_path: Path) -> None:
    """Borders, resizing, blocks, slopes and reductions between convolutions turn no image."""
    graph = _Graph()
    graph.quantize("image", *INPUTS["image"][1:])
    value = "image real"

    def then(op: str, *more: Any, **attributes: Any) -> None:
        nonlocal value
        made = graph.add(
            op, [value, *(graph.operand(x) for x in more)], f"v{len(graph.nodes)}", **attributes
        )
        value = graph.quantize(made, 0.05, 7)

    then("Conv", _weights(8, 6, 3, 3), pads=[1, 1, 1, 1])
    then("PRelu", _activation(np.arange(-4, 4)[:, None, None], 0.2, -1))
    then("Pad", _ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    then("Resize", None, np.float32([1, 1, 2, 2]), mode="linear")
    then("SpaceToDepth", blocksize=2)
    then("Slice", _ints(0), _ints(8), _ints(1))
    then("ConvTranspose", _weights(8, 4, 2, 2), strides=[2, 2])
    then("Max", _activation(3, 0.1, 0))
    then("ReduceMax", _ints(1), keepdims=1)
    then("Conv", _weights(2, 1, 3, 3))
    then("ReduceMean", _ints(1, 2, 3), keepdims=0)
    proto = _typed_model(graph, ["image"], {value: TensorProto.FLOAT})
    manifest, session = _compile(proto, tmp_path)
    session.close()
    assert [op.op for op in manifest.ops].count("Transpose") <= 1, "the input alone is turned"
    assert {op.where for op in manifest.ops} == {"integer"}
