"""The in-process emulator: results, exact counts, faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.engines.unicorn import UnicornEngine
from edgecomp_runtime.errors import ArtifactError, InputError

CORTEX_M = ("cortex_m0plus", "cortex_m3", "cortex_m4", "cortex_m7", "cortex_m33")
CORTEX_A = ("cortex_a53", "cortex_a72", "cortex_a76", "cortex_a7")
Build = Callable[..., Artifact]
Sample = list[np.ndarray[Any, np.dtype[np.int8]]]


@pytest.fixture(params=[*CORTEX_M, *CORTEX_A])
def engine(request: pytest.FixtureRequest, image: Build, library: Build) -> UnicornEngine:
    core = request.param
    return UnicornEngine(image(core) if core in CORTEX_M else library(core))


def expected(sample: Sample) -> list[np.ndarray[Any, Any]]:
    """What the program computes, by numpy."""
    x, d = (array.astype(np.int32) for array in sample)
    weights = np.zeros(1024, np.int32)
    weights[:8] = [1, -2, 3, -4, 5, -6, 7, -8]
    weights[[100, 200, 555, 1023]] = [9, -10, 11, -12]
    dense = np.clip((weights.reshape(16, 64) @ x + 3) >> 4, -128, 127)
    q = np.trunc(dense * 100 / (d | 1)).astype(np.int32).astype(np.int8)
    return [q, q.astype(np.float32) / np.float32(3) + np.float32(0.1)]


def test_run_computes_what_numpy_computes(engine: UnicornEngine, sample: Sample) -> None:
    for _ in range(2):
        for got, want in zip(engine.run(sample), expected(sample), strict=True):
            np.testing.assert_array_equal(got, want)


# A hook on instructions is not called for those an IT instruction skips, which the processor
# nevertheless issues; test_qemu.py compares such code with another emulator.
@pytest.mark.parametrize("core", ["cortex_m0plus", *CORTEX_A])
def test_count_is_that_of_a_hook_on_every_instruction(
    core: str, image: Build, library: Build, sample: Sample
) -> None:
    engine = UnicornEngine(image(core) if core in CORTEX_M else library(core))
    counts = engine.count(sample)
    executed = []
    emulator = engine._emulator
    emulator.ctl_flush_tb()
    emulator.hook_add(
        engine._unicorn.UC_HOOK_CODE, lambda _, address, size, data: executed.append(address)
    )
    engine.run(sample)
    assert counts.instructions == len(executed)


def test_count_charges_each_operator(engine: UnicornEngine, sample: Sample) -> None:
    counts = engine.count(sample)
    dense, divide, scale, copy, dense_again = counts.per_op
    assert dense == dense_again or abs(dense - dense_again) < 100
    assert min(divide, scale, copy) > 16
    assert 0 < counts.instructions - sum(counts.per_op) < 100


def test_count_sees_the_stack(engine: UnicornEngine, sample: Sample) -> None:
    counts = engine.count(sample)
    assert counts.stack_bytes is not None
    assert 1000 <= counts.stack_bytes < 1200


def test_run_after_count_is_not_counted(engine: UnicornEngine, sample: Sample) -> None:
    first = engine.count(sample)
    np.testing.assert_array_equal(engine.run(sample)[0], expected(sample)[0])
    assert engine.count(sample) == first


def test_a_fault_names_address_and_function(engine: UnicornEngine, sample: Sample) -> None:
    beyond = sample[1].copy()
    beyond[0] = 100
    with pytest.raises(
        ArtifactError, match=r"the program faulted at 0x[0-9a-f]+ in .*: it (read|wrote)"
    ):
        engine.run([sample[0], beyond])
    np.testing.assert_array_equal(engine.run(sample)[0], expected(sample)[0])


def test_wrong_inputs_are_refused(engine: UnicornEngine, sample: Sample) -> None:
    with pytest.raises(InputError, match="takes 2 inputs"):
        engine.run(sample[:1])
    with pytest.raises(InputError, match="int8"):
        engine.run([sample[0].astype(np.int16), sample[1]])


def test_closed_engine_says_so(library: Build, sample: Sample) -> None:
    engine = UnicornEngine(library("cortex_a72"))
    engine.close()
    engine.close()
    for method in (engine.run, engine.count):
        with pytest.raises(InputError, match="closed"):
            method(sample)


def test_cortex_m55_is_refused(image: Build) -> None:
    with pytest.raises(ArtifactError, match=r"cortex_m55.*qemu:"):
        UnicornEngine(image("cortex_m55"))


def test_program_for_another_processor_is_refused(library: Build) -> None:
    artifact = library("cortex_a7")
    mislabelled = Artifact(artifact.path, library("cortex_a72").manifest, artifact.files)
    with pytest.raises(ArtifactError, match="is for arm, not for aarch64"):
        UnicornEngine(mislabelled)


def test_dot_products_of_the_cortex_a76_are_emulated(library: Build, sample: Sample) -> None:
    artifact = library("cortex_a76", optimize="-O3")
    program = artifact.read("libprobe.so")
    words = np.frombuffer(program[: len(program) & ~3], "<u4")
    # SDOT (vector), Arm DDI 0487, C7.2.268
    assert np.any((words & 0xBFE0FC00) == 0x0E809400)
    np.testing.assert_array_equal(UnicornEngine(artifact).run(sample)[0], expected(sample)[0])
