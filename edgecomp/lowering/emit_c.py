"""A program as C: a header, the kernels with the straight-line plan that calls them, weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.errors import Reason, raise_if_any
from edgecomp.lowering.codegen import KernelSource, generate_c
from edgecomp.lowering.memory import Lifetime, plan_memory
from edgecomp.program import Call, MemoryPlan, Program
from edgecomp_runtime.manifest import TensorSpec

SUPPORT_FOLDER = Path(__file__).parent / "csrc"

C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
    "bool": "bool",
    "float16": "_Float16",
    "float32": "float",
    "float64": "double",
}


@dataclass(frozen=True)
class CSource:
    """The C of a program.

    Attributes:
        symbol: prefix of every name.
        files: text by file name: SYMBOL.h, SYMBOL.c, SYMBOL_weights.c and the support headers.
        plan: where every buffer lives.
        functions: the C function each call calls, without the prefix, in order.
        weights_bytes: bytes of constants.
    """

    symbol: str
    files: Mapping[str, str]
    plan: MemoryPlan
    functions: tuple[str, ...]
    weights_bytes: int


# Words that C11 or C++20 keep for themselves, as far as a tensor could be called that.
# fmt: off
_KEYWORDS = frozenset([
    "and", "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const", "continue",
    "default", "delete", "do", "double", "else", "enum", "explicit", "export", "extern", "false",
    "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace",
    "new", "not", "operator", "or", "private", "protected", "public", "register", "restrict",
    "return", "short", "signed", "sizeof", "static", "struct", "switch", "template", "this",
    "throw", "true", "try", "typedef", "typename", "union", "unsigned", "using", "virtual",
    "void", "volatile", "while", "xor",
])
# fmt: on


def c_name(name: str) -> str:
    """`name` as a C and C++ identifier."""
    cleaned = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "value"
    return f"n{cleaned}" if cleaned[0].isdigit() or cleaned in _KEYWORDS else cleaned


def _comment(text: str) -> str:
    """`text`, which may come from a user's file, as the inside of a C comment."""
    return re.sub(r"[^\x20-\x7e]", "?", text).replace("*/", "* /").replace("/*", "/ *")


def unique_names(names: Sequence[str]) -> dict[str, str]:
    """A C identifier for each of `names`, all different, also without regard to case."""
    taken: set[str] = set()
    result = {}
    for name in names:
        candidate, number = c_name(name), 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{c_name(name)}_{number}"
        taken.add(candidate.lower())
        result[name] = candidate
    return result


def emit_c(program: Program) -> CSource:
    """C for `program`, whose kernels are scheduled."""
    sources = _generate(program)
    functions = _function_names(sources)
    plan = plan_memory(_lifetimes(program, sources))
    arrays = _ConstantArrays(program.constants)
    files = {
        f"{program.symbol}.h": _header(program, plan),
        f"{program.symbol}.c": _source(program, sources, functions, plan, arrays),
        f"{program.symbol}_weights.c": _weights(program.symbol, arrays),
    }
    for support in sorted(SUPPORT_FOLDER.glob("*.h")):
        files[support.name] = support.read_text()
    files.update(program.headers)
    return CSource(
        program.symbol,
        files,
        plan,
        tuple(functions[call.kernel] for call in program.calls),
        sum(array.nbytes for array in arrays.contents.values()),
    )


def _generate(program: Program) -> dict[str, KernelSource]:
    """The C of every kernel.

    Raises:
        EdgecompError: kernels that need what no device has, by the nodes they compute.
    """
    sources, reasons = {}, []
    for name, kernel in program.kernels.items():
        try:
            sources[name] = generate_c(kernel.func, kernel.outputs)
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


def _workspace(call: Call, position: int, index: int) -> str:
    """The name of scratch memory in the plan; `position` keeps two calls of one node apart."""
    return f"scratch {index} of call {position}, {call.name}"


