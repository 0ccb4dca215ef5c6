"""Facts of the Cortex-M cores and of the emulated board each is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A range of a board's memory, in bytes."""

    origin: int
    length: int


@dataclass(frozen=True)
class Board:
    """A board under qemu-system-arm 7.2 or later.

    Attributes:
        machine: QEMU's name of the board.
        vectors: where the core fetches its vector table at reset.
        flash, ram: memory for code with constants, and for data with the stack.
        timer: C definitions (name to address) of the timer the firmware reads.
        timer_hz: ticks of that timer in one second.
        source: where the memory map and the clock are documented.
    """

    machine: str
    vectors: Region
    flash: Region
    ram: Region
    timer: Mapping[str, int]
    timer_hz: int
    source: str


@dataclass(frozen=True)
class Core:
    """How to compile for one core, and the board to run it on.

    Attributes:
        target: the compiler's target triple.
        cpu: the compiler's processor, with the features that are switched on.
        board: key of `BOARDS`.
        summary: one line on the core.
    """

    target: str
    cpu: str
    board: str
    summary: str


_MPS2_SOURCE = "Arm AN{}, memory map; QEMU hw/arm/mps2.c (SYSCLK_FRQ 25 MHz)"

BOARDS: Mapping[str, Board] = {
    "mps2-an385": Board(
        machine="mps2-an385",
        vectors=Region(0x0000_0000, 0x400),
        flash=Region(0x0000_0400, 0x40_0000 - 0x400),
        ram=Region(0x2100_0000, 0x100_0000),
        timer={"BENCH_TIMER_CMSDK": 0x4000_0000},
        timer_hz=25_000_000,
        source=_MPS2_SOURCE.format("385"),
    ),
    "mps2-an386": Board(
        machine="mps2-an386",
        vectors=Region(0x0000_0000, 0x400),
        flash=Region(0x0000_0400, 0x40_0000 - 0x400),
        ram=Region(0x2100_0000, 0x100_0000),
        timer={"BENCH_TIMER_CMSDK": 0x4000_0000},
        timer_hz=25_000_000,
        source=_MPS2_SOURCE.format("386"),
    ),
    "mps2-an500": Board(
        machine="mps2-an500",
        vectors=Region(0x0000_0000, 0x400),
        flash=Region(0x0000_0400, 0x40_0000 - 0x400),
        ram=Region(0x6000_0000, 0x100_0000),
        timer={"BENCH_TIMER_CMSDK": 0x4000_0000},
        timer_hz=25_000_000,
        source=_MPS2_SOURCE.format("500"),
    ),
    "mps2-an505": Board(
        machine="mps2-an505",
        vectors=Region(0x1000_0000, 0x400),
        flash=Region(0x1000_0400, 0x40_0000 - 0x400),
        ram=Region(0x8000_0000, 0x100_0000),
        timer={"BENCH_TIMER_CMSDK": 0x5000_0000},
        timer_hz=20_000_000,
        source="Arm AN505, memory map; QEMU hw/arm/mps2-tz.c (sysclk 20 MHz)",
    ),
    "mps3-an547": Board(
        machine="mps3-an547",
        vectors=Region(0x0000_0000, 0x400),
        flash=Region(0x7000_0000, 0x100_0000),
        ram=Region(0x7100_0000, 0x100_0000),
        timer={"BENCH_TIMER_SSE": 0x5800_0000, "BENCH_COUNTER_SSE": 0x5810_0000},
        timer_hz=32_000_000,
        source="Arm AN547, memory map; QEMU hw/arm/mps2-tz.c (sysclk 32 MHz), hw/arm/armsse.c",
    ),
}

CORES: Mapping[str, Core] = {
    "cortex_m0plus": Core(
        "thumb-freestanding-eabi",
        "cortex_m0plus",
        "mps2-an385",
        "Armv6-M, no divide, no FPU; emulated on a Cortex-M3, which runs its code unchanged",
    ),
    "cortex_m3": Core("thumb-freestanding-eabi", "cortex_m3", "mps2-an385", "Armv7-M, no FPU"),
    "cortex_m4": Core(
        "thumb-freestanding-eabihf", "cortex_m4+vfp4d16sp", "mps2-an386", "Armv7E-M, DSP, float FPU"
    ),
    "cortex_m7": Core(
        "thumb-freestanding-eabihf",
        "cortex_m7+fp_armv8d16",
        "mps2-an500",
        "Armv7E-M, DSP, double FPU",
    ),
    "cortex_m33": Core(
        "thumb-freestanding-eabihf",
        "cortex_m33+dsp+fp_armv8d16sp",
        "mps2-an505",
        "Armv8-M, DSP, float FPU",
    ),
    # Integer vectors only: vector float flushes denormals, and results must not depend on the core.
    "cortex_m55": Core(
        "thumb-freestanding-eabihf",
        "cortex_m55+mve-mve_fp+fp_armv8d16",
        "mps3-an547",
        "Armv8.1-M, DSP, integer Helium vectors, FPU",
    ),
}
