"""A small ONNX model to TIR calls: TVM's importer, legalization and fusion, and what they leave."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import tvm
import tvm_ffi
from onnx import helper, inliner
from tvm import relax, s_tir, tirx
from tvm.relax.frontend.onnx import from_onnx
from tvm.relax.frontend.onnx.onnx_frontend import _get_convert_map

from edgecomp.errors import EdgecompError
from edgecomp.importers.opset import OPSET
from edgecomp.lowering.kernels import movement
from edgecomp.program import Tensor

# Operations TVM's C code generator lacks, or expands to something less accurate than our own.
INTRINSICS = {
    "tirx.fabs": "ec_fabsf",
    "tirx.rsqrt": "ec_rsqrtf",
    "tirx.sigmoid": "ec_sigmoidf",
}


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
class Structure:
    """A group without its names: calls over t0, t1 ..., tensors and constants made by TVM."""

    calls: tuple[FloatCall, ...]
    tensors: Mapping[str, Tensor]
    constants: Mapping[str, npt.NDArray[Any]]


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
def lower_structure(serialized: bytes) -> Structure:
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


def _at_start(func: Any) -> Any:
    """`func` with buffers that begin where their memory does: a scatter leaves that open."""
    if all(isinstance(buffer.elem_offset, tirx.IntImm) for buffer in func.params):
        return func
    buffers = {
        buffer: tirx.decl_buffer(buffer.shape, str(buffer.dtype), name=buffer.name)
        for buffer in func.params
    }
    return func.specialize(buffers)


def _with_infinities(func: Any) -> Any:
    """`func` with reductions that begin at infinity where TVM begins at the largest float.

    The maximum of nothing but -inf is -inf.
    """

    def widen(constant: Any) -> Any:
        largest = np.finfo(str(constant.ty.dtype)).max
        if abs(float(constant.value)) != float(largest):
            return constant
        infinity = math.copysign(math.inf, float(constant.value))
        return tirx.FloatImm(str(constant.ty.dtype), infinity)

    def visit(block: Any) -> Any:
        if block.init is None:
            return block
        init = tvm_ffi.structural_map(block.init, (tirx.FloatImm, widen))
        return s_tir.SBlock(
            block.iter_vars,
            block.reads,
            block.writes,
            block.name_hint,
            block.body,
            init,
            block.alloc_buffers,
            block.match_buffers,
            block.annotations,
        )

    return func.with_body(tvm_ffi.structural_map(func.body, (s_tir.SBlock, visit)))


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

    def structure(self) -> Structure:
        bindings = [b for block in self.main.body.blocks for b in block.bindings]
        for binding in bindings:
            self.names[binding.var] = self._bind(binding.value)
        given = self._operands(self.main.body.body)
        self._check_types(given)
        results = self._own_memory(given)
        renamed = dict(zip(results, (output.name for output in self.outputs), strict=True))
        calls = tuple(
            FloatCall(
                call.func,
                tuple(renamed.get(name, name) for name in call.inputs),
                tuple(renamed.get(name, name) for name in call.outputs),
            )
            for call in self.calls
        )
        tensors = {name: t for name, t in self.tensors.items() if name not in renamed}
        return Structure(calls, tensors, self.constants)

    def _own_memory(self, results: Sequence[str]) -> list[str]:
        """The outputs, copied where one is an input, a constant, or given already."""
        produced = {name for call in self.calls for name in call.outputs}
        own: list[str] = []
        for name, output in zip(results, self.outputs, strict=True):
            if name not in produced or name in own:
                target = f"m{len(self.tensors)}"
                self.tensors[target] = Tensor(target, output.shape, output.dtype)
                func = movement.copy(output.shape, output.dtype)
                self.calls.append(FloatCall(func, (name,), (target,)))
                name = target
            own.append(name)
        return own

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
        func = _with_own_intrinsics(_with_infinities(_at_start(self.module[value.args[0]])))
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
