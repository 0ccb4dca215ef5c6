"""Names, constants, QuantizeLinear and DequantizeLinear for a graph that is being quantized."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.qdq import DEQUANTIZE, QUANTIZE
from edgecomp.passes.ranges import Affine


@dataclass(frozen=True, eq=False)
class Parameters:
    """The constants a QuantizeLinear or DequantizeLinear reads; one object wherever shared."""

    scale: ir.Value
    zero_point: ir.Value
    axis: int | None = None

    @property
    def attributes(self) -> dict[str, ir.Attr]:
        return {} if self.axis is None else {"axis": ir.AttrInt64("axis", self.axis)}


@dataclass(frozen=True, eq=False)
class Writer:
    """A graph being rewritten.

    Attributes:
        graph: changed in place.
        names: every name of a node or a value in use.
        constants: every initializer written, by the name wanted and its content.
    """

    graph: ir.Graph
    names: set[str] = field(default_factory=set)
    constants: dict[tuple[str, bytes], ir.Value] = field(default_factory=dict)

    def fresh(self, wanted: str) -> str:
        """A name not in use yet, `wanted` if possible."""
        name, number = wanted, 1
        while name in self.names:
            name, number = f"{wanted}_{number}", number + 1
        self.names.add(name)
        return name

    def constant(self, name: str, content: npt.NDArray[Any]) -> ir.Value:
        """An initializer; the one written before, where name and content are the same."""
        key = (name, content.tobytes())
        if key in self.constants:
            return self.constants[key]
        tensor = ir.tensor(content, name=self.fresh(name))
        value = ir.Value(
            name=tensor.name,
            shape=ir.Shape(content.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.graph.register_initializer(value)
        self.constants[key] = value
        return value

    def parameters(
        self, name: str, scale: npt.NDArray[np.float32], dtype: type, axis: int | None = None
    ) -> Parameters:
        """Parameters with zero point 0."""
        zero_point: npt.NDArray[Any] = np.zeros(scale.shape, dtype)
        return Parameters(
            self.constant(f"{name}_scale", scale),
            self.constant(f"{name}_zero_point", zero_point),
            axis if scale.ndim else None,
        )

    def affine(self, name: str, parameters: Affine) -> Parameters:
        """Parameters of an activation."""
        return Parameters(
            self.constant(f"{name}_scale", np.asarray(parameters.scale, np.float32)),
            self.constant(
                f"{name}_zero_point", np.asarray(parameters.zero_point, parameters.dtype)
            ),
        )

    def node(
        self, op_type: str, source: ir.Value, parameters: Parameters, output: ir.Value
    ) -> ir.Node:
        """A QuantizeLinear or DequantizeLinear, not yet in the graph."""
        return ir.Node(
            "",
            op_type,
            [source, parameters.scale, parameters.zero_point],
            parameters.attributes,
            outputs=[output],
            name=self.fresh(f"{source.name}_{op_type}"),
        )

    def value(self, name: str, like: ir.Value, dtype: ir.DataType) -> ir.Value:
        """A new value of the shape of `like`."""
        return ir.Value(name=self.fresh(name), shape=like.shape, type=ir.TensorType(dtype))

    def dequantized_constant(
        self, name: str, content: npt.NDArray[Any], parameters: Parameters, before: ir.Node
    ) -> ir.Value:
        """What `before` reads in place of a float constant."""
        stored = self.constant(f"{name}_quantized", content)
        output = self.value(f"{name}_dequantized", stored, ir.DataType.FLOAT)
        self.graph.insert_before(before, self.node(DEQUANTIZE, stored, parameters, output))
        return output

    def round_trip(self, value: ir.Value, parameters: Parameters) -> tuple[list[ir.Node], ir.Value]:
        """QuantizeLinear and DequantizeLinear of `value`, not yet in the graph; what they give."""
        kind = parameters.zero_point.dtype
        assert kind is not None, "a constant has a type"
        stored = self.value(f"{value.name}_quantized", value, kind)
        output = self.value(f"{value.name}_dequantized", value, ir.DataType.FLOAT)
        quantize = self.node(QUANTIZE, value, parameters, stored)
        return [quantize, self.node(DEQUANTIZE, stored, parameters, output)], output
