"""The float32 mathematics of the C side: against numpy's float64, and its bits on ARM cores."""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm64_const, arm_const

CSRC = Path(__file__).parents[2] / "edgecomp" / "lowering" / "csrc"

Array = npt.NDArray[np.float32]

# name -> (reference in float64, largest error in ulp)
UNARY: dict[str, tuple[Callable[..., npt.NDArray[np.float64]], float]] = {
    "exp": (np.exp, 1.5),
    "exp2": (np.exp2, 1.5),
    "log": (np.log, 1.5),
    "log2": (np.log2, 2.0),
    "log10": (np.log10, 2.0),
    "log1p": (np.log1p, 2.5),
    "sqrt": (np.sqrt, 0.5),
    "software_sqrt": (np.sqrt, 0.5),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5),
    "tanh": (np.tanh, 2.0),
    "sigmoid": (lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))), 2.5),
    "erf": (np.vectorize(math.erf), 2.0),
    "sin": (np.sin, 1.5),
    "cos": (np.cos, 1.5),
    "tan": (np.tan, 3.5),
    "asin": (np.arcsin, 2.5),
    "acos": (np.arccos, 2.5),
    "atan": (np.arctan, 2.0),
    "sinh": (np.sinh, 3.0),
    "cosh": (np.cosh, 3.0),
    "asinh": (np.arcsinh, 4.0),
    "acosh": (np.arccosh, 4.0),
    "atanh": (np.arctanh, 4.0),
    "floor": (np.floor, 0.0),
    "ceil": (np.ceil, 0.0),
    "trunc": (np.trunc, 0.0),
    "rint": (np.rint, 0.0),
    "nearbyint": (np.rint, 0.0),
    "round": (lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x), 0.0),
    "fabs": (np.abs, 0.0),
}
BINARY: dict[str, tuple[Callable[..., npt.NDArray[np.float64]], float]] = {
    "pow": (np.power, 0.51),
    "fmod": (np.fmod, 0.0),
    "atan2": (np.arctan2, 3.0),
    "fmax": (np.maximum, 0.0),
    "fmin": (np.minimum, 0.0),
    "copysign": (np.copysign, 0.0),
}
PREDICATES = {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}


def _source() -> str:
    """C with `void map_NAME(const float *, const float *, float *, int)` for every function."""
    lines = ['#include "edgecomp_math.h"']
    head = "(const float *a, const float *b, float *y, int n) "
    head += "{ (void)b; for (int i = 0; i < n; i++) y[i] = "
    lines += [f"void map_{name}{head}ec_{name}f(a[i]); }}" for name in UNARY]
    lines += [f"void map_{name}{head}ec_{name}f(a[i], b[i]); }}" for name in BINARY]
    lines += [f"void map_{name}{head}(float)ec_{name}(a[i]); }}" for name in PREDICATES]
    return "\n".join(lines) + "\n"


def _compile(folder: Path, name: str, *options: str) -> Path:
    source = folder / "map.c"
    source.write_text(_source())
    path = folder / name
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c99", "-O2", "-ffp-contract=off"]
    command += ["-ffreestanding", f"-I{CSRC}", *options, str(source), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


Map = Callable[..., Array]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Map:
    """`evaluate(name, a, b)`: the C function over float32 arrays, on this machine."""
    folder = tmp_path_factory.mktemp("math")
    library = ctypes.CDLL(str(_compile(folder, "map.so", "-shared", "-fPIC", "-nostdlib")))

    def call(name: str, a: Array, b: Array | None = None) -> Array:
        b = a if b is None else b
        result = np.empty_like(a)
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, result)]
        getattr(library, f"map_{name}")(*pointers, ctypes.c_int(a.size))
        return result

    return call


def _sweep(step: int) -> Array:
    """Every `step`-th bit pattern of float32, NaNs and infinities too, and the notable ones."""
    patterns = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32)
    edges = np.array([0, 1, 2**23 - 1, 2**23, 0x3F800000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000])
    edges = np.concatenate([edges, edges | 2**31]).astype(np.uint32)
    return np.concatenate([patterns, edges]).view(np.float32)