def _lifetimes(program: Program, sources: Mapping[str, KernelSource]) -> list[Lifetime]:
    last_call = len(program.calls) - 1
    first: dict[str, int] = {spec.name: 0 for spec in program.inputs}
    last: dict[str, int] = {}
    scratch = []
    for index, call in enumerate(program.calls):
        for name in call.operands:
            if name in program.tensors:
                first.setdefault(name, index)
                last[name] = index
        for number, workspace in enumerate(sources[call.kernel].workspaces):
            size = workspace.shape[0] * np.dtype(workspace.dtype).itemsize
            scratch.append(Lifetime(_workspace(call, index, number), size, index, index))
    last.update({spec.name: max(last_call, 0) for spec in program.outputs})
    tensors = [
        Lifetime(name, program.tensors[name].bytes, start, last.get(name, start))
        for name, start in first.items()
    ]
    return tensors + scratch


class _ConstantArrays:
    """Constants as C arrays: equal contents are stored once."""

    def __init__(self, constants: Mapping[str, npt.NDArray[Any]]) -> None:
        by_content: dict[tuple[str, bytes], str] = {}
        self._same = {
            name: by_content.setdefault((array.dtype.name, array.tobytes()), name)
            for name, array in constants.items()
        }
        self.contents = {name: constants[name] for name in by_content.values()}
        self._names = unique_names(list(self.contents))

    def name(self, constant: str) -> str:
        """The C array, without the prefix, that holds `constant`."""
        return self._names[self._same[constant]]

    def declaration(self, symbol: str, constant: str) -> str:
        """Type, name and size of the array."""
        array = self.contents[self._same[constant]]
        size = max(array.size, 1)
        return f"{C_TYPES[array.dtype.name]} {symbol}_{self.name(constant)}[{size}]"


def _tensor_macros(
    program: Program, kind: str, specs: Sequence[TensorSpec], plan: MemoryPlan
) -> list[str]:
    offsets = {record.name: record for record in plan.buffers}
    lines = [f"#define {program.symbol}_{kind}S {len(specs)}"]
    for index, spec in enumerate(specs):
        prefix = f"{program.symbol}_{kind}_{index}"
        record = offsets[spec.name]
        lines.append(f"/* {_comment(spec.name)}: {spec.dtype}{list(spec.shape)} */")
        lines.append(f"#define {prefix}_BYTES {record.bytes}")
        lines.append(f"#define {prefix}_OFFSET {record.offset}")
        if spec.scale is not None and spec.zero_point is not None:
            lines.append(f"#define {prefix}_SCALE {float(np.float32(spec.scale)).hex()}f")
            lines.append(f"#define {prefix}_ZERO_POINT ({spec.zero_point})")
    return lines


def _struct(program: Program, kind: str, specs: Sequence[TensorSpec], const: str) -> list[str]:
    fields = unique_names([spec.name for spec in specs])
    members = [f"  {const}{C_TYPES[spec.dtype]} *{fields[spec.name]};" for spec in specs]
    return ["typedef struct {", *members, f"}} {program.symbol}_{kind};"]


def _prototype(symbol: str) -> str:
    pointers = f"const {symbol}_inputs *inputs, const {symbol}_outputs *outputs, void *arena"
    return f"void {symbol}_run({pointers})"


