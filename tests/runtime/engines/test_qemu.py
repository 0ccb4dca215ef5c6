"""Bench firmware on QEMU's boards: results, exact counts, faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.engines.qemu import QemuEngine
from edgecomp_runtime.engines.unicorn import UnicornEngine
from edgecomp_runtime.errors import ArtifactError, InputError

Build = Callable[..., Artifact]
Sample = list[np.ndarray[Any, np.dtype[np.int8]]]
CORES = ("cortex_m0plus", "cortex_m3", "cortex_m4", "cortex_m7", "cortex_m33", "cortex_m55")


@pytest.mark.parametrize("core", CORES)
def test_batch_gives_the_same_bits_as_aarch64(
    core: str, image: Build, library: Build, sample: Sample
) -> None:
    samples = [sample, [sample[0][::-1].copy(), sample[1]], sample]
    other = UnicornEngine(library("cortex_a72"))
    for got, inputs in zip(QemuEngine(image(core)).run_batch(samples), samples, strict=True):
        for ours, theirs in zip(got, other.run(inputs), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("core", CORES[:-1])
def test_counts_are_those_of_the_other_emulator(core: str, image: Build, sample: Sample) -> None:
    board = QemuEngine(image(core)).count(sample)
    process = UnicornEngine(image(core)).count(sample)
    assert board.instructions == process.instructions
    assert board.per_op == process.per_op
    assert board.stack_bytes == process.stack_bytes


def test_count_is_repeatable_on_the_cortex_m55(image: Build, sample: Sample) -> None:
    engine = QemuEngine(image("cortex_m55"))
    first = engine.count(sample)
    assert first == engine.count(sample)
    assert first.instructions > 500
    assert len(first.per_op) == 5
    assert first.per_op[0] == first.per_op[4]
    assert 0 < first.instructions - sum(first.per_op) < 100
    assert first.stack_bytes is not None
    assert first.stack_bytes >= 1000


def test_a_stack_overflow_is_an_error(image: Build, sample: Sample) -> None:
    with pytest.raises(ArtifactError, match=r"mps2-an386 and said: .*(faulted|overflowed)"):
        QemuEngine(image("cortex_m4", "deep_stack.c")).run(sample)


def test_a_fault_names_the_address(image: Build, sample: Sample) -> None:
    with pytest.raises(ArtifactError, match=r"the core faulted at 0x[0-9a-f]{8}"):
        QemuEngine(image("cortex_m3", "undefined_instruction.c")).run(sample)


def test_a_program_without_end_is_stopped(image: Build, sample: Sample) -> None:
    with pytest.raises(ArtifactError, match="did not end in 1 s"):
        QemuEngine(image("cortex_m3", "endless.c"), seconds=1).run(sample)


def test_shared_library_is_refused(library: Build) -> None:
    with pytest.raises(ArtifactError, match="no bench firmware"):
        QemuEngine(library("cortex_a72"))


def test_missing_qemu_names_the_package(image: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="install the Debian package qemu-system-arm"):
        QemuEngine(image("cortex_m4"))


def test_wrong_inputs_are_refused(image: Build, sample: Sample) -> None:
    engine = QemuEngine(image("cortex_m4"))
    with pytest.raises(InputError, match="takes 2 inputs"):
        engine.run(sample[:1])
    engine.close()
    with pytest.raises(InputError, match="closed"):
        engine.run(sample)
