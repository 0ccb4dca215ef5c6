"""TIR function to a C99 function with a bare signature: pointers in, nothing of TVM behind it.

TVM's own pipeline ends in a packed calling convention and its runtime. Here a scheduled function
is lowered by the same passes up to flat loops, its buffers become pointer parameters, large
internal allocations become workspace parameters (the plan places them in the arena instead of on
the stack), and calls to the C math library become calls to `edgecomp_math.h`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import PointerType, PrimType

# Allocations up to this size stay on the stack, where the compiler can keep them in registers.
STACK_BUFFER_BYTES = 256

# What TVM's C code generator may call; `edgecomp_math.h` has each with the prefix ec_.
# fmt: off
MATH_CALLS = frozenset([
    "expf", "exp2f", "logf", "log2f", "log10f", "log1pf", "sqrtf", "tanhf", "erff",
    "powf", "sinf", "cosf", "tanf", "atanf", "asinf", "acosf", "atan2f", "sinhf", "coshf",
    "asinhf", "acoshf", "atanhf", "floorf", "ceilf", "truncf", "roundf", "nearbyintf", "rintf",
    "exp", "log", "fmod", "fmodf", "fabsf", "fmaxf", "fminf", "copysignf", "isnan", "isinf",
    "isfinite",
])
# fmt: on
# What TVM calls a 16-bit float.
_HALF = re.compile(r"\bhalf\b")
_NOT_CALLS = {"if", "for", "while", "switch", "return", "sizeof", "int8_t", "float", "double"}
_LITERAL = re.compile(r"\bec_literal_(\d+)_\(\)")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


@dataclass(frozen=True)
class Workspace:
    """Scratch memory one call of a kernel needs.

    Attributes:
        shape: number of elements.
        dtype: numpy name of the element type.
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class KernelSource:
    """One C function.

    Attributes:
        parameters: C declarations of the parameters, workspaces last.
        body: the function's body with its braces.
        workspaces: scratch memory to pass after the operands, in order.
    """

    parameters: tuple[str, ...]
    body: str
    workspaces: tuple[Workspace, ...]

    def define(self, name: str) -> str:
        """The definition of the function under `name`.

        A kernel that makes constants only does not read what its node reads.
        """
        names = [parameter.split()[-1].lstrip("*") for parameter in self.parameters]
        unread = [name for name in names if not re.search(rf"\b{name}\b", self.body)]
        body = self.body.replace("{", "{" + "".join(f"\n  (void){name};" for name in unread), 1)
        return f"EC_KERNEL void {name}({', '.join(self.parameters)}) {body}"


def _passes() -> tvm.ir.transform.Sequential:
    s, t = s_tir.transform, tirx.transform
    return tvm.ir.transform.Sequential(
        [
            s.CanonicalizeLoop(),
            s.LowerInitBlock(),
            s.PlanAndUpdateBufferAllocationLocation(),
            s.ConvertBlocksToOpaque(),
            s.CompactBufferAllocation(),
            s.LowerMatchBuffer(),
            s.StmtSimplify(),
            s.LowerOpaqueBlock(),
            t.FlattenBuffer(),
            t.BF16ComputeLegalize(),
            t.NarrowDataType(32),
            s.LoopPartition(),
            t.VectorizeLoop(False),
            t.StorageRewrite(),
            t.UnrollLoop(),
            t.StmtSimplify(),
            t.RemoveNoOp(),
            s.RewriteUnsafeSelect(),
        ]
    )


def _elements(buffer: Any) -> int:
    return math.prod(int(extent) for extent in buffer.shape)


