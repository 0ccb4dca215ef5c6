"""One operator on its way to ONNX: what it reads, its options, and how it gives its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tflite

from edgecomp.errors import EdgecompError, Reason
from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.file import Operator, Scales
from edgecomp.importers.tflite.values import Layout, Values

Activation = tuple[str, tuple[float, ...]]

ACTIVATIONS: Mapping[int, Activation | None] = {
    tflite.ActivationFunctionType.NONE: None,
    tflite.ActivationFunctionType.RELU: ("Relu", ()),
    tflite.ActivationFunctionType.RELU_N1_TO_1: ("Clip", (-1.0, 1.0)),
    tflite.ActivationFunctionType.RELU6: ("Clip", (0.0, 6.0)),
    tflite.ActivationFunctionType.TANH: ("Tanh", ()),
}
"""ONNX operator and bounds of a fused activation, by its number in the schema."""


class Context:
    """An operator whose operands exist.

    Attributes:
        operator: as it stands in the file.
        values: the tensors of its graph.
        name: of its first output, by which a user knows the operator.
    """

    def __init__(self, operator: Operator, values: Values) -> None:
        self.operator = operator
        self.values = values
        self.name = values.tensors[operator.outputs[0]].name

    # what it reads

    @property
    def count(self) -> int:
        """How many operands the file gives it, those left out at the end not counted."""
        given = [i for i, index in enumerate(self.operator.inputs) if index is not None]
        return given[-1] + 1 if given else 0

    def tensor(self, place: int) -> int:
        """The index of operand `place`.

        Raises:
            EdgecompError: the file gives it no such operand.
        """
        index = self.operator.inputs[place] if place < len(self.operator.inputs) else None
        if index is None:
            raise self.refusal(f"operand {place} is missing", "convert the model again")
        return index

    def has(self, place: int) -> bool:
        """Whether the file gives it operand `place`."""
        return place < self.count and self.operator.inputs[place] is not None

    def read(self, place: int, layout: Layout = Layout.FILE) -> str:
        """The value of operand `place`."""
        return self.values.read(self.tensor(place), layout)

    def shape(self, place: int, layout: Layout = Layout.FILE) -> tuple[int, ...]:
        """The shape of operand `place`."""
        return self.values.shape(self.tensor(place), layout)

    def dtype(self, place: int) -> str:
        """The element type of operand `place` in the file."""
        return self.values.tensors[self.tensor(place)].dtype

    def quantized(self, place: int) -> Scales | None:
        """The quantization of operand `place`, if its integers stand for real numbers."""
        return self.values.quantized(self.tensor(place))

    def known(self, place: int) -> Array | None:
        """The content of operand `place` if it is known now, as it lies in the file."""
        return self.values.constant(self.tensor(place))

    def constant(self, place: int) -> Array:
        """The same.

        Raises:
            EdgecompError: it is not known.
        """
        content = self.known(place)
        if content is None:
            name = self.values.tensors[self.tensor(place)].name
            raise self.refusal(f"{name}, which shapes its result, is not constant", "make it so")
        return content

    def integers(self, place: int) -> list[int]:
        """The content of a constant operand as a flat list."""
        return [int(value) for value in self.constant(place).reshape(-1)]

    def option(self, name: str, default: Any = 0) -> Any:
        """A field of the options; `default`, which is the schema's, where there are none."""
        return self.operator.options.get(name, default)

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the start.

        Raises:
            EdgecompError: there is no such axis.
        """
        if not -rank <= value < rank:
            raise self.refusal(f"there is no axis {value} among {rank}", "convert the model again")
        return value % rank

    def output(self, place: int = 0) -> int:
        """The index of result `place`."""
        return self.operator.outputs[place]

    def refusal(self, what: str, fix: str = "") -> EdgecompError:
        """The error that says why this operator cannot be imported."""
        return EdgecompError(Reason(f"{self.operator.name}: {what}", self.name, fix))

    # what it becomes

    def main(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append the node that bears the operator's name, and return its output."""
        return self._append(op_type, list(inputs), self.name, 1, attributes)[0]

    def emit(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append a node beside it, and return its output."""
        return self._append(op_type, list(inputs), f"{self.name}/{op_type}", 1, attributes)[0]

    def several(self, op_type: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Append the node that bears the operator's name, and return its outputs."""
        return self._append(op_type, list(inputs), self.name, outputs, attributes)

    def _append(
        self, op_type: str, inputs: list[str], name: str, count: int, attributes: Mapping[str, Any]
    ) -> list[str]:
        results = [f"{name}/{op_type}_{i}" if i else f"{name}/{op_type}:0" for i in range(count)]
        return self.values.builder.node(op_type, inputs, name, results, attributes)

    def put(self, content: Any, dtype: str | None = None) -> str:
        """A constant made here."""
        return self.values.builder.constant(np.asarray(content, dtype), f"{self.name}/constant")

    def ints(self, content: Any) -> str:
        """A constant vector of int64, as ONNX has shapes and axes."""
        return self.put(list(content), "int64")

    def of(self, value: str) -> tuple[int, ...]:
        """The shape of a value made here."""
        return self.values.builder.shape(value)

    def like(self, value: str, content: float) -> str:
        """A constant scalar of the element type of `value`."""
        return self.put(np.asarray(content, self.values.builder.dtype(value)))

    def give(
        self,
        value: str,
        layout: Layout = Layout.FILE,
        *,
        place: int = 0,
        moved_from: int | None = None,
    ) -> None:
        """Let `value`, after the fused activation, be result `place`.

        Args:
            moved_from: the operand whose integers are the result's, where the operator moves
                them without a look at scales.
        """
        grid = None if moved_from is None else self.tensor(moved_from)
        if grid is not None and not self._same_type(grid, self.output(place)):
            grid = None
        self.values.write(self.output(place), value, layout, grid)

    def on_grid(self, value: str, index: int) -> str:
        """`value` through the integers of tensor `index`, which is quantized."""
        scale = self.values.parameters(index)
        return self.emit("DequantizeLinear", self.emit("QuantizeLinear", value, *scale), *scale)

    def moved(self, value: str, place: int, op_type: str, *inputs: str, **attributes: Any) -> str:
        """`value`, read from operand `place`, after an operator that moves its elements."""
        result = self.emit(op_type, value, *inputs, **attributes)
        quantized = self.quantized(place) is not None
        return self.on_grid(result, self.tensor(place)) if quantized else result

    def scaled(self, value: str, place: int, factor: float) -> str:
        """`value`, read from operand `place`, times `factor`: of integers, it is their scale."""
        scales = self.quantized(place)
        if scales is None:
            return self.emit("Mul", value, self.like(value, factor))
        scale, zero_point = self.values.parameters(self.tensor(place))
        integers = self.emit("QuantizeLinear", value, scale, zero_point)
        scale = self.put(np.float32(float(scales.scale[0]) * factor))
        return self.emit("DequantizeLinear", integers, scale, zero_point)

    def _same_type(self, left: int, right: int) -> bool:
        tensors = self.values.tensors
        return (
            self.values.quantized(left) is not None and tensors[left].dtype == tensors[right].dtype
        )

    def activated(self, value: str) -> str:
        """`value` after the operator's fused activation."""
        activation = ACTIVATIONS.get(int(self.option("FusedActivationFunction")), ("", ()))
        if activation is None:
            return value
        op_type, bounds = activation
        if not op_type:
            raise self.refusal("its fused activation is unknown")
        return self.emit(op_type, value, *(self.like(value, bound) for bound in bounds))
