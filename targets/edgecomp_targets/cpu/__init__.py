"""CPUs with an operating system: a shared library that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgecomp.compile_c import compile_source, flash_of, source_members, write_files
from edgecomp.device import Device
from edgecomp.program import Kernel, Program
from edgecomp.target import Build
from edgecomp.toolchain import zig
from edgecomp_runtime.manifest import Machine
from edgecomp_targets.cpu.cores import CORES

if TYPE_CHECKING:
    from edgecomp.lowering.emit_c import CSource

OPTIMIZE = {"speed": "-O3", "balanced": "-O3", "size": "-Os"}
"""Compiler option for each `--optimize`."""

EXPORT = '-DEC_EXPORT=__attribute__((visibility("default")))'
"""The run function is all the library shows."""

# The compiler's support routines (memcpy, division) are linked in, so that no library is needed;
# they come with a megabyte of debug information, and stripping would take the symbol table too.
DISCARD = (
    "discard.ld",
    "SECTIONS { /DISCARD/ : { *(.debug_*) } } INSERT AFTER .comment;",
)
LINK = (
    "-shared",
    "-nostdlib",
    "-rtlib=compiler-rt",
    "-T",
    DISCARD[0],
    "-Wl,-Bsymbolic",
    "-Wl,--no-undefined",
)


@dataclass(frozen=True)
class Cpu:
    """Linux on x86-64, AArch64 and Armv7: `lib/libSYMBOL.so`."""

    name: str = "cpu"
    summary: str = "Linux on x86-64, AArch64 and Armv7, as a self-contained shared library"

    def cores(self) -> Mapping[str, str]:
        """See `Target.cores`."""
        return {name: core.summary for name, core in CORES.items()}

    def arrange(self, program: Program, device: Device, optimize: str) -> Program:
        """See `Target.arrange`.

        Kernels that compute run up to a tenth faster where what they write shares no byte with
        what they read, and here bytes are cheap.
        """
        kernels = {
            name: kernel if kernel.schedule_as == "movement" else replace(kernel, overlaps=())
            for name, kernel in program.kernels.items()
        }
        return replace(program, kernels=kernels)

    def schedule(self, kernel: Kernel, device: Device) -> Kernel:
        """See `Target.schedule`."""
        # imported here so that listing devices need not wait for TVM
        from edgecomp.lowering.schedules import schedule_kernel

        return schedule_kernel(kernel)

    def build(
        self, source: CSource, program: Program, device: Device, work: Path, optimize: str
    ) -> Build:
        """See `Target.build`."""
        core = CORES[device.core]
        processor = ["-target", core.triple, f"-mcpu={core.cpu}"]
        flags = [*processor, OPTIMIZE[optimize], "-fPIC", EXPORT]
        objects = compile_source(source, flags, work)
        library = f"lib{source.symbol}.so"
        write_files({DISCARD[0]: DISCARD[1]}, work)
        zig(["cc", *processor, *LINK, *map(str, objects.paths), "-o", library], work)
        contents = (work / library).read_bytes()
        path = f"lib/{library}"
        return Build(
            files={**source_members(source), path: contents},
            program=path,
            machine=Machine(core.isa, core.cpu, core.features),
            flash=flash_of(contents, source.weights_bytes),
            stack_bytes=objects.stack_bytes,
        )


TARGET = Cpu()
