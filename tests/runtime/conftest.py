"""Real artifacts: small C programs with the interface of a compiled model, built for this host."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecomp_runtime.artifact import write_artifact
from edgecomp_runtime.manifest import Flash, Machine, Manifest, Memory, OpRecord, TensorSpec

QUANTIZED = TensorSpec("image", (1, 2, 3, 4), "int8", 0.5, -3, "nchw")
SINGLE_C = """
#include <stdint.h>
typedef struct { int8_t *image; } tiny_inputs;
typedef struct { int8_t *sum; } tiny_outputs;

/* adds 1 to every value, saturating; goes through the arena and destroys its input */
void tiny_run(const tiny_inputs *inputs, const tiny_outputs *outputs, void *arena) {
  int8_t *scratch = arena;
  for (int i = 0; i < 24; ++i) scratch[i] = inputs->image[i];
  for (int i = 0; i < 24; ++i) inputs->image[i] = 99;
  for (int i = 0; i < 24; ++i) outputs->sum[i] = scratch[i] == 127 ? 127 : scratch[i] + 1;
}
"""
MIXED_C = """
#include <stdint.h>
typedef struct { int16_t *level; float *gain; int32_t *index; } mixed_inputs;
typedef struct { float *scaled; int64_t *misaligned; } mixed_outputs;

/* scaled = gain * (level + index); misaligned counts pointers off their alignment */
void mixed_run(const mixed_inputs *in, const mixed_outputs *out, void *arena) {
  const void *pointers[] = {in->level, in->gain, in->index, out->scaled, out->misaligned, arena};
  for (int i = 0; i < 5; ++i) out->scaled[i] = in->gain[i] * (float)(in->level[i] + *in->index);
  *out->misaligned = 0;
  for (int i = 0; i < 6; ++i) *out->misaligned += ((uintptr_t)pointers[i] % 16) != 0;
}
"""


@dataclass(frozen=True)
class Program:
    """A built shared library and the manifest that describes it."""

    manifest: Manifest
    library: bytes

    def write(self, path: Path, manifest: Manifest | None = None) -> Path:
        """The artifact of this program at `path`."""
        files = {self.manifest.program: self.library, "src/notes.txt": b"notes " * 100}
        write_artifact(path, manifest or self.manifest, files)
        return path


def _quantity(value: float) -> dict[str, object]:
    return {"value": value, "source": "made up for a test"}


def _manifest(
    symbol: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> Manifest:
    return Manifest(
        name=symbol,
        symbol=symbol,
        target="cpu",
        device="host",
        profile={
            "clock_hz": _quantity(2e9),
            "power": {"active_w": _quantity(10.0), "idle_w": _quantity(1.0)},
            "timing": {"cycles_per_instruction": _quantity(0.5)},
        },
        machine=Machine(platform.machine(), "baseline"),
        program=f"lib/lib{symbol}.so",
        inputs=inputs,
        outputs=outputs,
        memory=Memory(
            arena_bytes=64, arena_alignment=16, state_bytes=0, stack_bytes=32, ram_bytes=96
        ),
        flash=Flash(flash_bytes=300, weights_bytes=100, code_bytes=200),
        ops=(
            OpRecord("/first/Add", "Add", "add_0", 24, "integer", 0),
            OpRecord("/second/Relu", "Relu", "relu_0", 0, "integer", 0),
        ),
    )


@pytest.fixture(scope="session")
def build_library(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Callable[[str, str], bytes]:
    """Compile C source to a self-contained shared library for this machine."""
    cache = str(pytestconfig.cache.mkdir("zig"))  # type: ignore[union-attr]
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": cache, "ZIG_GLOBAL_CACHE_DIR": cache}

    def build(name: str, source: str) -> bytes:
        folder = tmp_path_factory.mktemp(name)
        (folder / "program.c").write_text(source)
        library = folder / f"lib{name}.so"
        command = [sys.executable, "-m", "ziglang", "cc", "-O2", "-shared", "-fPIC", "-nostdlib"]
        target = ["-target", f"{platform.machine()}-linux-gnu", "-fno-sanitize=all"]
        subprocess.run(
            [*command, *target, "-o", str(library), str(folder / "program.c")],
            check=True,
            env=environment,
        )
        return library.read_bytes()

    return build


@pytest.fixture(scope="session")
def single(build_library: Callable[[str, str], bytes]) -> Program:
    """One quantized input and output of 24 values; the output is the input plus 1."""
    output = TensorSpec("sum", (1, 2, 3, 4), "int8", 0.25, 10)
    manifest = _manifest("tiny", (QUANTIZED,), (output,))
    return Program(manifest, build_library("tiny", SINGLE_C))


@pytest.fixture(scope="session")
def mixed(build_library: Callable[[str, str], bytes]) -> Program:
    """Three inputs of three types, quantized, float and an index; two outputs."""
    inputs = (
        TensorSpec("level", (1, 5), "int16", 0.125, 0),
        TensorSpec("gain", (5,), "float32"),
        TensorSpec("index", (), "int32"),
    )
    outputs = (TensorSpec("scaled", (1, 5), "float32"), TensorSpec("misaligned", (), "int64"))
    return Program(_manifest("mixed", inputs, outputs), build_library("mixed", MIXED_C))


@pytest.fixture
def single_path(single: Program, tmp_path: Path) -> Path:
    """The artifact of `single`."""
    return single.write(tmp_path / "single.edge")


@pytest.fixture
def mixed_path(mixed: Program, tmp_path: Path) -> Path:
    """The artifact of `mixed`."""
    return mixed.write(tmp_path / "mixed.edge")
