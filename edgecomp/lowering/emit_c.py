"""A program as C: a header, the kernels with the straight-line plan that calls them, weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecomp.errors import Reason, raise_if_any
from edgecomp.lowering.binary_constants import TEXT_LIMIT, assembly_file, binary_file
from edgecomp.lowering.c_constants import ConstantArrays, weights_file
from edgecomp.lowering.c_header import (
    header_file,
    initial_state,
    prototype,
    reset_function,
    state_offsets,
)
from edgecomp.lowering.c_names import C_TYPES, comment, unique_names
from edgecomp.lowering.codegen import KernelSource, generate_c
from edgecomp.lowering.lifetimes import base_of
from edgecomp.lowering.planner import plan_program, scratch_name
from edgecomp.program import Call, MemoryPlan, Program

SUPPORT_FOLDER = Path(__file__).parent / "csrc"


@dataclass(frozen=True)
class CSource:
    """The C of a program.

    Attributes:
        symbol: prefix of every name.
        files: text by file name: SYMBOL.h, SYMBOL.c, the support headers, and SYMBOL_weights.c, or
            SYMBOL_weights.S where `data` holds the weights.
        data: the other files, by name: SYMBOL_weights.bin of a program with many constants.
        plan: where every buffer lives.
        calls: the program's, in the order they are made.
        functions: the C function each call calls, without the prefix, in order.
        weights_bytes: bytes of constants.
        state: what the state buffer of a streaming model starts from; empty without one.
    """

    symbol: str
    files: Mapping[str, str]
    plan: MemoryPlan
    calls: tuple[Call, ...]
    functions: tuple[str, ...]
    weights_bytes: int
    state: bytes = b""
    data: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def compiled(self) -> list[str]:
        """Names of the files a compiler takes, in order."""
        return [name for name in self.files if name.endswith((".c", ".S"))]


def emit_c(program: Program) -> CSource:
    """C for `program`, whose kernels are scheduled."""
    sources = _generate(program)
    functions = _function_names(sources)
    planned = plan_program(program, _scratch(sources))
    program, plan = replace(program, calls=planned.calls), planned.memory
    arrays = ConstantArrays(program.constants)
    files = {
        f"{program.symbol}.h": header_file(program, plan),
        f"{program.symbol}.c": _source(program, sources, functions, plan, arrays),
    }
    weights, data = _weights(program.symbol, arrays)
    files.update(weights)
    for support in sorted(SUPPORT_FOLDER.glob("*.h")):
        files[support.name] = support.read_text()
    files.update(program.headers)
    return CSource(
        program.symbol,
        files,
        plan,
        program.calls,
        tuple(functions[call.kernel] for call in program.calls),
        arrays.bytes,
        initial_state(program),
        data,
    )


def _weights(symbol: str, arrays: ConstantArrays) -> tuple[dict[str, str], dict[str, bytes]]:
    """The files that define `arrays`: text that is compiled, and what it includes."""
    if arrays.bytes <= TEXT_LIMIT:
        return {f"{symbol}_weights.c": weights_file(symbol, arrays)}, {}
    binary = f"{symbol}_weights.bin"
    text = assembly_file(symbol, arrays, binary)
    return {f"{symbol}_weights.S": text}, {binary: binary_file(arrays)}


def _generate(program: Program) -> dict[str, KernelSource]:
    """The C of every kernel.

    Raises:
        EdgecompError: kernels that need what no device has, by the nodes they compute.
    """
    sources, reasons = {}, []
    for name, kernel in program.kernels.items():
        try:
            shared = [*(o.operand for o in kernel.overlaps), *(read for read, _ in kernel.carried)]
            sources[name] = generate_c(kernel.func, kernel.outputs, shared)
        except Exception as error:  # TVM raises whatever its assertions happen to be
            call = next(call for call in program.calls if call.kernel == name)
            detail = (str(error).strip().splitlines() or [""])[-1]
            what = f"{call.op} cannot be written as C ({detail})"
            reasons.append(Reason(what, call.name, "replace the operator in the model"))
    raise_if_any(reasons)
    return sources


def _function_names(sources: Mapping[str, KernelSource]) -> dict[str, str]:
    """The C function of each kernel: kernels with the same code share one."""
    first: dict[tuple[Any, ...], str] = {}
    return {
        name: first.setdefault((source.parameters, source.body), name)
        for name, source in sources.items()
    }


def _scratch(sources: Mapping[str, KernelSource]) -> dict[str, list[int]]:
    return {
        name: [w.shape[0] * np.dtype(w.dtype).itemsize for w in source.workspaces]
        for name, source in sources.items()
    }


def _places(program: Program, offsets: Mapping[str, int], arrays: ConstantArrays) -> dict[str, str]:
    """The C expression of every operand but scratch memory."""
    states = state_offsets(program)

    def memory(name: str) -> str:
        c_type = C_TYPES[program.tensors[name].dtype]
        if name in states:
            return f"({c_type} *)(void *)((unsigned char *)state + {states[name]})"
        return f"({c_type} *)(void *)(bytes + {offsets[name]})"

    fields = [
        (pointer, unique_names([spec.name for spec in specs]))
        for pointer, specs in (("outputs", program.outputs), ("inputs", program.inputs))
    ]
    whole = {
        **{name: memory(name) for name in program.tensors if name in offsets or name in states},
        **{name: f"{pointer}->{c}" for pointer, names in fields for name, c in names.items()},
    }
    return {
        **whole,
        **{name: _part(program, name, whole) for name in program.views},
        **{name: f"{program.symbol}_{arrays.name(name)}" for name in program.constants},
    }


def _part(program: Program, name: str, whole: Mapping[str, str]) -> str:
    """The C expression of a view."""
    base, offset = base_of(program, name)
    size = np.dtype(program.tensors[base].dtype).itemsize
    return f"{whole[base]} + {offset // size}"


def _call_line(
    program: Program,
    index: int,
    call: Call,
    source: KernelSource,
    function: str,
    offsets: Mapping[str, int],
    places: Mapping[str, str],
) -> str:
    arguments = [places[name] for name in call.operands]
    for number, workspace in enumerate(source.workspaces):
        offset = offsets[scratch_name(call, index, number)]
        arguments.append(f"({C_TYPES[workspace.dtype]} *)(void *)(bytes + {offset})")
    what = comment(f"{call.name}: {call.op}")
    return f"  /* {what} */\n  {program.symbol}_{function}({', '.join(arguments)});"


def _source(
    program: Program,
    sources: Mapping[str, KernelSource],
    functions: Mapping[str, str],
    plan: MemoryPlan,
    arrays: ConstantArrays,
) -> str:
    symbol = program.symbol
    offsets = {record.name: record.offset for record in plan.buffers}
    places = _places(program, offsets, arrays)
    declared = [f"extern const {arrays.declaration(symbol, name)};" for name in arrays.contents]
    kernels = [
        sources[name].define(f"{symbol}_{name}") for name in sources if functions[name] == name
    ]
    calls = [
        _call_line(program, i, call, sources[call.kernel], functions[call.kernel], offsets, places)
        for i, call in enumerate(program.calls)
    ]
    parts = [
        f'/* {comment(program.name)}: kernels and plan. */\n#include "{symbol}.h"\n',
        "\n".join(f'#include "{name}"' for name in ("edgecomp_kernel.h", *program.headers)),
        "\n".join(declared),
        *kernels,
        f"EC_EXPORT {prototype(program)} {{\n"
        "  unsigned char *const bytes = (unsigned char *)arena;\n"
        "  (void)bytes;\n" + "\n".join(calls) + "\n}",
        reset_function(program),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
