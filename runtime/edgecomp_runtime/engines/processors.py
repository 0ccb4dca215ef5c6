"""The processors the emulator unicorn stands in for, and how to set it up as each."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecomp_runtime.errors import ArtifactError
from edgecomp_runtime.manifest import Machine


@dataclass(frozen=True)
class Processor:
    """How to make the emulator behave as one processor.

    Attributes:
        architecture, mode, model: the emulator's constants.
        registers: the emulator's numbers of the registers that take part in a call, by role.
        word: struct format of a pointer.
        thumb_only: whether the processor is a Cortex-M.
        set_up: registers to write first, by number: access to floating point and vectors, which
            an operating system or the start-up code grants on a device.
    """

    architecture: int
    mode: int
    model: int
    registers: Mapping[str, int]
    word: str
    thumb_only: bool
    set_up: Mapping[int, int]


@dataclass(frozen=True)
class _Architecture:
    """Names of the emulator's constants; `models` is by prefix of the core, first match wins."""

    constants: str
    prefix: str
    architecture: str
    modes: tuple[str, ...]
    registers: tuple[str, ...]
    word: str
    set_up: Mapping[str, int]
    models: Mapping[str, str]


_ARM_REGISTERS = ("R0", "R1", "R2", "R3", "SP", "LR", "PC")
_ROLES = ("inputs", "outputs", "arena", "state", "stack", "return", "pc")

_ARCHITECTURES: Mapping[str, _Architecture] = {
    "thumb": _Architecture(
        constants="unicorn.arm_const",
        prefix="UC_ARM_REG_",
        architecture="UC_ARCH_ARM",
        modes=("UC_MODE_THUMB", "UC_MODE_MCLASS"),
        registers=_ARM_REGISTERS,
        word="<I",
        set_up={},
        models={
            "cortex_m0": "UC_CPU_ARM_CORTEX_M0",
            "cortex_m33": "UC_CPU_ARM_CORTEX_M33",
            "cortex_m3": "UC_CPU_ARM_CORTEX_M3",
            "cortex_m4": "UC_CPU_ARM_CORTEX_M4",
            "cortex_m7": "UC_CPU_ARM_CORTEX_M7",
        },
    ),
    "armv7": _Architecture(
        constants="unicorn.arm_const",
        prefix="UC_ARM_REG_",
        architecture="UC_ARCH_ARM",
        modes=("UC_MODE_ARM",),
        registers=_ARM_REGISTERS,
        word="<I",
        set_up={"C1_C0_2": 0xF << 20, "FPEXC": 1 << 30},
        models={"": "UC_CPU_ARM_CORTEX_A7"},
    ),
    "aarch64": _Architecture(
        constants="unicorn.arm64_const",
        prefix="UC_ARM64_REG_",
        architecture="UC_ARCH_ARM64",
        modes=("UC_MODE_ARM",),
        registers=("X0", "X1", "X2", "X3", "SP", "X30", "PC"),
        word="<Q",
        set_up={"CPACR_EL1": 3 << 20},
        models={
            "cortex_a53": "UC_CPU_ARM64_A53",
            "cortex_a72": "UC_CPU_ARM64_A72",
            # the dot products of Armv8.2 and later
            "": "UC_CPU_ARM64_MAX",
        },
    ),
}


def emulated_processor(unicorn: Any, machine: Machine, path: str) -> Processor:
    """The emulator's processor for `machine`.

    Args:
        unicorn: the imported package.
        machine: what the program needs.
        path: of the artifact, for the error.

    Raises:
        ArtifactError: the emulator does not know the processor.
    """
    core = machine.cpu.replace("-", "_")
    names = _ARCHITECTURES.get(machine.isa)
    models = [] if names is None else [m for p, m in names.models.items() if core.startswith(p)]
    if names is None or not models:
        raise ArtifactError(
            f"{path}: the program is for {machine.isa} ({machine.cpu}), which unicorn does not "
            "emulate; run it with the link qemu: or on its own processor"
        )
    constants = importlib.import_module(names.constants)
    numbers = [getattr(constants, names.prefix + name) for name in names.registers]
    mode = 0
    for name in names.modes:
        mode |= getattr(unicorn, name)
    return Processor(
        architecture=getattr(unicorn, names.architecture),
        mode=mode,
        model=getattr(constants, models[0]),
        registers=dict(zip(_ROLES, numbers)),
        word=names.word,
        thumb_only=machine.isa == "thumb",
        set_up={getattr(constants, names.prefix + n): v for n, v in names.set_up.items()},
    )
