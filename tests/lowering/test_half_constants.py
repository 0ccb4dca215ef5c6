"""Float constants of 16 bits: which are stored so, and that conversions are exact."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.lowering.half_constants import with_half_constants
from edgecomp.lowering.lower import lower
from edgecomp.model import Model

CSRC = Path(__file__).parents[2] / "edgecomp" / "lowering" / "csrc"
TEXT = "net (float[2,8] x) => (float[2,16] y, float[2,16] z) { " \
    "[one] y = MatMul (x, w) [two] z = MatMul (x, v) }"  # fmt: skip

Array = npt.NDArray[Any]
Make = Callable[..., Any]


PORTABLE = ("-U__F16C__", "-U__ARM_FP16_FORMAT_IEEE")
"""Options that hide instructions for it from the header."""


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of numbers."""
    return np.random.default_rng(5)


@pytest.mark.parametrize("options", [PORTABLE, ("-mcpu=native",)], ids=["portable", "native"])
def test_every_half_becomes_its_float(tmp_path: Path, options: tuple[str, ...]) -> None:
    source = tmp_path / "half.c"
    source.write_text(
        '#include "edgecomp_math.h"\n'
        "void map(const uint16_t *a, float *y, int n)"
        "{ for (int i = 0; i < n; i++) y[i] = ec_halff(a[i]); }\n"
        "#ifdef EC_HAS_HALF\nint hardware = 1;\n#else\nint hardware = 0;\n#endif\n"
    )
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c99"]
    command += ["-O2", "-ffreestanding", f"-I{CSRC}", *options, "-shared", "-fPIC", "-nostdlib"]
    subprocess.run(
        [*command, str(source), "-o", str(tmp_path / "half.so")], check=True, capture_output=True
    )
    library = ctypes.CDLL(str(tmp_path / "half.so"))
    if options == PORTABLE:
        assert ctypes.c_int.in_dll(library, "hardware").value == 0
    bits = np.arange(2**16, dtype=np.uint32).astype(np.uint16)
    bits = bits[(bits & 0x7C00) != 0x7C00]  # no infinity and no NaN is stored
    found = np.empty(len(bits), np.float32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (bits, found)]
    library.map(*pointers, ctypes.c_int(len(bits)))
    wanted = bits.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


def of_two(make_model: Make, one: Array, two: Array) -> Model:
    model: Model = make_model(TEXT, {"w": one, "v": two})
    return model


def test_constants_that_float16_has(make_model: Make, floats: Make) -> None:
    exact = floats(8, 16).astype(np.float16).astype(np.float32)
    program = lower(of_two(make_model, exact, floats(8, 16)))
    changed = with_half_constants(program)
    assert changed.constants["w"].dtype == np.uint16
    np.testing.assert_array_equal(changed.constants["w"].view(np.float16), exact)
    assert changed.constants["v"] is program.constants["v"]
    assert [call.weights for call in changed.calls] == ["float16", ""]
    assert len(changed.kernels) == 2
    assert len(program.kernels) == 1
    again = with_half_constants(changed)
    assert again.calls == changed.calls


@pytest.mark.parametrize("odd", [70_000.0, np.inf, 1.0 + 2.0**-20, 2.0**-30])
def test_one_number_that_float16_has_not_is_enough(
    make_model: Make, floats: Make, odd: float
) -> None:
    weights = floats(8, 16).astype(np.float16).astype(np.float32)
    weights[3, 5] = odd
    program = with_half_constants(lower(of_two(make_model, weights, floats(8, 16))))
    assert [call.weights for call in program.calls] == ["", ""]