def _bytes(buffer: Any) -> int:
    return _elements(buffer) * max(1, int(tvm.DataType(str(buffer.dtype)).bits) // 8)


def _pointer(name: str, buffer: Any) -> Any:
    return tirx.Var(name, PointerType(PrimType(str(buffer.dtype))))


def _hoist(body: Any, hoisted: list[Any]) -> Any:
    """`body` without its large allocations, which are appended to `hoisted`."""

    def visit(allocation: Any) -> Any:
        if _bytes(allocation.buffer) <= STACK_BUFFER_BYTES:
            return allocation
        hoisted.append(allocation.buffer)
        return tirx.Evaluate(tirx.const(0, "int32"))

    return tvm_ffi.structural_map(body, (tirx.AllocBuffer, visit))


def _name_constants(body: Any, literals: list[str]) -> Any:
    """`body` with every float constant a call that stands for `literals[i]`.

    The code generator prints seven digits, which is not enough to tell two floats apart.
    """

    def visit(constant: Any) -> Any:
        dtype = str(constant.ty.dtype)
        literals.append(_float_literal(float(constant.value), dtype))
        return tirx.call_extern(dtype, f"ec_literal_{len(literals) - 1}_")

    return tvm_ffi.structural_map(body, (tirx.FloatImm, visit))


def _float_literal(value: float, dtype: str) -> str:
    if math.isnan(value):
        return "EC_NAN"
    if math.isinf(value):
        return "EC_INFINITY" if value > 0 else "(-EC_INFINITY)"
    exact = float(np.float32(value)) if dtype == "float32" else value
    return f"({exact.hex()})" if dtype == "float64" else f"({exact.hex()}f)"


def _own_calls(body: str) -> str:
    """`body` with calls to the C math library renamed to our own.

    Raises:
        ValueError: a function is called that we do not have.
    """
    unknown = set()

    def rename(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in MATH_CALLS:
            return f"ec_{name}("
        if not (name.startswith("ec_") or name in _NOT_CALLS):
            unknown.add(name)
        return match.group(0)

    renamed = _CALL.sub(rename, body)
    if unknown:
        raise ValueError(f"generated code calls {', '.join(sorted(unknown))}, which no device has")
    return renamed


def generate_c(func: Any, outputs: int = 1, overlapping: Collection[int] = ()) -> KernelSource:
    """C for one scheduled TIR function.

    Args:
        func: a `PrimFunc` whose parameters are buffers with static shapes.
        outputs: how many of the last parameters are written; the others are `const`.
        overlapping: indices of operands that may share bytes with what is written.

    Raises:
        ValueError: the generated code would need a function that no device has.
    """
    target = tvm.target.Target("c")
    module = tvm.IRModule({"kernel": func.with_attr("global_symbol", "kernel")})
    module = _passes()(tirx.transform.BindTarget(target)(module))
    flat = module["kernel"]

    hoisted: list[Any] = []
    literals: list[str] = []
    body = _name_constants(_hoist(flat.body, hoisted), literals)
    buffers = [*flat.params, *hoisted]
    names = [f"p{i}" for i in range(len(flat.params))] + [f"work{i}" for i in range(len(hoisted))]
    pointers = [_pointer(name, buffer) for name, buffer in zip(names, buffers, strict=True)]
    declared = [
        tirx.DeclBuffer(buffer, data=pointer)
        for buffer, pointer in zip(buffers, pointers, strict=True)
    ]
    bare = tirx.PrimFunc(pointers, tirx.SeqStmt([*declared, body]), attrs=flat.attrs)
    module = tirx.transform.LowerIntrin()(tvm.IRModule({"kernel": bare}))
    text = tvm.get_global_func("target.build.c")(module, target).inspect_source()

    definition = re.search(r"void kernel\(([^)]*)\) \{", text)
    if definition is None:
        raise ValueError("the code generator gave no function")
    constant = len(flat.params) - outputs
    written = range(constant, len(flat.params)) if overlapping else range(0)
    parameters = tuple(
        ("const " if i < constant else "")
        + p.strip().replace("* ", " *" if i in overlapping or i in written else " *EC_RESTRICT ")
        for i, p in enumerate(definition.group(1).split(","))
    )
    workspaces = tuple(Workspace((_elements(b),), str(b.dtype)) for b in hoisted)
    parameters = tuple(_HALF.sub("_Float16", parameter) for parameter in parameters)
    body_text = _LITERAL.sub(lambda m: literals[int(m.group(1))], text[definition.end() - 1 :])
    body_text = _HALF.sub("_Float16", body_text)
    return KernelSource(parameters, _own_calls(body_text.strip()), workspaces)
