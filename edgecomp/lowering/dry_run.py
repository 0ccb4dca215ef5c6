"""What lowering would make of a model, node by node, without writing any code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.qdq import (
    Quantization,
    dequantization_of,
    is_dequantize,
    is_quantize,
    quantization_of,
    requantizer_of,
)
from edgecomp.graph.quantizable import (
    Role,
    activation_inputs,
    fused_activation,
    rule_of,
    why_float,
)
from edgecomp.graph.values import input_at
from edgecomp.lowering.fixed_point import LIMITS
from edgecomp.lowering.integer import lower_integer
from edgecomp.lowering.integer_group import is_activation
from edgecomp.lowering.lower import RESHAPES, lower
from edgecomp.model import Model
from edgecomp.program import Program

INTEGER, FLOAT, FOLDED, REFUSED = "integer", "float", "folded", "refused"
"""Where a node runs; a folded one is computed with another or at compile time, a refused one
nowhere."""


@dataclass(frozen=True)
class DryRun:
    """What lowering makes of a model.

    Attributes:
        program: the program, or None where a node is refused.
        where: by the name of each node of the model, where it runs.
        why: why a node is refused, or runs in float although the model is quantized.
        refusals: every reason why there is no program.
    """

    program: Program | None
    where: Mapping[str, str]
    why: Mapping[str, str]
    refusals: tuple[Reason, ...] = ()


def dry_run(model: Model) -> DryRun:
    """Lower `model` and tell what became of its nodes."""
    program: Program | None = None
    refusals: tuple[Reason, ...] = ()
    try:
        program = lower(model)
    except EdgecompError as error:
        refusals = error.reasons
    left = {str(node.name): node for node in lower_integer(model, integer_io=True).graph.graph}
    calls = {} if program is None else {call.name: call.where for call in program.calls}
    names = [str(node.name) for node in model.graph.graph]
    where = {name: _where(left.get(name), calls) for name in names}
    why = {}
    if any(_converts(node) for node in model.graph.graph):
        floats = [left[name] for name, place in where.items() if place == FLOAT]
        why = {str(node.name): _why(node) for node in floats if not _converts(node)}
    for reason in refusals:
        if reason.where in where:
            where[reason.where], why[reason.where] = REFUSED, reason.what
    return DryRun(program, where, why, refusals)


def _where(node: ir.Node | None, calls: Mapping[str, str]) -> str:
    """Where a node runs that integer lowering leaves, if it does; see `DryRun`."""
    if node is None or node.op_type == "Constant":
        return FOLDED
    if str(node.name) in calls:
        return calls[str(node.name)]
    floats = any(v.dtype is not None and v.dtype.is_floating_point() for v in node.outputs)
    if floats and node.op_type not in RESHAPES:
        return FLOAT  # with the node before it, or nowhere
    return INTEGER if not calls and node.op_type not in RESHAPES else FOLDED


def _converts(node: ir.Node) -> bool:
    return is_quantize(node) or is_dequantize(node)


def _why(node: ir.Node) -> str:
    """Why a node of a quantized model, after integer lowering, is still a float one."""
    reason = why_float(node)
    if reason is not None:
        return reason
    for value in activation_inputs(node):
        fault = _fault(dequantization_of(value))
        if fault:
            return f"its input {value.name} {fault}"
    activation = fused_activation(node)
    quantizer = requantizer_of((activation or node).outputs[0])
    quantizer = quantizer or requantizer_of(node.outputs[0])
    if quantizer is None:
        return "its output is not quantized, or read before it is"
    rule = rule_of(node)
    if rule is not None and rule.role is Role.WEIGHTED:
        kind = dequantization_of(input_at(node, 1))
        if kind is None or kind.dtype not in LIMITS:
            return "its weights are not int8, and do not fit int16 without their zero point"
    fault = _fault(quantization_of(quantizer))
    return f"its output {fault}" if fault else "its scales or its form have no integer kernel"


def _fault(quantization: Quantization | None) -> str:
    """What keeps a tensor from the integer kernels, or ""."""
    if quantization is None:
        return "is not quantized"
    if not quantization.per_tensor:
        return "has several scales"
    return "" if is_activation(quantization) else f"is {quantization.dtype}, not int8 or int16"
