"""The packaged C of an artifact compiled by the user's GCC, in the firmware that measures it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgecomp.toolchain import zig
from edgecomp_runtime.artifact import Artifact, open_artifact, write_artifact
from edgecomp_runtime.manifest import BufferRecord, TensorSpec
from edgecomp_targets.cortex_m.firmware import firmware

ARM_GCC = "arm-none-eabi-gcc"
CORES: Mapping[str, Sequence[str]] = {
    "cortex_m0plus": ("-mcpu=cortex-m0plus", "-mfloat-abi=soft"),
    "cortex_m4": ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "cortex_m33": ("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
    "cortex_m55": ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
}
"""GCC's options for a core."""


def with_gcc(artifact: Artifact, package: Path, work: Path, core: str) -> Artifact:
    """`artifact` with the program of its package `--as c` compiled by GCC.

    Args:
        artifact: of a device with the core `core`, a key of `CORES`.
        package: the folder of its package; the firmware is built in it.
        work: where to write the new artifact.
    """
    manifest = artifact.manifest
    records = {record.name: record for record in manifest.memory.buffers}

    def planned(specs: Sequence[TensorSpec]) -> list[BufferRecord]:
        return [records[spec.name] for spec in specs]

    bench = firmware(core, manifest.symbol, planned(manifest.inputs), planned(manifest.outputs))
    for name, text in bench.files.items():
        (package / name).write_text(text)
    for name in bench.sources:
        zig(["cc", *bench.compile_flags, "-O2", "-c", name, "-o", f"{name}.o"], package)
    program = f"{manifest.symbol}.c"
    gcc = [ARM_GCC, "-mthumb", "-std=gnu11", *CORES[core], "-O2", "-c", program]
    subprocess.run([*gcc, "-o", f"{program}.o"], cwd=package, check=True)
    objects = [f"{name}.o" for name in (*bench.sources, program)]
    zig(["cc", *bench.link_flags, *objects, "-o", "firmware.elf"], package)
    files = {**artifact.files, manifest.program: (package / "firmware.elf").read_bytes()}
    write_artifact(work / "gcc.edge", manifest, files)
    return open_artifact(work / "gcc.edge")


def clang(language: str, *flags: str) -> Sequence[str]:
    """A command line of the clang that comes with the project."""
    return (sys.executable, "-m", "ziglang", language, *flags)
