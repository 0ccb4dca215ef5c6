"""Programs in bands of rows give the bits of the same programs without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.artifact import make_manifest
from edgecomp.device import load_device
from edgecomp.lowering.patches import Patch, can_patch, patched, with_functions
from edgecomp.pipeline import emitted
from edgecomp.program import Program
from edgecomp.target import load_target
from edgecomp_runtime.artifact import open_artifact, write_artifact
from edgecomp_runtime.session import Session
from tests.image_programs import ImagePrograms

Array = npt.NDArray[Any]


def run(program: Program, device: str, inputs: Sequence[Array], folder: Path) -> list[Array]:
    profile = load_device(device)
    program, source = emitted(program, profile, "balanced")
    folder.mkdir()
    build = load_target(profile.target).build(source, program, profile, folder, "balanced")
    path = folder / "images.edge"
    write_artifact(path, make_manifest(program, source, build, profile, None), build.files)
    with Session(open_artifact(path)) as session:
        return [np.array(y) for y in session.engine.run(inputs)]


def images(seed: int, nets: int, layers: int) -> ImagePrograms:
    drawn = ImagePrograms(np.random.default_rng(seed))
    for _ in range(nets):
        drawn.net(layers)
    return drawn


def patches(drawn: ImagePrograms, program: Program) -> list[Patch]:
    """A patch in every net: the longest one that begins and ends where it must."""
    found = []
    for first, last in drawn.nets:
        ends = [end for end in range(last, first, -1) if can_patch(program, first, end)]
        if ends:
            found.append(Patch(first, ends[0], int(drawn.rng.integers(1, 4))))
    return found


@pytest.mark.parametrize("device", ["host", "qemu_mps2_an386", "qemu_mps3_an547"])
def test_bands_give_the_same_bits(device: str, tmp_path: Path) -> None:
    drawn = images(seed=7, nets=6, layers=6)
    program = drawn.program()
    chosen = patches(drawn, program)
    assert len(chosen) == len(drawn.nets)
    banded = with_functions(patched(program, chosen))
    assert len(banded.calls) > 2 * len(program.calls)
    inputs = drawn.samples()
    whole = run(program, device, inputs, tmp_path / "whole")
    for a, b in zip(whole, run(banded, device, inputs, tmp_path / "bands"), strict=True):
        np.testing.assert_array_equal(a, b)
        assert len(np.unique(a)) > 2, "a net whose output says nothing tests nothing"


@pytest.mark.parametrize("device", ["rp2040_pico", "qemu_mps2_an386", "qemu_mps3_an547"])
def test_overlapping_buffers_give_the_same_bits_as_buffers_apart(
    device: str, tmp_path: Path
) -> None:
    drawn = images(seed=8, nets=6, layers=6)
    program = drawn.program()
    inputs = drawn.samples()
    # CPUs keep buffers apart
    apart = run(program, "host", inputs, tmp_path / "apart")
    for a, b in zip(apart, run(program, device, inputs, tmp_path / "over"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("seed", range(20))
def test_no_row_is_made_twice(seed: int) -> None:
    drawn = images(seed, nets=1, layers=8)
    program = drawn.program()
    (patch,) = patches(drawn, program) or [None]
    assert patch is not None
    banded = patched(program, [patch])
    made = dict.fromkeys(drawn.kernels, 0)
    for call in banded.calls:
        if call.op != "Identity":
            made[f"k{call.name.removeprefix('node')}"] += call.macs
    for call in program.calls:  # the cost of a call is its rows
        assert made[call.kernel] <= call.macs
    assert made[program.calls[patch.last].kernel] == program.calls[patch.last].macs


def test_what_others_read_is_made_whole() -> None:
    drawn = images(seed=3, nets=1, layers=3)
    program = drawn.program()
    assert can_patch(program, 0, 2)
    second = program.tensors[program.calls[1].operands[-1]]
    output = replace(program.outputs[0], name=second.name, shape=second.shape)
    assert not can_patch(replace(program, outputs=(*program.outputs, output)), 0, 2)
    assert can_patch(program, 2, 2)
