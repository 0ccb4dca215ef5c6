"""Float groups to TIR, by TVM's ONNX importer and its operator fusion.

Each group becomes a small ONNX model of its own, is imported to Relax, legalized to TIR and fused;
what is left of the Relax function is a list of calls, which is all we take from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.values import constant_of
from edgecomp.lowering.float_fragment import Fragment
from edgecomp.lowering.float_groups import FloatGroup
from edgecomp.lowering.float_rewrites import append
from edgecomp.lowering.relax_calls import FloatCall, Structure, lower_structure
from edgecomp.program import Tensor

_ADVICE = "replace the operator in the model, or export the model without it"


@dataclass(frozen=True)
class LoweredGroup:
    """What a group becomes.

    Attributes:
        calls: in execution order.
        tensors: every tensor between two calls, by name; not the group's inputs and outputs.
        constants: every constant operand, by name; a constant of the graph keeps its name.
    """

    calls: tuple[FloatCall, ...]
    tensors: Mapping[str, Tensor]
    constants: Mapping[str, npt.NDArray[Any]]


def lower_group(group: FloatGroup) -> LoweredGroup:
    """Lower one group. Groups of the same structure share their TIR functions.

    Raises:
        EdgecompError: TVM cannot do it; the reason names the node.
    """
    try:
        fragment = Fragment()
        for node in group.nodes:
            append(fragment, node)
        model = fragment.model(list(group.outputs))
        structure = lower_structure(model.SerializeToString(deterministic=True))
    except Exception as error:  # TVM raises whatever its assertions happen to be
        raise EdgecompError(Reason(_sentence(group, error), group.name, _ADVICE)) from error
    return _named(group, fragment, structure)


def unsupported(groups: Sequence[FloatGroup]) -> list[Reason]:
    """Why groups cannot be lowered: every reason of every group, none if all can be."""
    reasons: list[Reason] = []
    for group in groups:
        try:
            lower_group(group)
        except EdgecompError as error:
            reasons.extend(error.reasons)
    return reasons


def _sentence(group: FloatGroup, error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    detail = f" ({lines[-1].strip()})" if lines else ""
    return f"{group.op} cannot be lowered to C{detail}"


def _named(group: FloatGroup, fragment: Fragment, structure: Structure) -> LoweredGroup:
    """`structure` with the user's names; what is new is named after the group's first output."""
    prefix = str(group.outputs[0].name)
    names = {ours: str(value.name) for value, ours in fragment.names.items()}
    constants = {}
    for ours, operand in fragment.operands.items():
        array = constant_of(operand) if isinstance(operand, ir.Value) else operand
        if array is not None:
            names.setdefault(ours, f"{prefix}.{ours}")
            constants[names[ours]] = np.ascontiguousarray(array)
    for ours, array in structure.constants.items():
        names[ours] = f"{prefix}.{ours}"
        constants[names[ours]] = array
    tensors = {}
    for ours, tensor in structure.tensors.items():
        names[ours] = f"{prefix}.{ours}"
        tensors[names[ours]] = Tensor(names[ours], tensor.shape, tensor.dtype)
    calls = tuple(
        FloatCall(
            call.func,
            tuple(names[name] for name in call.inputs),
            tuple(names[name] for name in call.outputs),
        )
        for call in structure.calls
    )
    used = {name for call in calls for name in call.inputs}
    kept = {name: array for name, array in constants.items() if name in used}
    return LoweredGroup(calls, tensors, kept)
