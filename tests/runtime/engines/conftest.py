"""A small program, compiled for every core and packed as artifacts the engines take."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.toolchain import zig
from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.manifest import (
    BufferRecord,
    Flash,
    Machine,
    Manifest,
    Memory,
    OpRecord,
    TensorSpec,
)
from edgecomp_targets.cortex_m.firmware import COMPILE_FLAGS, firmware

HERE = Path(__file__).parent
KERNELS = ("dense", "divide", "scale", "copy", "dense")
INPUTS = (TensorSpec("x", (64,), "int8"), TensorSpec("d", (16,), "int8"))
OUTPUTS = (TensorSpec("q", (16,), "int8"), TensorSpec("f", (16,), "float32"))
BUFFERS = (
    BufferRecord("x", 0, 64, 0, 4),
    BufferRecord("d", 64, 16, 0, 4),
    BufferRecord("q", 80, 16, 1, 4),
    BufferRecord("f", 256, 64, 2, 4),
)
LIBRARIES = {
    "cortex_a53": ("aarch64", "aarch64-linux-gnu.2.28"),
    "cortex_a72": ("aarch64", "aarch64-linux-gnu.2.28"),
    "cortex_a76": ("aarch64", "aarch64-linux-gnu.2.28"),
    "cortex_a7": ("armv7", "arm-linux-gnueabihf.2.28"),
}
Sample = list[npt.NDArray[np.int8]]


@pytest.fixture(scope="session")
def sample() -> Sample:
    """Inputs of the program `probe`."""
    values = np.random.default_rng(2)
    x, d = (values.integers(-90, 90, spec.shape, np.int8) for spec in INPUTS)
    return [x, d]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """Compile a C file of this folder as a shared library for a core of `LIBRARIES`."""

    @cache
    def build(core: str, source: str = "probe.c", optimize: str = "-O2") -> Artifact:
        isa, target = LIBRARIES[core]
        work = tmp_path_factory.mktemp(core)
        flags = ["-target", target, f"-mcpu={core}", *COMPILE_FLAGS, "-shared", "-fPIC"]
        link = [
            "-nostdlib",
            "-rtlib=compiler-rt",
        ]
        zig(["cc", *flags, *link, optimize, str(HERE / source), "-o", "libprobe.so"], work)
        return _artifact(work / "libprobe.so", "cpu", isa, core)

    return build


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """Compile a C file of this folder with the bench firmware for a Cortex-M."""

    @cache
    def build(core: str, source: str = "probe.c") -> Artifact:
        work = tmp_path_factory.mktemp(core)
        parts = firmware(core, "probe", BUFFERS[:2], BUFFERS[2:])
        for name, text in parts.files.items():
            (work / name).write_text(text)
        sources = [*parts.sources, str(HERE / source)]
        objects = []
        for path in sources:
            objects.append(f"{Path(path).stem}.o")
            flags = [*parts.compile_flags, f"-I{HERE}", "-O2", "-Wall", "-Wextra", "-Werror"]
            zig(["cc", *flags, "-c", path, "-o", objects[-1]], work)
        zig(["cc", *parts.link_flags, *objects, "-o", "probe.elf"], work)
        return _artifact(work / "probe.elf", "cortex_m", "thumb", core)

    return build


def _artifact(program: Path, target: str, isa: str, core: str) -> Artifact:
    manifest = Manifest(
        name="probe",
        symbol="probe",
        target=target,
        device=core,
        profile={},
        machine=Machine(isa, core),
        program=program.name,
        inputs=INPUTS,
        outputs=OUTPUTS,
        memory=Memory(512, 16, 0, 0, 512, BUFFERS),
        flash=Flash(0, 0, 0),
        ops=tuple(OpRecord(kernel, kernel, kernel, 0, "integer", 0) for kernel in KERNELS),
    )
    return Artifact(program, manifest, {program.name: program.read_bytes()})
