"""Float groups: every operator against onnxruntime, compiled by the host's C compiler."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgecomp.lowering.codegen import generate_c
from edgecomp.lowering.float_groups import group_float_nodes
from edgecomp.lowering.float_schedule import schedule_float
from edgecomp.lowering.relax import LoweredGroup, lower_group, unsupported
from edgecomp.lowering.relax_calls import FloatCall

CSRC = Path(__file__).parents[2] / "edgecomp" / "lowering" / "csrc"

Arrays = dict[str, npt.NDArray[Any]]
Node = tuple[str, list[str], dict[str, Any]]


def make_model(nodes: Sequence[Node], inputs: Arrays, constants: Arrays) -> onnx.ModelProto:
    """A model of `nodes`; node i writes "y<i>" (or what its "outputs" attribute names)."""
    protos = []
    for i, (op_type, operands, attributes) in enumerate(nodes):
        outputs = attributes.get("outputs", [f"y{i}"])
        plain = {key: value for key, value in attributes.items() if key != "outputs"}
        protos.append(helper.make_node(op_type, operands, outputs, name=f"n{i}", **plain))
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in inputs.items()
    ]
    results = [helper.make_empty_tensor_value_info(name) for name in protos[-1].output]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(protos, "g", infos, results, weights)
    opsets = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def lower(model: onnx.ModelProto) -> list[LoweredGroup]:
    graph = ir.serde.deserialize_model(model).graph
    return [lower_group(group) for group in group_float_nodes(list(graph))]


class Library:
    """The calls of lowered groups as one shared library."""

    def __init__(self, folder: Path, calls: Sequence[FloatCall]) -> None:
        sources = [generate_c(schedule_float(c.func), len(c.outputs)) for c in calls]
        text = '#include "edgecomp_kernel.h"\n#include "edgecomp_math.h"\n#undef EC_KERNEL\n'
        text += "#define EC_KERNEL\n"
        text += "\n".join(source.define(f"k{i}") for i, source in enumerate(sources))
        (folder / "k.c").write_text(text)
        command = [sys.executable, "-m", "ziglang", "cc", "-O1", "-ffp-contract=off", "-shared"]
        command += ["-fPIC", "-nostdlib", "-ffreestanding", f"-I{CSRC}", "-fno-sanitize=all"]
        command += [str(folder / "k.c"), "-o", str(folder / "k.so")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
        self.library = ctypes.CDLL(str(folder / "k.so"))
        self.calls = calls
        self.workspaces = [source.workspaces for source in sources]

    def run(self, values: Arrays) -> None:
        """Execute every call; `values` gets what they write, and has room for it."""
        for i, call in enumerate(self.calls):
            scratch = [np.full(w.shape, 97, w.dtype) for w in self.workspaces[i]]
            operands = [values[name] for name in (*call.inputs, *call.outputs)] + scratch
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in operands]
            getattr(self.library, f"k{i}")(*pointers)


def onnxruntime_outputs(model: onnx.ModelProto, inputs: Arrays) -> list[npt.NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, inputs))


def check(folder: Path, nodes: Sequence[Node], inputs: Arrays, constants: Arrays) -> None:
    """The lowered model and onnxruntime agree to 1e-4 of the largest value."""
    model = make_model(nodes, inputs, constants)
    wanted = onnxruntime_outputs(model, inputs)
    for output, want in zip(model.graph.output, wanted, strict=True):
        kind = helper.np_dtype_to_tensor_dtype(want.dtype)
        output.CopyFrom(helper.make_tensor_value_info(output.name, kind, want.shape))
    groups = lower(model)
    names = [output.name for output in model.graph.output]
    values: Arrays = dict(inputs)
    for group in groups:
        values |= group.constants
        values |= {t.name: np.empty(t.shape, t.dtype) for t in group.tensors.values()}
    types = {v.name: v.type.tensor_type for v in [*model.graph.value_info, *model.graph.output]}
    for name, kind in types.items():
        shape = [dim.dim_value for dim in kind.shape.dim]
        values.setdefault(name, np.empty(shape, helper.tensor_dtype_to_np_dtype(kind.elem_type)))
    Library(folder, [call for group in groups for call in group.calls]).run(values)
    for name, want in zip(names, wanted, strict=True):
        assert values[name].shape == want.shape
        if want.dtype.kind == "f":
            scale = np.abs(want[np.isfinite(want)]).max(initial=1e-6)
            np.testing.assert_allclose(values[name], want, rtol=1e-4, atol=1e-4 * scale)
        else:
            np.testing.assert_array_equal(values[name], want)


def floats(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def integers(*values: int) -> npt.NDArray[Any]:
    return np.array(values, np.int64)


def _conv(seed: int) -> tuple[list[Node], Arrays, Arrays]:
    pick = np.random.default_rng(seed)
    group = int(pick.choice([1, 1, 2, 4]))
    channels, filters = group * int(pick.integers(1, 5)), group * int(pick.integers(1, 6))
    rank = int(pick.choice([1, 2, 2, 2]))
    kernel = pick.integers(1, 4, rank).tolist()
    attributes: dict[str, Any] = {
        "group": group,
        "strides": pick.integers(1, 3, rank).tolist(),
        "dilations": pick.integers(1, 3, rank).tolist(),
    }
    mode = pick.choice(["pads", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if mode == "pads":
        attributes["pads"] = pick.integers(0, 3, 2 * rank).tolist()
    else:
        attributes["auto_pad"] = str(mode)
        if mode != "VALID":
            attributes["dilations"] = [1] * rank
    x = floats(1, channels, *pick.integers(6, 12, rank), seed=seed)
    weights = {"w": floats(filters, channels // group, *kernel, seed=seed + 1)}
    operands = ["x", "w"]
    if seed % 3:
        weights["b"] = floats(filters, seed=seed + 2)
        operands.append("b")
    return [("Conv", operands, attributes), ("Relu", ["y0"], {})], {"x": x}, weights


def _conv_transpose(seed: int) -> tuple[list[Node], Arrays, Arrays]:
    pick = np.random.default_rng(seed)
    group = int(pick.choice([1, 1, 2]))
    channels, filters = group * int(pick.integers(1, 4)), int(pick.integers(1, 4))
    kernel = pick.integers(2, 4, 2).tolist()
    attributes: dict[str, Any] = {"group": group, "strides": pick.integers(1, 3, 2).tolist()}
    if seed % 3 == 0:
        attributes["auto_pad"] = "SAME_UPPER"
    elif seed % 3 == 1:
        attributes["pads"] = pick.integers(0, 2, 4).tolist()
    x = floats(1, channels, 5, 6, seed=seed)
    weights = {"w": floats(channels, filters, *kernel), "b": floats(group * filters)}
    return [("ConvTranspose", ["x", "w", "b"], attributes)], {"x": x}, weights


def _pool(seed: int) -> tuple[list[Node], Arrays, Arrays]:
    pick = np.random.default_rng(seed)
    op_type = str(pick.choice(["AveragePool", "MaxPool"]))
    attributes: dict[str, Any] = {
        "kernel_shape": pick.integers(2, 4, 2).tolist(),
        "strides": pick.integers(1, 3, 2).tolist(),
    }
    if seed % 4 == 0:
        attributes["auto_pad"] = "SAME_UPPER"
    else:
        attributes["pads"] = pick.integers(0, 2, 4).tolist()
        attributes["ceil_mode"] = int(pick.integers(0, 2))
    if op_type == "AveragePool":
        attributes["count_include_pad"] = int(pick.integers(0, 2))
    return [(op_type, ["x"], attributes)], {"x": floats(1, 3, 9, 10, seed=seed)}, {}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("make", [_conv, _conv_transpose, _pool])
def test_windows(make: Callable[..., Any], seed: int, tmp_path: Path) -> None:
    check(tmp_path, *make(seed))


X = {"x": floats(2, 3, 4, 5)}
POSITIVE = {"x": floats(2, 3, 4, 5, low=0.1, high=3.0)}
UNIT = {"x": floats(2, 3, 4, 5, low=-0.9, high=0.9)}
TIES = {"x": np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.3, -2.7, 0.0], np.float32)}
TWO = X | {"z": floats(2, 3, 4, 5, seed=9)}
FLAGS = {"c": floats(2, 3, 4, 5) > 0}

# fmt: off
UNARY = [
    "Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Mish", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Sin",
    "Softplus", "Softsign", "Tan", "Tanh", "ThresholdedRelu", "Atan", "Sinh", "Cosh",
    "Asinh", "Identity", "Softmax", "LogSoftmax", "GlobalAveragePool", "GlobalMaxPool",
    "Flatten", "Transpose", "IsNaN", "Hardmax", "MeanVarianceNormalization", "ReduceMean",
    "ReduceSum",
]
BINARY = [
    "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Greater", "Less", "Equal",
    "GreaterOrEqual",
]
BROADCASTING = [
    "Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu",
]
REDUCTIONS = [
    "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
    "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare",
]
# fmt: on

# name -> nodes, inputs, constants
CASES: dict[str, tuple[list[Node], Arrays, Arrays]] = {
    **{op: ([(op, ["x"], {})], X, {}) for op in UNARY},
    **{op: ([(op, ["x"], {})], POSITIVE, {}) for op in ("Log", "Sqrt")},
    **{op: ([(op, ["x"], {})], UNIT, {}) for op in ("Asin", "Acos", "Atanh")},
    "Acosh": ([("Acosh", ["x"], {})], {"x": floats(7, low=1.0, high=9.0)}, {}),
    "Round": ([("Round", ["x"], {})], TIES, {}),
    "Gelu tanh": ([("Gelu", ["x"], {"approximate": "tanh"})], X, {}),
    **{op: ([(op, ["x", "z"], {})], TWO, {}) for op in BINARY},
    **{
        f"{op} broadcast": ([(op, ["x", "w"], {})], X, {"w": floats(3, 1, 5, seed=4)})
        for op in BROADCASTING
    },
    "Add scalar": ([("Add", ["x", "w"], {})], X, {"w": np.float32([0.1])}),
    "outer": ([("Mul", ["x", "z"], {})], {"x": floats(4, 1), "z": floats(1, 5)}, {}),
    "Pow": ([("Pow", ["x", "z"], {})], POSITIVE | {"z": floats(2, 3, 4, 5)}, {}),
    **{
        f"Pow {e}": ([("Pow", ["x", "e"], {})], POSITIVE, {"e": np.float32(e)})
        for e in (2.0, 0.5, 3.0, -1.0, -0.5, 1.7)
    },
    "Mod": ([("Mod", ["x", "z"], {"fmod": 1})], TWO, {}),
    "Clip": ([("Clip", ["x", "a", "b"], {})], X, {"a": np.float32(-0.5), "b": np.float32(1)}),
    "Clip below": ([("Clip", ["x", "", "b"], {})], X, {"b": np.float32(0.3)}),
    "Where": ([("Where", ["c", "x", "z"], {})], TWO | FLAGS, {}),
    "Not": ([("Not", ["c"], {})], FLAGS, {}),
    "And": ([("Greater", ["x", "z"], {}), ("And", ["y0", "c"], {})], TWO | FLAGS, {}),
    "Cast int": ([("Cast", ["x"], {"to": onnx.TensorProto.INT32})], X, {}),
    "Cast bool": ([("Cast", ["c"], {"to": onnx.TensorProto.FLOAT})], FLAGS, {}),
    "Gemm": (
        [("Gemm", ["x", "w", "b"], {"transB": 1, "alpha": 0.5, "beta": 2.0})],
        {"x": floats(3, 7)},
        {"w": floats(5, 7), "b": floats(5)},
    ),
    "Gemm transA": (
        [("Gemm", ["x", "w"], {"transA": 1})],
        {"x": floats(7, 3)},
        {"w": floats(7, 33)},
    ),
    "Gemm of tensors": (
        [("Gemm", ["x", "z", "b"], {"transB": 1, "alpha": 0.5})],
        {"x": floats(3, 7), "z": floats(5, 7), "b": floats(3, 1)},
        {},
    ),
    "MatMul": ([("MatMul", ["x", "w"], {})], {"x": floats(1, 40)}, {"w": floats(40, 17)}),
    "MatMul prime": ([("MatMul", ["x", "w"], {})], {"x": floats(5, 9)}, {"w": floats(9, 211)}),
    "MatMul batched": (
        [("MatMul", ["x", "z"], {})],
        {"x": floats(2, 3, 4, 5), "z": floats(3, 5, 6)},
        {},
    ),
    "MatMul vector": ([("MatMul", ["x", "z"], {})], {"x": floats(5), "z": floats(5, 6)}, {}),
    "Einsum": (
        [("Einsum", ["x", "z"], {"equation": "bij,bkj->bik"})],
        {"x": floats(2, 3, 4), "z": floats(2, 5, 4)},
        {},
    ),
    "BatchNormalization": (
        [("BatchNormalization", ["x", "s", "b", "m", "v"], {"epsilon": 1e-3})],
        X,
        {"s": floats(3), "b": floats(3, seed=1), "m": floats(3, seed=2), "v": floats(3, low=0.1)},
    ),
    "LayerNormalization": (
        [("LayerNormalization", ["x", "s", "b"], {"axis": -1})],
        X,
        {"s": floats(5), "b": floats(5, seed=1)},
    ),
    "LayerNormalization two axes": (
        [("LayerNormalization", ["x", "s"], {"axis": 2})],
        X,
        {"s": floats(4, 5)},
    ),
    "InstanceNormalization": (
        [("InstanceNormalization", ["x", "s", "b"], {})],
        X,
        {"s": floats(3), "b": floats(3, seed=1)},
    ),
    "GroupNormalization": (
        [("GroupNormalization", ["x", "s", "b"], {"num_groups": 2})],
        {"x": floats(1, 4, 3, 3)},
        {"s": floats(4), "b": floats(4, seed=1)},
    ),
    "LRN": ([("LRN", ["x"], {"size": 3})], X, {}),
    "LpNormalization": ([("LpNormalization", ["x"], {"axis": 1})], X, {}),
    "Softmax axis": ([("Softmax", ["x"], {"axis": 1})], X, {}),
    **{
        f"{op} axes": ([(op, ["x", "a"], {"keepdims": keep})], POSITIVE, {"a": integers(1, -1)})
        for keep, op in [(i % 2, op) for i, op in enumerate(REDUCTIONS)]
    },
    "ArgMax": ([("ArgMax", ["x"], {"axis": 1, "keepdims": 0})], X, {}),
    "ArgMin": ([("ArgMin", ["x"], {"axis": -1})], X, {}),
    "CumSum": ([("CumSum", ["x", "a"], {})], X, {"a": np.int64(2)}),
    "Concat": ([("Concat", ["x", "z", "w"], {"axis": 1})], TWO, {"w": floats(2, 2, 4, 5)}),
    "Slice": (
        [("Slice", ["x", "b", "e", "a", "s"], {})],
        X,
        {"b": integers(0, -1), "e": integers(3, -5), "a": integers(2, 3), "s": integers(2, -1)},
    ),
    "Gather": ([("Gather", ["x", "i"], {"axis": 1})], X, {"i": integers(2, 0, -1)}),
    "Gather scalar": ([("Gather", ["x", "i"], {"axis": 2})], X, {"i": np.int64(1)}),
    "Gather embedding": (
        [("Gather", ["w", "i"], {})],
        {"i": integers(3, 1, 0)},
        {"w": floats(5, 4)},
    ),
    "GatherElements": (
        [("GatherElements", ["x", "i"], {"axis": 1})],
        {"x": floats(2, 3)},
        {"i": np.array([[0, 2], [1, 1]], np.int64)},
    ),
    "Transpose perm": ([("Transpose", ["x"], {"perm": [0, 2, 3, 1]})], X, {}),
    "Reshape": ([("Reshape", ["x", "s"], {})], X, {"s": integers(0, -1)}),
    "Unsqueeze": ([("Unsqueeze", ["x", "a"], {})], X, {"a": integers(0, 3)}),
    "Expand": ([("Expand", ["x", "s"], {})], {"x": floats(3, 1)}, {"s": integers(2, 3, 4)}),
    "Tile": ([("Tile", ["x", "r"], {})], {"x": floats(2, 3)}, {"r": integers(2, 2)}),
    "Split": (
        [("Split", ["x", "s"], {"axis": 3, "outputs": ["p", "q"]})],
        X,
        {"s": integers(2, 3)},
    ),
    **{
        f"Pad {mode}": (
            [("Pad", ["x", "p"], {"mode": mode})],
            X,
            {"p": integers(0, 0, 1, 2, 0, 1, 2, 1)},
        )
        for mode in ("constant", "reflect", "edge", "wrap")
    },
    "Pad value": (
        [("Pad", ["x", "p", "v", "a"], {})],
        X,
        {"p": integers(1, 2), "v": np.float32(-7), "a": integers(2)},
    ),
    "DepthToSpace": (
        [("DepthToSpace", ["x"], {"blocksize": 2, "mode": "CRD"})],
        {"x": floats(1, 8, 3, 2)},
        {},
    ),
    "SpaceToDepth": (
        [("SpaceToDepth", ["x"], {"blocksize": 2})],
        {"x": floats(1, 3, 4, 6)},
        {},
    ),
    "Trilu": ([("Trilu", ["x"], {"upper": 0})], X, {}),
    "OneHot": (
        [("OneHot", ["i", "d", "v"], {})],
        {"i": integers(1, 0, 2)},
        {"d": np.int64(4), "v": np.float32([0, 1])},
    ),
    **{
        f"Resize {mode} {place}": (
            [
                (
                    "Resize",
                    ["x", "", "s"],
                    {"mode": mode, "coordinate_transformation_mode": place},
                )
            ],
            X,
            {"s": np.float32([1, 1, scale, 1.6])},
        )
        for mode in ("nearest", "linear", "cubic")
        for place, scale in (
            ("asymmetric", 2.0),
            ("half_pixel", 2.5),
            ("pytorch_half_pixel", 0.5),
            ("align_corners", 2.0),
        )
    },
    "Resize sizes": ([("Resize", ["x", "", "", "s"], {})], X, {"s": integers(2, 3, 7, 7)}),
    "SiLU": ([("Sigmoid", ["x"], {}), ("Mul", ["x", "y0"], {})], X, {}),
    "fused softmax": ([("Softmax", ["x"], {}), ("Mul", ["y0", "z"], {})], TWO, {}),
    "LpPool": ([("LpPool", ["x"], {"kernel_shape": [2, 2]})], X, {}),
    "Dropout": ([("Dropout", ["x"], {})], X, {}),
    "Celu": ([("Celu", ["x"], {"alpha": 0.5})], X, {}),
    "CumSum backwards": (
        [("CumSum", ["x", "a"], {"exclusive": 1, "reverse": 1})],
        X,
        {"a": np.int64(-1)},
    ),
    "Shrink": ([("Shrink", ["x"], {"lambd": 0.5, "bias": 0.1})], X, {}),
    "GridSample": (
        [("GridSample", ["x", "g"], {})],
        {"x": floats(1, 2, 4, 4), "g": floats(1, 3, 3, 2, low=-1, high=1)},
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str, tmp_path: Path) -> None:
    check(tmp_path, *CASES[name])


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        (("TopK", ["y0", "k"], {"outputs": ["v", "i"]}), X | {"k": integers(2)}),
        (("NonZero", ["y0"], {}), X),
    ],
)
def test_what_cannot_be_lowered_is_named(node: Node, inputs: Arrays) -> None:
    model = make_model([("Relu", ["x"], {}), node], inputs, {})
    graph = ir.serde.deserialize_model(model).graph
    reasons = unsupported(group_float_nodes(list(graph)))
    assert [reason.where for reason in reasons] == ["n1"]


def test_groups_follow_the_user_of_several_values() -> None:
    """x * sigmoid(x) after a convolution is one group; a value read elsewhere ends one."""
    constants = {"w": floats(4, 3, 1, 1)}
    nodes: list[Node] = [
        ("Conv", ["x", "w"], {}),
        ("Sigmoid", ["y0"], {}),
        ("Mul", ["y0", "y1"], {}),
        ("Relu", ["y2"], {}),
        ("Concat", ["y2", "y3"], {"axis": 1}),
    ]
    model = make_model(nodes, {"x": floats(1, 3, 5, 5)}, constants)
    groups = group_float_nodes(list(ir.serde.deserialize_model(model).graph))
    assert [group.op for group in groups] == ["Conv+Sigmoid+Mul", "Relu", "Concat"]
    assert [group.name for group in groups] == ["n0", "n3", "n4"]


def test_groups_of_the_same_structure_share_their_functions() -> None:
    constants = {"v": floats(3, 3, 3, 3), "w": floats(3, 3, 3, 3, seed=5)}
    nodes: list[Node] = [
        ("Conv", ["x", "v"], {"pads": [1, 1, 1, 1]}),
        ("Conv", ["y0", "w"], {"pads": [1, 1, 1, 1]}),
    ]
    first, second = lower(make_model(nodes, {"x": floats(1, 3, 6, 6)}, constants))
    assert first.calls[0].func is second.calls[0].func
    assert first.calls[0].inputs == ("x", "v")
    assert second.calls[0].inputs == ("y0", "w")


def test_scratch_memory_is_small() -> None:
    """A padded convolution keeps rows, not the whole image."""
    nodes: list[Node] = [("Conv", ["x", "w"], {"pads": [1, 1, 1, 1]}), ("Relu", ["y0"], {})]
    constants = {"w": floats(16, 16, 3, 3)}
    (group,) = lower(make_model(nodes, {"x": floats(1, 16, 64, 64)}, constants))
    source = generate_c(schedule_float(group.calls[0].func))
    assert sum(workspace.shape[0] * 4 for workspace in source.workspaces) < 12_000
