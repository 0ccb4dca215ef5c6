"""Every operator of TFLite: float32 and int8, with random shapes and options, against TFLite.

TFLite's reference kernels run the file, onnxruntime the imported graph: int8 is real numbers there
between rounding to the grid, so it may differ by a step. What the compiled program makes of these
cases is tested in tests/targets/test_conformance_tflite.py, to the bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgecomp.importers.tflite.operators import BUILTINS
from tests.tflite_cases import FAMILIES

CASES = {name: entry for family in FAMILIES.values() for name, entry in family.items()}
INT8 = [name for name, (_, steps) in CASES.items() if steps is not None]
ELSEWHERE = {
    "CUSTOM Convolution2DTransposeBias": "test_tflite.py",
    "DENSIFY": "test_tflite.py",
    "SVDF": "test_tflite_recurrent.py",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "test_tflite_recurrent.py",
}
"""Operators that keep state, are custom or packed have tests of their own, in these files."""
DYNAMIC_RANGE = ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]

seeds = st.integers(0, 2**32 - 1)
few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_every_operator_that_is_imported_has_a_case() -> None:
    assert set(BUILTINS) == set(CASES) | set(ELSEWHERE)
    for file in ELSEWHERE.values():
        assert (Path(__file__).parent / file).is_file()


@pytest.mark.parametrize("name", CASES)
@few
@given(seeds)
def test_float(check_tflite: Any, name: str, seed: int) -> None:
    check_tflite(name, CASES[name][0], "float32", seed, 0)


@pytest.mark.parametrize("name", INT8)
@few
@given(seeds)
def test_int8(check_tflite: Any, name: str, seed: int) -> None:
    check_tflite(name, CASES[name][0], "int8", seed, CASES[name][1])


@pytest.mark.parametrize("name", DYNAMIC_RANGE)
@few
@given(seeds)
def test_dynamic_range(check_tflite: Any, name: str, seed: int) -> None:
    check_tflite(name, CASES[name][0], "float32", seed, 0, hybrid=True)
