"""Float groups to TIR, by TVM's ONNX importer and its operator fusion.

Each group becomes a small ONNX model of its own, is imported to Relax, legalized to TIR and fused;
what is left of the Relax function is a list of calls, which is all we take from it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import tvm
import tvm_ffi
from onnx import helper, inliner
from tvm import relax, tirx
from tvm.relax.frontend.onnx import from_onnx
from tvm.relax.frontend.onnx.onnx_frontend import _get_convert_map

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.values import constant_of
from edgecomp.importers.opset import OPSET
from edgecomp.lowering.float_fragment import Fragment
from edgecomp.lowering.float_groups import FloatGroup
from edgecomp.lowering.float_rewrites import append
from edgecomp.program import Tensor

# Operations TVM's C code generator lacks, or expands to something less accurate than our own.
INTRINSICS = {
    "tirx.fabs": "ec_fabsf",
    "tirx.rsqrt": "ec_rsqrtf",
    "tirx.sigmoid": "ec_sigmoidf",
}

_ADVICE = "replace the operator in the model, or export the model without it"


@dataclass(frozen=True)
class FloatCall:
    """One call of a TIR function.

    Attributes:
        func: the `PrimFunc`; its parameters are `inputs` then `outputs`. Not scheduled.
        inputs: names of tensors and constants.
        outputs: names of tensors.
    """

    func: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


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


@dataclass(frozen=True)
class _Structure:
    """A group without its names: calls over t0, t1 ..., tensors and constants made by TVM."""

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
        structure = _lower_structure(model.SerializeToString(deterministic=True))
    except EdgecompError:
        raise
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


def _named(group: FloatGroup, fragment: Fragment, structure: _Structure) -> LoweredGroup:
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


def _passes() -> Any:
    transform = relax.transform
    return tvm.ir.transform.Sequential(
        [
            transform.DecomposeOpsForInference(),
            transform.FoldConstant(),
            transform.LegalizeOps(),
            transform.AnnotateTIROpPattern(),
            transform.FoldConstant(),
            transform.FuseOps(),
            transform.FuseTIR(),
            transform.DeadCodeElimination(),
        ]
    )


@lru_cache(maxsize=1024)
def _lower_structure(serialized: bytes) -> _Structure:
    """Calls of the group whose ONNX model is `serialized`.

    Raises:
        EdgecompError, or whatever TVM raises.
    """
    proto = _known_to_tvm(onnx.ModelProto.FromString(serialized))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the importer's own, about what we never give it
        module = from_onnx(proto, opset=proto.opset_import[0].version)
    with tvm.transform.PassContext(opt_level=3):
        module = _passes()(module)
    inputs = [value.name for value in proto.graph.input]
    outputs = [_tensor_of(value) for value in proto.graph.output]
    return _Walk(module, inputs, outputs).structure()


def _tensor_of(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value for dim in kind.shape.dim)
    return Tensor(value.name, shape, str(helper.tensor_dtype_to_np_dtype(kind.elem_type)))


def _with_own_intrinsics(func: Any) -> Any:
    """`func` with the operations of `INTRINSICS` as calls of our functions."""

    def visit(call: Any) -> Any:
        own = INTRINSICS.get(getattr(call.op, "name", "")) if _is_float32(call) else None
        return call if own is None else tirx.call_pure_extern("float32", own, *call.args)

    return func.with_body(tvm_ffi.structural_map(func.body, (tvm.ir.Call, visit)))


def _is_float32(call: Any) -> bool:
    return str(getattr(call.ty, "dtype", "")) == "float32"


def _known_to_tvm(proto: onnx.ModelProto) -> onnx.ModelProto:
    """`proto` with operators TVM lacks replaced by the functions ONNX defines them by."""
    functions = {
        (node.domain, node.op_type)
        for node in proto.graph.node
        if node.op_type not in _get_convert_map() and _is_function(node.op_type)
    }
    if not functions:
        return proto
    return inliner.inline_selected_functions(proto, sorted(functions), inline_schema_functions=True)


def _is_function(op_type: str) -> bool:
    schema = onnx.defs.get_schema(op_type, OPSET)
    # missing in the type stubs of onnx
    plain, dependent = schema.has_function, schema.has_context_dependent_function  # type: ignore[attr-defined]
    return bool(plain or dependent)


class _Walk:
    """Reads the calls of a Relax main function."""

    def __init__(self, module: Any, inputs: Sequence[str], outputs: Sequence[Tensor]) -> None:
        self.module = module
        self.main = module["main"]
        self.outputs = outputs
        self.names: dict[Any, tuple[str, ...]] = {
            var: (name,) for var, name in zip(self.main.params, inputs, strict=True)
        }
        self.calls: list[FloatCall] = []
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def structure(self) -> _Structure:
        bindings = [b for block in self.main.body.blocks for b in block.bindings]
        for binding in bindings:
            self.names[binding.var] = self._bind(binding.value)
        results = self._operands(self.main.body.body)
        self._check_types(results)
        renamed = dict(zip(results, (output.name for output in self.outputs), strict=True))
        produced = {name for call in self.calls for name in call.outputs}
        if len(renamed) != len(self.outputs) or not produced.issuperset(renamed):
            raise EdgecompError("an output of the group is an input, a constant, or given twice")
        calls = tuple(
            FloatCall(
                call.func,
                tuple(renamed.get(name, name) for name in call.inputs),
                tuple(renamed.get(name, name) for name in call.outputs),
            )
            for call in self.calls
        )
        tensors = {name: t for name, t in self.tensors.items() if name not in renamed}
        return _Structure(calls, tensors, self.constants)

    def _check_types(self, results: Sequence[str]) -> None:
        for name, wanted in zip(results, self.outputs, strict=True):
            got = self.tensors.get(name)
            if got is not None and (got.shape, got.dtype) != (wanted.shape, wanted.dtype):
                raise EdgecompError(
                    f"TVM computes {got.dtype}{list(got.shape)} where ONNX defines "
                    f"{wanted.dtype}{list(wanted.shape)}"
                )

    def _operands(self, expression: Any) -> tuple[str, ...]:
        """Names of the tensors an expression stands for: one, or a tuple's fields."""
        if isinstance(expression, relax.Tuple):
            return tuple(name for item in expression.fields for name in self._operands(item))
        if isinstance(expression, relax.TupleGetItem):
            return (self._operands(expression.tuple_value)[expression.index],)
        if isinstance(expression, tvm.ir.GenericConst):
            name = f"c{len(self.constants)}"
            self.constants[name] = np.ascontiguousarray(expression.value.numpy())
            return (name,)
        return self.names[expression]

    def _bind(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, relax.Call):
            return self._operands(value)
        if value.op != tvm.ir.Op.get("relax.call_tir"):
            raise EdgecompError(f"TVM leaves {_callee(value)} to its run-time library")
        func = _with_own_intrinsics(self.module[value.args[0]])
        fields = value.ty_args[0]
        fields = fields.fields if isinstance(fields, relax.TupleType) else [fields]
        outputs = tuple(self._tensor(field) for field in fields)
        self.calls.append(FloatCall(func, self._operands(value.args[1]), outputs))
        return outputs

    def _tensor(self, field: Any) -> str:
        name = f"m{len(self.tensors)}"
        shape = tuple(int(extent) for extent in field.shape.values)
        self.tensors[name] = Tensor(name, shape, str(field.dtype))
        return name


def _callee(call: Any) -> str:
    """What a call that is no call of TIR calls."""
    name = call.op.name if isinstance(call.op, tvm.ir.Op) else str(call.op)
    if name in ("relax.call_dps_packed", "relax.call_packed", "relax.call_pure_packed"):
        return str(getattr(call.args[0], "global_symbol", name))
    return str(name)
