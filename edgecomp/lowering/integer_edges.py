"""Inputs, outputs and state of a program as the integers the model quantizes them to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgecomp.graph.qdq import Quantization, is_dequantize, quantization_of, requantizer_of
from edgecomp.graph.values import dtype_of, shape_of
from edgecomp.lowering.fixed_point import LIMITS
from edgecomp.lowering.integer_group import is_activation
from edgecomp.model import State
from edgecomp_runtime.manifest import TensorSpec


def _quantized_spec(spec: TensorSpec, quantization: Quantization) -> TensorSpec:
    return replace(
        spec,
        dtype=quantization.dtype,
        scale=float(quantization.scale),
        zero_point=int(quantization.zero_point),
    )


def strip_input(graph: ir.Graph, spec: TensorSpec) -> TensorSpec:
    """Let the program take the integers that a QuantizeLinear alone makes of this input."""
    value = next(v for v in graph.inputs if v.name == spec.name)
    quantizer = requantizer_of(value)
    quantization = None if quantizer is None else quantization_of(quantizer)
    if quantizer is None or quantization is None or not is_activation(quantization):
        return spec
    quantized = quantizer.outputs[0]
    taken = ir.Value(name=spec.name, shape=quantized.shape, type=quantized.type)
    value.name = f"{spec.name} as float"
    graph.inputs[list(graph.inputs).index(value)] = taken
    quantized.replace_all_uses_with(taken, replace_graph_outputs=True)
    graph.remove(quantizer, safe=True)
    return _quantized_spec(spec, quantization)


def strip_output(graph: ir.Graph, spec: TensorSpec) -> TensorSpec:
    """Let the program give the integers of a final DequantizeLinear."""
    index = next(i for i, value in enumerate(graph.outputs) if value.name == spec.name)
    producer = graph.outputs[index].producer()
    quantization = None if producer is None else quantization_of(producer)
    if producer is None or quantization is None or not is_dequantize(producer):
        return spec
    source = producer.inputs[0]
    if source is None or not is_activation(quantization) or source.is_graph_output():
        return spec
    if source.is_graph_input() or source.is_initializer():
        return spec
    graph.outputs[index].name = f"{spec.name} as float"
    graph.outputs[index] = source
    source.name = spec.name
    return _quantized_spec(spec, quantization)


def strip_state(graph: ir.Graph, state: State) -> State:
    """Let the program keep the integers of a state that is quantized alike before and after."""
    before = next(value for value in graph.inputs if value.name == state.input)
    after = next(value for value in graph.outputs if value.name == state.output)
    quantizer, dequantizer = requantizer_of(before), after.producer()
    if quantizer is None or dequantizer is None:
        return state
    grid, other = quantization_of(quantizer), quantization_of(dequantizer)
    if grid is None or other is None or not is_activation(grid) or not grid.same_as(other):
        return state
    given = strip_output(graph, TensorSpec(state.output, shape_of(after), dtype_of(after)))
    if given.scale is None:
        return state
    strip_input(graph, TensorSpec(state.input, shape_of(before), dtype_of(before)))
    steps = np.rint(state.initial / np.float32(grid.scale)) + int(grid.zero_point)
    return replace(state, initial=np.clip(steps, *LIMITS[grid.dtype]).astype(grid.dtype))