def _ulp_errors(got: Array, want: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance in units of the true value's last place; 0 for two NaNs or the same infinity."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        size = np.maximum(np.abs(want), 2.0**-126)
        ulp = 2.0 ** (np.floor(np.log2(np.where(np.isfinite(size), size, 1.0))) - 23)
        error = np.abs(got.astype(np.float64) - want) / ulp
    same = (got == rounded) & ~np.isfinite(rounded) | np.isnan(got) & np.isnan(want)
    error = np.where(same, 0.0, error)
    return np.where(np.isnan(error), np.inf, error)


@pytest.mark.parametrize("name", UNARY)
def test_unary_is_accurate_over_the_whole_range(evaluate: Map, name: str) -> None:
    reference, bound = UNARY[name]
    x = _sweep(4999 if name != "erf" else 49999)
    with np.errstate(all="ignore"):
        want = reference(x.astype(np.float64))
    error = _ulp_errors(evaluate(name, x), want)
    worst = int(np.argmax(error))
    assert error[worst] <= bound, f"{name}({x[worst]!r}) is off by {error[worst]} ulp"


@pytest.mark.parametrize("name", ["exp", "log", "log1p", "tanh", "sigmoid", "sin", "tan", "sinh"])
def test_unary_is_accurate_where_models_use_it(evaluate: Map, name: str) -> None:
    reference, bound = UNARY[name]
    x = np.linspace(-12, 12, 1_000_003, dtype=np.float32)
    with np.errstate(all="ignore"):
        want = reference(x.astype(np.float64))
    assert _ulp_errors(evaluate(name, x), want).max() <= bound


@pytest.mark.parametrize("name", BINARY)
def test_binary_is_accurate(evaluate: Map, name: str) -> None:
    reference, bound = BINARY[name]
    generator = np.random.default_rng(7)
    bits = generator.integers(0, 2**32, (2, 300_000), dtype=np.uint64).astype(np.uint32)
    a, b = bits.view(np.float32)
    usual = generator.uniform(-30, 30, (2, 300_000)).astype(np.float32)
    whole = np.rint(usual)
    grid = _sweep(2**26 + 2**20)
    pairs = np.meshgrid(grid, grid)
    a = np.concatenate([a, np.abs(usual[0]), usual[0], pairs[0].ravel()])
    b = np.concatenate([b, usual[1], whole[1], pairs[1].ravel()])
    with np.errstate(all="ignore"):
        want = reference(a.astype(np.float64), b.astype(np.float64))
    error = _ulp_errors(evaluate(name, a, b), want)
    worst = int(np.argmax(error))
    assert error[worst] <= bound, f"{name}({a[worst]!r}, {b[worst]!r}) is off by {error[worst]} ulp"


@pytest.mark.parametrize("name", PREDICATES)
def test_predicates(evaluate: Map, name: str) -> None:
    x = _sweep(65521)
    np.testing.assert_array_equal(evaluate(name, x) != 0, PREDICATES[name](x))


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "rint", "round", "sin", "tanh", "erf"])
def test_sign_of_zero_is_kept(evaluate: Map, name: str) -> None:
    zeros = np.array([0.0, -0.0], np.float32)
    np.testing.assert_array_equal(np.signbit(evaluate(name, zeros)), [False, True])


def test_rounding_of_ties(evaluate: Map) -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 8388607.5], np.float32)
    np.testing.assert_array_equal(evaluate("rint", x), [0, 2, 2, -0.0, -2, -2, 0, 8388608])
    np.testing.assert_array_equal(evaluate("round", x), [1, 2, 3, -1, -2, -3, 0, 8388608])


def test_header_is_clean_c99(tmp_path: Path) -> None:
    strict = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Werror", "-pedantic"]
    _compile(tmp_path, "map.o", "-c", *strict, "-Wno-missing-prototypes")


