"""Hostile TFLite files: a sentence, at once, and nothing outside the file is read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecomp.errors import EdgecompError
from edgecomp.importers import load


@pytest.fixture
def good(tflite_op: Any) -> bytes:
    """A small valid file: a fully connected layer."""
    single_op, operand = tflite_op
    weights = operand((3, 4), dtype="float32", data=np.ones((3, 4), np.float32))
    operands = (operand((1, 4), dtype="float32"), weights)
    result = operand((1, 3), dtype="float32")
    content: bytes = single_op("FULLY_CONNECTED", operands, result, "FullyConnectedOptions").model()
    return content


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[bytes], str]:
    """The sentence with which a file of these bytes is refused."""

    def run(content: bytes) -> str:
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        with pytest.raises(EdgecompError) as caught:
            load(path)
        assert caught.value.reasons
        return str(caught.value)

    return run


def test_a_good_file_is_read(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(good)
    assert load(path).outputs[0].shape == (1, 3)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no TFLite model"),
        (b"\x08\x00\x00\x00TFL3", "damaged or truncated"),
        (b"PK\x03\x04" + bytes(64), "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(64), "damaged or truncated"),
        (b"\x08\x00\x00\x00ABCD" + bytes(64), "TFL3"),
    ],
)
def test_foreign_files(refused: Any, content: bytes, sentence: str) -> None:
    assert sentence in refused(content)


def test_no_truncation_crashes(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    for length in range(0, len(good) - 1, 7):
        path.write_bytes(good[:length])
        with suppress(EdgecompError):
            load(path)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=4))
def test_no_damaged_word_crashes(
    good: bytes, tmp_path: Path, damage: list[tuple[float, int]]
) -> None:
    content = bytearray(good)
    for where, word in damage:
        place = int(where * (len(good) // 4 - 1)) * 4
        struct.pack_into("<I", content, place, word)
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(content))
    with suppress(EdgecompError):
        load(path)


def _numbers(*values: int) -> bytes:
    """A vector of int32 as it lies in a file."""
    return struct.pack(f"<{len(values) + 1}i", len(values), *values)


# what the file's vector is replaced by: the operator reads 0 and 1 and makes 2
EDITS: dict[str, tuple[bytes, bytes, str]] = {
    "negative dims": (_numbers(3, 4), _numbers(-3, 4), "negative"),
    "2^40 elements": (_numbers(3, 4), _numbers(2**20, 2**20), "more than"),
    "other shape": (_numbers(3, 4), _numbers(4, 4), "needs 64 bytes but has 48"),
    "missing input": (_numbers(0, 1), _numbers(0, 99), "does not exist"),
    "cycle": (_numbers(0, 1), _numbers(2, 1), "cycle"),
    "missing output": (_numbers(2), _numbers(77), "do not exist"),
    "longer than the file": (_numbers(3, 4), struct.pack("<3i", 2**30, 3, 4), "longer than"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_files(good: bytes, refused: Any, name: str) -> None:
    old, new, sentence = EDITS[name]
    assert old in good
    assert sentence in refused(good.replace(old, new))


def test_a_tensor_too_large_is_refused_before_it_is_made(refused: Any, tflite_op: Any) -> None:
    single_op, operand = tflite_op
    repeats = operand((2,), dtype="int32", data=np.array([2**20, 2**20], np.int32))
    small, huge = operand((1, 1), dtype="float32"), operand((1, 1), dtype="float32")
    content = single_op("TILE", (small, repeats), huge).model()
    assert "cannot be laid out in memory" in refused(content)