def _header(program: Program, plan: MemoryPlan) -> str:
    symbol = program.symbol
    guard = f"{symbol.upper()}_H"
    lines = [
        f"/* {_comment(program.name)}: the compiled model's interface.",
        " *",
        " * Buffers may lie anywhere at a multiple of the alignment. The plan keeps room for",
        " * them in the arena, at the offsets below; a run overwrites an input placed there.",
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdbool.h>",
        "#include <stdint.h>",
        "",
        f"#define {symbol}_ARENA_BYTES {plan.arena_bytes}",
        f"#define {symbol}_ARENA_ALIGNMENT {plan.alignment}",
        *_tensor_macros(program, "INPUT", program.inputs, plan),
        *_tensor_macros(program, "OUTPUT", program.outputs, plan),
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        *_struct(program, "inputs", program.inputs, "const "),
        "",
        *_struct(program, "outputs", program.outputs, ""),
        "",
        "/* One inference. Re-entrant: everything it writes is in the outputs and the arena. */",
        f"{_prototype(symbol)};",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _operand(
    program: Program, name: str, offsets: Mapping[str, int], arrays: _ConstantArrays
) -> str:
    if name in program.constants:
        return f"{program.symbol}_{arrays.name(name)}"
    inputs = unique_names([spec.name for spec in program.inputs])
    outputs = unique_names([spec.name for spec in program.outputs])
    if name in inputs:
        return f"inputs->{inputs[name]}"
    if name in outputs:
        return f"outputs->{outputs[name]}"
    return f"({C_TYPES[program.tensors[name].dtype]} *)(void *)(bytes + {offsets[name]})"


def _call_line(
    program: Program,
    index: int,
    call: Call,
    source: KernelSource,
    function: str,
    offsets: Mapping[str, int],
    arrays: _ConstantArrays,
) -> str:
    arguments = [_operand(program, name, offsets, arrays) for name in call.operands]
    for number, workspace in enumerate(source.workspaces):
        offset = offsets[_workspace(call, index, number)]
        arguments.append(f"({C_TYPES[workspace.dtype]} *)(void *)(bytes + {offset})")
    comment = _comment(f"{call.name}: {call.op}")
    return f"  /* {comment} */\n  {program.symbol}_{function}({', '.join(arguments)});"


def _source(
    program: Program,
    sources: Mapping[str, KernelSource],
    functions: Mapping[str, str],
    plan: MemoryPlan,
    arrays: _ConstantArrays,
) -> str:
    symbol = program.symbol
    offsets = {record.name: record.offset for record in plan.buffers}
    declared = [f"extern const {arrays.declaration(symbol, name)};" for name in arrays.contents]
    kernels = [
        sources[name].define(f"{symbol}_{name}") for name in sources if functions[name] == name
    ]
    calls = [
        _call_line(program, i, call, sources[call.kernel], functions[call.kernel], offsets, arrays)
        for i, call in enumerate(program.calls)
    ]
    parts = [
        f'/* {_comment(program.name)}: kernels and plan. */\n#include "{symbol}.h"\n',
        "\n".join(f'#include "{name}"' for name in ("edgecomp_kernel.h", *program.headers)),
        "\n".join(declared),
        *kernels,
        f"EC_EXPORT {_prototype(symbol)} {{\n"
        "  unsigned char *const bytes = (unsigned char *)arena;\n"
        "  (void)bytes;\n" + "\n".join(calls) + "\n}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _elements(array: npt.NDArray[Any]) -> str:
    flat = array.reshape(-1)
    if array.dtype.kind == "f":
        suffix = "" if array.dtype == np.float64 else "f"
        texts = [_float_text(value, suffix) for value in flat.tolist()]
    elif array.dtype == np.int64:
        # C has no literal for the least of them
        least = -(2**63)
        texts = ["INT64_MIN" if value == least else f"{value}LL" for value in flat.tolist()]
    elif array.dtype == np.uint64:
        texts = [f"{value}ULL" for value in flat.tolist()]
    else:
        texts = [str(value) for value in flat.astype(np.int64).tolist()]
    lines = [",".join(texts[i : i + 24]) for i in range(0, len(texts), 24)]
    return ",\n".join(lines) or "0"


def _float_text(value: float, suffix: str) -> str:
    if value != value:
        return "EC_NAN"
    if value in (float("inf"), float("-inf")):
        return "EC_INFINITY" if value > 0 else "-EC_INFINITY"
    return f"{value.hex()}{suffix}"


def _weights(symbol: str, arrays: _ConstantArrays) -> str:
    definitions = [
        f"EC_WEIGHTS const {arrays.declaration(symbol, name)} = {{\n{_elements(array)}\n}};"
        for name, array in arrays.contents.items()
    ]
    return '#include "edgecomp_kernel.h"\n\n' + "\n\n".join(definitions) + "\n"
