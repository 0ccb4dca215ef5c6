"""Cortex-M microcontrollers: a static library for firmware, and a firmware to measure it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecomp.compile_c import compile_source, flash_of, source_members, write_files
from edgecomp.device import Device
from edgecomp.program import Kernel, MemoryPlan, Program
from edgecomp.target import Build
from edgecomp.toolchain import zig
from edgecomp_runtime.manifest import BufferRecord, Machine, TensorSpec
from edgecomp_targets.cortex_m.boards import CORES
from edgecomp_targets.cortex_m.firmware import firmware, processor_flags

if TYPE_CHECKING:
    from edgecomp.lowering.emit_c import CSource
    from edgecomp_runtime.artifact import Artifact

OPTIMIZE = {"speed": ("-O3",), "balanced": ("-O2", "-fno-unroll-loops"), "size": ("-Oz",)}
"""Compiler options for each `--optimize`: what pays for its flash is unrolled by hand."""


@dataclass(frozen=True)
class CortexM:
    """Bare-metal Cortex-M: `lib/libSYMBOL.a`, its C, and `firmware/SYMBOL.elf`."""

    name: str = "cortex_m"
    summary: str = "Cortex-M microcontrollers, as a static library and C with no libc"

    def cores(self) -> Mapping[str, str]:
        """See `Target.cores`."""
        return {name: core.summary for name, core in CORES.items()}

    def arrange(self, program: Program, device: Device, optimize: str) -> Program:
        """See `Target.arrange`."""
        # imported here so that listing devices need not wait for TVM
        from edgecomp_targets.cortex_m.arrange import arrange

        return arrange(program, device.core, optimize)

    def store(
        self,
        program: Program,
        plan: MemoryPlan,
        device: Device,
        optimize: str,
        ram_limit: int | None,
    ) -> Program:
        """See `StoringTarget.store`."""
        # imported here so that listing devices need not wait for TVM
        from edgecomp_targets.cortex_m.storage import store

        return store(program, plan, device, optimize, ram_limit)

    def schedule(self, kernel: Kernel, device: Device) -> Kernel:
        """See `Target.schedule`."""
        # imported here so that listing devices need not wait for TVM
        from edgecomp.lowering.schedules import schedule_kernel

        return schedule_kernel(kernel)

    def build(
        self, source: CSource, program: Program, device: Device, work: Path, optimize: str
    ) -> Build:
        """See `Target.build`."""
        processor = processor_flags(device.core)
        flags = [*processor, *OPTIMIZE[optimize], "-ffunction-sections", "-fdata-sections"]
        objects = compile_source(source, flags, work)
        library = f"lib{source.symbol}.a"
        names = [path.name for path in objects.paths]
        zig(["ar", "rcsD", library, *names], work)
        image = f"{source.symbol}.elf"
        _link_firmware(source, program, device.core, names, image, work)
        flash = flash_of(_link_alone(source.symbol, processor, names, work), source.weights_bytes)
        files = source_members(source)
        files[f"lib/{library}"] = (work / library).read_bytes()
        files[f"firmware/{image}"] = (work / image).read_bytes()
        core = CORES[device.core]
        return Build(
            files=files,
            program=f"firmware/{image}",
            machine=Machine("thumb", core.cpu.split("+")[0]),
            flash=flash,
            stack_bytes=objects.stack_bytes,
        )

    def serial_image(self, artifact: Artifact, work: Path) -> bytes:
        """See `FlashedTarget.serial_image`."""
        from edgecomp_targets.cortex_m.serial_firmware import serial_firmware

        return serial_firmware(artifact, work)


def _link_alone(symbol: str, processor: Sequence[str], objects: Sequence[str], work: Path) -> bytes:
    """The program linked by itself, with the compiler's support routines it needs."""
    image = "alone.elf"
    link = ["-Wl,--gc-sections", f"-Wl,--entry={symbol}_run", "-Wl,-n"]
    zig(["cc", *processor, *link, *objects, "-o", image], work)
    return (work / image).read_bytes()


def _link_firmware(
    source: CSource, program: Program, core: str, objects: Sequence[str], image: str, work: Path
) -> None:
    """Link the program and the bench firmware of its board to `image`."""
    records = {record.name: record for record in source.plan.buffers}

    def planned(specs: Sequence[TensorSpec]) -> list[BufferRecord]:
        return [records[spec.name] for spec in specs]

    bench = firmware(core, source.symbol, planned(program.inputs), planned(program.outputs))
    write_files(bench.files, work)
    compiled = []
    for name in bench.sources:
        compiled.append(f"{name[:-2]}.o")
        zig(["cc", *bench.compile_flags, "-O2", "-c", name, "-o", compiled[-1]], work)
    # the compiler's support routines are one object
    used = "-Wl,--gc-sections"
    zig(["cc", *bench.link_flags, used, *compiled, *objects, "-o", image], work)


TARGET = CortexM()
