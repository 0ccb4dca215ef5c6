"""What the committed results say of the real models of public packages.

They are measured by `python tests/benchmarks/real_models.py`, which needs the packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

WITHOUT_PROGRAM = {"mediapipe/face_landmark_with_attention.tflite"}
"""Has an operator of MediaPipe's own."""
CLOSE = 1e-4
SPREADS = 4
"""So many times the distance between two kernel sets of the reference may be reached."""


@pytest.fixture(scope="module")
def benchmark_script(root: Path) -> Iterator[ModuleType]:
    """The script that measures them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tests" / "benchmarks"))
        yield import_module("real_models")


def test_every_model_compiles_and_agrees_with_its_own_runtime(benchmark_script: ModuleType) -> None:
    rows = benchmark_script.known()

    assert set(rows) == {case.name for case in benchmark_script.CASES}
    assert {name for name, row in rows.items() if row.reason} == WITHOUT_PROGRAM
    far = {
        name: (row.relative_error, row.spread)
        for name, row in rows.items()
        if row.relative_error > max(CLOSE, SPREADS * (row.spread or 0))
    }
    assert not far


def test_integer_models_are_exact_over_hundreds_of_frames(benchmark_script: ModuleType) -> None:
    integer = [row for row in benchmark_script.known().values() if row.integer and not row.float]

    assert len(integer) == 4
    assert all(row.max_error == 0 and row.frames == 300 for row in integer)
