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
    """A board the bench firmware runs on.

    Attributes:
        machine: QEMU's name of the board, of 7.2 or later; of a real board its own.
        vectors: where the core fetches its vector table at reset.
        flash, ram: memory for code with constants, and for data with the stack.
        timer: C definitions (name to address) of the timer the firmware reads.
        timer_hz: ticks of that timer in one second.
        source: where the memory map and the clock are documented.
        uart: C definitions (name to address) of the serial port the firmware may talk through.
        uart_hz: the clock of that port.
        setup: registers that bring up the clocks and pins of port and timer: address, bits to
            clear, bits to set.
        in_ram: whether code lies in memory that can be written, so that functions can be watched.
    """

    machine: str
    vectors: Region
    flash: Region
    ram: Region
    timer: Mapping[str, int]
    timer_hz: int
    source: str
    uart: Mapping[str, int]
    uart_hz: int
    setup: tuple[tuple[int, int, int], ...] = ()
    in_ram: bool = True


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
        uart={"BENCH_UART_CMSDK": 0x4000_4000},
        uart_hz=25_000_000,
    ),
    "mps2-an386": Board(
        machine="mps2-an386",
        vectors=Region(0x0000_0000, 0x400),
        flash=Region(0x0000_0400, 0x40_0000 - 0x400),
        ram=Region(0x2100_0000, 0x100_0000),
        timer={"BENCH_TIMER_CMSDK": 0x4000_0000},
        timer_hz=25_000_000,
        source=_MPS2_SOURCE.format("386"),
        uart={"BENCH_UART_CMSDK": 0x4000_4000},
        uart_hz=25_000_000,
    ),
    "mps2-an500": Board(
        machine="mps2-an500",
        vectors=Region(0x0000_0000, 0x400),
        flash=Region(0x0000_0400, 0x40_0000 - 0x400),
        ram=Region(0x6000_0000, 0x100_0000),
        timer={"BENCH_TIMER_CMSDK": 0x4000_0000},
        timer_hz=25_000_000,
        source=_MPS2_SOURCE.format("500"),
        uart={"BENCH_UART_CMSDK": 0x4000_4000},
        uart_hz=25_000_000,
    ),
    "mps2-an505": Board(
        machine="mps2-an505",
        vectors=Region(0x1000_0000, 0x400),
        flash=Region(0x1000_0400, 0x40_0000 - 0x400),
        ram=Region(0x8000_0000, 0x100_0000),
        timer={"BENCH_TIMER_CMSDK": 0x5000_0000},
        timer_hz=20_000_000,
        source="Arm AN505, memory map; QEMU hw/arm/mps2-tz.c (sysclk 20 MHz)",
        uart={"BENCH_UART_CMSDK": 0x5020_0000},
        uart_hz=20_000_000,
    ),
    "mps3-an547": Board(
        machine="mps3-an547",
        vectors=Region(0x0000_0000, 0x400),
        flash=Region(0x7000_0000, 0x100_0000),
        ram=Region(0x7100_0000, 0x100_0000),
        timer={"BENCH_TIMER_SSE": 0x5800_0000, "BENCH_COUNTER_SSE": 0x5810_0000},
        timer_hz=32_000_000,
        source="Arm AN547, memory map; QEMU hw/arm/mps2-tz.c (sysclk 32 MHz), hw/arm/armsse.c",
        uart={"BENCH_UART_CMSDK": 0x5930_3000},
        uart_hz=32_000_000,
    ),
    "nucleo-f446re": Board(
        machine="nucleo-f446re",
        vectors=Region(0x0800_0000, 0x400),
        flash=Region(0x0800_0400, 0x8_0000 - 0x400),
        ram=Region(0x2000_0000, 0x2_0000),
        timer={"BENCH_TIMER_STM32": 0x4000_0000},
        timer_hz=16_000_000,
        source="ST RM0390, memory map, sections 6.3, 7.4 and 6.2.2 (HSI 16 MHz after reset); "
        "UM1724: USART2 is the virtual COM port",
        uart={"BENCH_UART_STM32F4": 0x4000_4400},
        uart_hz=16_000_000,
        setup=(
            (0x4002_3830, 0, 1 << 0),  # RCC_AHB1ENR: GPIOA
            (0x4002_3840, 0, 1 << 17 | 1 << 0),  # RCC_APB1ENR: USART2, TIM2
            (0x4002_0020, 0xFF << 8, 0x77 << 8),  # GPIOA_AFRL: PA2 and PA3 are USART2's
            (0x4002_0000, 0xF << 4, 0xA << 4),  # GPIOA_MODER: alternate functions
        ),
        in_ram=False,
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
