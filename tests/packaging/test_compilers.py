"""The packaged C under every compiler: no warnings, and the artifact's bits from GCC too."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp_runtime.artifact import Artifact
from tests.gcc_firmware import ARM_GCC, CORES, clang, with_gcc

Array = npt.NDArray[Any]
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
C, CXX = ("-std=c99",), ("-x", "c++", "-std=gnu++11")
ZIG_CORE = ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp")
ZIG_HELIUM = (
    *("-target", "thumb-freestanding-eabihf"),
    "-mcpu=cortex_m55+mve-mve_fp+fp_armv8d16",
)


COMPILERS: Mapping[str, Sequence[str]] = {
    "gcc": ("gcc", *C),
    "g++": ("g++", *CXX),
    "clang": clang("cc", *C),
    "clang++": clang("c++", *CXX),
    "clang cortex_m4": clang("cc", *C, *ZIG_CORE),
    "clang cortex_m55": clang("cc", *C, *ZIG_HELIUM),
    **{f"gcc {core}": (ARM_GCC, "-mthumb", *C, *flags) for core, flags in CORES.items()},
    "g++ cortex_m4": (ARM_GCC, "-mthumb", *CXX, *CORES["cortex_m4"]),
    "g++ cortex_m55": (ARM_GCC, "-mthumb", *CXX, *CORES["cortex_m55"]),
}
Digits = Callable[[str], Artifact]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_compiler_warns(
    compiler: str, digits: Digits, streaming: Artifact, package: Any
) -> None:
    artifact = digits("corstone_300" if "m55" in compiler else "nucleo_l4r5zi")
    folder = package("c", artifact, streaming, name="both")
    for source in folder.glob("*.c"):
        command = [
            *COMPILERS[compiler],
            "-O2",
            *WARNINGS,
            "-c",
            source,
            "-o",
            source.with_suffix(".o"),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("core", "device"),
    [
        ("cortex_m0plus", "rp2040_pico"),
        ("cortex_m4", "nucleo_l4r5zi"),
        ("cortex_m55", "corstone_300"),
    ],
)
def test_gcc_gives_the_artifacts_bits(
    core: str,
    device: str,
    digits: Digits,
    package: Any,
    tmp_path: Path,
    raw_digits: Array,
    outputs_of: Any,
) -> None:
    artifact = digits(device)
    compiled = with_gcc(artifact, package("c", artifact), tmp_path, core)
    np.testing.assert_array_equal(
        outputs_of(compiled, raw_digits), outputs_of(artifact, raw_digits)
    )


def test_gcc_fuses_no_multiplications_and_additions(
    streaming: Artifact, package: Any, tmp_path: Path
) -> None:
    folder = package("c", streaming)
    (folder / "more.c").write_text(
        '#include "streaming.c"\nfloat fused(float a, float b, float c) { return a * b + c; }\n'
    )
    gcc = (ARM_GCC, "-mthumb", "-std=gnu11", *CORES["cortex_m4"], "-O2", "-S", "more.c")
    _run(gcc, folder)
    assembly = (folder / "more.s").read_text()
    assert "vmul.f32" in assembly
    assert "vfma" not in assembly


def test_headers_say_of_every_function_that_it_may_be_unused(root: Path) -> None:
    """EC_STATIC, EC_INLINE or EC_NOINLINE: a program calls some functions of a header only."""
    headers = [*root.glob("edgecomp/lowering/csrc/*.h"), *root.glob("targets/**/csrc/kernels/*.h")]
    assert headers
    bare = re.compile(r"^ *static (?!const\b)[^;={]*\(", re.M)
    found = {path.name: bare.findall(path.read_text()) for path in headers}
    assert not {name: functions for name, functions in found.items() if functions}
