"""The ONNX project's own backend node tests: what each is about, and which operands are bound."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

_ALL = range(32)

BOUND: Mapping[str, Sequence[int]] = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CastLike": (1,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "ConvInteger": (1, 2, 3),
    "CumProd": (1,),
    "CumSum": (1,),
    "DFT": (1, 2),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "GRU": (4,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "If": (0,),
    "LSTM": (4,),
    "Loop": (0, 1),
    "MatMulInteger": (2, 3),
    "MaxUnpool": (2,),
    "MelWeightMatrix": _ALL,
    "OneHot": (1,),
    "Pad": (1, 3),
    "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
    "QLinearMatMul": (1, 2, 3, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "RNN": (4,),
    "Range": _ALL,
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "ReverseSequence": (1,),
    "SplitToSequence": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
    **{
        f"Reduce{kind}": (1,)
        for kind in (
            ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
        )
    },
}
"""Operands that carry shapes, axes, counts, lengths, conditions, types, scales and zero points."""

TRAINING = frozenset({"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss", "Gradient"})
"""Operators of the standard's main domain that only training uses."""

ONE_STEP = frozenset({"QLinearConv", "QLinearMatMul"})
"""Operators whose integer outputs may differ by one: rounding is TFLite's."""


C_TYPES = frozenset(
    {
        onnx.TensorProto.BOOL,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.INT16,
        onnx.TensorProto.INT32,
        onnx.TensorProto.INT64,
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT16,
        onnx.TensorProto.UINT32,
        onnx.TensorProto.UINT64,
        onnx.TensorProto.UINT8,
    }
)
"""Element types of inputs and outputs that C has."""


@dataclass(frozen=True)
class Case:
    """One test of the ONNX project.

    Attributes:
        name: its name there.
        model: the model of one operator, or of the operators that define it.
        inputs, outputs: arrays of the first data set.
        rtol, atol: what the test itself allows.
        bindings: the inputs given at compile time.
        outside: why the test is no inference on floats and integers; empty if it is.
    """

    name: str
    model: onnx.ModelProto
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    rtol: float
    atol: float
    bindings: Mapping[str, Any]
    outside: str

    @property
    def operator(self) -> str:
        """The operator under test."""
        return str(self.model.graph.node[0].op_type) if self.model.graph.node else "none"


def load_cases() -> list[Case]:
    """All node tests, in the order of their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tests of infinities overflow on purpose
        found = {case.name: case for case in load_model_tests(kind="node")}
    bound = {name: _bound_names(case.model) for name, case in found.items()}
    return [_case(found[name], bound) for name in sorted(found)]


def _case(case: Any, bound: Mapping[str, frozenset[str]]) -> Case:
    # a test of the functions that define an operator binds what the operator's own test binds
    original = re.sub(r"_expanded(_ver\d+)?$", "", case.name)
    names = bound[case.name] | bound.get(original, frozenset())
    graph = case.model.graph
    inputs, outputs = case.data_sets[0]
    given = dict(zip((v.name for v in graph.input), map(_array, inputs), strict=False))
    expected = dict(zip((v.name for v in graph.output), map(_array, outputs), strict=False))
    return Case(
        name=case.name,
        model=case.model,
        inputs=given,
        outputs=expected,
        rtol=case.rtol,
        atol=case.atol,
        bindings={name: given[name] for name in given if name in names},
        outside=next(_outside(case.model), ""),
    )


def _array(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if isinstance(value, (list, onnx.SequenceProto)) else np.asarray(value)


def _bound_names(model: onnx.ModelProto) -> frozenset[str]:
    """Inputs of the graph that nodes of the main graph read only where `BOUND` says."""
    bound, data = set(), set()
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            (bound if index in BOUND.get(node.op_type, ()) else data).add(name)
    return frozenset(bound - data)


def _outside(model: onnx.ModelProto) -> Iterator[str]:
    """Why the test is none of inference on floats and integers."""
    for node in model.graph.node:
        if node.domain == "ai.onnx.preview.training" or node.op_type in TRAINING:
            yield "training"
        if "training_mode" in {a.name for a in node.attribute if a.i}:
            yield "training"
        if node.op_type.startswith("Optional") or (
            "Sequence" in node.op_type and node.op_type != "ReverseSequence"
        ):
            yield "sequence or optional"
    for value in (*model.graph.input, *model.graph.output):
        if value.type.WhichOneof("value") != "tensor_type":
            yield "sequence or optional"
        elif value.type.tensor_type.elem_type == onnx.TensorProto.STRING:
            yield "string"
        elif value.type.tensor_type.elem_type not in C_TYPES:
            yield "bfloat16, float8, float4, int4 or int2"
    if any(tensor.data_type == onnx.TensorProto.STRING for tensor in model.graph.initializer):
        yield "string"
