"""Where a graph's answers are: the floats that training compares with labels or with a teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.qdq import is_dequantize, is_quantize
from edgecomp.graph.values import dtype_of, shape_of
from edgecomp.model import Model

_NORMALIZERS = frozenset({"Softmax", "LogSoftmax"})
_LAYERS = frozenset(
    {"AveragePool", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool", "MatMul", "ReduceMean"}
)
"""Operators that add up what they read."""


@dataclass(frozen=True)
class Answer:
    """One output.

    Attributes:
        value: name of the value with the floats: what enters a last Softmax, or else what becomes
            the output, before a last QuantizeLinear.
        shape: its shape.
        scores: whether a Softmax makes class probabilities of it.
        axis: of that Softmax, not negative; otherwise that of the classes, should it hold any.
    """

    value: str
    shape: tuple[int, ...]
    scores: bool
    axis: int

    @property
    def classes(self) -> int:
        """How many classes it scores, should all other axes be 1; 0 where they are not."""
        count = math.prod(self.shape)
        return count if self.shape and max(self.shape) == count and count > 1 else 0


def answers_of(model: Model) -> tuple[Answer, ...]:
    """The answer of each float or quantized output, in order; other outputs have none."""
    found = (_answer(value) for value in model.graph.graph.outputs)
    return tuple(answer for answer in found if answer is not None)


def class_scores(model: Model) -> Answer:
    """The answer of the first output, which scores classes.

    Raises:
        EdgecompError: it does not.
    """
    first = model.graph.graph.outputs[0]
    answer = _answer(first)
    if answer is None or not answer.classes:
        raise EdgecompError(
            Reason(
                f"it has the shape {list(shape_of(first))}, and labels need one score a class",
                f"output {first.name}",
                "train with loss=logits, which needs no labels",
            )
        )
    return answer


def common_features(student: Model, teacher: Model) -> tuple[str, ...]:
    """What layers of the teacher read, where the student has a value of that name and shape.

    That is after activations and sums of branches: how a branch comes by its share is its own
    business.
    """
    read = {
        str(value.name): shape_of(value)
        for node in teacher.graph.graph
        if node.op_type in _LAYERS
        for value in node.inputs[:1]
        if value is not None and value.producer() is not None
    }
    return tuple(
        name
        for node in student.graph.graph
        for value in node.outputs
        if read.get(name := str(value.name)) == shape_of(value) and dtype_of(value) == "float32"
    )


def _answer(output: ir.Value) -> Answer | None:
    value = before_rounding = output
    while (node := value.producer()) is not None and _keeps_meaning(node):
        source = node.inputs[0]
        assert source is not None, "the first input is not optional"
        if is_quantize(node) and before_rounding is output and value is output:
            before_rounding = source
        value = source
    shape = shape_of(output)
    if node is not None and node.op_type in _NORMALIZERS and node.inputs[0] is not None:
        scores = node.inputs[0]
        axis = node.attributes.get_int("axis", -1) % len(shape)
        return Answer(str(scores.name), shape_of(scores), True, axis)
    if dtype_of(before_rounding) not in ("float32", "float64"):
        return None
    longest = max(range(len(shape)), key=lambda axis: shape[axis], default=0)
    return Answer(str(before_rounding.name), shape_of(before_rounding), False, longest)


def _keeps_meaning(node: ir.Node) -> bool:
    return is_quantize(node) or is_dequantize(node) or node.op_type == "Identity"
