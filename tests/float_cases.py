"""One small graph for every float operator: its nodes, inputs and constants."""

from __future__ import annotations

import numpy as np
import onnx

from tests.compiled_floats import Arrays, Node, floats, integers

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
