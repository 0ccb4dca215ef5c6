"""The header of a compiled model, and what else its caller sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgecomp.lowering.c_names import C_TYPES, comment, unique_names
from edgecomp.lowering.memory import ALIGNMENT, align
from edgecomp.program import MemoryPlan, Program
from edgecomp_runtime.manifest import TensorSpec

# The same in the header of every model; the first one included counts.
_ARENA_MACROS = f"""\
#ifndef EDGECOMP_ARENA
/* What stands before the definition of an arena, as in
 * -DEDGECOMP_ARENA_SECTION='__attribute__((section(".dtcm")))'. */
#ifndef EDGECOMP_ARENA_SECTION
#define EDGECOMP_ARENA_SECTION
#endif
#if defined(__GNUC__)
#define EDGECOMP_ALIGNED __attribute__((aligned({ALIGNMENT})))
#elif defined(__cplusplus)
#define EDGECOMP_ALIGNED alignas({ALIGNMENT})
#else
#define EDGECOMP_ALIGNED _Alignas({ALIGNMENT})
#endif
/* Defines the static arena `name`. Models of which one runs at a time may share an arena of the
 * largest size: EDGECOMP_ARENA(arena, EDGECOMP_LARGER(a_ARENA_BYTES, b_ARENA_BYTES)); */
#define EDGECOMP_ARENA(name, bytes) \\
  EDGECOMP_ARENA_SECTION EDGECOMP_ALIGNED static unsigned char name[bytes]
#define EDGECOMP_LARGER(a, b) ((a) > (b) ? (a) : (b))
#endif
"""


def _tensor_macros(
    program: Program, kind: str, specs: Sequence[TensorSpec], plan: MemoryPlan
) -> list[str]:
    offsets = {record.name: record for record in plan.buffers}
    lines = [f"#define {program.symbol}_{kind}S {len(specs)}"]
    for index, spec in enumerate(specs):
        prefix = f"{program.symbol}_{kind}_{index}"
        record = offsets[spec.name]
        lines.append(f"/* {comment(spec.name)}: {spec.dtype}{list(spec.shape)} */")
        lines.append(f"#define {prefix}_ELEMENTS {math.prod(spec.shape)}")
        lines.append(f"#define {prefix}_BYTES {record.bytes}")
        lines.append(f"#define {prefix}_OFFSET {record.offset}")
        if spec.scale is not None and spec.zero_point is not None:
            # the shortest decimal that is this float: hexadecimal ones are new in C++17
            lines.append(f"#define {prefix}_SCALE {np.float32(spec.scale)!s}f")
            lines.append(f"#define {prefix}_ZERO_POINT ({spec.zero_point})")
    return lines


def _struct(program: Program, kind: str, specs: Sequence[TensorSpec], const: str) -> list[str]:
    fields = unique_names([spec.name for spec in specs])
    members = [f"  {const}{C_TYPES[spec.dtype]} *{fields[spec.name]};" for spec in specs]
    return ["typedef struct {", *members, f"}} {program.symbol}_{kind};"]


def prototype(program: Program) -> str:
    symbol = program.symbol
    pointers = f"const {symbol}_inputs *inputs, const {symbol}_outputs *outputs, void *arena"
    return f"void {symbol}_run({pointers}{', void *state' if program.states else ''})"


def state_offsets(program: Program) -> dict[str, int]:
    """Where each state lies in the state buffer."""
    offsets, end = {}, 0
    for name, initial in program.states.items():
        offsets[name] = end
        end = align(end + initial.nbytes)
    return offsets


def initial_state(program: Program) -> bytes:
    return b"".join(
        initial.tobytes().ljust(align(initial.nbytes), b"\0") for initial in program.states.values()
    )


def _state_declarations(program: Program) -> list[str]:
    """What the header of a streaming model says besides."""
    if not program.states:
        return []
    symbol = program.symbol
    return [
        "/* Begin anew: fill the state, which every run reads and writes. */",
        f"void {symbol}_reset(void *state);",
        "",
    ]


def reset_function(program: Program) -> str:
    """The function that fills the state; zeros, and where it starts otherwise a table."""
    state, symbol = initial_state(program), program.symbol
    if not state:
        return ""
    table, value = "", "0"
    if any(state):
        values = ",".join(str(byte) for byte in state)
        table = f"static const unsigned char {symbol}_initial[{len(state)}] = {{{values}}};\n\n"
        value = f"{symbol}_initial[i]"
    return (
        f"{table}EC_EXPORT void {symbol}_reset(void *state) {{\n"
        f"  for (int32_t i = 0; i < {len(state)}; ++i) ((unsigned char *)state)[i] = {value};\n}}"
    )


def header_file(program: Program, plan: MemoryPlan) -> str:
    symbol = program.symbol
    guard = f"{symbol.upper()}_H"
    lines = [
        f"/* {comment(program.name)}: the compiled model's interface.",
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
        f"#define {symbol}_STATE_BYTES {len(initial_state(program))}",
        *_tensor_macros(program, "INPUT", program.inputs, plan),
        *_tensor_macros(program, "OUTPUT", program.outputs, plan),
        "",
        _ARENA_MACROS,
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        *_struct(program, "inputs", program.inputs, "const "),
        "",
        *_struct(program, "outputs", program.outputs, ""),
        "",
        "/* One inference. Re-entrant: everything it writes is in the outputs and the arena. */",
        f"{prototype(program)};",
        "",
        *_state_declarations(program),
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)
