"""The tensors of a TFLite graph as values of the ONNX graph, in the layouts operators want.

A 4-d tensor may exist twice: as the file has it, [batch, height, width, channels], and as ONNX
image operators want it, [batch, channels, height, width]. Each form is made when it is first read.
A quantized tensor is a QuantizeLinear and a DequantizeLinear; operators read and make real values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import numpy as np

from edgecomp.errors import EdgecompError, Reason
from edgecomp.importers.tflite.builder import Array, GraphBuilder
from edgecomp.importers.tflite.file import Scales, Subgraph, Tensor
from edgecomp.importers.tflite.schema import WITHOUT_NUMBERS

QUANTIZED = frozenset({"int8", "uint8", "int16", "int4"})
"""Element types that stand for real numbers where the tensor has one scale."""

UNSIGNED = "uint8"


class Layout(Enum):
    """The order of the axes of a 4-d tensor; any other tensor is always as the file has it."""

    FILE = "nhwc"
    IMAGE = "nchw"


PERMUTATIONS: Mapping[Layout, tuple[int, ...]] = {
    Layout.IMAGE: (0, 3, 1, 2),
    Layout.FILE: (0, 2, 3, 1),
}
"""The Transpose that makes a layout from the other one."""


class Values:
    """Which ONNX values stand for each tensor of a graph."""

    def __init__(self, graph: Subgraph, builder: GraphBuilder) -> None:
        self.tensors = graph.tensors
        self.builder = builder
        self._forms: dict[tuple[int, Layout], str] = {}
        self._parameters: dict[int, tuple[str, str]] = {}

    def constant(self, index: int) -> Array | None:
        """The content of a tensor known now: as it lies in the file, integers if quantized."""
        tensor = self.tensors[index]
        if tensor.data is not None:
            return tensor.data
        value = self._forms.get((index, Layout.FILE))
        return None if value is None else self.builder.constants.get(value)

    def quantized(self, index: int) -> Scales | None:
        """The quantization of a tensor whose integers stand for real numbers, else None."""
        tensor = self.tensors[index]
        scales = tensor.scales
        if scales is None or tensor.dtype not in QUANTIZED or not scales.scale.all():
            return None
        return scales

    def has(self, index: int, layout: Layout) -> bool:
        """Whether a tensor exists in `layout` already."""
        return (index, layout) in self._forms

    def shape(self, index: int, layout: Layout = Layout.FILE) -> tuple[int, ...]:
        """The shape of a tensor; inferred, where an operator has made it."""
        for form in (layout, *Layout):
            value = self._forms.get((index, form))
            if value is None:
                continue
            shape = self.builder.shape(value)
            if form is layout or len(shape) != 4:
                return shape
            return tuple(shape[axis] for axis in PERMUTATIONS[layout])
        shape = self.tensors[index].shape
        if layout is Layout.IMAGE and len(shape) == 4:
            return tuple(shape[axis] for axis in PERMUTATIONS[layout])
        return shape

    def feed(self, index: int) -> str:
        """Make tensor `index` a graph input and return its name; states stay integers."""
        tensor = self.tensors[index]
        self._require_numbers(tensor)
        quantized = self.quantized(index) is not None and not tensor.variable
        if quantized and tensor.dtype == UNSIGNED:
            name = self.builder.input(tensor.name, tensor.shape, tensor.dtype)
            operands = [name, *self.parameters(index)]
            real = self.builder.node("DequantizeLinear", operands, name, [f"{name}_real"], {})[0]
            self._forms[index, Layout.FILE] = real
            return name
        name = self.builder.input(
            tensor.name, tensor.shape, "float32" if quantized else tensor.dtype
        )
        value = self._requantized(name, index, index, Layout.FILE) if quantized else name
        self._forms[index, Layout.FILE] = value
        return name

    def read(self, index: int, layout: Layout = Layout.FILE) -> str:
        """The real value of a tensor (integers, where it has no scale), in `layout`."""
        form = (index, layout)
        if form in self._forms:
            return self._forms[form]
        tensor = self.tensors[index]
        other = Layout.IMAGE if layout is Layout.FILE else Layout.FILE
        content = self.constant(index)
        if content is not None:
            made = self._constant(index, content, layout)
        elif (index, other) in self._forms:
            source = self._forms[index, other]
            if len(self.builder.shape(source)) != 4:
                return source
            made = self._moved(index, source, layout)
        else:
            assert self._is_empty(tensor), "the reader has seen that something makes it"
            made = self.builder.constant(np.zeros(tensor.shape, tensor.dtype), tensor.name)
        self._forms[form] = made
        return made

    def write(self, index: int, value: str, layout: Layout, grid: int | None = None) -> None:
        """Let `value` be tensor `index`; a quantized tensor is brought to its integers.

        Args:
            grid: the tensor whose quantization makes the integers, where an operator moves them
                without a look at the output's own; by default `index`.
        """
        if self.quantized(index) is not None:
            value = self._requantized(value, index, index if grid is None else grid, layout)
        else:
            value = self.builder.rename(value, self._name(index, layout))
        self._forms[index, layout] = value

    def bind(self, index: int, value: str) -> None:
        """Let `value`, of the graph already, be what tensor `index` stands for."""
        self._forms[index, Layout.FILE] = value

    def integers(self, index: int) -> str:
        """The integers of a tensor that an operator or the graph's input brings to its grid."""
        value = self.read(index)
        return self.builder.dequantized(value) or value

    def write_integers(self, index: int, value: str) -> None:
        """Let `value`, of the tensor's own type, be the integers of tensor `index`."""
        name = self._name(index, Layout.FILE)
        if self.tensors[index].variable or self.quantized(index) is None:
            self._forms[index, Layout.FILE] = self.builder.rename(value, name)
            return
        self._forms[index, Layout.FILE] = self.builder.node(
            "DequantizeLinear",
            [value, *self.parameters(index)],
            f"{name}/DequantizeLinear",
            [name],
            {},
        )[0]

    def give(self, index: int) -> str:
        """The value of a graph output, under the tensor's own name.

        Unsigned integers stay what they are: the program's own are signed, so their type would be
        lost in a real number.
        """
        value = self.read(index)
        name = self.tensors[index].name
        if self.quantized(index) is not None and self.tensors[index].dtype == UNSIGNED:
            operands = [value, *self.parameters(index)]
            return self.builder.node("QuantizeLinear", operands, name, [f"{name}_unsigned"], {})[0]
        if value != name:
            value = self.builder.node("Identity", [value], name, [name], {})[0]
        return value

    def parameters(self, index: int) -> tuple[str, str]:
        """Scale and zero point of a quantized tensor as constants, float32 and its own type."""
        tensor, scales = self.tensors[index], self.quantized(index)
        assert scales is not None
        if index not in self._parameters:
            shape: Sequence[int] = () if scales.scale.size == 1 else (scales.scale.size,)
            limits = np.iinfo("int8" if tensor.dtype == "int4" else tensor.dtype)
            if (scales.zero_point < limits.min).any() or (scales.zero_point > limits.max).any():
                raise EdgecompError(Reason("its zero point does not fit its type", tensor.name))
            zero_point = scales.zero_point.astype(limits.dtype)
            self._parameters[index] = (
                self.builder.constant(scales.scale.reshape(shape), f"{tensor.name}_scale"),
                self.builder.constant(zero_point.reshape(shape), f"{tensor.name}_zero_point"),
            )
        return self._parameters[index]

    def _is_empty(self, tensor: Tensor) -> bool:
        return 0 in tensor.shape

    def _require_numbers(self, tensor: Tensor) -> None:
        if tensor.dtype in WITHOUT_NUMBERS:
            raise EdgecompError(
                Reason(f"the tensor holds no numbers ({tensor.dtype})", tensor.name, "cut it off")
            )

    def _constant(self, index: int, content: Array, layout: Layout) -> str:
        """A constant tensor; below four dimensions, it broadcasts in the other layout as well."""
        tensor = self.tensors[index]
        scales = self.quantized(index)
        axis = 0 if scales is None else scales.axis
        if layout is Layout.IMAGE and content.ndim > 0:
            missing = 4 - content.ndim
            content = content.reshape((1,) * missing + content.shape)
            content = content.transpose(PERMUTATIONS[layout])
            axis = PERMUTATIONS[layout].index(axis + missing)
        suffix = "" if layout is Layout.FILE else "_nchw"
        value = self.builder.constant(content, f"{tensor.name}{suffix}")
        if scales is None:
            return value
        operands = [value, *self.parameters(index)]
        name = f"{tensor.name}{suffix}_dequantized"
        attributes = {} if scales.scale.size == 1 else {"axis": axis}
        return self.builder.node("DequantizeLinear", operands, name, [name], attributes)[0]

    def _moved(self, index: int, source: str, layout: Layout) -> str:
        """The form of a tensor in `layout`, from the other one."""
        name = self._name(index, layout)
        result = f"{name}_real" if self.quantized(index) is not None else name
        attributes = {"perm": list(PERMUTATIONS[layout])}
        moved = self.builder.node("Transpose", [source], f"{name}/Transpose", [result], attributes)
        if self.quantized(index) is None:
            return moved[0]
        return self._requantized(moved[0], index, index, layout)

    def _requantized(self, value: str, index: int, grid: int, layout: Layout) -> str:
        """`value` through the integers of tensor `index`."""
        name = self._name(index, layout)
        integers = self.builder.node(
            "QuantizeLinear",
            [value, *self.parameters(grid)],
            f"{name}/QuantizeLinear",
            [f"{name}_quantized"],
            {},
        )
        operands = [*integers, *self.parameters(index)]
        return self.builder.node(
            "DequantizeLinear", operands, f"{name}/DequantizeLinear", [name], {}
        )[0]

    def _name(self, index: int, layout: Layout) -> str:
        name = self.tensors[index].name
        return name if layout is Layout.FILE else f"{name}_nchw"
