"""Programs made to fit the RAM allowed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from edgecomp.device import load_device
from edgecomp.fit_ram import Built, fit_ram
from edgecomp.lowering.emit_c import CSource
from edgecomp.pipeline import emitted
from edgecomp.program import Program
from edgecomp.target import Build, load_target
from tests.image_programs import ImagePrograms

DEVICE = "qemu_mps2_an386"


def fitted(program: Program, limit: int | None) -> Built:
    profile = load_device(DEVICE)

    def build(program: Program, source: CSource) -> Build:
        with tempfile.TemporaryDirectory() as work:
            target = load_target(profile.target)
            return target.build(source, program, profile, Path(work), "balanced")

    return fit_ram(program, limit, lambda p: emitted(p, profile, "balanced"), build)


@pytest.fixture(scope="module")
def program() -> Program:
    """A net that grows before it shrinks: its second and third image are the largest."""
    drawn = ImagePrograms(np.random.default_rng(2))
    x = drawn.tensor((1, 24, 24, 4))
    drawn.inputs.append(x)
    wide = drawn.conv(x, 12, False)
    drawn.outputs.append(drawn.pool(drawn.conv(drawn.conv(wide, 12, False), 8, False)))
    return drawn.program()


@pytest.fixture(scope="module")
def whole(program: Program) -> Built:
    return fitted(program, None)


def test_a_program_that_fits_stays_as_it_is(program: Program, whole: Built) -> None:
    again = fitted(program, whole.ram_bytes)
    assert again.program.patches == ()
    assert again.source.files == whole.source.files


def test_less_ram_takes_more_calls(program: Program, whole: Built) -> None:
    calls = [len(whole.program.calls)]
    for share in (0.9, 0.7):
        limit = int(whole.ram_bytes * share)
        built = fitted(program, limit)
        assert built.ram_bytes <= limit
        assert built.program.patches
        assert sum(patch.extra_macs for patch in built.program.patches) <= 0
        calls.append(len(built.program.calls))
    assert calls == sorted(set(calls))


def test_the_least_is_found_where_nothing_fits(program: Program, whole: Built) -> None:
    least = fitted(program, 16)
    assert least.ram_bytes < 0.7 * whole.ram_bytes
    # the input, which the caller fills, is there as a whole
    assert least.source.plan.arena_bytes >= program.tensors[program.inputs[0].name].bytes


def test_the_same_limit_gives_the_same_program(program: Program, whole: Built) -> None:
    limit = int(whole.ram_bytes * 0.8)
    first, second = fitted(program, limit), fitted(program, limit)
    assert first.source.files == second.source.files
