"""Which core this machine is, for the device profile `host`."""

from __future__ import annotations

import platform
from collections.abc import Set
from pathlib import Path

from edgecomp.errors import EdgecompError, Reason

CPUINFO = Path("/proc/cpuinfo")

X86_64_V3_FLAGS = frozenset({"avx2", "fma", "bmi2"})
"""Flags of /proc/cpuinfo that tell the x86-64-v3 level of the System V ABI from x86-64-v2."""


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """The feature flags in the text of /proc/cpuinfo of an x86 machine; empty if it names none."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def core_of(machine: str, flags: Set[str]) -> str:
    """The core to compile for on a `machine` (as `uname -m` names it) that has `flags`.

    Raises:
        EdgecompError: programs cannot be compiled to run on such a machine.
    """
    if machine in ("x86_64", "AMD64"):
        return "x86_64_v3" if flags >= X86_64_V3_FLAGS else "x86_64_v2"
    if machine in ("aarch64", "arm64"):
        return "generic_aarch64"
    raise EdgecompError(
        Reason(
            f"this machine is {machine!r}, and a host is x86_64 or aarch64",
            where="device host",
            fix="name another device; `edgecomp devices` lists them",
        )
    )


def host_core() -> str:
    """The core of the machine this runs on.

    Raises:
        EdgecompError: this machine is neither x86-64 nor AArch64.
    """
    cpuinfo = CPUINFO.read_text() if CPUINFO.is_file() else ""
    return core_of(platform.machine(), cpu_flags(cpuinfo))
