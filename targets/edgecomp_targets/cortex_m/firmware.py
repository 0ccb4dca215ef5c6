"""The bench firmware: what is compiled beside a program to run and count it on a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from edgecomp_runtime.manifest import BufferRecord
from edgecomp_targets.cortex_m.boards import BOARDS, CORES, Board

# Painted anew before every run, so not larger than any program needs.
STACK_BYTES = 0x8000

WATCH_LIMIT = 4096
"""Functions that can be timed in one run, on a board whose code can be written."""

SEMIHOSTING, UART = "semihosting", "uart"
"""Files of a debugger's host, or a serial port."""

# The same for the program itself; contraction would make float results depend on the core.
COMPILE_FLAGS = (
    "-std=c11",
    "-g0",
    "-ffreestanding",
    "-ffp-contract=off",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
)


@dataclass(frozen=True)
class Firmware:
    """Files of the bench firmware, and how to link them with a program.

    Attributes:
        files: text by file name, to be written into one folder.
        sources: the C files among them.
        compile_flags: for each of `sources`, run in that folder.
        link_flags: for linking `sources` and the program's objects, run in that folder.
    """

    files: Mapping[str, str]
    sources: tuple[str, ...]
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]


def processor_flags(core: str) -> tuple[str, ...]:
    """Compiler options that select `core`, a key of `CORES`."""
    return ("-target", CORES[core].target, f"-mcpu={CORES[core].cpu}")


def firmware(
    core: str,
    symbol: str,
    inputs: Sequence[BufferRecord],
    outputs: Sequence[BufferRecord],
    board: Board | None = None,
    transport: str = SEMIHOSTING,
    calls: int = 0,
) -> Firmware:
    """The bench firmware for the program `symbol`.

    Compile `files[*.c]` and the program with `zig cc`, and link all of it to one image:

        zig cc *compile_flags -O2 -c bench.c -o bench.o            (each source, and the program)
        zig cc *link_flags *.o -o SYMBOL.elf

    Args:
        core: key of `CORES`.
        symbol: prefix of the program's C names; `SYMBOL.h` must be on the include path.
        inputs, outputs: where the memory plan put them in the arena, in the model's order.
        board: what it runs on; by default the emulated board of `core`.
        transport: how it is spoken to, `SEMIHOSTING` or `UART`.
        calls: how many calls the program makes, for a board whose code cannot be written.
    """
    board = board or BOARDS[CORES[core].board]
    csrc = resources.files("edgecomp_targets.cortex_m") / "csrc" / "bench"
    files = {entry.name: entry.read_text() for entry in csrc.iterdir() if entry.is_file()}
    files["firmware.ld"] = _linker_script(files["firmware.ld"], board)
    files["bench_model.h"] = _model_header(symbol, inputs, outputs, calls)
    files["bench_board.h"] = _board_header(board, calls)
    return Firmware(
        files=files,
        sources=tuple(sorted(name for name in files if _is_linked(name, transport, board))),
        compile_flags=(*processor_flags(core), *COMPILE_FLAGS, "-I."),
        link_flags=(
            *processor_flags(core),
            "-rtlib=compiler-rt",
            "-T",
            "firmware.ld",
            "-Wl,--entry=reset_handler",
        ),
    )


def _is_linked(name: str, transport: str, board: Board) -> bool:
    """Whether the file `name` is compiled: of transports and ways to watch, the one that fits."""
    chosen = {f"transport_{transport}.c", "watch_code.c" if board.in_ram else "watch_calls.c"}
    one_of = name.startswith(("transport_", "watch_"))
    return name.endswith(".c") and (not one_of or name in chosen)


def _linker_script(template: str, board: Board) -> str:
    """`template` with the board's regions filled in."""
    values = {"STACK_BYTES": STACK_BYTES}
    for name in ("vectors", "flash", "ram"):
        region = getattr(board, name)
        values[f"{name.upper()}_ORIGIN"] = region.origin
        values[f"{name.upper()}_LENGTH"] = region.length
    for name, value in values.items():
        template = template.replace(f"@{name}@", f"{value:#x}")
    return template


def _board_header(board: Board, calls: int) -> str:
    """C definitions of what the board has."""
    steps = ((f"{value:#x}u" for value in step) for step in board.setup)
    setup = "".join(f"{{{', '.join(step)}}}, " for step in steps)
    lines = [
        f'#define BENCH_MACHINE "{board.machine}"',
        f"#define BENCH_TIMER_HZ {board.timer_hz}u",
        f"#define BENCH_UART_HZ {board.uart_hz}u",
        f"#define BENCH_WATCH_LIMIT {WATCH_LIMIT if board.in_ram else calls + 1}u",
        f"#define BENCH_SETUP {setup}",
    ]
    devices = {**board.timer, **board.uart}
    lines += [f"#define {name} {address:#x}u" for name, address in devices.items()]
    return "\n".join(lines) + "\n"


def _model_header(
    symbol: str, inputs: Sequence[BufferRecord], outputs: Sequence[BufferRecord], calls: int
) -> str:
    """C definitions that tie the firmware to one program."""

    def table(name: str, records: Sequence[BufferRecord]) -> str:
        rows = ", ".join(f"{{{record.offset}u, {record.bytes}u}}" for record in records)
        return f"static const bench_buffer {name}[] = {{{rows}}};"

    return "\n".join(
        [
            f'#include "{symbol}.h"',
            f"#define BENCH_RUN {symbol}_run",
            f"#define BENCH_ARENA_BYTES {symbol}_ARENA_BYTES",
            f"#define BENCH_ARENA_ALIGNMENT {symbol}_ARENA_ALIGNMENT",
            f"#define BENCH_STATE_BYTES {symbol}_STATE_BYTES",
            f"#define BENCH_CALLS {calls}u",
            table("bench_inputs", inputs),
            table("bench_outputs", outputs),
            "",
        ]
    )
