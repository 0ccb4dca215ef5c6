"""Damaged files become a model or are refused: never a crash, never too much time or memory.

`scripts/fuzz_importers.py` does the same for as long as one likes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing.damage_bytes import damage_bytes
from fuzzing.damage_onnx import damage_onnx
from fuzzing.damage_tflite import damage_tflite
from fuzzing.judge import Judge
from fuzzing.seeds import file_seeds, onnx_seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def bounded(examples: int) -> settings:
    """As many files, the same every time: at most 25 s on one core."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


SMALL_BYTES = 110_000
CHOICES = st.integers(0, 2**32 - 1).map(random.Random)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """A process that imports what it is given."""
    with Judge() as process:
        yield process


@pytest.fixture(scope="module")
def onnx_files(shared: Path) -> list[bytes]:
    """Built-in ONNX models, and small real ones."""
    return onnx_seeds() + file_seeds(shared / "models", ".onnx", SMALL_BYTES)


@pytest.fixture(scope="module")
def tflite_files(shared: Path) -> list[bytes]:
    """Small real TFLite models."""
    return file_seeds(shared / "models", ".tflite", SMALL_BYTES)


def check(content: bytes, path: Path, judge: Judge) -> None:
    """Import `content`, and keep it in pytest's folder when that breaks a rule."""
    path.write_bytes(content)
    verdict = judge(path)
    if not verdict.good:
        kept = path.with_stem(f"broke_a_rule_{len(list(path.parent.iterdir()))}")
        kept.write_bytes(content)
        pytest.fail(f"{verdict.outcome}: {kept}\n{verdict.detail}", pytrace=False)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_undamaged_files_become_models(
    kind: str, judge: Judge, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for content in request.getfixturevalue(f"{kind}_files"):
        path = tmp_path / f"model.{kind}"
        path.write_bytes(content)
        verdict = judge(path)
        assert verdict.good, verdict.detail


@bounded(1200)
@given(choose=CHOICES)
def test_damaged_onnx_fields(
    choose: random.Random, onnx_files: list[bytes], judge: Judge, tmp_path: Path
) -> None:
    check(damage_onnx(choose.choice(onnx_files), choose), tmp_path / "model.onnx", judge)


@bounded(250)
@given(choose=CHOICES)
def test_damaged_tflite_fields(
    choose: random.Random, tflite_files: list[bytes], judge: Judge, tmp_path: Path
) -> None:
    check(damage_tflite(choose.choice(tflite_files), choose), tmp_path / "model.tflite", judge)


@bounded(700)
@given(choose=CHOICES, kind=st.sampled_from(["onnx", "tflite"]))
def test_damaged_bytes(
    choose: random.Random,
    kind: str,
    onnx_files: list[bytes],
    tflite_files: list[bytes],
    judge: Judge,
    tmp_path: Path,
) -> None:
    files = {"onnx": onnx_files, "tflite": tflite_files}[kind]
    damaged = damage_bytes(choose.choice(files), choose, choose.choice(files))
    check(damaged, tmp_path / f"model.{kind}", judge)