# zig target, core, and whether the core has a floating-point unit to switch on
EMULATED = {
    "aarch64": ("aarch64-freestanding", "cortex_a72"),
    "armv7": ("arm-freestanding-eabihf", "cortex_a7"),
    "m0plus": ("thumb-freestanding-eabi", "cortex_m0plus"),
    "m4": ("thumb-freestanding-eabihf", "cortex_m4"),
}
BASE, STACK_TOP, DATA, STOP = 0x10000, 0x800000, 0x900000, 0xA00000


class Emulated:
    """The same C, compiled for another processor and called in an emulator."""

    def __init__(self, folder: Path, machine: str) -> None:
        target, core = EMULATED[machine]
        options = ["-target", target, f"-mcpu={core}", "-Wl,--image-base=0x10000", "-Wl,-e,map_exp"]
        image = _compile(folder, f"{machine}.elf", "-fno-pie", "-static", *options)
        self.machine = machine
        self.emulator = self._start(machine)
        self.emulator.mem_map(0, 0x1000000)
        with image.open("rb") as file:
            elf = ELFFile(file)
            for segment in elf.iter_segments("PT_LOAD"):
                self.emulator.mem_write(segment["p_vaddr"], segment.data())
            table = elf.get_section_by_name(".symtab")
            self.symbols = {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}

    @staticmethod
    def _start(machine: str) -> unicorn.Uc:
        if machine == "aarch64":
            emulator = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
            emulator.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_A72)
            return emulator
        mode = (
            unicorn.UC_MODE_ARM
            if machine == "armv7"
            else unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        emulator = unicorn.Uc(unicorn.UC_ARCH_ARM, mode)
        model = {
            "armv7": arm_const.UC_CPU_ARM_CORTEX_A7,
            "m0plus": arm_const.UC_CPU_ARM_CORTEX_M0,
            "m4": arm_const.UC_CPU_ARM_CORTEX_M4,
        }[machine]
        emulator.ctl_set_cpu_model(model)
        emulator.mem_map(0xE000E000, 0x1000)
        if machine == "armv7":
            emulator.reg_write(arm_const.UC_ARM_REG_C1_C0_2, 0xF << 20)
        emulator.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
        return emulator

    def __call__(self, name: str, a: Array, b: Array) -> Array:
        size = a.nbytes
        self.emulator.mem_write(DATA, a.tobytes() + b.tobytes())
        arguments = (DATA, DATA + size, DATA + 2 * size, a.size)
        entry = self.symbols[f"map_{name}"]
        registers = self._registers()
        for register, value in zip(registers[:4], arguments, strict=True):
            self.emulator.reg_write(register, value)
        self.emulator.reg_write(registers[4], STACK_TOP)
        self.emulator.reg_write(registers[5], STOP | (self.machine[0] == "m"))
        self.emulator.emu_start(entry, STOP)
        return np.frombuffer(bytes(self.emulator.mem_read(DATA + 2 * size, size)), np.float32)

    def _registers(self) -> tuple[int, ...]:
        if self.machine == "aarch64":
            names = ("X0", "X1", "X2", "X3", "SP", "X30")
            return tuple(getattr(arm64_const, f"UC_ARM64_REG_{name}") for name in names)
        names = ("R0", "R1", "R2", "R3", "SP", "LR")
        return tuple(getattr(arm_const, f"UC_ARM_REG_{name}") for name in names)


@pytest.mark.parametrize("machine", EMULATED)
def test_bits_are_the_same_on(machine: str, evaluate: Map, tmp_path: Path) -> None:
    emulated = Emulated(tmp_path, machine)
    generator = np.random.default_rng(3)
    a = np.concatenate([_sweep(2**24 + 77777), generator.uniform(-9, 9, 300).astype(np.float32)])
    b = generator.permutation(a)
    different = []
    for name in [*UNARY, *BINARY]:
        here, there = evaluate(name, a, b), emulated(name, a, b)
        same = (here.view(np.uint32) == there.view(np.uint32)) | np.isnan(here) & np.isnan(there)
        different += [(name, x, y) for x, y in zip(a[~same], b[~same], strict=True)]
    assert different == []
