"""The CPU cores there is code for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Core:
    """How to compile for one core.

    Attributes:
        triple: the compiler's target, with the oldest glibc a system with that core runs.
        cpu: the compiler's processor.
        isa: as the manifest names it.
        features: flags /proc/cpuinfo must show.
        summary: one line on the core.
    """

    triple: str
    cpu: str
    isa: str
    features: tuple[str, ...]
    summary: str


CORES: Mapping[str, Core] = {
    "x86_64_v2": Core(
        "x86_64-linux-gnu.2.28",
        "x86_64_v2",
        "x86_64",
        ("sse4_2", "ssse3", "popcnt"),
        "x86-64 with SSE4.2 (2009 and later)",
    ),
    "x86_64_v3": Core(
        "x86_64-linux-gnu.2.28",
        "x86_64_v3",
        "x86_64",
        ("avx2", "bmi2", "fma"),
        "x86-64 with AVX2 (2013 and later)",
    ),
    "generic_aarch64": Core(
        "aarch64-linux-gnu.2.28", "generic", "aarch64", ("asimd",), "any Armv8-A in 64-bit mode"
    ),
    "cortex_a7": Core(
        "arm-linux-gnueabihf.2.28",
        "cortex_a7",
        "armv7",
        ("neon", "vfpv4"),
        "Armv7-A with NEON, 32-bit",
    ),
    "cortex_a53": Core(
        "aarch64-linux-gnu.2.28", "cortex_a53", "aarch64", ("asimd",), "Armv8-A, in order"
    ),
    "cortex_a72": Core(
        "aarch64-linux-gnu.2.28", "cortex_a72", "aarch64", ("asimd",), "Armv8-A, out of order"
    ),
    "cortex_a76": Core(
        "aarch64-linux-gnu.2.28",
        "cortex_a76",
        "aarch64",
        ("asimd", "asimddp", "asimdhp"),
        "Armv8.2-A with dot products, out of order",
    ),
}
